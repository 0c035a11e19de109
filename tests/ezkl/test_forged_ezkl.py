"""Forged transcripts of ezkl proofs are refused: one attack per test."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from iris_run import SCALE, Foreign, IrisProof

from zktrain import ChainBroken, InputError, MalformedProof, StatementMismatch
from zktrain.circuit.initial import seeded_weights
from zktrain.circuit.initialisation import Initialisation
from zktrain.circuit.weights import read_weights
from zktrain.dataset.readers import read_dataset
from zktrain.ezkl import bundle as wire
from zktrain.ezkl import values
from zktrain.ezkl._verify import ProofMismatch
from zktrain.ezkl.bundle import EzklBundle, StepProof
from zktrain.ezkl.field import ELEMENT_BYTES
from zktrain.ezkl.parameters import Parameters
from zktrain.ezkl.srs.curve import R
from zktrain.optimizers.sgd import Sgd
from zktrain.prover.dataset.commitment import commit_records
from zktrain.training.weight_file import write_weights

pytestmark = pytest.mark.slow("proofs by ezkl take half a minute")


def with_step(bundle: EzklBundle, index: int, step: StepProof) -> EzklBundle:
    steps = list(bundle.steps)
    steps[index] = step
    return replace(bundle, steps=tuple(steps))


def with_instance(bundle: EzklBundle, step: int, index: int, value: bytes) -> EzklBundle:
    instances = list(bundle.steps[step].instances)
    instances[index] = value
    return with_step(bundle, step, replace(bundle.steps[step], instances=tuple(instances)))


def changed(data: bytes, at: int) -> bytes:
    out = bytearray(data)
    out[at] ^= 1
    return bytes(out)


def test_a_proof_replaced_by_that_of_another_step(iris: IrisProof) -> None:
    first, second = iris.bundle.steps
    with pytest.raises(ProofMismatch, match="step 0"):
        iris.verify(with_step(iris.bundle, 0, replace(first, proof=second.proof)))


def test_two_steps_swapped(iris: IrisProof) -> None:
    steps = iris.bundle.steps[::-1]
    with pytest.raises(ChainBroken, match="starts at other weights"):
        iris.verify(replace(iris.bundle, steps=steps))


def test_a_step_left_out(iris: IrisProof) -> None:
    with pytest.raises(ChainBroken, match="number of steps"):
        iris.verify(replace(iris.bundle, steps=iris.bundle.steps[:1]))


def test_a_step_done_twice_in_place_of_the_next(iris: IrisProof) -> None:
    first = iris.bundle.steps[0]
    with pytest.raises(ChainBroken, match="than the one before it ended"):
        iris.verify(replace(iris.bundle, steps=(first, first)))


def test_a_shorter_run_that_ends_in_the_weights_of_its_only_step(iris: IrisProof) -> None:
    """The circuit says two steps; a bundle with a circuit of one is about another circuit."""
    bundle = iris.bundle
    circuit = replace(bundle.statement.circuit, steps=1)
    forged = EzklBundle(replace(bundle.statement, circuit=circuit), bundle.steps[:1])
    with pytest.raises(StatementMismatch, match="steps differs"):
        iris.verify(forged, circuit=iris.circuit)


def other_weights(iris: IrisProof, path: Path) -> Path:
    shapes = iris.bundle.statement.circuit.parameter_shapes()
    weights = read_weights(iris.proved.weights, shapes, SCALE)
    weights["fc1.weight"][0, 0] += 1
    write_weights(path, weights, SCALE, {})
    return path


def test_another_weight_file(iris: IrisProof, tmp_path: Path) -> None:
    with pytest.raises(StatementMismatch, match="last weights are not those"):
        iris.verify(weights=other_weights(iris, tmp_path / "w.safetensors"))


def test_weights_that_differ_by_less_than_a_unit(iris: IrisProof, tmp_path: Path) -> None:
    """Rounding is free between steps, not in the file: it has the very integers of the statement,
    whatever format it is written in."""
    shapes = iris.bundle.statement.circuit.parameter_shapes()
    finer = {n: 4 * w for n, w in read_weights(iris.proved.weights, shapes, SCALE).items()}
    path = tmp_path / "w.safetensors"
    write_weights(path, finer, SCALE + 2, {})
    assert iris.verify(weights=path).steps == 2
    finer["fc1.weight"][0, 0] += 1
    write_weights(path, finer, SCALE + 2, {})
    said = r"zktrain ezkl prove wrote beside the bundle, proof-ezkl\.weights\.safetensors"
    with pytest.raises(StatementMismatch, match=said):
        iris.verify(weights=path)


def test_another_weight_file_whose_digest_is_stated(iris: IrisProof, tmp_path: Path) -> None:
    path = other_weights(iris, tmp_path / "w.safetensors")
    bundle = iris.bundle
    shapes = bundle.statement.circuit.parameter_shapes()
    final = values.weights_digest(read_weights(path, shapes, SCALE), SCALE)
    forged = replace(bundle, statement=replace(bundle.statement, final=final))
    with pytest.raises(ChainBroken, match="does not end in the weights of the file"):
        iris.verify(forged, weights=path)


def test_another_weight_file_whose_hash_is_an_instance(iris: IrisProof, tmp_path: Path) -> None:
    """As before, and the last step's instances say so too: its proof does not."""
    from zktrain.ezkl.native import Native

    path = other_weights(iris, tmp_path / "w.safetensors")
    bundle = iris.bundle
    weights = read_weights(path, bundle.statement.circuit.parameter_shapes(), SCALE)
    with Native() as native:
        wanted = [bytes.fromhex(h) for h in native.call("hashes", tensors=values.flat(weights))]
    for index, value in enumerate(wanted):
        bundle = with_instance(bundle, 1, 7 + index, value)
    final = values.weights_digest(weights, SCALE)
    forged = replace(bundle, statement=replace(bundle.statement, final=final))
    with pytest.raises(ProofMismatch, match="step 1"):
        iris.verify(forged, weights=path)


def test_other_first_weights(iris: IrisProof) -> None:
    bundle = iris.bundle
    circuit = bundle.statement.circuit
    forged = replace(bundle, statement=replace(bundle.statement, initial="00" * 32))
    with pytest.raises(StatementMismatch, match="first weights"):
        iris.verify(forged)
    start = replace(circuit, initialisation=Initialisation("seed", "another seed"))
    first = values.weights_digest(values.rounded(start, seeded_weights(start), SCALE), SCALE)
    stated = replace(bundle.statement, circuit=start, initial=first)
    with pytest.raises(ChainBroken, match="starts at other weights than the recipe says"):
        iris.verify(replace(bundle, statement=stated))


def test_another_dataset_is_asked_for(iris: IrisProof) -> None:
    with pytest.raises(StatementMismatch, match="another dataset"):
        iris.verify(dataset="11" * 32)


def other_data(iris: IrisProof, path: Path) -> Path:
    records = read_dataset(str(iris.data))
    inputs = records.inputs.copy()
    inputs[:, 0] ^= 1
    np.savez(path, inputs=inputs, labels=records.labels, classes=3)
    return path


def test_data_that_are_not_those_committed(iris: IrisProof, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="give --data the records that were committed"):
        iris.verify(data=other_data(iris, tmp_path / "other.npz"))


def test_a_bundle_that_names_another_dataset(iris: IrisProof, tmp_path: Path) -> None:
    """The steps are honest, and were trained on other records than those stated."""
    data = other_data(iris, tmp_path / "other.npz")
    header = commit_records(read_dataset(str(data))).header
    forged = replace(iris.bundle, statement=replace(iris.bundle.statement, dataset=header))
    with pytest.raises(StatementMismatch, match="other inputs"):
        iris.verify(forged, data=data, dataset=header.root.hex())


def test_other_labels(iris: IrisProof, tmp_path: Path) -> None:
    records = read_dataset(str(iris.data))
    path = tmp_path / "labels.npz"
    np.savez(path, inputs=records.inputs, labels=(records.labels + 1) % 3, classes=3)
    header = commit_records(read_dataset(str(path))).header
    forged = replace(iris.bundle, statement=replace(iris.bundle.statement, dataset=header))
    with pytest.raises(StatementMismatch, match="other labels"):
        iris.verify(forged, data=path, dataset=header.root.hex())


def test_another_order_of_batches(iris: IrisProof) -> None:
    circuit = replace(iris.bundle.statement.circuit, order_seed="another order")
    forged = replace(iris.bundle, statement=replace(iris.bundle.statement, circuit=circuit))
    with pytest.raises(StatementMismatch, match="other inputs"):
        iris.verify(forged)


def test_another_learning_rate(iris: IrisProof) -> None:
    circuit = replace(iris.bundle.statement.circuit, optimizer=Sgd(((0, 64),)))
    forged = replace(iris.bundle, statement=replace(iris.bundle.statement, circuit=circuit))
    with pytest.raises(StatementMismatch, match="another learning rate") as caught:
        iris.verify(forged)
    assert caught.value.step == 0


def test_a_rate_that_is_wrong_in_the_second_step_only(iris: IrisProof) -> None:
    circuit = iris.bundle.statement.circuit
    two = replace(circuit, optimizer=Sgd((*circuit.optimizer.multipliers, (1, 64))))
    forged = replace(iris.bundle, statement=replace(iris.bundle.statement, circuit=two))
    with pytest.raises(StatementMismatch, match="another learning rate") as caught:
        iris.verify(forged)
    assert caught.value.step == 1


@pytest.mark.parametrize("place", [0.0, 0.2, 0.5, 0.8, 1.0])
def test_a_changed_byte_of_a_proof(iris: IrisProof, place: float) -> None:
    step = iris.bundle.steps[1]
    at = round(place * (len(step.proof) - 1))
    with pytest.raises(ProofMismatch, match="step 1"):
        iris.verify(with_step(iris.bundle, 1, replace(step, proof=changed(step.proof, at))))


def test_a_changed_byte_of_any_instance(iris: IrisProof) -> None:
    kinds: set[type[Exception]] = set()
    for step, part in enumerate(iris.bundle.steps):
        for index, value in enumerate(part.instances):
            with pytest.raises((ChainBroken, StatementMismatch)) as caught:
                iris.verify(with_instance(iris.bundle, step, index, changed(value, 0)))
            kinds.add(type(caught.value))
    assert kinds == {ChainBroken, StatementMismatch}


def test_a_changed_link_on_both_sides(iris: IrisProof) -> None:
    """The hash between two steps, made up: both proofs are about another."""
    forged = iris.bundle
    value = changed(forged.steps[0].instances[7], 0)
    forged = with_instance(with_instance(forged, 0, 7, value), 1, 0, value)
    with pytest.raises(ProofMismatch, match="step 0"):
        iris.verify(forged)


def test_a_sound_proof_of_another_step_function(iris: IrisProof, foreign: Foreign) -> None:
    with pytest.raises(StatementMismatch, match="verifying key is not that of the stated circuit"):
        iris.verify(foreign.bundle, weights=foreign.weights)


def test_another_step_function_under_the_honest_keys_name(
    iris: IrisProof, foreign: Foreign
) -> None:
    stated = replace(foreign.bundle.statement, verifying_key=iris.proved.verifying_key)
    with pytest.raises((ProofMismatch, MalformedProof)):
        iris.verify(replace(foreign.bundle, statement=stated), weights=foreign.weights)


def test_another_loss(iris: IrisProof) -> None:
    circuit = replace(iris.bundle.statement.circuit, loss="mse")
    forged = replace(iris.bundle, statement=replace(iris.bundle.statement, circuit=circuit))
    with pytest.raises(StatementMismatch, match="verifying key"):
        iris.verify(forged)


def test_another_scale(iris: IrisProof, tmp_path: Path) -> None:
    """Weights told to have one bit less: everything is twice as large."""
    shapes = iris.bundle.statement.circuit.parameter_shapes()
    weights = read_weights(iris.proved.weights, shapes, SCALE)
    path = tmp_path / "w.safetensors"
    write_weights(path, weights, SCALE - 1, {})
    stated = replace(
        iris.bundle.statement,
        parameters=Parameters(SCALE - 1, iris.proved.parameters.lookup_log),
        final=values.weights_digest(weights, SCALE - 1),
    )
    with pytest.raises(StatementMismatch, match="first weights"):
        iris.verify(replace(iris.bundle, statement=stated), weights=path)


@pytest.mark.parametrize(
    "parameters",
    [
        Parameters(9, 12),
        Parameters(17, 12),
        Parameters(-1, 12),
        Parameters(12, 0),
        Parameters(12, 64),
        Parameters(12, 10**30),
        Parameters(True, 12),
        Parameters("12", 12),  # type: ignore[arg-type]
        Parameters(12.0, 12),  # type: ignore[arg-type]
    ],
    ids=str,
)
def test_parameters_out_of_range(iris: IrisProof, parameters: Parameters) -> None:
    forged = replace(iris.bundle, statement=replace(iris.bundle.statement, parameters=parameters))
    with pytest.raises(MalformedProof):
        wire.parse(forged.to_bytes())


def test_bytes_after_the_end_of_proofs(iris: IrisProof) -> None:
    """ezkl does not look at them: there would be many bundles of one proof."""
    longer = tuple(replace(step, proof=step.proof + bytes(32)) for step in iris.bundle.steps)
    with pytest.raises(MalformedProof, match="bytes follow the end of a proof"):
        iris.verify(replace(iris.bundle, steps=longer))
    with pytest.raises(MalformedProof, match="one length"):
        iris.verify(with_step(iris.bundle, 1, longer[1]))


def test_an_instance_that_is_not_reduced(iris: IrisProof) -> None:
    value = int.from_bytes(iris.bundle.steps[0].instances[0], "little") + R
    forged = with_instance(iris.bundle, 0, 0, value.to_bytes(ELEMENT_BYTES, "little"))
    with pytest.raises(MalformedProof, match="not below r"):
        iris.verify(forged)


def test_a_truncated_file(iris: IrisProof) -> None:
    data = iris.proved.path.read_bytes()
    for end in (*range(0, len(data), 211), len(data) - 1):
        with pytest.raises((MalformedProof, ChainBroken)):
            wire.parse(data[:end])


def test_what_is_parsed_is_canonical(iris: IrisProof) -> None:
    """A changed byte is refused, or is in what the bundle says: there is no other text of it."""
    data = iris.proved.path.read_bytes()
    refused = 0
    for at in (*range(0, 4000, 7), *range(4000, len(data), 401)):
        forged = changed(data, at)
        try:
            assert wire.parse(forged).to_bytes() == forged
        except (MalformedProof, ChainBroken):
            refused += 1
    assert refused > 500


def test_bytes_after_the_end(iris: IrisProof) -> None:
    with pytest.raises(MalformedProof, match="follow the end"):
        iris.verify(iris.proved.path.read_bytes() + b"\0")


def test_a_proof_that_claims_to_be_huge(iris: IrisProof) -> None:
    data = iris.proved.path.read_bytes()
    step = iris.bundle.steps[0]
    at = data.index(step.proof) - 8
    with pytest.raises(MalformedProof, match="is longer than any"):
        wire.parse(data[:at] + struct.pack("<Q", 1 << 62) + data[at + 8 :])


def test_another_version(iris: IrisProof) -> None:
    data = iris.proved.path.read_bytes()
    with pytest.raises(MalformedProof, match="another version of the format"):
        wire.parse(data[:7] + b"\x02" + data[8:])
    with pytest.raises(MalformedProof, match="another version of ezkl"):
        wire.parse(data.replace(b"23.0.5", b"23.0.4"))


def test_another_set_up(iris: IrisProof) -> None:
    forged = replace(iris.bundle, statement=replace(iris.bundle.statement, srs="00" * 32))
    with pytest.raises(StatementMismatch, match="another set-up"):
        iris.verify(forged)


def test_more_bits_than_the_curve_has(iris: IrisProof) -> None:
    with pytest.raises(StatementMismatch, match="fewer bits"):
        iris.verify(min_security_bits=101)
