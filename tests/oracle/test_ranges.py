"""What a prover sends about a run does not depend on how much of it is in memory at once."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from zktrain.arguments.claims import Ledger
from zktrain.arguments.tensors import Shape
from zktrain.circuit.order import batch_indices
from zktrain.dataset.readers import Records
from zktrain.errors import RangeOverflow
from zktrain.field.extension import Ext, Point
from zktrain.operations.base import Context, Ends
from zktrain.operations.lookup import entries_of
from zktrain.operations.selection import Selections
from zktrain.protocol.tasks import Evaluation, Task, Training
from zktrain.prover.kernels import field as kf
from zktrain.prover.operations.base import Given
from zktrain.prover.protocol import walk
from zktrain.prover.transcript.channel import ProverChannel
from zktrain.prover.witness import RunWitness, batch_tensors
from zktrain.scratch import IN_MEMORY, Scratch
from zktrain.training.evaluation import confusion, evaluation_witness
from zktrain.training.witness import run_witness
from zktrain.transcript.challenger import Challenger

from .circuits import Case, draw

WISHES = (
    "dense network|schedule", "convolution|overlapping maximum", "convolution|stride|mean",
    "sum with ReLU|convolution of an earlier layer", "momentum", "weight decay|convolution",
    "frozen first layers", "batch of one", "image input|sigmoid",
)  # fmt: skip
MEMORIES = (1, 1 << 12, 1 << 15, 1 << 40)
Weights = dict[str, NDArray[np.int64]]


def records_of(case: Case) -> Records:
    inputs, labels = (np.array(values, dtype=np.uint8) for values in (case.inputs, case.labels))
    return Records(inputs, labels, case.circuit.classes, case.key)


def padded(weights: Weights) -> Weights:
    out = {}
    for name, values in weights.items():
        out[name] = np.zeros([1 << (n - 1).bit_length() for n in values.shape], dtype=np.int64)
        out[name][tuple(map(slice, values.shape))] = values
    return out


class Proved:
    """One case, to be proved with more or less memory."""

    def __init__(self, case: Case, task: Task, shape: Shape, order: NDArray[np.int64]) -> None:
        self.case, self.task, self.shape, self.order = case, task, shape, order
        self.first = padded(case.arrays())

    def arrays(self, scratch: Scratch) -> tuple[Weights, Weights]:
        circuit, records = self.case.circuit, records_of(self.case)
        if isinstance(self.task, Evaluation):
            count = self.shape.batch
            found = evaluation_witness(
                circuit, self.case.arrays(), records, 0, count, scratch=scratch
            )
            return found, self.case.arrays()
        return run_witness(
            circuit, records, self.case.arrays(), 0, self.shape.steps, 1 << self.shape.log_steps,
            scratch=scratch,
        )  # fmt: skip

    def digest(self, memory: int | None, scratch: Scratch = IN_MEMORY) -> str:
        """Of all messages about relations."""
        records, classes = records_of(self.case), self.case.circuit.classes
        arrays, end = self.arrays(scratch)
        batches = batch_tensors(records.inputs, records.labels, classes, [self.order])
        graph = self.task.graph()
        witness = RunWitness(graph, self.shape, {**arrays, **batches}, memory, scratch)
        channel, ledger = ProverChannel(Challenger("ranges")), Ledger()
        for entry in entries_of(graph, self.shape):
            for name in entry.columns:
                point = tuple(channel.challenger.elements(name, entry.log_size))
                ledger.add(name, point, witness.evaluate(name, point))
                cells = witness.tensor(name).reshape(-1)
                assert kf.evaluate(cells, point) == ledger.find(name, point)
        ends = {"start": self.first, "end": padded(end), "fixed": self.first}

        def public(side: str, name: str, point: Point) -> Ext:
            return kf.evaluate(ends[side][name].reshape(-1), point)

        log_records = (len(records.labels) - 1).bit_length()
        columns = {
            "inputs": np.zeros((1 << (records.inputs.shape[1] - 1).bit_length(), 1 << log_records)),
            "labels": np.zeros((1 << (classes - 1).bit_length(), 1 << log_records)),
        }
        columns = {name: cells.astype(np.uint8) for name, cells in columns.items()}
        columns["inputs"][: records.inputs.shape[1], : len(records.labels)] = records.inputs.T
        columns["labels"][records.labels, np.arange(len(records.labels))] = 1
        context = Context(
            graph, self.shape, ledger, self.task.time_filters(self.shape.log_steps), log_records,
            Selections(lambda: [self.order], self.shape), self.task.counts(), Ends(public),
        )  # fmt: skip
        walk.prove(channel, context, Given(witness, self.first, columns))
        left = [(t.name, ledger.of(t.name)) for t in graph.tensors if t.committed]
        told = (channel.proof().hex(), left, context.dataset)
        return hashlib.sha256(repr(told).encode()).hexdigest()


def training(key: str) -> Proved:
    case = draw(key)
    circuit = case.circuit
    order = batch_indices(
        circuit.order_seed, len(case.labels), circuit.batch_size, 0, circuit.steps,
        drop_last=circuit.drop_last,
    )  # fmt: skip
    shape = Shape(circuit.steps, circuit.batch_size)
    return Proved(case, Training(circuit, "", ""), shape, order)


def evaluation(key: str) -> Proved:
    case = draw(key)
    count = len(case.labels)
    counts = confusion(case.circuit, case.arrays(), records_of(case), 0, count)
    task = Evaluation(case.circuit, "", tuple(map(tuple, counts.tolist())))
    return Proved(case, task, Shape(1, count), np.arange(count).reshape(1, -1))


@pytest.mark.parametrize("kind", [training, evaluation])
@pytest.mark.parametrize("wish", WISHES)
def test_messages_do_not_depend_on_memory(tmp_path: Path, kind: type[Proved], wish: str) -> None:
    for number in range(100):
        try:
            proved = kind(f"ranges:{number}|{wish}")  # type: ignore[call-arg]
            whole = proved.digest(None)
            break
        except RangeOverflow:
            continue
    else:
        raise AssertionError("every run overflows")
    assert [proved.digest(memory) for memory in MEMORIES] == [whole] * len(MEMORIES)
    assert proved.digest(1 << 12, Scratch(tmp_path)) == whole
