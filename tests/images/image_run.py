"""Tiny networks on images, and runs of them proved and judged in one process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any
from unittest import mock

import numpy as np
from careful import careful
from numpy.typing import NDArray

from zktrain.arguments import lookup
from zktrain.arguments.tensors import Tensor
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
from zktrain.protocol import proof as proofs
from zktrain.protocol.proof import Padded, trained_weights
from zktrain.protocol.statement import Statement
from zktrain.protocol.tasks import Training
from zktrain.prover.dataset.commitment import commit_records
from zktrain.prover.protocol import proof as prover_proof
from zktrain.prover.witness import RunWitness, batch_tensors
from zktrain.tables import TABLES
from zktrain.training import interpreter
from zktrain.training.witness import run_witness

Tensors = dict[str, NDArray[Any]]
Weights = dict[str, NDArray[np.int64]]
BATCH, STEPS, RECORDS, CLASSES = 3, 5, 9, 3


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


def forged_counts(statement: Statement, own: RunWitness) -> Tensors:
    """Multiplicities as far as the looked-up values are in their tables."""
    counts: Tensors = {}
    for entry in statement.entries:
        table = TABLES[entry.table]
        values = prover_proof._lookup_values(own, entry).columns
        rows, shift = table.row(list(values))
        at = rows.astype(np.int64) + shift + entry.offset
        inside = at[(at >= 0) & (at < 1 << table.log_size)]
        found = np.bincount(inside, minlength=1 << table.log_size)
        name = lookup.multiplicity(entry.table)
        counts[name] = counts.get(name, np.zeros_like(found)) + found
    return {name: counts[name] for name in map(lookup.multiplicity, statement.tables)}


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
            wide = mock.patch.object(Tensor, "cell_type", "int64")
            stack.enter_context(wide)
        yield


@dataclass
class Attempt:
    """A run, with whatever the prover puts in: another ``graph``,
    ``lies`` about values, or what a test changes in ``tensors``, ``start`` and ``end``."""

    name: str
    steps: int = 4
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
            self.tensors, self.end = run_witness(
                self.circuit, self.records, self.start, 0, self.steps, padded
            )

    def statement(self) -> Statement:
        task = Training(self.circuit, digest(self.start), digest(self.end))
        return Statement(task, self.dataset.header, 100, self.hiding)

    @property
    def public(self) -> Padded:
        """The published weights."""
        return trained_weights(self.circuit, self.start, self.end)

    def witness(self, statement: Statement) -> RunWitness:
        shape = statement.shape
        order = batch_indices(self.circuit.order_seed, RECORDS, BATCH, 0, self.steps)
        batches = batch_tensors(self.records.inputs, self.records.labels, CLASSES, [order])
        return RunWitness(statement.graph, shape, {**self.tensors, **batches})

    def prove(self) -> bytes:
        """As a prover to whom the graph is the one that he lies about, but not what is padded."""
        true = self.statement()
        assert true.problem() is None
        with lying(self.graph, {}):
            statement = self.statement()
            statement.__dict__["claims"] = true.claims
            own = self.witness(statement)
            counts = forged_counts(statement, own)
            return prover_proof.prove(statement, own, self.dataset, self.public, counts=counts)

    def verify(self, proof: bytes) -> None:
        """As a verifier who has the published weights."""
        proofs.verify(self.statement(), proof, self.public)
