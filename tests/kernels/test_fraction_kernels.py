"""The fraction tree's kernels against fractions of Python pairs."""

from __future__ import annotations

import field_oracle as oracle
import numpy as np
import pytest
from field_oracle import WORST, P, Pair, equality, pair, pairs, random_pairs, residues

from zktrain.field.extension import Ext
from zktrain.prover.kernels.field import add_scaled, fold
from zktrain.prover.kernels.fractions import combine, round_sums, weight, weight_tables
from zktrain.prover.kernels.leaves import LeafBlock, histogram, write_leaves
from zktrain.prover.kernels.unwritten import Leaves

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
    ("count", "units"),
    [(1, 0), (2, 0), (0, 2), (1, 2), (7, 4), (8, 8), (9, 8), (10_001, 0), (1_001, 20_000)],
)
def test_combine(count: int, units: int) -> None:
    rng = np.random.default_rng(count + units)
    pe, po, qe, qo = (residues(rng, 2, count) for _ in range(4))
    leaves, keys = unwritten_leaves(rng, units)
    numerators = [[(1, 0)] * units + pairs(p) for p in (pe, po)]
    denominators = [keys[0::2] + pairs(qe), keys[1::2] + pairs(qo)]
    parents = []
    for p0, p1, q0, q1 in zip(*numerators, *denominators, strict=True):
        p = oracle.add(oracle.mul(p0, q1), oracle.mul(p1, q0))
        parents.append((*p, *oracle.mul(q0, q1)))
    if count % 2:
        parents.append((0, 0, 1, 0))  # 0 / 1
    even, odd = combine(pe, po, qe, qo, leaves)
    assert [tuple(row) for row in even.T.tolist()] == parents[0::2]
    assert [tuple(row) for row in odd.T.tolist()] == parents[1::2]


def unwritten_leaves(
    rng: np.random.Generator, pairs_wanted: int
) -> tuple[Leaves | None, list[Pair]]:
    """Leaves in three blocks, of one column of small integers, two columns, and one column of large
    ones, and their keys."""
    if not pairs_wanted:
        return None, []
    blocks, keys = [], []
    sizes = [pairs_wanted // 4 * 2, 0, pairs_wanted // 16 * 2]
    sizes[1] = pairs_wanted - sum(sizes)
    limits = [(-(1 << 15), 1 << 15), (-99, 99), (-(1 << 40), 1 << 40)]
    base = 0
    for size, width, (low, high) in zip(sizes, (1, 2, 1), limits, strict=True):
        if not size:
            continue
        columns = [
            rng.integers(low, high, size=2 * size, endpoint=True).astype(
                np.int32 if high < 1 << 20 else np.int64
            )
            for _ in range(width)
        ]
        columns[0][:4] = low, high, high, low
        constant, factor = random_pairs(rng, 1)[0], random_pairs(rng, 1)[0]
        factors = [(1, 0), factor][:width]
        blocks.append(LeafBlock(base, columns, [Ext(*f) for f in factors], Ext(*constant)))
        assert blocks[-1].single == (width == 1 and high < 1 << 20)
        base += size
        for row in zip(*(column.tolist() for column in columns), strict=True):
            key = constant
            for value, by in zip(row, factors, strict=True):
                key = oracle.sub(key, oracle.mul(by, (value % P, 0)))
            keys.append(key)
    return Leaves(blocks), keys


def one_plus(scale: Ext, table: np.ndarray) -> np.ndarray:
    """``1 + scale q`` for every element."""
    cells = [oracle.add((1, 0), oracle.mul((scale.a, scale.b), q)) for q in pairs(table)]
    return np.array(cells, dtype=np.uint64).T.reshape(2, -1).copy()


@pytest.mark.parametrize(("units", "general"), [(4, 2), (64, 0), (20_000, 64), (40_000, 1_000)])
def test_rounds_and_folds_of_unwritten_leaves(units: int, general: int) -> None:
    """The same as for leaves that are stored."""
    rng = np.random.default_rng(units)
    leaves, keys = unwritten_leaves(rng, units)
    assert leaves is not None
    scale = Ext(WORST, P - 1)
    written = [np.array(keys[k::2], dtype=np.uint64).T.copy() for k in (0, 1)]
    for ours, table in zip(leaves.written(), written, strict=True):
        assert np.array_equal(ours, table)
    stored = tuple(one_plus(scale, table) for table in written)
    parts = tuple(residues(rng, 2, general) for _ in range(4))
    none = residues(rng, 2, 0)
    rest = tuple(Ext(*r) for r in random_pairs(rng, ((units + general) // 2 - 1).bit_length()))
    lazily = round_sums((none, none), parts, scale, weight_tables(rest), 0, leaves)  # type: ignore[arg-type]
    assert lazily == round_sums(stored, parts, scale, weight_tables(rest))  # type: ignore[arg-type]
    challenge = Ext(P - 3, WORST)
    for ours, table in zip(leaves.fold([challenge], scale), stored, strict=True):
        assert np.array_equal(ours, fold(table, challenge))


@pytest.mark.parametrize("bound", [0, 1, 2, 4])
@pytest.mark.parametrize("height", [0, 1, 2])
@pytest.mark.parametrize("units", [1024, 40_960])
def test_two_rounds_in_one_pass(units: int, height: int, bound: int) -> None:
    """The same as of tables that are stored, bound and asked round by round."""
    rng = np.random.default_rng(units + height + bound)
    leaves, _ = unwritten_leaves(rng, units)
    assert leaves is not None
    scale, first = Ext(WORST, P - 1), 1 << 20
    layer, none = Leaves(leaves.blocks, 3), residues(rng, 2, 0)
    tables: tuple[np.ndarray, ...] = tuple(one_plus(scale, table) for table in leaves.written())
    for _ in range(height):
        even, odd = combine(none, none, none, none, layer)
        s = even[:2].copy()
        add_scaled(s, scale, even[2:])
        tables = (s, odd[:2], even[2:], odd[2:])
        above = layer.parents()
        assert above is not None
        layer = above  # type: ignore[assignment]
    assert layer.parents() is None or height < 2
    known = [Ext(*r) for r in random_pairs(rng, bound)]
    for challenge in known:
        tables = tuple(fold(table, challenge) for table in tables)
    rest = tuple(Ext(*r) for r in random_pairs(rng, 21))

    def sums(tables: tuple[np.ndarray, ...], rest: tuple[Ext, ...], at: int) -> tuple[Ext, Ext]:
        units = tables if not height else (none, none)
        parts = tables if height else (none,) * 4
        return round_sums(units, parts, scale, weight_tables(rest), at)  # type: ignore[arg-type]

    both = (weight_tables(rest), weight_tables(rest[1:]))
    now, after = layer.two_rounds(known, scale, both, first)
    assert now == sums(tables, rest, first // 2)
    for x in range(3):
        assert after[x] == sums(tuple(fold(t, Ext(x)) for t in tables), rest[1:], first // 4)
    if height:
        out = tuple(np.empty((2, layer.pairs >> bound), dtype=np.uint64) for _ in range(4))
        layer.fold(known, scale, out)  # type: ignore[call-arg]
    else:
        out = layer.fold(known, scale)
    assert all(np.array_equal(a, b) for a, b in zip(out, tables, strict=True))


def test_weights() -> None:
    rest = random_pairs(np.random.default_rng(1), 11)
    tables = weight_tables(tuple(Ext(*r) for r in rest))
    every = [equality(rest, i) for i in range(1 << 11)]
    for lo, hi in ((0, 0), (0, 1 << 11), (3, 5), (1000, 1030), (1024, 2048), (1, 2047)):
        assert pair(weight(lo, hi, tables)) == oracle.total(every[lo:hi])


@pytest.mark.parametrize(
    ("values", "fit"),
    [([0, (1 << 16) - 1], True), ([-(1 << 15), (1 << 15) - 1], True), ([0, (1 << 16) + 1], False),
     ([1 << 17, 1 << 17], False), ([-(1 << 17), -(1 << 17)], False),
     ([(1 << 17) - 1, 1 << 16], True)],
)  # fmt: skip
def test_which_columns_are_small(values: list[int], fit: bool) -> None:
    column = np.array(values, dtype=np.int64)
    assert LeafBlock(0, [column], [Ext(1)], Ext(5)).single == fit


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
    tables = tuple(one_plus(Ext(*scale), table) for table in ones)
    weights = weight_tables(tuple(Ext(*r) for r in rest))
    found = round_sums(tables, parts, Ext(*scale), weights)  # type: ignore[arg-type]
    u, v = (pairs(table) for table in ones)
    s, p1, q0, q1 = (pairs(table) for table in parts)
    at = []
    for x in (0, 1, 2):
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
        at.append(oracle.total(terms))
    at0, lead = map(pair, found)
    assert at0 == at[0]
    twice = oracle.add(oracle.sub(at[2], oracle.add(at[1], at[1])), at[0])
    assert oracle.add(lead, lead) == twice  # the second difference


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
