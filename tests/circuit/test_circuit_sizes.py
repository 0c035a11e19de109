"""Schedule, shapes, cells, lookups and the static no-wrap bound."""

from __future__ import annotations

from dataclasses import replace

import pytest
from circuit_networks import circuit_of
from hypothesis import given
from hypothesis import strategies as st

from zktrain.circuit.bounds import padded
from zktrain.circuit.initialisation import Initialisation


def test_padding() -> None:
    assert [padded(size) for size in (0, 1, 2, 3, 4, 5, 10, 784)] == [1, 1, 2, 4, 4, 8, 16, 1024]


def test_shapes_and_counts() -> None:
    circuit = circuit_of(6, 5, 3)
    assert list(circuit.parameter_shapes().items()) == [
        ("fc1.weight", (6, 5)),
        ("fc1.bias", (5,)),
        ("fc2.weight", (5, 3)),
        ("fc2.bias", (3,)),
    ]
    assert (circuit.features, circuit.classes, circuit.parameters) == (6, 3, 6 * 5 + 5 + 5 * 3 + 3)
    assert circuit_of(6, 5, 3, bias=False).parameters == 6 * 5 + 5 * 3


def test_cells_and_lookups_by_hand() -> None:
    """Padded batch 4, padded widths 8 (5) and 4 (3)."""
    circuit = circuit_of(6, 5, 3, batch_size=3)
    # z1, z1.high, s1, q1, q1.high; z2, z2.high, p, p.before; c
    assert circuit.cells_per_step == 4 * (5 * 8 + 4 * 4 + 1)
    # z1.high, z1.low, relu, q1.high, q1.low, q1; z2.high, z2.low, z2, exp; both slacks
    assert circuit.lookups_per_step == 4 * (6 * 8 + 4 * 4 + 2)
    squared = circuit_of(6, 5, 3, batch_size=3, loss="mse")
    assert squared.cells_per_step == 4 * (5 * 8 + 2 * 4)
    assert squared.lookups_per_step == 4 * (6 * 8 + 3 * 4)
    # z2, z2.high, p; z2.high, z2.low, sigmoid
    binary = circuit_of(6, 5, 3, batch_size=3, loss="binary_cross_entropy")
    assert binary.cells_per_step == 4 * (5 * 8 + 3 * 4)
    assert binary.lookups_per_step == 4 * (6 * 8 + 3 * 4)


@given(st.data())
def test_schedule(data: st.DataObject) -> None:
    steps = data.draw(st.integers(1, 60))
    firsts = {0} | data.draw(st.sets(st.integers(0, steps - 1), max_size=6))
    schedule = tuple((first, data.draw(st.integers(1, 9))) for first in sorted(firsts))
    circuit = circuit_of(2, 2, steps=steps, multipliers=schedule)
    plain = [[m for first, m in schedule if first <= step][-1] for step in range(steps)]
    assert circuit.optimizer.multipliers_at(circuit, 0, steps) == plain
    first = data.draw(st.integers(0, steps))
    count = data.draw(st.integers(0, steps - first))
    assert circuit.optimizer.multipliers_at(circuit, first, count) == plain[first : first + count]


@pytest.mark.parametrize(("first", "count"), [(-1, 1), (0, 11), (10, 1), (3, -1)])
def test_schedule_ends_with_the_run(first: int, count: int) -> None:
    with pytest.raises(IndexError):
        circuit = circuit_of(2, 2, steps=10)
        circuit.optimizer.multipliers_at(circuit, first, count)


def test_effective_learning_rate() -> None:
    circuit = circuit_of(2, 2, batch_size=32, multipliers=((0, 8), (5, 2)))
    assert circuit.effective_learning_rate == [(0, 0.25), (5, 0.0625)]


def test_no_wrap_bound_by_hand() -> None:
    """One layer: |W| <= W_0 + T m B 255 2^14, |b| <= W_0 + T m B 2^8 2^14."""
    circuit = circuit_of(4, 2, batch_size=8, steps=16, multipliers=((0, 1), (6, 3)))
    travelled = (6 * 1 + 10 * 3) * 8 * 2**14
    start = 2**32 // 2
    accumulator = 4 * 255 * (start + travelled * 255) + 2**8 * (start + travelled * 2**8)
    limbs = 2**31 + 2**32 * 2**15 + 2**16 * (2**16 - 1)  # of the equation of the low limb
    assert circuit.no_wrap_bound_bits == (accumulator + limbs).bit_length() == 48
    longer = replace(circuit, steps=1 << 20)
    travelled = (6 * 1 + ((1 << 20) - 6) * 3) * 8 * 2**14
    accumulator = 4 * 255 * (start + travelled * 255) + 2**8 * (start + travelled * 2**8)
    assert longer.no_wrap_bound_bits == (accumulator + limbs).bit_length() == 57


def test_no_wrap_bound_of_two_layers_by_hand() -> None:
    circuit = circuit_of(64, 64, 10, batch_size=32, steps=256, multipliers=((0, 8),))
    weight = 2**32 // 8 + 256 * 8 * 32 * 2**15 * 2**14
    bias = 2**32 // 8 + 256 * 8 * 32 * 2**8 * 2**14
    assert circuit.no_wrap_bound_bits == (64 * 2**15 * weight + 2**8 * bias + 2**31).bit_length()


def test_no_wrap_bound_grows_with_squared_error_and_weight_files() -> None:
    base = circuit_of(4, 2, steps=1 << 20).no_wrap_bound_bits
    assert circuit_of(4, 2, steps=1 << 20, loss="mse").no_wrap_bound_bits > base
    binary = circuit_of(4, 2, steps=1 << 20, loss="binary_cross_entropy")
    assert binary.no_wrap_bound_bits == base
    from_file = circuit_of(4, 2, initialisation=Initialisation("file", "00" * 32))
    accumulator = (4 * 255 + 2**8) * 2**52
    assert from_file.no_wrap_bound_bits == accumulator.bit_length() == 63
