"""A tiny evaluation that a malicious prover may falsify at every place, and its judge.

A 6-5-3 network on eleven records: classes, units and records all have padded places. Classes 1
and 2 have the same weights, so their logits are equal on every record. A claim is a
``harness.Run``: ``harness.prove`` hands any tensors and any counts to the real prover,
``harness.refuse`` is the real verifier.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any
from unittest import mock

import harness as h
import numpy as np
from harness import SECRET, Check, Run
from numpy.typing import NDArray

from zktrain.circuit.circuit import Circuit
from zktrain.circuit.initialisation import Initialisation
from zktrain.circuit.weights import digest
from zktrain.dataset.readers import Records
from zktrain.layers import Layer
from zktrain.operations import Vanish, fixed, tally, unit_map
from zktrain.operations.fixed_point import FixedPoint
from zktrain.optimizers.sgd import Sgd
from zktrain.protocol.proof import evaluated_weights
from zktrain.protocol.statement import Statement
from zktrain.protocol.tasks import Evaluation
from zktrain.prover.dataset.commitment import CommittedDataset, commit_records
from zktrain.prover.witness import RunWitness, batch_tensors
from zktrain.training.evaluation import confusion, evaluation_witness

Tensors = dict[str, NDArray[Any]]
Weights = dict[str, NDArray[np.int64]]
Counts = NDArray[np.int64]

RECORDS, WIDTHS, PADDED = 11, (6, 5, 3), 16
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


def statement(counts: Counts | None = None, *, hiding: bool = False, negative: bool = False) -> Run:
    """What the author publishes, the true counts if none are given, with the honest tensors."""
    given = true_counts(negative=negative) if counts is None else counts
    used, data = weights(negative=negative), dataset(hiding=hiding)
    task = Evaluation(circuit(), digest(used), tuple(map(tuple, given.tolist())))
    statement = Statement(task, data.header, 80 if hiding else 100, hiding)
    arrays = evaluation_witness(circuit(), used, records(), 0, RECORDS)
    rows, order = records(), task.order(data.header)
    batches = batch_tensors(rows.inputs, rows.labels, WIDTHS[-1], order)
    witness = RunWitness(statement.graph, statement.shape, batches)
    arrays |= {name: witness.tensor(name) for name in batches}
    return Run(statement, arrays, evaluated_weights(used), data)


def tensors(claim: Run) -> Tensors:
    """A copy of the tensors in 64 bits, to be edited."""
    return {name: tensor.astype(np.int64) for name, tensor in claim.tensors.items()}


def prove(claim: Run, arrays: Tensors | None = None, **lies: Any) -> bytes:
    """``harness.prove`` with edited tensors."""
    edited = None if arrays is None else {n: h._compact(a) for n, a in arrays.items()}
    return h.prove(claim, edited, **lies)


def counts_of(arrays: Tensors) -> Counts:
    """What labels and predictions of these tensors give on real records."""
    y, predictions = (arrays[name][0, :, : WIDTHS[-1]].astype(np.int64) for name in ("y", "h"))
    found: Counts = y.T @ predictions
    return found
