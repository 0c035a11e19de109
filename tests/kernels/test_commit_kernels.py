"""Laying cells out in lanes, and powers of query points, against Python loops."""

from __future__ import annotations

import field_oracle as oracle
import numpy as np
import pytest
from field_oracle import WORST, P, pairs, random_pairs, residues

from zktrain.field.extension import Ext
from zktrain.prover.commitment.ligerito import code_point
from zktrain.prover.kernels import commit
from zktrain.prover.kernels.commit import Placed, add_powers, add_rows, fill, fill_pairs


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.int64])
@pytest.mark.parametrize(
    ("count", "lane_size", "column", "start"),
    [(8, 8, 0, 0), (8, 32, 1, 16), (64, 16, 2, 0), (5, 8, 1, 3), (40, 16, 0, 0), (1, 4, 3, 1),
     (40_000, 8192, 1, 0)],
)  # fmt: skip
def test_fill(kind: type[np.integer], count: int, lane_size: int, column: int, start: int) -> None:
    rng = np.random.default_rng(count)
    limits = np.iinfo(kind)
    values = rng.integers(limits.min, limits.max, size=count, dtype=kind, endpoint=True)
    lanes = -(-count // lane_size)
    matrix = residues(rng, lane_size + start + 2, column + lanes + 2)
    expected = matrix.tolist()
    expected[:lane_size] = [[0] * matrix.shape[1] for _ in range(lane_size)]
    for at, value in enumerate(values.tolist()):
        lane, position = divmod(at, lane_size)
        expected[start + position][column + lane] = value % P
    fill([Placed(values, column, start)], lane_size, matrix)
    assert matrix.tolist() == expected


@pytest.mark.parametrize(("rows", "lanes"), [(1, 1), (4, 1), (3, 8), (5000, 2)])
def test_fill_pairs(rows: int, lanes: int) -> None:
    rng = np.random.default_rng(rows)
    values = residues(rng, 2, rows * lanes)
    matrix = residues(rng, rows + 3, 2 * (lanes + 2))
    rest, around = matrix[rows:].tolist(), matrix[:rows, [0, 1, -2, -1]].tolist()
    fill_pairs(values, rows, 1, matrix)
    cells = pairs(values)
    for row in range(rows):
        here = cells[row * lanes : (row + 1) * lanes]
        assert matrix[row, 2:-2].tolist() == [c for cell in here for c in cell]
    assert matrix[rows:].tolist() == rest
    assert matrix[:rows, [0, 1, -2, -1]].tolist() == around


@pytest.mark.parametrize("size", [1, 7, 700, 4096, 9000])
def test_some_positions(size: int) -> None:
    """Are what the whole matrix has there; beyond its rows nothing is written."""
    rng = np.random.default_rng(size)
    values = rng.integers(-99, 99, size=20_000)
    placed = [Placed(values, 0, 0), Placed(values[:100], 3, 8000)]
    cells = residues(rng, 2, 2 * 8192)
    whole, pairs_too = np.zeros((8192, 6), dtype=np.uint64), np.zeros((8192, 4), dtype=np.uint64)
    fill(placed, 8192, whole)
    fill_pairs(cells, 8192, 0, pairs_too)
    for row in (0, size, 8191 // size * size, 8192 + size):
        some, others = np.full((size, 6), 5, dtype=np.uint64), np.full((size, 4), 5, np.uint64)
        fill(placed, 8192, some, row)
        fill_pairs(cells, 8192, 0, others, row)
        for found, expected in ((some, whole), (others, pairs_too)):
            there = expected[row : row + size]
            assert np.array_equal(found[: len(there)], there) and (found[len(there) :] == 5).all()


@pytest.mark.parametrize("rows", [0, 1, 9000])
def test_add_rows(rows: int) -> None:
    rng = np.random.default_rng(rows)
    cells, out = residues(rng, rows, 3), residues(rng, rows, 3)
    expected, power = out.tolist(), WORST
    for there, own in zip(expected, cells.tolist(), strict=True):
        there[:] = [(x + power * y) % P for x, y in zip(there, own, strict=True)]
        power = power * (P - 2) % P
    add_rows(cells, WORST, P - 2, out)
    assert out.tolist() == expected


@pytest.mark.parametrize("at_once", [commit.POWER_BYTES, 1])
@pytest.mark.parametrize(
    ("log_size", "code_log"),
    [(0, 0), (0, 3), (1, 2), (6, 8), (9, 9), (9, 10), (10, 11), (12, 14), (13, 13)],
)
@pytest.mark.parametrize("queries", [1, 7])
def test_add_powers(
    log_size: int, code_log: int, queries: int, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit, "POWER_BYTES", at_once)
    rng = np.random.default_rng(code_log + queries)
    target = residues(rng, 2, 1 << log_size)
    indices = [int(i) for i in rng.integers(0, 1 << code_log, size=queries)]  # some twice
    indices[-1] = (1 << code_log) - 1
    factors = [(WORST, P - 1), *random_pairs(rng, queries - 1)]
    expected = pairs(target)
    for index, factor in zip(indices, factors, strict=True):
        x, power = code_point(index, code_log), 1
        for i in range(1 << log_size):
            expected[i] = oracle.add(expected[i], oracle.mul(factor, (power, 0)))
            power = power * x % P
    add_powers(target, indices, code_log, [Ext(*f) for f in factors])
    assert pairs(target) == expected


def test_add_powers_of_one_and_of_many_points() -> None:
    target = np.zeros((2, 2048), dtype=np.uint64)
    add_powers(target, [0] * 300, 12, [Ext(P - 1, WORST)] * 300)
    assert pairs(target) == [((P - 1) * 300 % P, WORST * 300 % P)] * 2048
