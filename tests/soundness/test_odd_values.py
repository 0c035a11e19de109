"""Values of another type anywhere in a text that a verifier reads: malformed, and nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from odd_values import odd_texts, text

from zktrain._inspect import inspect_bundle, inspect_evaluation
from zktrain._verify import verify
from zktrain._verify import verify_eval
from zktrain.circuit.circuit import Circuit
from zktrain.circuit.evaluation import Evaluation
from zktrain.circuit.initialisation import Initialisation
from zktrain.dataset.commitment import DatasetHeader
from zktrain.errors import MalformedProof
from zktrain.layers import Flatten, Layer, Unflatten
from zktrain.operations.fixed_point import FixedPoint
from zktrain.optimizers.sgd import Sgd
from zktrain.protocol.bundle import Bundle, parse
from zktrain.protocol.evaluation import EvaluationStatement
from zktrain.protocol.evaluation_bundle import EvaluationBundle
from zktrain.protocol.statement import Statement
from zktrain.prover.dataset.public_file import write_public
from zktrain.training.weight_file import write_weights

CIRCUIT = Circuit(
    (Unflatten("image", 1, 2, 2), Flatten("flat"), Layer("fc", 4, 2, "fc.w", "fc.b", False)),
    "cross_entropy", FixedPoint(), 3, 4, Sgd(((0, 3),)), "order", Initialisation("seed", "s"),
)  # fmt: skip
HEADER = DatasetHeader(7, 4, 2, bytes(32), 8)
STATEMENT = Statement(CIRCUIT, HEADER, "00" * 32, "11" * 32, 2, 100, True)
COUNTS = (((3, 1), (0, 0)), ((1, 0), (1, 1)))
EVALUATION = EvaluationStatement(Evaluation(CIRCUIT), HEADER, "00" * 32, 4, COUNTS, 100, True)


def test_statement() -> None:
    data = STATEMENT.to_json()
    assert Statement.from_json(data, CIRCUIT, HEADER) == STATEMENT
    for odd in odd_texts(json.loads(data)):
        with pytest.raises(MalformedProof):
            Statement.from_json(odd, CIRCUIT, HEADER)


def test_statement_of_an_evaluation() -> None:
    data = EVALUATION.to_json()
    assert EvaluationStatement.from_json(data, CIRCUIT, HEADER) == EVALUATION
    refused = 0
    for odd in odd_texts(json.loads(data)):
        try:
            EvaluationStatement.from_json(odd, CIRCUIT, HEADER)
        except MalformedProof:
            refused += 1
    assert refused == len(list(odd_texts(json.loads(data))))


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
    proof.write_bytes(Bundle(b"{}", text(value), HEADER.to_json(), (), b"").to_bytes())
    for judge in (lambda: verify(weights, proof=proof, dataset=dataset),
                  lambda: inspect_bundle(proof)):  # fmt: skip
        with pytest.raises(MalformedProof, match="kind of a layer"):
            judge()
    evaluation = EvaluationBundle(b"{}", text(value), HEADER.to_json(), b"", (), b"")
    proof.write_bytes(evaluation.to_bytes())
    for judge in (lambda: verify_eval(weights, proof=proof, dataset=dataset),
                  lambda: inspect_evaluation(proof)):  # fmt: skip
        with pytest.raises(MalformedProof, match="kind of a layer"):
            judge()


def test_more_segments_than_any_run_has() -> None:
    """Their number is compared before any of them is read."""
    data = Bundle(b"{}", b"{}", b"{}", (), b"").to_bytes()
    place = len(data) - 12
    assert data[place : place + 4] == bytes(4)
    for count in ((1 << 14) + 1, (1 << 32) - 1):
        with pytest.raises(MalformedProof, match="more segments than any run"):
            parse(data[:place] + count.to_bytes(4, "little") + bytes(1 << 20))
    with pytest.raises(MalformedProof, match="header of segment 0"):
        parse(data[:place] + (1 << 14).to_bytes(4, "little"))


def test_an_order_that_would_take_a_verifier_days() -> None:
    """Permutations of a whole run, each once: bounded by the statement, before any is drawn."""
    layers = (Layer("fc", 1, 1, "w", None, False),)
    circuit = replace(CIRCUIT, layers=layers, loss="mse", batch_size=1024, steps=1 << 24)
    header = DatasetHeader(1024, 1, 1, bytes(32))
    ends = ("00" * 32, "00" * 32)
    longest = Statement(circuit, header, *ends, 1024, 80)
    assert "permutes" not in str(longest.problem())
    wasteful = replace(longest, circuit=replace(circuit, drop_last=True),
                       dataset=replace(header, records=1535))  # fmt: skip
    assert f"permutes {(1 << 24) * 1535} records" in str(wasteful.problem())
