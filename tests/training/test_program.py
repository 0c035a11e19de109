"""What makes a step sound: bounds at their edge, ranges, and who is named where one is left."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from careful import careful
from conv_networks import NETWORKS, convolution, dense

from zktrain.circuit.circuit import Circuit
from zktrain.circuit.initial import seeded_weights
from zktrain.circuit.initialisation import Initialisation
from zktrain.circuit.order import batch_indices
from zktrain.dataset.readers import Records
from zktrain.errors import RangeOverflow
from zktrain.layers import AnyLayer, Flatten, MaxPool, Unflatten
from zktrain.operations.fixed_point import FixedPoint
from zktrain.optimizers.sgd import Sgd
from zktrain.training.figures import Figures, Seen
from zktrain.training.trajectory import Trajectory, Weights
from zktrain.training.witness import run_witness

EDGE: tuple[AnyLayer, ...] = (
    Unflatten("image", 1, 2, 2),
    convolution("conv", 1, 2, 2, relu=False),
    Flatten("flatten"),
    dense("head", 2, 2),
)
"""One window of four taps."""
POOLED: tuple[AnyLayer, ...] = (
    Unflatten("image", 1, 1, 2),
    convolution("conv", 1, 1, 1, relu=False),
    MaxPool("pool", (1, 2), (1, 1)),
    Flatten("flatten"),
    dense("head", 1, 2),
)


def circuit_of(layers: tuple[AnyLayer, ...], steps: int = 1, batch: int = 1) -> Circuit:
    return Circuit(
        layers, "cross_entropy", FixedPoint(), batch, steps, Sgd(((0, 1),)), "order",
        Initialisation("seed", "s"),
    )  # fmt: skip


def zeros(circuit: Circuit) -> Weights:
    return {name: np.zeros(shape, np.int64) for name, shape in circuit.parameter_shapes().items()}


def constant(circuit: Circuit, record: list[int], count: int = 2) -> Records:
    inputs = np.array([record] * count, dtype=np.uint8)
    return Records(inputs, np.zeros(count, np.uint8), circuit.classes, "constant")


def first_judgement(
    circuit: Circuit, records: Records, start: Weights
) -> tuple[list[bool], set[str]]:
    """Of the first window, with the coarsest bounds."""
    run = Trajectory(circuit, records, start)
    program = run._prepared()
    seen = run._run(program, next(run._batches(0, circuit.steps)), None, 0)
    sound, doubted = program.figures.judge(seen)
    return sound.tolist(), doubted


def first_outputs(circuit: Circuit, records: Records, start: Weights) -> list[int]:
    arrays, _ = run_witness(circuit, records, start, 0, 1, 1)
    found: list[int] = arrays["z2"][0, 0].reshape(-1).tolist()
    return found


_ROOM = (1 << 53) - (1 << 13) - (1 << 31)


@pytest.mark.parametrize("signs", [(1, -1, 1, -1), (1, 1, -1, -1), (-1, 1, 1, -1)])
@pytest.mark.parametrize(("past_edge", "doubted"), [(0, set()), (1, {"acc2"})])
def test_a_product_is_exact_up_to_the_edge_of_its_bound(
    signs: tuple[int, ...], past_edge: int, doubted: set[str]
) -> None:
    """Four products as large as may be cancel up to one unit below, and at, a rounding step."""
    circuit = circuit_of(EDGE)
    records = constant(circuit, [255] * 4)
    start = zeros(circuit)
    largest = _ROOM // 1020 + past_edge
    taps = largest * np.array(signs).reshape(2, 2, 1, 1)
    start["conv.weight"][:] = taps
    assert 4 * 255 * largest + (1 << 31) > (1 << 53) * (1 - 2.0**-39)
    start["conv.weight"][0, 0, 0, 0] -= signs[0]  # 255 less, or more
    rest = -255 * signs[0]
    sound, found = first_judgement(circuit, records, start)
    assert found == doubted and sound == [not doubted]
    expected = [(rest + (1 << 31)) >> 32] * 2
    assert first_outputs(circuit, records, start) == expected


@pytest.mark.parametrize("offset", [0, 1])
def test_products_beyond_all_bounds_are_cut(offset: int) -> None:
    """In plain float64 two taps near 2^51 would cancel to something else: off by up to 2^6."""
    circuit = circuit_of(EDGE)
    records = constant(circuit, [255, 255, 0, 0])
    start = zeros(circuit)
    start["conv.weight"][0, :, 0, 0] = [(1 << 51) - 1, -(1 << 51) + 2]
    start["conv.weight"][0, :, 0, 1] = [-(1 << 51), (1 << 51) + 1]
    start["conv.bias"][:] = (1 << 24) - (1 << 23) - 1 + offset
    total = 255 + 256 * int(start["conv.bias"][0])
    assert first_outputs(circuit, records, start) == [(total + (1 << 31)) >> 32] * 2
    assert (total + (1 << 31)) >> 32 == offset


@pytest.mark.parametrize(("low", "stops"), [(-32767, False), (-32768, True)])
def test_winners_that_are_too_far_ahead_are_named(low: int, stops: bool) -> None:
    circuit = circuit_of(POOLED)
    records = constant(circuit, [255, 0])
    start = zeros(circuit)
    start["conv.bias"][:] = low << 24
    high = 32767 - low
    start["conv.weight"][:] = -(-(high << 32) // 255)
    assert first_judgement(circuit, records, start)[0] == [not stops]
    if not stops:
        run_witness(circuit, records, start, 0, 1, 1)
        return
    with pytest.raises(RangeOverflow, match=r"step 0, layer pool, output: the value 65535"):
        run_witness(circuit, records, start, 0, 1, 1)


@pytest.mark.parametrize("bad", [0, 1, 7, 18, 20, 21])
@pytest.mark.parametrize("name", ["tiny", "strided"])
def test_the_step_that_leaves_its_range_is_named(name: str, bad: int) -> None:
    """One record makes an output overflow; the message is about the first step that draws it."""
    circuit = circuit_of(NETWORKS[name], 22)
    random = np.random.default_rng(bad)
    inputs = random.integers(0, 3, (22, circuit.features), dtype=np.uint8)
    order = batch_indices(circuit.order_seed, 22, 1, 0, 22)
    inputs[order[bad, 0]] = 255
    records = Records(inputs, np.zeros(22, np.uint8), circuit.classes, "random")
    start = seeded_weights(circuit)
    weight = next(iter(start))
    start[weight][:] = 1 << 36
    start[weight][..., 0] *= -1
    with pytest.raises(RangeOverflow) as fast:
        run_witness(circuit, records, start, 0, 22, 32)
    with careful(), pytest.raises(RangeOverflow) as slow:
        run_witness(circuit, records, start, 0, 22, 32)
    assert str(fast.value) == str(slow.value)
    layer = weight.split(".")[0]
    assert str(fast.value).startswith(f"step {bad}, layer {layer}, output: the value ")


def test_figures_are_fetched_once_for_many_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    circuit = circuit_of(NETWORKS["residual"], 40, 3)
    records = Records(
        np.random.default_rng(0).integers(0, 256, (9, circuit.features), dtype=np.uint8),
        np.arange(9).astype(np.uint8) % 3, 3, "random",
    )  # fmt: skip
    fetched: list[int] = []
    judge = Figures.judge

    def counted(self: Figures, seen: Seen) -> object:
        fetched.append(len(seen.rates))
        return judge(self, seen)

    monkeypatch.setattr(Figures, "judge", counted)
    Trajectory(circuit, records, seeded_weights(circuit)).advance(0, 40)
    assert fetched == [16, 16, 8]


def test_losses_are_those_of_careful_steps() -> None:
    circuit = circuit_of(NETWORKS["averaged"], 7, 4)
    records = Records(
        np.random.default_rng(0).integers(0, 256, (9, circuit.features), dtype=np.uint8),
        np.arange(9).astype(np.uint8) % 3, 3, "random",
    )  # fmt: skip
    found: list[list[float]] = [[], []]
    run = replace(circuit, optimizer=Sgd(((0, 7), (3, 2))))
    Trajectory(run, records, seeded_weights(run)).advance(
        0, 7, on_window=lambda _, losses: found[0].extend(losses)
    )
    with careful():
        Trajectory(run, records, seeded_weights(run)).advance(
            0, 7, on_window=lambda _, losses: found[1].extend(losses)
        )
    assert found[0] == found[1] and len(found[0]) == 7
