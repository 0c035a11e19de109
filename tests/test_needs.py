"""What relations are said to take is what they take."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import numpy as np
import pytest

from zktrain.arguments.claims import Ledger
from zktrain.arguments.tensors import Shape
from zktrain.circuit.circuit import Circuit
from zktrain.circuit.initial import seeded_weights
from zktrain.circuit.initialisation import Initialisation
from zktrain.circuit.order import batch_indices
from zktrain.dataset.readers import Records
from zktrain.field.extension import Ext, Point
from zktrain.layers import AnyLayer, Convolution, Flatten, Layer, MaxPool, Unflatten
from zktrain.operations.base import Context, Ends, name_of
from zktrain.operations.fixed_point import FixedPoint
from zktrain.operations.lookup import entries_of
from zktrain.operations.selection import Selections
from zktrain.optimizers.sgd import Sgd
from zktrain.protocol.tasks import Training
from zktrain.prover.arguments.pairs import PairMachine
from zktrain.prover.kernels import field as kf
from zktrain.prover.needs import Need, needs
from zktrain.prover.operations import twin
from zktrain.prover.operations.base import Given
from zktrain.prover.transcript.channel import ProverChannel
from zktrain.prover.witness import RunWitness, batch_tensors
from zktrain.training.witness import run_witness
from zktrain.transcript.challenger import Challenger

LAYERS: tuple[AnyLayer, ...] = (
    Unflatten("image", 1, 12, 12),
    Convolution("c1", 1, 4, (3, 3), (1, 1), (1, 1), "c1.weight", "c1.bias", True),
    MaxPool("pool", (2, 2), (2, 2)),
    Flatten("flat"),
    Layer("fc", 144, 5, "fc.weight", "fc.bias", False),
)
STEPS, BATCH, RECORDS = 9, 16, 64
SHAPE = Shape(STEPS, BATCH)
CIRCUIT = Circuit(
    LAYERS, "cross_entropy", FixedPoint(), BATCH, STEPS, Sgd(((0, 9),)), "order",
    Initialisation("seed", "needs"),
)  # fmt: skip


@pytest.fixture(scope="module")
def run() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], Records]:
    random = np.random.default_rng(1)
    inputs = random.integers(0, 256, (RECORDS, 144)).astype(np.uint8)
    records = Records(inputs, random.integers(0, 5, RECORDS).astype(np.uint8), 5, "random")
    arrays, end = run_witness(CIRCUIT, records, seeded_weights(CIRCUIT), 0, STEPS, 16)
    found = arrays, end, records
    measured(found, 1 << 19)  # kernels are compiled
    return found


def padded(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    out = {}
    for name, values in weights.items():
        out[name] = np.zeros([1 << (n - 1).bit_length() for n in values.shape], dtype=np.int64)
        out[name][tuple(map(slice, values.shape))] = values
    return out


@contextmanager
def counted(passes: list[int]) -> Iterator[None]:
    true = PairMachine.finals

    def finals(machine: PairMachine) -> list[tuple[Ext, ...]]:
        found = true(machine)
        passes.append(machine.passes)
        return found

    with mock.patch.object(PairMachine, "finals", finals):
        yield


def measured(
    run: tuple[dict[str, np.ndarray], dict[str, np.ndarray], Records], memory: int
) -> dict[str, tuple[int, int]]:
    """By relation, the passes over its pairs and its peak in bytes."""
    arrays, end, records = run
    order = batch_indices(CIRCUIT.order_seed, RECORDS, BATCH, 0, STEPS)
    batches = batch_tensors(records.inputs, records.labels, 5, [order])
    graph = CIRCUIT.graph()
    witness = RunWitness(graph, SHAPE, {**arrays, **batches}, memory)
    channel, ledger = ProverChannel(Challenger("needs")), Ledger()
    for entry in entries_of(graph, SHAPE):
        for name in entry.columns:
            point = tuple(channel.challenger.elements(name, entry.log_size))
            ledger.add(name, point, witness.evaluate(name, point))
    first, last = padded(seeded_weights(CIRCUIT)), padded(end)

    def public(side: str, name: str, point: Point) -> Ext:
        return kf.evaluate((last if side == "end" else first)[name].reshape(-1), point)

    filters = Training(CIRCUIT, "", "").time_filters(SHAPE.log_steps)
    known = Selections(lambda: [order], SHAPE)
    context = Context(graph, SHAPE, ledger, filters, 6, known, None, Ends(public))
    columns = {"inputs": np.zeros((256, 64), np.uint8), "labels": np.zeros((8, 64), np.uint8)}
    columns["inputs"][:144] = records.inputs.T
    columns["labels"][records.labels, np.arange(RECORDS)] = 1
    out = {}
    for op in graph.claim_order():
        passes: list[int] = []
        tracemalloc.start()
        with counted(passes):
            twin(op).prove(op, channel, context, Given(witness, first, columns))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        out[name_of(op)] = (max(passes, default=1), peak)
    return out


@pytest.mark.parametrize("memory", [1 << 19, 1 << 21, 1 << 23])
def test_passes_and_peaks_are_as_stated(
    run: tuple[dict[str, np.ndarray], dict[str, np.ndarray], Records], memory: int
) -> None:
    found = measured(run, memory)
    stated = {need.relation: need for need in needs(CIRCUIT.graph(), SHAPE, memory, 6)}
    assert {name for name, (passes, _) in found.items() if passes > 1} == {
        name for name, need in stated.items() if need.passes > 1
    }
    for name, need in stated.items():
        passes, peak = found[name]
        assert passes == need.passes, name
        assert peak < 1.5 * need.peak + (1 << 19), (name, peak, need)
        assert need.at_once <= max(memory / 2, need.least), name


def test_less_memory_is_more_passes() -> None:
    def most(memory: int | None) -> Need:
        return max(needs(CIRCUIT.graph(), SHAPE, memory, 6), key=lambda need: need.streamed)

    whole = most(None)
    assert whole.passes == 1
    found = [most(whole.streamed >> shift) for shift in range(8)]
    assert [need.passes for need in found] == sorted(need.passes for need in found)
    assert found[-1].passes > 2 and found[-1].peak < whole.peak
