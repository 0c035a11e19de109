"""Proofs out of nothing: with challenges fixed in advance, a simulator that knows the statement
alone writes a certificate and a proof that the real verifier accepts, of a training or of an
evaluation that never took place.

Its messages are independent of any witness by construction; ``test_revealed_values_are_random``
shows that the real ones have the same distribution. Openings with levels in clear below the masked
one are simulated by the real prover on cells that are all 0.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from patched import everywhere
from probing import Frozen
from simulator import (
    Planned,
    SimulatedTree,
    Simulator,
    encoded,
    pairs,
    plan_opening,
    positions,
    uniform_tree,
)
from tiny_run import RECORDS, write_data, write_recipe

import zktrain
from zktrain.arguments.claims import Ledger
from zktrain.circuit.circuit import Circuit
from zktrain.circuit.initial import seeded_weights
from zktrain.circuit.weights import digest
from zktrain.commitment import opening, parameters
from zktrain.commitment.hiding import HidingVerifier, Layout
from zktrain.commitment.packing import Claim, Packing, claim_on, pack
from zktrain.dataset.commitment import DatasetHeader, query_bits
from zktrain.errors import Rejected
from zktrain.field.extension import ZERO, vector
from zktrain.field.multilinear import evaluate_integers
from zktrain.operations import Accumulate
from zktrain.operations.base import Ends
from zktrain.protocol import certificate as certificates
from zktrain.protocol import proof as proofs
from zktrain.protocol.bundle import Bundle
from zktrain.protocol.certificate import certificate_layout, certificate_plan
from zktrain.protocol.proof import Padded, evaluated_weights, side_of, trained_weights
from zktrain.protocol.statement import Statement
from zktrain.protocol.tasks import Checkpoint, Evaluation, Training
from zktrain.prover.commitment import opening as prover_opening
from zktrain.prover.commitment.commit import commit
from zktrain.prover.commitment.hiding import HidingProver
from zktrain.prover.dataset.public_file import write_public
from zktrain.prover.randomness import system
from zktrain.training.weight_file import write_weights
from zktrain.transcript.challenger import Trace

OPENINGS = 2
Traces = dict[str, Trace]
Weights = dict[str, NDArray[np.int64]]


@pytest.fixture
def traces() -> Iterator[Traces]:
    """The programmed oracle in the place of every challenger, and what it was last asked, by
    proof."""
    found: Traces = {}

    def frozen(name: str) -> Frozen:
        found[name] = []
        return Frozen(name, found[name])

    def certificate(header: DatasetHeader, trace: Trace | None) -> Frozen:
        return frozen("certificate")

    def proof(statement: Statement, trace: Trace | None) -> Frozen:
        return frozen("proof")

    with (
        everywhere(certificates, "challenger_of", certificate),
        everywhere(proofs, "challenger_of", proof),
    ):
        yield found


@pytest.fixture(scope="module")
def circuit(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Circuit]:
    """The recipe of the tiny run, compiled."""
    folder = tmp_path_factory.mktemp("simulated")
    compiled = folder / "tiny.circuit.json"
    zktrain.compile(write_recipe(folder), out=compiled)
    return compiled, Circuit.from_json(compiled.read_bytes())


def _weights(circuit: Circuit) -> Weights:
    """That nobody has trained."""
    return {
        name: np.full(shape, number + 1, dtype=np.int64)
        for number, (name, shape) in enumerate(circuit.parameter_shapes().items())
    }


def _training(circuit: Circuit, weights: Weights) -> tuple[Training, Padded]:
    initial = seeded_weights(circuit)
    task = Training(circuit, digest(initial), digest(weights))
    return task, trained_weights(circuit, initial, weights)


def _evaluation(circuit: Circuit, weights: Weights) -> tuple[Evaluation, Padded]:
    """Every record is answered rightly, and all are of class 1."""
    counts = tuple(tuple(RECORDS if i == k == 1 else 0 for k in range(3)) for i in range(3))
    return Evaluation(circuit, digest(weights), counts), evaluated_weights(weights)


def _kept(circuit: Circuit) -> dict[int, Weights]:
    """Checkpoints that nobody has trained."""
    weights = _weights(circuit)
    return {step: {name: step * w for name, w in weights.items()} for step in (2, 4)}


def _with_checkpoints(circuit: Circuit, weights: Weights) -> tuple[Training, Padded]:
    kept, initial = _kept(circuit), seeded_weights(circuit)
    stated = tuple(Checkpoint(step, digest(found)) for step, found in kept.items())
    task = Training(circuit, digest(initial), digest(weights), stated)
    files = {step: found.__getitem__ for step, found in kept.items()}
    return task, trained_weights(circuit, initial, weights, files)


TASKS = {
    "training": _training,
    "training with checkpoints": _with_checkpoints,
    "evaluation": _evaluation,
}


def plan_checkpoints(statement: Statement, public: Padded) -> Planned:
    """Values of published weights, at points that the oracle is going to give."""
    context = proofs.context_of(statement, Ledger(), Ends(lambda *_: ZERO))
    out: Planned = {}
    for op in statement.graph.operations if context.checkpoints else ():
        if isinstance(op, Accumulate):
            places = op.published(context, *op.point(Frozen("proof"), context))
            values = [evaluate_integers(public[side_of(s)][name], at) for s, name, at in places]
            out[f"{op.label}/checkpoints"] = deque([encoded(pairs(vector(values)[:, None]))])
    return out


@dataclass(frozen=True)
class Published:
    """What somebody publishes."""

    weights: Path
    proof: Path
    dataset: Path


def simulate(folder: Path, circuit: Circuit, kind: str) -> Published:
    """A proof about weights that nobody has trained, on a dataset that nobody has."""
    weights = _weights(circuit)
    task, public = TASKS[kind](circuit, weights)
    blank = DatasetHeader(RECORDS, circuit.features, circuit.classes, bytes(32), OPENINGS)
    statement = Statement(task, blank, 100, True)
    plans = {"certificate": certificate_plan(blank), "proof": statement.opening_plan}
    own_at, dataset_at = positions("proof", plans["proof"])
    (certified_at,) = positions("certificate", plans["certificate"])
    own_level, dataset_level = plans["proof"].commitments
    own = uniform_tree(own_level.code_log, own_at, statement.packing.row_cells)
    dataset = _dataset(dataset_level.code_log, certified_at + dataset_at, blank)
    header = replace(blank, merkle_root=dataset.root)
    statement = replace(statement, dataset=header)
    assert statement.problem() is None

    layout = certificate_layout(header)
    planned = plan_opening("certificate", plans["certificate"], [dataset])
    certificate = Simulator(Frozen("certificate"), layout, query_bits(), planned)
    certificates.check_messages(certificate, header)
    certificate.close()

    planned = plan_opening("proof", plans["proof"], [own, dataset])
    planned["commitment"] = deque([own.root])
    planned |= plan_checkpoints(statement, public)
    assert statement.layout is not None
    proof = Simulator(Frozen("proof"), statement.layout, statement.query_bits, planned)
    proofs.check_messages(proof, statement, public)
    proof.close()

    bundle = Bundle(
        statement.to_json(), circuit.canonical_json(), header.to_json(), b"", proof.proof()
    )
    files = ("w.safetensors", "proof.zkt", "simulated.zkd")
    published = Published(*(folder / name for name in files))
    write_public(published.dataset, header, certificate.proof())
    published.proof.write_bytes(bundle.to_bytes())
    write_weights(published.weights, weights, circuit.fixed_point.weight_bits, {})
    return published


def _dataset(depth: int, at: list[int], header: DatasetHeader) -> SimulatedTree:
    """A commitment to no dataset, that the certificate and the proof open."""
    return uniform_tree(depth, at, header.packing().row_cells)


@pytest.mark.parametrize("kind", TASKS)
def test_a_simulated_proof_is_accepted_and_looks_like_a_real_one(
    kind: str, tmp_path: Path, circuit: tuple[Path, Circuit], traces: Traces
) -> None:
    """The public verb accepts; a real proof of the same circuit, under the same oracle, has the
    same labels and sizes in the same order."""
    path, compiled = circuit
    published = simulate(tmp_path, compiled, kind)
    judge: Any = zktrain.verify_eval if kind == "evaluation" else zktrain.verify
    more = {}
    if "checkpoints" in kind:
        files = [tmp_path / f"{step}.safetensors" for step in (2, 4)]
        for file, found in zip(files, _kept(compiled).values(), strict=True):
            write_weights(file, found, compiled.fixed_point.weight_bits, {})
        more = {"checkpoints": files}
    verdict = judge(
        published.weights, proof=published.proof, dataset=published.dataset, circuit=path, **more
    )
    assert verdict.zero_knowledge
    assert not more or all(one.checked for one in verdict.checkpoints)
    simulated = dict(traces)

    data, dataset, run = tmp_path / "data.npz", tmp_path / "data.zkd", tmp_path / "run"
    zktrain.commit(write_data(data), out=dataset, openings=OPENINGS)
    if "training" in kind:
        text = path.with_name("tiny.toml").read_text()
        recipe = path.with_name("kept.toml")
        steps = "checkpoints = [2, 4]\norder_seed" if more else "order_seed"
        recipe.write_text(text.replace("order_seed", steps))
        weights = zktrain.train(recipe, data=data, out=run, dataset=dataset).weights
        real = zktrain.prove(run).path
        assert weights.read_bytes() != published.weights.read_bytes()
    else:
        weights, real = published.weights, tmp_path / "real.zkt"
        zktrain.prove_eval(weights, circuit=path, data=data, dataset=dataset, out=real)
    judge(weights, proof=real, dataset=dataset, circuit=path)
    assert set(simulated) == {"certificate", "proof"}
    for name, trace in simulated.items():
        assert trace == traces[name] and len(trace) > 50, name


@pytest.mark.parametrize("kind", TASKS)
def test_without_the_programmed_oracle_a_simulated_proof_is_refused(
    kind: str, tmp_path: Path, circuit: tuple[Path, Circuit]
) -> None:
    """Challenges that depend on the messages do not fit them."""
    published = simulate(tmp_path, circuit[1], kind)
    judge: Any = zktrain.verify_eval if kind == "evaluation" else zktrain.verify
    with pytest.raises(Rejected):
        judge(published.weights, proof=published.proof, dataset=published.dataset)


# an opening with levels in clear


BITS = 44.0
SIZES = [("a", 16, 1 << 16), ("b", 10, 1000)]


def _claims() -> list[Claim]:
    """On cells that nobody has."""
    oracle = Frozen("claims")
    return [
        claim_on(0, name, tuple(oracle.elements("point", size)), oracle.element("value"))
        for name, size, _ in SIZES
    ]


def test_an_opening_with_levels_in_clear_is_simulated_with_zeros() -> None:
    """The real prover opens cells that are all 0, for claims that do not hold; the proof about pads
    is made up."""
    lane_log = 16
    packing = pack(SIZES, lane_log, parameters.carried_tail_for(lane_log, BITS, 1))
    plan = opening.level_plan([packing], BITS, hiding=True)
    assert len(plan.levels) > 2
    layout = Layout(plan.scalars(True))
    zeros = {name: np.zeros(1 << size, dtype=np.int64) for name, size, _ in SIZES}
    committed = commit(packing, zeros, system())
    prover = Recording(Frozen("opening"), layout, BITS)
    prover_opening.prove(prover, "opening", [committed], _claims(), BITS)

    simulator = Simulator(Frozen("opening"), layout, BITS, prover.planned)
    _verify(simulator, committed.root, packing)
    simulator.close()
    verifier = HidingVerifier(Frozen("opening"), simulator.proof(), layout, BITS)
    _verify(verifier, committed.root, packing)
    verifier.close()
    verifier.finish()


def _verify(channel: HidingVerifier, root: bytes, packing: Packing) -> None:
    opening.verify(channel, "opening", [root], [packing], _claims(), BITS)


class Recording(HidingProver):
    """Keeps all messages by label but the root of its pads."""

    def __init__(self, *args, **kwargs) -> None:  # type: ignore[no-untyped-def]
        self.planned: Planned = {}
        super().__init__(*args, **kwargs)
        self.planned.clear()

    def _append(self, label: str, data: bytes) -> None:
        self.planned.setdefault(label, deque()).append(data)
        super()._append(label, data)
