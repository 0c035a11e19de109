"""Tiny networks on images, and whole segments of them proved and judged in one process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any
from unittest import mock

import numpy as np
import torch
from careful import careful
from numpy.typing import NDArray

from zktrain.arguments import lookup
from zktrain.circuit.circuit import Circuit
from zktrain.circuit.initial import seeded_weights
from zktrain.circuit.initialisation import Initialisation
from zktrain.circuit.order import batch_indices
from zktrain.circuit.weights import digest
from zktrain.dataset.readers import Records
from zktrain.layers import (
    Activation,
    Add,
    AnyLayer,
    AveragePool,
    Convolution,
    Flatten,
    Layer,
    MaxPool,
    Unflatten,
)
from zktrain.operations.base import StepGraph
from zktrain.operations.fixed_point import FixedPoint
from zktrain.optimizers.filtered_sgd import FilteredSgd
from zktrain.optimizers.sgd import Sgd
from zktrain.protocol import closing, segment
from zktrain.protocol.segment import SegmentHeader
from zktrain.protocol.statement import Statement, lookup_entries
from zktrain.prover.dataset.commitment import commit_records
from zktrain.prover.protocol import closing as prover_closing
from zktrain.prover.protocol import segment as prover_segment
from zktrain.prover.protocol.segment import BoundaryWeights
from zktrain.prover.witness import SegmentWitness, batch_tensors
from zktrain.tables import TABLES
from zktrain.training import interpreter, witness
from zktrain.training.witness import segment_witness

Tensors = dict[str, NDArray[Any]]
Weights = dict[str, NDArray[np.int64]]
BATCH, STEPS, SEGMENT_STEPS, RECORDS, CLASSES = 3, 5, 4, 9, 3


def conv(
    name: str, inputs: int, outputs: int, kernel: int, *, stride: int = 1, padding: int = 0,
    relu: bool = True, source: str | None = None, bias: bool = True,
) -> Convolution:  # fmt: skip
    pairs = ((kernel, kernel), (stride, stride), (padding, padding))
    bias_name = f"{name}.bias" if bias else None
    return Convolution(name, inputs, outputs, *pairs, f"{name}.weight", bias_name, relu, source)


def dense(name: str, inputs: int, outputs: int, *, relu: bool = False) -> Layer:
    return Layer(name, inputs, outputs, f"{name}.weight", f"{name}.bias", relu)


NETWORKS: dict[str, tuple[AnyLayer, ...]] = {
    "maximum": (
        Unflatten("image", 1, 5, 6),
        conv("c1", 1, 3, 3, padding=1),
        MaxPool("pool", (2, 2), (2, 2)),
        Flatten("flat"),
        dense("fc", 18, CLASSES),
    ),
    "mean": (
        Unflatten("image", 2, 6, 5),
        conv("c1", 2, 3, 3, stride=2, padding=1, bias=False),
        conv("c2", 3, 2, 2, relu=False),
        AveragePool("mean", (2, 2), (1, 1)),
        Flatten("flat"),
        dense("fc1", 2, 5, relu=True),
        dense("fc2", 5, CLASSES),
    ),
    "residual": (
        Unflatten("image", 1, 4, 4),
        conv("c1", 1, 2, 3, padding=1),
        conv("c2", 2, 3, 3, padding=1, relu=False),
        conv("skip", 2, 3, 1, relu=False, source="c1"),
        Add("sum", "c2", True),
        AveragePool("global", (4, 4), (4, 4)),
        Flatten("flat"),
        dense("fc", 3, CLASSES),
    ),
    "curves": (
        Unflatten("image", 1, 3, 3),
        conv("c1", 1, 2, 2, relu=False),
        Activation("gelu", "gelu"),
        MaxPool("pool", (2, 2), (2, 2)),
        Flatten("flat"),
        dense("fc1", 2, 5),
        Activation("tanh", "tanh"),
        dense("fc2", 5, 4),
        Activation("sigmoid", "sigmoid"),
        dense("fc3", 4, CLASSES),
    ),
    "bypass": (
        dense("fc1", 8, 9, relu=True),
        Unflatten("image", 1, 3, 3),
        conv("c1", 1, 1, 3, padding=1, relu=False),
        Flatten("flat"),
        Add("sum", "fc1", True),
        Unflatten("again", 1, 3, 3),
        AveragePool("mean", (2, 2), (1, 1)),
        Flatten("end"),
        dense("fc2", 4, CLASSES),
    ),
    "overlap": (
        Unflatten("image", 1, 5, 5),
        conv("c1", 1, 2, 2),
        MaxPool("pool", (3, 2), (1, 1)),
        conv("c2", 2, 2, 2, padding=1),
        Flatten("flat"),
        dense("fc", 24, CLASSES),
    ),
}


@cache
def circuit(name: str) -> Circuit:
    """Batches of 3, 5 steps, two learning rates."""
    return Circuit(
        NETWORKS[name], "cross_entropy", FixedPoint(), BATCH, STEPS, Sgd(((0, 9), (2, 5))), "order",
        Initialisation("seed", name),
    )  # fmt: skip


@cache
def records(name: str) -> Records:
    """Nine records in large flat areas, so that pools meet equal values."""
    random = np.random.default_rng(len(name))
    inputs = random.integers(0, 3, (RECORDS, circuit(name).features)) * 127
    labels = random.integers(0, CLASSES, RECORDS).astype(np.uint8)
    return Records(inputs.astype(np.uint8), labels, CLASSES, name)


def forged_counts(statement: Statement, own: SegmentWitness) -> Tensors:
    """Multiplicities as far as the looked-up values are in their tables."""
    shape = statement.shape(0)
    entries = lookup_entries(statement.circuit, shape)
    counts: Tensors = {}
    for entry in entries:
        table = TABLES[entry.table]
        values = prover_segment._lookup_values(own, shape, entry).columns
        rows, shift = table.row(list(values))
        at = rows.astype(np.int64) + shift + entry.offset
        inside = at[(at >= 0) & (at < 1 << table.log_size)]
        found = np.bincount(inside, minlength=1 << table.log_size)
        name = lookup.multiplicity(entry.table)
        counts[name] = counts.get(name, np.zeros_like(found)) + found
    names = map(lookup.multiplicity, lookup.tables_of(entries))
    return {name: counts[name] for name in names}


Lie = Callable[[Any], Any]


@contextmanager
def lying(graph: StepGraph | None, lies: dict[str, Lie]) -> Iterator[None]:
    """Inside, circuits have this graph, and values of these names are computed and then changed;
    whatever follows from them follows from the lie."""
    true = interpreter.Step._compute

    def compute(step: interpreter.Step, name: str) -> None:
        true(step, name)
        for place in step._values.keys() & lies.keys() - step.__dict__.setdefault("told", set()):
            step.__dict__["told"].add(place)
            step._values[place] = lies[place](step._values[place])

    with ExitStack() as stack:
        if graph is not None or lies:
            stack.enter_context(careful())
        if graph is not None:
            stack.enter_context(mock.patch.object(Circuit, "graph", return_value=graph))
        if lies:
            stack.enter_context(mock.patch.object(interpreter.Step, "_compute", compute))
            stack.enter_context(mock.patch.object(interpreter.Step, "_check"))
            wide = mock.patch.object(witness, "_cell_type", return_value=torch.int64)
            stack.enter_context(wide)
        yield


@dataclass
class Attempt:
    """One segment of the run from step 0 on, with whatever the prover puts in: another ``graph``,
    ``lies`` about values, or what a test changes in ``tensors``, ``start`` and ``end``."""

    name: str
    steps: int = SEGMENT_STEPS
    hiding: bool = False
    graph: StepGraph | None = None
    lies: dict[str, Lie] = field(default_factory=dict)
    frozen: tuple[str, ...] = ()
    momentum: FilteredSgd | None = None

    def __post_init__(self) -> None:
        base = circuit(self.name)
        self.circuit = Circuit(
            base.layers, base.loss, base.fixed_point, base.batch_size, self.steps,
            base.optimizer, base.order_seed, base.initialisation, frozen=self.frozen,
        )  # fmt: skip
        if self.momentum is not None:
            schedule = tuple((first, m << 22) for first, m in base.optimizer.multipliers)
            self.circuit = replace(
                self.circuit,
                optimizer=replace(self.momentum, multipliers=schedule),
                fixed_point=FilteredSgd.FORMAT,
            )
        self.records = records(self.name)
        self.start = seeded_weights(self.circuit)
        seed = bytes(range(32)) if self.hiding else None
        self.dataset = commit_records(self.records, seed, 8)
        padded = 1 << (self.steps - 1).bit_length()
        self.circuit.canonical_json()  # kept, so that the statement is the true one
        with lying(self.graph, self.lies):
            self.tensors, self.end = segment_witness(
                self.circuit, self.records, self.start, 0, self.steps, padded
            )

    def statement(self) -> Statement:
        header = self.dataset.header
        first, last = digest(self.start), digest(self.end)
        return Statement(self.circuit, header, first, last, SEGMENT_STEPS, 100, self.hiding)

    def witness(self, statement: Statement) -> SegmentWitness:
        shape = statement.shape(0)
        order = batch_indices(self.circuit.order_seed, RECORDS, BATCH, 0, self.steps)
        batches = batch_tensors(shape, self.records.inputs, self.records.labels, CLASSES, order)
        return SegmentWitness(self.circuit.graph(), shape, {**self.tensors, **batches})

    def prove(self) -> tuple[bytes, bytes]:
        """Segment and closing proof."""
        statement = self.statement()
        statement.require_provable()
        header = self.header(statement)
        start, fixed = segment.split_weights(self.circuit, self.start)
        end, _ = segment.split_weights(self.circuit, self.end)
        with lying(self.graph, {}):
            own = self.witness(statement)
            proof, claims = prover_segment.prove(
                statement, header, own, self.dataset.columns, BoundaryWeights(start),
                BoundaryWeights(end), blinding=self.dataset.blinding,
                counts=forged_counts(statement, own), fixed=fixed,
            )  # fmt: skip
        return proof, prover_closing.prove(statement, [header], claims, self.dataset.committed)

    def header(self, statement: Statement) -> SegmentHeader:
        first, last = (bytes.fromhex(d) for d in (statement.initial, statement.final))
        return SegmentHeader(0, 0, self.steps, first, last, statement.digest)

    def verify(self, proofs: tuple[bytes, bytes]) -> None:
        """As a verifier who has the published weights."""
        statement = self.statement()
        header = self.header(statement)
        start, fixed = segment.split_weights(self.circuit, self.start)
        end, _ = segment.split_weights(self.circuit, self.end)
        claims = segment.verify(statement, header, proofs[0], start, end, fixed=fixed)
        closing.verify(statement, [header], claims, proofs[1])
