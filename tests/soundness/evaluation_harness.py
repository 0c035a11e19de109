"""A tiny evaluation that a malicious prover may falsify at every place, and its judge.

A 6-5-3 network on eleven records: classes, units and records all have padded places. Classes 1
and 2 have the same weights, so their logits are equal on every record. ``prove`` hands any tensors
and any counts to the real prover, ``refuse`` is the real verifier.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from typing import Any
from unittest import mock

import harness as h
import numpy as np
import pytest
from check_sites import refused_by
from harness import Check
from numpy.typing import NDArray
from patched import everywhere

from zktrain.arguments import lookup
from zktrain.arguments.records import DatasetClaim
from zktrain.circuit.circuit import Circuit
from zktrain.circuit.evaluation import Evaluation
from zktrain.circuit.initialisation import Initialisation
from zktrain.circuit.weights import digest
from zktrain.dataset.readers import Records
from zktrain.errors import ZktrainError
from zktrain.layers import Layer
from zktrain.operations import Vanish, fixed, tally, unit_map
from zktrain.operations.fixed_point import FixedPoint
from zktrain.optimizers.sgd import Sgd
from zktrain.protocol import closing, segment
from zktrain.protocol.evaluation import EvaluationStatement
from zktrain.protocol.statement import lookup_entries
from zktrain.prover.dataset.commitment import CommittedDataset, commit_records
from zktrain.prover.protocol import closing as prover_closing
from zktrain.prover.protocol import segment as prover_segment
from zktrain.prover.protocol.segment import BoundaryWeights
from zktrain.prover.randomness import expand
from zktrain.prover.witness import RunWitness, batch_tensors
from zktrain.tables import TABLES
from zktrain.training.evaluation import confusion, evaluation_witness

Tensors = dict[str, NDArray[Any]]
Weights = dict[str, NDArray[np.int64]]
Counts = NDArray[np.int64]

RECORDS, WIDTHS, PADDED = 11, (6, 5, 3), 16
SECRET = bytes(range(32))
UNIT = 1 << 32
"""A weight of 1."""

MAP = Check(unit_map, "UnitMap.verify", "does not match")
TALLY = Check(tally, "Tally.verify", "are not those of the predictions")
FIXED = Check(fixed, "Fixed.verify", "are not those in use")


@cache
def records() -> Records:
    """Eleven random records of six bytes and three classes."""
    random = np.random.default_rng(5)
    inputs = random.integers(0, 256, (RECORDS, WIDTHS[0]), dtype=np.uint8)
    labels = random.integers(0, WIDTHS[-1], RECORDS).astype(np.uint8)
    return Records(inputs, labels, WIDTHS[-1], "tests")


@cache
def dataset(*, hiding: bool = False) -> CommittedDataset:
    """The commitment to ``records``."""
    return commit_records(records(), SECRET, 2) if hiding else commit_records(records())


@cache
def circuit() -> Circuit:
    """Training does not matter."""
    layers = tuple(
        Layer(f"fc{i}", WIDTHS[i - 1], WIDTHS[i], f"fc{i}.weight", f"fc{i}.bias", i == 1)
        for i in (1, 2)
    )
    start = Initialisation("seed", "none")
    return Circuit(layers, "cross_entropy", FixedPoint(), 1, 1, Sgd(((0, 1),)), "order", start)


@cache
def weights(*, negative: bool = False) -> Weights:
    """Random ones, classes 1 and 2 alike; ``negative`` makes all logits negative."""
    random = np.random.default_rng(34)
    out = {
        "fc1.weight": random.integers(-UNIT, UNIT, WIDTHS[:2]),
        "fc1.bias": random.integers(-UNIT, UNIT, WIDTHS[1]),
        "fc2.weight": random.integers(-UNIT, UNIT, WIDTHS[1:]),
        "fc2.bias": random.integers(-UNIT, UNIT, WIDTHS[2]) - (40 * UNIT if negative else 0),
    }
    out["fc2.weight"][:, 2] = out["fc2.weight"][:, 1]
    out["fc2.bias"][2] = out["fc2.bias"][1]
    return out


@contextmanager
def evaluated_with(other: Weights) -> Iterator[None]:
    """The tensors made inside are those of other weights."""
    with mock.patch.dict(globals(), {"weights": lambda *, negative=False: other}):
        yield


@contextmanager
def without_vanish() -> Iterator[None]:
    """Prover and verifier of a graph that lets any tensor be anything."""
    with mock.patch.object(Vanish, "claim_zero", return_value=None):
        yield


@cache
def true_counts(*, negative: bool = False) -> Counts:
    """Of all records; no test may change it."""
    return confusion(circuit(), weights(negative=negative), records(), 0, RECORDS)


def statement(
    *counts: Counts, hiding: bool = False, size: int = PADDED, negative: bool = False
) -> EvaluationStatement:
    """What the author publishes; the true counts if none are given."""
    given = counts or (true_counts(negative=negative),)
    return EvaluationStatement(
        Evaluation(circuit()),
        dataset(hiding=hiding).header,
        digest(weights(negative=negative)),
        size,
        tuple(tuple(map(tuple, matrix.tolist())) for matrix in given),
        80 if hiding else 100,
        hiding,
    )


def tensors(claim: EvaluationStatement, number: int = 0, *, negative: bool = False) -> Tensors:
    """The honest ones of a segment, in 64 bits, to be edited."""
    data, (first, count) = records(), claim.segments[number]
    arrays = evaluation_witness(circuit(), weights(negative=negative), data, first, count)
    order = claim.order(number)
    arrays |= batch_tensors(data.inputs, data.labels, WIDTHS[-1], order)
    return {name: tensor.astype(np.int64) for name, tensor in arrays.items()}


def counts_of(arrays: Tensors) -> Counts:
    """What labels and predictions of these tensors give on real records."""
    y, predictions = (arrays[name][0, :, : WIDTHS[-1]] for name in ("y", "h"))
    found: Counts = y.T @ predictions
    return found


def forged_multiplicities(
    claim: EvaluationStatement, number: int, witness: RunWitness
) -> dict[str, NDArray[np.int64]]:
    """Counts of every value, one outside of its table at the nearest row."""
    out: dict[str, NDArray[np.int64]] = {}
    shape = claim.shape(number)
    for entry in lookup_entries(claim.circuit, shape):
        table = TABLES[entry.table]
        rows, shift = table.row(list(prover_segment._lookup_values(witness, shape, entry).columns))
        place = np.clip(rows.astype(np.int64) + shift + entry.offset, 0, (1 << table.log_size) - 1)
        count = np.bincount(place, None, 1 << table.log_size)
        name = lookup.multiplicity(entry.table)
        out[name] = out.get(name, 0) + count
    return out


Proof = tuple[bytes, list[DatasetClaim]]


def prove(
    claim: EvaluationStatement,
    arrays: Tensors | None = None,
    number: int = 0,
    *,
    columns: dict[str, NDArray[Any]] | None = None,
    in_use: Weights | None = None,
    negative: bool = False,
    order: Callable[[NDArray[np.int64]], NDArray[np.int64]] | None = None,
) -> bytes:
    """Prove a segment; ``columns``, ``in_use`` and ``order`` replace what the prover takes for the
    dataset, the weights and the order."""
    hiding = claim.zero_knowledge
    data, shape = dataset(hiding=hiding), claim.shape(number)
    given = tensors(claim, number, negative=negative) if arrays is None else arrays
    given = {name: h._compact(tensor) for name, tensor in given.items()}
    witness = RunWitness(claim.circuit.graph(), shape, given)
    counts = forged_multiplicities(claim, number, witness)
    run = prover_segment.prove
    if hiding:
        run = partial(prover_segment.prove, blinding=data.blinding, random=expand(SECRET, "pads"))
    with ExitStack() as stack:
        if order is not None:
            true = segment.segment_order
            stack.enter_context(everywhere(segment, "segment_order", lambda *a: order(true(*a))))
        if hiding:  # the prover's own verifier does not stop him
            stack.enter_context(h.without(h.MERKLE, h.CLEAR_FOLD))
        proof, _ = run(
            claim,
            claim.headers[number],
            witness,
            columns or data.columns,
            BoundaryWeights({}),
            BoundaryWeights({}),
            counts=counts,
            fixed=segment.pad_weights(in_use or weights(negative=negative)),
        )
    return proof


def verify(
    claim: EvaluationStatement, proof: bytes, number: int = 0, *, negative: bool = False
) -> list[DatasetClaim]:
    """Judge a segment, with the weights of the statement."""
    public = segment.pad_weights(weights(negative=negative))
    return segment.verify(claim, claim.headers[number], proof, {}, {}, fixed=public)


def accept(
    claim: EvaluationStatement, proof: bytes, number: int = 0, *, negative: bool = False
) -> None:
    """The whole judgement on one segment: raises unless the verifier accepts."""
    left = verify(claim, proof, number, negative=negative)
    headers = list(claim.headers)
    committed = dataset(hiding=claim.zero_knowledge).committed
    random = expand(SECRET, "closing") if claim.zero_knowledge else None
    closed = prover_closing.prove(claim, headers, left, committed, random=random)
    closing.verify(claim, headers, left, closed)


def refuse(
    claim: EvaluationStatement,
    proof: bytes,
    error: type[ZktrainError],
    message: str = "",
    *,
    negative: bool = False,
) -> None:
    """Assert that the verifier rejects, with exactly this error."""
    with pytest.raises(error, match=re.escape(message) if message else None) as caught:
        accept(claim, proof, negative=negative)
    assert type(caught.value) is error


def refuse_by_one_check(
    claim: EvaluationStatement,
    proof: bytes,
    error: type[ZktrainError],
    check: Check,
    *,
    negative: bool = False,
) -> None:
    """Assert that the verifier rejects because of this check, and would accept without it."""
    judge = partial(accept, claim, proof, negative=negative)
    refused_by(check.sites, judge, error, check.message)
