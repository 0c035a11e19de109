"""Sums of many points against py_ecc, one by one."""

from __future__ import annotations

import secrets

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from py_ecc.optimized_bn128 import FQ, Z1, add, multiply, normalize

from zktrain.ezkl.srs.curve import Multiples, Point, Q, R, inverses, multiply_sum, on_curve, sums

G = (1, 2)


def oracle(scalars: list[int], points: list[tuple[int, int]]) -> Point:
    total = Z1
    for scalar, (x, y) in zip(scalars, points, strict=True):
        total = add(total, multiply((FQ(x), FQ(y), FQ(1)), scalar))
    if total[2] == FQ(0):
        return None
    x, y = normalize(total)
    return int(x), int(y)


def some(scalar: int) -> tuple[int, int]:
    point = oracle([scalar], [G])
    assert point is not None
    return point


SMALL = [some(n) for n in range(1, 5)] + [some(R - n) for n in range(1, 5)]
EDGES = [0, 1, 2, R - 1, R - 2, (R - 1) // 2, 2**128, 2**253]


@settings(max_examples=60)
@given(st.lists(st.lists(st.sampled_from(SMALL), max_size=9), max_size=6))
def test_sums_of_points_that_meet(groups: list[list[tuple[int, int]]]) -> None:
    """Few points, so that equal and opposite ones are added all the time."""
    expected = [oracle([1] * len(group), group) for group in groups]
    assert sums([list(group) for group in groups]) == expected


@settings(max_examples=30)
@given(
    st.lists(
        st.tuples(st.sampled_from(EDGES) | st.integers(0, R - 1), st.sampled_from(SMALL)),
        max_size=40,
    )
)
def test_weighted_sums_of_points_that_meet(terms: list[tuple[int, tuple[int, int]]]) -> None:
    scalars, points = [s for s, _ in terms], [p for _, p in terms]
    assert multiply_sum(scalars, points) == oracle(scalars, points)


@pytest.mark.parametrize("count", [1, 2, 31, 32, 300])
def test_weighted_sums_of_random_points(count: int) -> None:
    scalars = [secrets.randbelow(R) for _ in range(count)]
    points = [some(secrets.randbelow(R)) for _ in range(count)]
    assert multiply_sum(scalars, points) == oracle(scalars, points)


@pytest.mark.parametrize("logrows", [1, 8])
def test_multiples_of_the_generator(logrows: int) -> None:
    scalars = [*EDGES, *(secrets.randbelow(R) for _ in range(20))]
    assert Multiples(logrows).of(scalars) == [oracle([s], [G]) for s in scalars]


def test_inverses() -> None:
    values = [1, 2, Q - 1, 12345]
    assert [v * i % Q for v, i in zip(values, inverses(values, Q), strict=True)] == [1] * 4
    assert inverses([], Q) == []


def test_points_of_the_curve() -> None:
    assert all(on_curve(*point) for point in SMALL)
    assert not on_curve(1, 3) and not on_curve(0, 0)
