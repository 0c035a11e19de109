"""The prime field against Python integers and published constants."""

from __future__ import annotations

import numpy as np
import pytest
from field_oracle import EDGES, P, residues
from hypothesis import given, settings
from hypothesis import strategies as st

from zktrain.field import goldilocks as gl

elements = st.one_of(st.sampled_from(EDGES), st.integers(0, P - 1))


def u64(values: list[int]) -> gl.U64:
    return np.array(values, dtype=np.uint64)


def test_modulus_is_prime_and_seven_generates_its_units() -> None:
    """Pratt's certificate: an element of order ``p - 1`` exists only modulo a prime."""
    assert gl.P == P and gl.GENERATOR == 7
    factors = (2, 3, 5, 17, 257, 65537)
    assert (P - 1) == 2**32 * 3 * 5 * 17 * 257 * 65537
    assert pow(7, P - 1, P) == 1
    assert all(pow(7, (P - 1) // q, P) != 1 for q in factors)


@pytest.mark.parametrize("log_order", range(33))
def test_roots_of_unity_have_their_order(log_order: int) -> None:
    root = gl.root_of_unity(log_order)
    assert pow(root, 1 << log_order, P) == 1
    if log_order:
        assert pow(root, 1 << (log_order - 1), P) == P - 1
        assert root * root % P == gl.root_of_unity(log_order - 1)


def test_roots_of_unity_that_others_publish() -> None:
    """The generator of the 2^32 subgroup in plonky2, and powers of two: 2^96 = -1."""
    assert gl.root_of_unity(32) == 1753635133440165772
    assert pow(2, 96, P) == P - 1
    assert gl.root_of_unity(2) in (2**48, P - 2**48)
    assert pow(gl.root_of_unity(6), 64, P) == 1 and pow(8, 32, P) == P - 1


@pytest.mark.parametrize("log_order", [-1, 33])
def test_no_root_of_unity_beyond_the_two_adicity(log_order: int) -> None:
    with pytest.raises(ValueError, match="no root of unity"):
        gl.root_of_unity(log_order)


def test_all_pairs_of_edge_values() -> None:
    a, b = (grid.reshape(-1) for grid in np.meshgrid(u64(EDGES), u64(EDGES)))
    left, right = a.tolist(), b.tolist()
    both = list(zip(left, right, strict=True))
    assert gl.add(a, b).tolist() == [(x + y) % P for x, y in both]
    assert gl.sub(a, b).tolist() == [(x - y) % P for x, y in both]
    assert gl.mul(a, b).tolist() == [x * y % P for x, y in both]


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(elements, elements), min_size=1, max_size=20))
def test_arithmetic(items: list[tuple[int, int]]) -> None:
    a, b = u64([x for x, _ in items]), u64([y for _, y in items])
    assert gl.add(a, b).tolist() == [(x + y) % P for x, y in items]
    assert gl.sub(a, b).tolist() == [(x - y) % P for x, y in items]
    assert gl.mul(a, b).tolist() == [x * y % P for x, y in items]
    assert int(gl.total(a)) == sum(x for x, _ in items) % P


def test_products_of_many_random_residues() -> None:
    rng = np.random.default_rng(1)
    a, b = residues(rng, 20_000), residues(rng, 20_000)
    expected = [x * y % P for x, y in zip(a.tolist(), b.tolist(), strict=True)]
    assert gl.mul(a, b).tolist() == expected
    assert max(expected) < P


def test_products_broadcast() -> None:
    rng = np.random.default_rng(2)
    a, b = residues(rng, 3, 1, 5), residues(rng, 4, 1)
    out = gl.mul(a, b)
    assert out.shape == (3, 4, 5)
    for i, j, k in np.ndindex(3, 4, 5):
        assert int(out[i, j, k]) == int(a[i, 0, k]) * int(b[j, 0]) % P


@pytest.mark.parametrize("value", [P - 1, 0xFFFFFFFEFFFFFFFF, 2**32 - 1, P - 2**32 + 1])
@pytest.mark.parametrize("count", [1, 2, 3, 1 << 20])
def test_sums_of_the_largest_residues(value: int, count: int) -> None:
    assert int(gl.total(np.full(count, value, dtype=np.uint64))) == value * count % P


def test_sums_along_axes() -> None:
    cells = residues(np.random.default_rng(3), 4, 6, 5)
    for axis in (0, 1, 2, -1):
        ours = gl.total(cells, axis=axis)
        moved = np.moveaxis(cells, axis, -1)
        for index in np.ndindex(*ours.shape):
            assert int(ours[index]) == sum(moved[index].tolist()) % P


@pytest.mark.parametrize(
    "kind",
    [np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64],
)
def test_integers_of_every_type_as_residues(kind: type[np.integer]) -> None:
    limits = np.iinfo(kind)
    values = [limits.min, limits.min + 1, 0, 1, limits.max // 2, limits.max - 1, limits.max]
    out = gl.from_signed(np.array(values, dtype=kind))
    assert out.dtype == np.uint64
    assert out.tolist() == [v % P for v in values]


@settings(deadline=None)
@given(elements, st.integers(1, 70))
def test_powers(base: int, count: int) -> None:
    assert gl.powers(base, count).tolist() == [pow(base, k, P) for k in range(count)]


@pytest.mark.parametrize("count", [1, 2, 7, 1000])
def test_sums_after(count: int) -> None:
    """Of the largest residues, and of random ones."""
    rng = np.random.default_rng(count)
    for values in (np.full(count, P - 1, np.uint64), rng.integers(0, P, count, dtype=np.uint64)):
        cells = values.tolist()
        assert gl.sums_after(values).tolist() == [sum(cells[i + 1 :]) % P for i in range(count)]


def test_large_products_broadcast() -> None:
    """More than a block, along every axis in turn."""
    rng = np.random.default_rng(6)
    for left, right in (((5, 4000), (1, 4000)), ((5000, 1), (3,)), ((2, 1, 9000), (2, 2, 1))):
        a, b = residues(rng, *left), residues(rng, *right)
        wide = np.broadcast_arrays(a, b)
        expected = [x * y % P for x, y in zip(*(w.ravel().tolist() for w in wide), strict=True)]
        assert gl.mul(a, b).ravel().tolist() == expected


def test_seven_times() -> None:
    values = residues(np.random.default_rng(7), 300)
    assert gl.times_seven(values).tolist() == [7 * x % P for x in values.tolist()]


@pytest.mark.parametrize(
    ("m", "n", "k"), [(1, 1, 1), (3, 5, 4), (4, 0, 2), (300, 3, 2), (2, 700, 3)]
)
def test_matrix_products(m: int, n: int, k: int) -> None:
    rng = np.random.default_rng(m + n + k)
    a, b = residues(rng, m, n), residues(rng, n, k)
    columns = b.T.tolist()
    expected = [
        [sum(x * y for x, y in zip(row, column, strict=True)) % P for column in columns]
        for row in a.tolist()
    ]
    assert gl.matmul(a, b).tolist() == expected


@pytest.mark.parametrize("value", [P - 1, 0xFFFFFFFEFFFFFFFF, 0xFFFF, 0xFFFF0000FFFF, 2**48 - 1])
@pytest.mark.parametrize("n", [(1 << 18) - 1, (1 << 18) + 3])
def test_matrix_products_of_the_largest_limbs(value: int, n: int) -> None:
    """Sums of limbs at the limit of float64, and products that are longer."""
    a, b = np.full((1, n), value, np.uint64), np.full((n, 1), 0xFFFFFFFEFFFFFFFF, np.uint64)
    assert gl.matmul(a, b).tolist() == [[value * 0xFFFFFFFEFFFFFFFF * n % P]]


def test_carries_of_the_largest_sums() -> None:
    limits = [0, 1, -1, 2**53, -(2**53), 2**16 - 1, -(2**16)]
    cells = np.array(np.meshgrid(limits, limits, limits, limits)).reshape(4, -1).T
    expected = [sum(c << (16 * i) for i, c in enumerate(row)) % P for row in cells.tolist()]
    assert gl.carry(np.ascontiguousarray(cells, dtype=np.int64)).tolist() == expected


@pytest.mark.parametrize(("rows", "degree", "points"), [(1, 1, 3), (2, 16, 1), (3, 75, 20)])
def test_values_of_polynomials(rows: int, degree: int, points: int) -> None:
    rng = np.random.default_rng(degree)
    polynomials, at = residues(rng, rows, degree), residues(rng, points)
    expected = [
        [sum(c * pow(x, i, P) for i, c in enumerate(row)) % P for x in at.tolist()]
        for row in polynomials.tolist()
    ]
    assert gl.evaluate_polynomials(polynomials, at).tolist() == expected
    table = [[pow(x, i, P) for i in range(degree)] for x in at.tolist()]
    assert gl.power_table(at, degree).tolist() == table


@pytest.mark.parametrize("log_order", [0, 1, 5, 8, 9, 16, 17, 21, 32])
def test_powers_at_reversed_indices(log_order: int) -> None:
    size = 1 << log_order
    indices = sorted({*range(min(size, 300)), size // 3, size - 1})
    root = gl.root_of_unity(log_order)
    expected = [pow(root, gl.bit_reverse(i, log_order), P) for i in indices]
    assert gl.reversed_powers(log_order, indices).tolist() == expected
