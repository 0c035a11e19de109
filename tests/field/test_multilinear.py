"""Multilinear extensions against interpolation one variable after the other."""

from __future__ import annotations

import field_oracle as oracle
import numpy as np
import pytest
from field_oracle import P, Pair, equality, extension, pair, pairs, random_pairs, residues
from hypothesis import given, settings
from hypothesis import strategies as st

from zktrain.field import goldilocks as gl
from zktrain.field import multilinear as ml
from zktrain.field.extension import Ext, Point


def random_point(seed: int, count: int) -> tuple[Point, list[Pair]]:
    coordinates = random_pairs(np.random.default_rng(seed), count)
    return tuple(Ext(*x) for x in coordinates), coordinates


@settings(deadline=None)
@given(st.integers(1, 1 << 40))
def test_log2_ceil(n: int) -> None:
    k = ml.log2_ceil(n)
    assert 1 << k >= n and (k == 0 or 1 << (k - 1) < n)


def test_bits_are_lowest_first() -> None:
    assert ml.bits(0b0110, 4) == (0, 1, 1, 0) and ml.bits(5, 0) == ()
    assert ml.bits(13, 3) == (1, 0, 1)


def test_eq_on_the_cube_is_equality() -> None:
    for x in range(8):
        for y in range(8):
            a, b = (tuple(Ext(bit) for bit in ml.bits(v, 3)) for v in (x, y))
            assert ml.eq(a, b) == int(x == y)


@pytest.mark.parametrize("n", range(6))
def test_eq_is_the_extension_of_equality(n: int) -> None:
    a, left = random_point(n, n)
    b, right = random_point(100 + n, n)
    expected = oracle.total(
        oracle.mul(equality(left, i), equality(right, i)) for i in range(1 << n)
    )
    assert pair(ml.eq(a, b)) == expected


def test_eq_refuses_unequal_lengths() -> None:
    with pytest.raises(ValueError, match="zip"):
        ml.eq((Ext(1),), (Ext(1), Ext(2)))


@pytest.mark.parametrize("n", range(8))
def test_eq_table_and_eq_index(n: int) -> None:
    point, coordinates = random_point(n, n)
    expected = [equality(coordinates, i) for i in range(1 << n)]
    assert pairs(ml.eq_table(point)) == expected
    assert [pair(ml.eq_index(point, i)) for i in range(1 << n)] == expected
    factor = (P - 1, 2**32 - 1)
    assert pairs(ml.eq_table(point, Ext(*factor))) == [oracle.mul(factor, e) for e in expected]


@pytest.mark.parametrize("n", range(6))
def test_less_than_for_every_bound(n: int) -> None:
    point, coordinates = random_point(n + 10, n)
    for bound in range((1 << n) + 3):
        cells = [int(x < bound) for x in range(1 << n)]
        assert pair(ml.less_than(point, bound)) == extension(cells, coordinates)


def test_less_than_on_the_cube() -> None:
    for bound in range(18):
        for x in range(16):
            point = tuple(Ext(bit) for bit in ml.bits(x, 4))
            assert ml.less_than(point, bound) == int(x < bound)


@pytest.mark.parametrize("n", range(7))
def test_identity(n: int) -> None:
    point, coordinates = random_point(n + 20, n)
    assert pair(ml.identity(point)) == extension(list(range(1 << n)), coordinates)


@pytest.mark.parametrize("n", range(12))
def test_evaluations_of_field_tables(n: int) -> None:
    rng = np.random.default_rng(n)
    point, coordinates = random_point(n + 30, n)
    base = residues(rng, 1 << n)
    assert pair(ml.evaluate_base(base, point)) == extension(base.tolist(), coordinates)
    table = residues(rng, 2, 1 << n)
    assert pair(ml.evaluate(table, point)) == extension(pairs(table), coordinates)


BOUND = 1 << 53
EXTREME = [0, 1, -1, BOUND - 1, 1 - BOUND, 1 << 52, -(1 << 52), (1 << 36) - 1, -(1 << 36), 1 << 18]


@pytest.mark.parametrize("n", range(12))
def test_evaluations_of_integers_up_to_53_bits(n: int) -> None:
    rng = np.random.default_rng(n)
    point, coordinates = random_point(n + 40, n)
    cells = rng.integers(-BOUND + 1, BOUND, size=1 << n)
    chosen = rng.random(1 << n) < 0.5
    cells = np.where(chosen, rng.choice(np.array(EXTREME), size=1 << n), cells)
    assert pair(ml.evaluate_integers(cells, point)) == extension(cells.tolist(), coordinates)


@pytest.mark.parametrize("value", [BOUND - 1, 1 - BOUND, (1 << 52) + 1, -(1 << 52) - 1, -1])
@pytest.mark.parametrize("n", [16, 18])
def test_evaluations_of_constant_integers(value: int, n: int) -> None:
    """The extension of a constant is itself; all limbs are at their limits."""
    point, _ = random_point(n, n)
    assert ml.evaluate_integers(np.full(1 << n, value), point) == value % P


def test_evaluation_of_integers_with_the_largest_weights() -> None:
    """Cells of both signs at the limit, coordinates of the largest limbs."""
    n = 17
    coordinates = [(P - 1, P - 1) if i % 2 else (2**32 - 1, 0xFFFFFFFEFFFFFFFF) for i in range(n)]
    cells = np.where(np.arange(1 << n) % 3 == 0, BOUND - 1, 1 - BOUND)
    point = tuple(Ext(*x) for x in coordinates)
    assert pair(ml.evaluate_integers(cells, point)) == extension(cells.tolist(), coordinates)


def test_integers_of_two_axes_are_read_in_memory_order() -> None:
    tensor = np.arange(-16, 16).reshape(4, 8)
    point, coordinates = random_point(50, 5)
    expected = extension(tensor.reshape(-1).tolist(), coordinates)
    assert pair(ml.evaluate_integers(tensor, point)) == expected
    assert pair(ml.evaluate_base(gl.from_signed(tensor), point)) == expected


@pytest.mark.parametrize("n", [10, 11, 13])
def test_large_tables_of_eq(n: int) -> None:
    point, coordinates = random_point(n + 50, n)
    table = pairs(ml.eq_table(point))
    for index in (0, 1, 31, 32, 1023, (1 << n) - 1):
        assert table[index] == equality(coordinates, index)
    assert oracle.total(table) == (1, 0)


def test_an_integer_table_at_several_points() -> None:
    """Small cells of both signs, and large ones, which have one limb more."""
    rng = np.random.default_rng(60)
    for bound in (1 << 20, BOUND):
        cells = rng.integers(-bound + 1, bound, size=1 << 7)
        table = ml.IntegerTable(cells)
        for seed in range(3):
            point, coordinates = random_point(seed, 7)
            assert pair(table.evaluate(point)) == extension(cells.tolist(), coordinates)
