"""Vector kernels against Python integers, with sums as large as they can get."""

from __future__ import annotations

import field_oracle as oracle
import numpy as np
import pytest
from field_oracle import WORST, P, equality, extension, pair, pairs, random_pairs, residues

from zktrain.field.extension import Ext, scalar
from zktrain.prover.kernels import field as kf

KINDS = [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64]
LARGEST = [P - 1, WORST]


def integers(rng: np.random.Generator, kind: type[np.integer], *shape: int) -> np.ndarray:
    """Random cells of one type, a third of them its limits."""
    limits = np.iinfo(kind)
    cells = rng.integers(limits.min, limits.max, size=shape, dtype=kind, endpoint=True)
    ends = rng.choice(np.array([limits.min, limits.max], dtype=kind), size=shape)
    return np.where(rng.random(shape) < 0.33, ends, cells).astype(kind)


def contracted(tensor: np.ndarray, vector: np.ndarray, axis: int) -> list[oracle.Pair]:
    """``sum`` over one axis of a matrix times both coordinates, in Python integers."""
    cells = tensor.astype(object)
    lines = cells if axis == 1 else cells.T
    first, second = vector[0].astype(object), vector[1].astype(object)
    return [(int((line * first).sum()) % P, int((line * second).sum()) % P) for line in lines]


@pytest.mark.parametrize("kind", [*KINDS, np.bool_])
def test_to_field(kind: type[np.generic]) -> None:
    values = (
        np.array([False, True])
        if kind is np.bool_
        else integers(np.random.default_rng(1), kind, 300, 70)  # type: ignore[arg-type]
    )
    assert kf.to_field(values).tolist() == [int(v) % P for v in values.reshape(-1).tolist()]


def test_to_field_leaves_residues_alone_and_fills_a_given_array() -> None:
    cells = residues(np.random.default_rng(2), 4, 5)
    assert kf.to_field(cells).tolist() == cells.reshape(-1).tolist()
    out = np.empty(3, dtype=np.uint64)
    assert kf.to_field(np.array([-1, 0, 1], dtype=np.int16), out) is out
    assert out.tolist() == [P - 1, 0, 1]


@pytest.mark.parametrize("n", [0, 1, 2, 3, 7, 11])
def test_eq_table(n: int) -> None:
    rng = np.random.default_rng(n)
    coordinates = random_pairs(rng, n)
    point = tuple(Ext(*x) for x in coordinates)
    expected = [equality(coordinates, i) for i in range(1 << n)]
    assert pairs(kf.eq_table(point)) == expected
    factor = (P - 1, WORST)
    assert pairs(kf.eq_table(point, Ext(*factor))) == [oracle.mul(factor, e) for e in expected]


@pytest.mark.parametrize("n", [0, 1, 5, 11, 12, 13, 16])
def test_add_eq_table(n: int) -> None:
    rng = np.random.default_rng(n)
    point = tuple(Ext(*x) for x in random_pairs(rng, n))
    factor = Ext(P - 1, WORST)
    target = residues(rng, 2, 1 << n)
    expected = target.copy()
    kf.add_scaled(expected, Ext(1), kf.eq_table(point, factor))
    kf.add_eq_table(target, point, factor)
    assert np.array_equal(target, expected)


def test_eq_table_over_all_threads() -> None:
    rng = np.random.default_rng(9)
    coordinates = random_pairs(rng, 17)
    table = kf.eq_table(tuple(Ext(*x) for x in coordinates))
    for index in [0, 1, (1 << 17) - 1, 1 << 16, *rng.integers(0, 1 << 17, size=300).tolist()]:
        assert pair(scalar(table, int(index))) == equality(coordinates, int(index))
    assert kf.total(table) == 1


@pytest.mark.parametrize("size", [2, 4, 6, 1 << 10, 20_002])
def test_fold(size: int) -> None:
    rng = np.random.default_rng(size)
    table = residues(rng, 2, size)
    for challenge in [(0, 0), (1, 0), (P - 1, P - 1), (WORST, WORST), *random_pairs(rng, 1)]:
        cells = pairs(table)
        expected = [
            oracle.add(cells[i], oracle.mul(challenge, oracle.sub(cells[i + 1], cells[i])))
            for i in range(0, size, 2)
        ]
        assert pairs(kf.fold(table, Ext(*challenge))) == expected


@pytest.mark.parametrize("size", [1, 5, 10_001])
def test_products_and_multiples(size: int) -> None:
    rng = np.random.default_rng(size)
    a, b = residues(rng, 2, size), residues(rng, 2, size)
    expected = [oracle.mul(x, y) for x, y in zip(pairs(a), pairs(b), strict=True)]
    assert pairs(kf.product(a, b)) == expected
    factor = (WORST, P - 1)
    target = a.copy()
    kf.add_scaled(target, Ext(*factor), b)
    assert pairs(target) == [
        oracle.add(x, oracle.mul(factor, y)) for x, y in zip(pairs(a), pairs(b), strict=True)
    ]


def test_products_of_all_edge_values() -> None:
    grid = [(a, b) for a in oracle.EDGES for b in oracle.EDGES]
    left, right = oracle.array(grid), oracle.array(grid[11:] + grid[:11])
    expected = [oracle.mul(x, y) for x, y in zip(pairs(left), pairs(right), strict=True)]
    assert pairs(kf.product(left, right)) == expected


@pytest.mark.parametrize("size", [1, 2, 999, 100_003])
def test_total(size: int) -> None:
    cells = residues(np.random.default_rng(size), 2, size)
    assert pair(kf.total(cells)) == oracle.total(pairs(cells))
    for value in LARGEST:
        assert kf.total(np.full((2, size), value, dtype=np.uint64)) == Ext(
            value * size, value * size
        )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("rows", "n"), [(1, 1), (3, 5), (1, 64), (64, 1), (40, 1100), (700, 30)])
def test_contractions(kind: type[np.integer], rows: int, n: int) -> None:
    rng = np.random.default_rng(rows * n)
    tensor = integers(rng, kind, rows, n)
    vector = residues(rng, 2, n)
    assert pairs(kf.contract_last(tensor, vector)) == contracted(tensor, vector, 1)
    vector = residues(rng, 2, rows)
    assert pairs(kf.contract_first(tensor, vector)) == contracted(tensor, vector, 0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("end", ["min", "max"])
@pytest.mark.parametrize("value", LARGEST)
def test_contractions_of_the_largest_sums(kind: type[np.integer], end: str, value: int) -> None:
    """Longer than any run of 16-bit products that an int64 can hold."""
    cell = int(getattr(np.iinfo(kind), end))
    long = (1 << 16) + 3
    expected = [(cell * value * long % P,) * 2] * 2
    vector = np.full((2, long), value, dtype=np.uint64)
    assert pairs(kf.contract_last(np.full((2, long), cell, dtype=kind), vector)) == expected
    assert pairs(kf.contract_first(np.full((long, 2), cell, dtype=kind), vector)) == expected


@pytest.mark.parametrize(("kind", "cell"), [(np.int8, -128), (np.uint8, 255)])
def test_contractions_of_bytes_beyond_any_chunk(kind: type[np.integer], cell: int) -> None:
    long = (1 << 22) + 5
    expected = [(cell * WORST * long % P,) * 2]
    vector = np.full((2, long), WORST, dtype=np.uint64)
    assert pairs(kf.contract_last(np.full((1, long), cell, dtype=kind), vector)) == expected
    assert pairs(kf.contract_first(np.full((long, 1), cell, dtype=kind), vector)) == expected


def test_contractions_of_a_slice() -> None:
    """Rows that are not adjacent in memory."""
    rng = np.random.default_rng(3)
    whole = integers(rng, np.int16, 20, 30)
    part = whole[3:13, 5:25]
    vector = residues(rng, 2, 20)
    assert pairs(kf.contract_last(part, vector)) == contracted(part, vector, 1)
    vector = residues(rng, 2, 10)
    assert pairs(kf.contract_first(part, vector)) == contracted(part, vector, 0)


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int32, np.int64])
@pytest.mark.parametrize("n", [0, 1, 2, 5, 10, 13])
def test_evaluate(kind: type[np.integer], n: int) -> None:
    rng = np.random.default_rng(n)
    tensor = integers(rng, kind, 1 << n)
    coordinates = random_pairs(rng, n)
    ours = kf.evaluate(tensor, tuple(Ext(*x) for x in coordinates))
    assert pair(ours) == extension(tensor.tolist(), coordinates)
