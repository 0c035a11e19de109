"""E = F_p[x] / (x^2 - 7) against pairs of Python integers."""

from __future__ import annotations

import math

import field_oracle as oracle
import numpy as np
import pytest
from field_oracle import EDGES, P, Pair, pair, pairs, residues
from hypothesis import given, settings
from hypothesis import strategies as st

from zktrain.field import extension as ext
from zktrain.field.extension import Ext

elements = st.one_of(st.sampled_from(EDGES), st.integers(0, P - 1))
scalars = st.tuples(elements, elements)
integers = st.integers(-(2**70), 2**70)


def test_seven_is_not_a_square_so_e_is_a_field() -> None:
    assert ext.NON_RESIDUE == 7
    assert pow(7, (P - 1) // 2, P) == P - 1


def test_size_of_the_field_is_rounded_down() -> None:
    assert 127.9999 < ext.LOG2_SIZE <= 2 * math.log2(P)


@settings(deadline=None, max_examples=200)
@given(scalars, scalars, integers)
def test_scalar_arithmetic(x: Pair, y: Pair, k: int) -> None:
    a, b = Ext(*x), Ext(*y)
    assert pair(a + b) == oracle.add(x, y)
    assert pair(a - b) == oracle.sub(x, y)
    assert pair(a * b) == oracle.mul(x, y)
    assert pair(-a) == oracle.sub((0, 0), x)
    lifted = (k % P, 0)
    assert pair(a + k) == pair(k + a) == oracle.add(x, lifted)
    assert pair(a - k) == oracle.sub(x, lifted)
    assert pair(k - a) == oracle.sub(lifted, x)
    assert pair(a * k) == pair(k * a) == oracle.mul(x, lifted)


@settings(deadline=None)
@given(scalars)
def test_inverse(x: Pair) -> None:
    if x == (0, 0):
        with pytest.raises(ZeroDivisionError):
            Ext(*x).inverse()
    else:
        assert oracle.mul(x, pair(Ext(*x).inverse())) == (1, 0)


def test_frobenius_is_conjugation() -> None:
    for x in oracle.random_pairs(np.random.default_rng(1), 5):
        assert oracle.power(x, P) == (x[0], P - x[1])
        norm = Ext(*x) * Ext(x[0], -x[1])
        assert norm == (x[0] * x[0] - 7 * x[1] * x[1]) % P


def test_scalars_are_reduced_and_compare_by_value() -> None:
    assert pair(Ext(P, -1)) == (0, P - 1)
    assert Ext(3) == 3 and Ext(3) == 3 - P and Ext(3, 1) != 3 and Ext(0, 1) != Ext(1, 0)
    assert hash(Ext(P + 5, 2 * P)) == hash(Ext(5))
    assert not Ext(P, P) and Ext(0, 1) and Ext(1)
    assert Ext(2) != "2"
    assert ext.HALF * 2 == ext.ONE and ext.ZERO == 0


def test_vectors_of_all_edge_values() -> None:
    grid = [(a, b) for a in EDGES for b in EDGES]
    left, right = oracle.array(grid), oracle.array(grid[7:] + grid[:7])
    both = list(zip(pairs(left), pairs(right), strict=True))
    assert pairs(ext.add(left, right)) == [oracle.add(x, y) for x, y in both]
    assert pairs(ext.sub(left, right)) == [oracle.sub(x, y) for x, y in both]
    assert pairs(ext.mul(left, right)) == [oracle.mul(x, y) for x, y in both]
    assert pairs(ext.mul_base(left, right[0])) == [oracle.mul(x, (y[0], 0)) for x, y in both]


@settings(deadline=None)
@given(st.lists(scalars, min_size=1, max_size=12), scalars)
def test_vector_operations(items: list[Pair], factor: Pair) -> None:
    v = ext.vector(Ext(*x) for x in items)
    assert pairs(v) == items
    assert [pair(s) for s in ext.scalars(v)] == items
    assert pair(ext.scalar(v, 0)) == items[0]
    assert pairs(ext.scale(v, Ext(*factor))) == [oracle.mul(x, factor) for x in items]
    assert pair(ext.scalar(ext.total(v))) == oracle.total(items)
    squares = oracle.total(oracle.mul(x, x) for x in items)
    assert pair(ext.dot(v, v)) == pair(ext.inner(ext.scalars(v), ext.scalars(v))) == squares
    assert pairs(ext.from_base(v[1])) == [(x[1], 0) for x in items]


def test_products_broadcast_behind_the_coordinates() -> None:
    rng = np.random.default_rng(4)
    a, b = residues(rng, 2, 3, 1), residues(rng, 2, 1, 4)
    out = ext.mul(a, b)
    assert out.shape == (2, 3, 4)
    for i, j in np.ndindex(3, 4):
        x = (int(a[0, i, 0]), int(a[1, i, 0]))
        y = (int(b[0, 0, j]), int(b[1, 0, j]))
        assert pair(ext.scalar(out, (i, j))) == oracle.mul(x, y)


def test_total_along_the_last_axis() -> None:
    cells = residues(np.random.default_rng(5), 2, 3, 7)
    sums = ext.total(cells)
    assert sums.shape == (2, 3)
    for i in range(3):
        assert pair(ext.scalar(sums, i)) == oracle.total(pairs(cells[:, i]))


@settings(deadline=None)
@given(scalars, st.integers(0, 9))
def test_powers(base: Pair, count: int) -> None:
    assert [pair(x) for x in ext.powers(Ext(*base), count)] == [
        oracle.power(base, k) if k else (1, 0) for k in range(count)
    ]


def test_inner_product_refuses_unequal_lengths() -> None:
    with pytest.raises(ValueError, match="zip"):
        ext.inner([ext.ONE], [])


def test_contractions() -> None:
    rng = np.random.default_rng(6)
    a, b = residues(rng, 2, 5, 9), residues(rng, 2, 9)
    out = ext.contract(a, b)
    assert out.shape == (2, 5)
    for m in range(5):
        terms = zip(pairs(a[:, m]), pairs(b), strict=True)
        assert pair(ext.scalar(out, m)) == oracle.total(oracle.mul(x, y) for x, y in terms)


def test_large_products_of_vectors() -> None:
    """More than a block."""
    rng = np.random.default_rng(7)
    a, b = residues(rng, 2, 3000), residues(rng, 2, 2, 1)
    out = ext.mul(a, b)
    assert out.shape == (2, 2, 3000)
    for i in range(2):
        y = (int(b[0, i, 0]), int(b[1, i, 0]))
        assert pairs(out[:, i]) == [oracle.mul(x, y) for x in pairs(a)]
