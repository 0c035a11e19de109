"""Runs under momentum and weight decay through the public verbs, from recipe to verdict."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_run

import zktrain
from zktrain._compile import NO_DIGEST
from zktrain.circuit.circuit import Circuit
from zktrain.circuit.compile import compile_recipe, initial_weights
from zktrain.circuit.weights import digest, read_weights
from zktrain.cost import sizes
from zktrain.cost.counts import prover_work
from zktrain.cost.estimate import estimate, header_to_be
from zktrain.errors import InputError, RecipeError, StatementMismatch
from zktrain.protocol.bundle import parse, parse_statement
from zktrain.protocol.statement import Statement
from zktrain.protocol.tasks import Training
from zktrain.training.trajectory import Trajectory
from zktrain.training.weight_file import write_weights

RECORDS = 24


def recipe(folder: Path, training: str, *, steps: int = 6, proof: str = "", init: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = tiny_run.write_recipe(folder, steps=steps, learning_rate="0.02")
    text = path.read_text()
    text = text.replace("[init]", f"{training}\n[init]").replace("[proof]", f"[proof]\n{proof}")
    if init:
        text = text.replace('seed = "tiny weights"', init)
    path.write_text(text)
    return path


MOMENTUM = "momentum = 0.75\nnesterov = true\nrestart_steps = 4"
DECAY = 'momentum = 0.75\nweight_decay = 0.02\nlast_batch = "drop"'


@pytest.mark.parametrize("hides", [True, False], ids=["hiding", "clear"])
@pytest.mark.parametrize("training", [MOMENTUM, DECAY], ids=["restarts", "decay"])
def test_from_recipe_to_verdict(tmp_path: Path, training: str, hides: bool) -> None:
    path = recipe(tmp_path, training, proof="" if hides else "zero_knowledge = false")
    data = tiny_run.write_data(tmp_path / "data.npz")
    circuit = tmp_path / "c.json"
    zktrain.compile(path, out=circuit)
    trained = zktrain.train(path, data=data, out=tmp_path / "run", compare_float=True)
    proved = zktrain.prove(tmp_path / "run")
    assert proved.zero_knowledge == hides
    verdict = zktrain.verify(
        trained.weights, proof=proved.path, dataset=tmp_path / "run/dataset.zkd", circuit=circuit
    )
    assert verdict.statement.circuit == Circuit.from_json(circuit.read_bytes())
    assert verdict.security_bits >= 100
    bundle = parse(proved.path.read_bytes())
    predicted = sum(sizes.proof_parts(parse_statement(bundle)).values())
    assert predicted == pytest.approx(proved.proof_bytes, rel=0.01)

    changed = tmp_path / "changed.safetensors"
    weights = read_weights(trained.weights, verdict.statement.circuit.parameter_shapes(), 34)
    next(iter(weights.values())).reshape(-1)[0] += 1
    write_weights(changed, weights, 34, {})
    with pytest.raises(StatementMismatch, match="does not hold the weights"):
        zktrain.verify(changed, proof=proved.path, dataset=tmp_path / "run/dataset.zkd")
    for line in (training.replace("0.75", "0.7"), training.replace("0.02", "0.03"), ""):
        if line == training:
            continue
        other = recipe(tmp_path / "other", line)
        zktrain.compile(other, out=tmp_path / "other.json")
        with pytest.raises(StatementMismatch, match="another circuit"):
            zktrain.verify(
                trained.weights,
                proof=proved.path,
                dataset=tmp_path / "run/dataset.zkd",
                circuit=tmp_path / "other.json",
            )


def test_a_run_from_a_file_under_weight_decay(tmp_path: Path) -> None:
    """The file that verifying asks for must hold multiples, whatever its digest."""
    path = recipe(tmp_path, DECAY, proof="zero_knowledge = false", init="onnx = true")
    data = tiny_run.write_data(tmp_path / "data.npz")
    trained = zktrain.train(path, data=data, out=tmp_path / "run")
    proved = zktrain.prove(tmp_path / "run")
    initial = tmp_path / "run/initial.safetensors"
    zktrain.verify(
        trained.weights, proof=proved.path, dataset=tmp_path / "run/dataset.zkd", initial=initial
    )


def test_weights_that_are_no_multiples_start_no_run_under_weight_decay(tmp_path: Path) -> None:
    """A statement about a file of odd weights, which has their right digest: trainer and verifier
    refuse it."""
    made = compile_recipe(recipe(tmp_path, DECAY, init="onnx = true"))
    weights = initial_weights(made)
    next(iter(weights.values())).reshape(-1)[1] += 2048
    start = replace(made.circuit.initialisation, value=digest(weights))
    circuit = replace(made.circuit, initialisation=start)
    inputs, labels = np.zeros((RECORDS, 8), dtype=np.uint8), np.zeros(RECORDS, dtype=np.uint8)
    records = zktrain.dataset.readers.Records(inputs, labels, 3, "tests")
    with pytest.raises(InputError, match="no multiple of 2"):
        Trajectory(circuit, records, weights)
    file = tmp_path / "odd.safetensors"
    write_weights(file, weights, 34, {})
    task = Training(circuit, digest(weights), "00" * 32)
    with pytest.raises(StatementMismatch, match="no run under weight decay starts from"):
        zktrain.verify.__wrapped__.__globals__["_initial_weights"](task, file)


def test_dropped_batches_need_a_whole_one(tmp_path: Path) -> None:
    path = recipe(tmp_path, 'last_batch = "drop"', proof="zero_knowledge = false")
    circuit = compile_recipe(path).circuit
    header = header_to_be(3, 8, 3, hiding=False)
    statement = Statement(Training(circuit, NO_DIGEST, NO_DIGEST), header, 100)
    assert "an epoch of 3 records has no whole batch of 4" in str(statement.problem())
    data = tiny_run.write_data(tmp_path / "few.npz", records=3)
    with pytest.raises(RecipeError, match="no whole batch of 4"):
        zktrain.train(path, data=data, out=tmp_path / "run")


def test_estimates_know_filtered_circuits(tmp_path: Path) -> None:
    """More cells than plain SGD by the bits in the middle of remainders, and as many lookups."""
    header = header_to_be(RECORDS, 8, 3, hiding=False)

    def stated(circuit: Circuit) -> Statement:
        return Statement(Training(circuit, NO_DIGEST, NO_DIGEST), header, 100)

    def peak(training: str) -> tuple[Circuit, float]:
        circuit = compile_recipe(recipe(tmp_path, training)).circuit
        return circuit, estimate(stated(circuit), certified=False).seconds

    plain, quick = peak("")
    filtered, slow = peak(MOMENTUM)
    batch = 4
    assert filtered.lookups_per_step == plain.lookups_per_step
    assert filtered.cells_per_step == plain.cells_per_step + batch * (4 + 4 + 4)
    assert quick < slow < 3 * quick

    def products(circuit: Circuit) -> float:
        found = [w for w in prover_work(stated(circuit)) if w.place == ("witness", "steps")]
        return sum(work.amounts["products"] for work in found)

    changes = sum(
        len(filtered.optimizer.coefficients(filtered, at, n).by) for at, n in ((0, 4), (4, 2))
    )
    assert products(filtered) * 3 * 6 == products(plain) * (2 * 6 + changes)
