"""Values of another type anywhere in a text that a verifier reads: malformed, and nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from odd_values import odd_texts, text

from zktrain._inspect import inspect
from zktrain._verify import verify, verify_eval
from zktrain.circuit.circuit import Circuit
from zktrain.circuit.initialisation import Initialisation
from zktrain.dataset.commitment import DatasetHeader
from zktrain.errors import MalformedProof
from zktrain.layers import Flatten, Layer, Unflatten
from zktrain.operations.fixed_point import FixedPoint
from zktrain.optimizers.sgd import Sgd
from zktrain.protocol.bundle import Bundle
from zktrain.protocol.statement import Statement
from zktrain.protocol.tasks import Evaluation, Training
from zktrain.prover.dataset.public_file import write_public
from zktrain.training.weight_file import write_weights

CIRCUIT = Circuit(
    (Unflatten("image", 1, 2, 2), Flatten("flat"), Layer("fc", 4, 2, "fc.w", "fc.b", False)),
    "cross_entropy", FixedPoint(), 3, 4, Sgd(((0, 3),)), "order", Initialisation("seed", "s"),
)  # fmt: skip
HEADER = DatasetHeader(7, 4, 2, bytes(32), 8)
TASKS = {
    "training": Training(CIRCUIT, "00" * 32, "11" * 32),
    "evaluation": Evaluation(CIRCUIT, "00" * 32, ((4, 1), (1, 1))),
}


@pytest.mark.parametrize("kind", TASKS)
def test_statement(kind: str) -> None:
    """Of a training and of an evaluation."""
    statement = Statement(TASKS[kind], HEADER, 100, True)
    data = statement.to_json()
    assert Statement.from_json(data, CIRCUIT, HEADER) == statement
    for odd in odd_texts(json.loads(data)):
        with pytest.raises(MalformedProof):
            Statement.from_json(odd, CIRCUIT, HEADER)


@pytest.mark.parametrize("openings", [0, 8])
def test_dataset_header(openings: int) -> None:
    header = replace(HEADER, openings=openings)
    assert DatasetHeader.from_json(header.to_json()) == header
    for odd in odd_texts(json.loads(header.to_json())):
        try:
            found = DatasetHeader.from_json(odd)
        except MalformedProof:
            continue
        assert found.to_json() == odd and found != header  # another header, as good as any


def test_files_with_an_odd_circuit(tmp_path: Path) -> None:
    """Whoever reads them: verify, verify-eval, inspect."""
    value = json.loads(CIRCUIT.canonical_json())
    value["layers"][0]["kind"] = []
    dataset, proof, weights = (tmp_path / name for name in ("d.zkd", "p.zkt", "w.safetensors"))
    write_public(dataset, HEADER, b"")
    shapes = {"fc.w": (4, 2), "fc.b": (2,)}
    write_weights(weights, {n: np.zeros(s, dtype=np.int64) for n, s in shapes.items()}, 32, {})
    proof.write_bytes(Bundle(b"{}", text(value), HEADER.to_json(), b"", b"").to_bytes())
    for judge in (
        lambda: verify(weights, proof=proof, dataset=dataset),
        lambda: verify_eval(weights, proof=proof, dataset=dataset),
        lambda: inspect(proof),
    ):
        with pytest.raises(MalformedProof, match="kind of a layer"):
            judge()


def test_an_order_that_would_take_a_verifier_days() -> None:
    """Permutations of a whole run, each once: bounded by the statement, before any is drawn."""
    layers = (Layer("fc", 1, 1, "w", None, False),)
    circuit = replace(CIRCUIT, layers=layers, loss="mse", batch_size=4096)
    header, ends = DatasetHeader(4096, 1, 1, bytes(32)), ("00" * 32, "00" * 32)

    def problem(records: int, steps: int, *, drop_last: bool) -> str:
        run = replace(circuit, steps=steps, drop_last=drop_last)
        return str(Statement(Training(run, *ends), replace(header, records=records), 80).problem())

    assert "permutes" not in problem(8191, 1 << 15, drop_last=True)
    assert "permutes" not in problem(4096, 1 << 16, drop_last=False)
    assert f"permutes {(1 << 16) * 8191} records" in problem(8191, 1 << 16, drop_last=True)
    assert "permutes 4096000 records" in problem(1, 1000, drop_last=False)
