"""The fraction tree's kernels against fractions of Python pairs."""

from __future__ import annotations

import field_oracle as oracle
import numpy as np
import pytest
from field_oracle import WORST, P, Pair, equality, pair, pairs, random_pairs, residues

from zktrain.field.extension import Ext
from zktrain.kernels.fractions import combine, histogram, round_sums, write_leaves

KINDS = [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.int64]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width", [1, 2, 4])
@pytest.mark.parametrize(("cells", "base"), [(2, 0), (6, 3), (10_000, 1)])
def test_write_leaves(kind: type[np.integer], width: int, cells: int, base: int) -> None:
    rng = np.random.default_rng(cells + width)
    limits = np.iinfo(kind)
    columns = [
        rng.integers(limits.min, limits.max, size=cells, dtype=kind, endpoint=True)
        for _ in range(width)
    ]
    columns[0][:2] = limits.min, limits.max
    constant, coefficients = (P - 1, WORST), [(1, 0), (WORST, P - 1), *random_pairs(rng, 3)]
    even, odd = residues(rng, 2, cells // 2 + base + 2), residues(rng, 2, cells // 2 + base + 2)
    before = (pairs(even), pairs(odd))
    write_leaves(columns, [Ext(*c) for c in coefficients], Ext(*constant), even, odd, base)
    keys = []
    for row in zip(*(column.tolist() for column in columns), strict=True):
        key = constant
        for c, v in zip(coefficients, row, strict=False):
            key = oracle.sub(key, oracle.mul(c, (v % P, 0)))
        keys.append(key)
    stop = base + cells // 2
    assert pairs(even)[base:stop] == keys[0::2] and pairs(odd)[base:stop] == keys[1::2]
    for ours, old in zip((even, odd), before, strict=True):
        assert pairs(ours)[:base] == old[:base] and pairs(ours)[stop:] == old[stop:]


@pytest.mark.parametrize(
    ("count", "ones"),
    [(1, 0), (2, 0), (2, 2), (3, 0), (3, 2), (7, 4), (8, 8), (9, 8), (10_001, 0), (10_001, 9000)],
)
def test_combine(count: int, ones: int) -> None:
    rng = np.random.default_rng(count + ones)
    pe, po = residues(rng, 2, count - ones), residues(rng, 2, count - ones)
    qe, qo = residues(rng, 2, count), residues(rng, 2, count)
    numerators = [[(1, 0)] * ones + pairs(p) for p in (pe, po)]
    parents = []
    for p0, p1, q0, q1 in zip(*numerators, pairs(qe), pairs(qo), strict=True):
        p = oracle.add(oracle.mul(p0, q1), oracle.mul(p1, q0))
        parents.append((*p, *oracle.mul(q0, q1)))
    if count % 2:
        parents.append((0, 0, 1, 0))  # 0 / 1
    even, odd = combine(pe, po, qe, qo, ones)
    assert [tuple(row) for row in even.T.tolist()] == parents[0::2]
    assert [tuple(row) for row in odd.T.tolist()] == parents[1::2]


def line(cells: list[Pair], i: int, x: int) -> Pair:
    """Value at ``x`` of the line through two neighbouring cells."""
    slope = oracle.sub(cells[2 * i + 1], cells[2 * i])
    return oracle.add(cells[2 * i], oracle.mul((x, 0), slope))


@pytest.mark.parametrize(
    ("units", "general", "variables"),
    [(0, 2, 0), (2, 0, 0), (0, 4, 1), (2, 2, 1), (4, 10, 3), (2, 6, 5), (2048, 1024, 11),
     (3000, 1096, 11), (0, 9000, 13), (9000, 2, 13), (4098, 4094, 12)],
)  # fmt: skip
def test_round_sums(units: int, general: int, variables: int) -> None:
    rng = np.random.default_rng(units + general)
    ones = tuple(residues(rng, 2, units) for _ in range(2))
    parts = tuple(residues(rng, 2, general) for _ in range(4))
    scale, rest = (WORST, P - 1), random_pairs(rng, variables)
    found = round_sums(ones, parts, Ext(*scale), tuple(Ext(*r) for r in rest))  # type: ignore[arg-type]
    u, v = (pairs(table) for table in ones)
    s, p1, q0, q1 = (pairs(table) for table in parts)
    for x, ours in zip((0, 2), found, strict=True):
        terms = []
        for i in range(units // 2):
            a, b = line(u, i, x), line(v, i, x)
            g = oracle.add(oracle.add(a, b), oracle.mul(scale, oracle.mul(a, b)))
            terms.append(oracle.mul(equality(rest, i), g))
        for i in range(general // 2):
            g = oracle.add(
                oracle.mul(line(q1, i, x), line(s, i, x)),
                oracle.mul(line(q0, i, x), line(p1, i, x)),
            )
            terms.append(oracle.mul(equality(rest, units // 2 + i), g))
        assert pair(ours) == oracle.total(terms)


@pytest.mark.parametrize("kind", KINDS)
def test_histogram(kind: type[np.integer]) -> None:
    values = np.random.default_rng(1).integers(0, 100, size=1000).astype(kind)
    if np.iinfo(kind).min < 0:
        values -= 50
    offset = 60
    counts = np.zeros(200, dtype=np.int64)
    counts[3] = 7
    histogram(values, offset, counts)
    expected = [int((values.astype(int) == i - offset).sum()) for i in range(200)]
    expected[3] += 7
    assert counts.tolist() == expected


@pytest.mark.parametrize(("value", "offset"), [(-1, 0), (8, 0), (5, 3), (-4, 3)])
def test_histogram_refuses_values_outside(value: int, offset: int) -> None:
    counts = np.zeros(8, dtype=np.int64)
    with pytest.raises(ValueError, match="outside its table"):
        histogram(np.array([0, value], dtype=np.int16), offset, counts)
    assert not counts.any()
