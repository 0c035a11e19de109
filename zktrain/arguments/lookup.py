"""logUp-GKR: every row of some columns is a row of its table.

With random ``alpha, beta``, row ``v`` of table number ``id`` has the key ``alpha - sum_j beta^j
v_j - beta^4 id``. All lookups hold iff ``sum 1/key(lookup) = sum m(row)/key(row)`` with
committed multiplicities ``m`` (fewer than p lookups); the sum is proved by a tree of fractions. It
ends in one claim per column, at the low coordinates of one random point. Error: ``N (W + 2) / |E|``
for the keys, besides the tree's. [Hab22, PH23]
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import LookupMismatch
from ..field import extension as ext
from ..field import multilinear as ml
from ..field.extension import ONE, ZERO, Ext, Point
from ..field.forms import Scalar, combine
from ..profile import mark
from ..tables.tables import MAX_COLUMNS, TABLES
from ..transcript.channel import ProverChannel, VerifierChannel
from . import fraction_tree


@dataclass(frozen=True, slots=True)
class Entry:
    """One lookup: ``columns`` of ``2^log_size`` cells each, the first one plus ``offset``, in
    ``table``.

    ``indicator`` evaluates the public last column of tables that have one.
    """

    table: str
    columns: tuple[str, ...]
    log_size: int
    offset: int = 0
    indicator: Callable[[Point], Ext] | None = None


@dataclass(frozen=True, slots=True)
class Values:
    """The prover's side of an entry: flat integer columns, the indicator's included."""

    columns: tuple[NDArray[Any], ...]


ColumnClaim = tuple[str, Point, Scalar]

COUNTED = 1 << 18
"""Lookups that are counted at once: their rows stay in cache."""
UNWRITTEN_PAIRS = 1 << 16
"""From this many on, leaves of lookups and their parents are computed piece by piece and never all
at once."""


@dataclass(frozen=True, slots=True)
class _Leaf:
    """Place of an entry (``index >= 0``) or of table number ``-1 - index`` among the leaves."""

    index: int
    log_size: int
    offset: int


def _layout(entries: Sequence[Entry], tables: Sequence[str]) -> tuple[list[_Leaf], int]:
    sizes = [(i, e.log_size) for i, e in enumerate(entries)]
    sizes += [(-1 - i, TABLES[name].log_size) for i, name in enumerate(tables)]
    sizes.sort(key=lambda item: -item[1])
    leaves, offset = [], 0
    for index, log_size in sizes:
        leaves.append(_Leaf(index, log_size, offset))
        offset += 1 << log_size
    return leaves, offset


def tables_of(entries: Sequence[Entry]) -> list[str]:
    """Tables in use, in the order of their numbers."""
    used = {entry.table for entry in entries}
    return sorted(used, key=lambda name: TABLES[name].number)


def leaf_count(entries: Sequence[Entry]) -> int:
    """Lookups and table rows together."""
    return _layout(entries, tables_of(entries))[1]


def proof_bytes(entries: Sequence[Entry]) -> int:
    """Size of the argument: the root, every layer's rounds and children, the columns."""
    depth = ml.log2_ceil(leaf_count(entries))
    columns = len(_columns(entries, tables_of(entries), ()))
    return 16 * (4 + sum(3 * k + 4 for k in range(1, depth)) + columns)


def multiplicity(table: str) -> str:
    """Name of the committed column that counts a table's lookups."""
    return f"multiplicity.{table}"


def count_lookups(
    entries: Sequence[Entry], values: Sequence[Values]
) -> dict[str, NDArray[np.int64]]:
    """Multiplicities by committed name; raises ValueError if a value is outside its table."""
    from ..prover.kernels.threads import run

    mark("lookup counts")
    counts = {
        name: np.zeros(1 << TABLES[name].log_size, dtype=np.int64) for name in tables_of(entries)
    }
    for entry, value in zip(entries, values, strict=True):
        parts = run(
            value.columns[0].shape[0],
            lambda lo, hi: _count(entry, value, lo, hi),  # noqa: B023
            grain=COUNTED,
        )
        for part in parts:
            counts[entry.table] += part
    mark(None)
    return {multiplicity(name): column for name, column in counts.items()}


def _count(entry: Entry, value: Values, lo: int, hi: int) -> NDArray[np.int64]:
    """Multiplicities of the cells ``lo..hi`` of one entry."""
    from ..prover.kernels.leaves import histogram

    counts = np.zeros(1 << TABLES[entry.table].log_size, dtype=np.int64)
    for first in range(lo, hi, COUNTED):
        here = [column[first : min(hi, first + COUNTED)] for column in value.columns]
        rows, shift = TABLES[entry.table].row(here)
        histogram(rows, shift + entry.offset, counts)
    return counts


def _leaf_layer(
    entries: Sequence[Entry],
    values: Sequence[Values],
    tables: Sequence[str],
    counts: dict[str, NDArray[np.int64]],
    alpha: Ext,
    beta_powers: list[Ext],
) -> fraction_tree.Layer:
    from ..prover.kernels import field as kf
    from ..prover.kernels.leaves import LeafBlock, write_leaves
    from ..prover.kernels.unwritten import LOG_SIZE_MIN, Leaves

    layout, total = _layout(entries, tables)
    unwritten = 0  # pairs of lookups before the first table
    for leaf in layout:
        if leaf.index < 0 or leaf.log_size < LOG_SIZE_MIN:
            break
        unwritten = (leaf.offset + (1 << leaf.log_size)) // 2
    if unwritten < UNWRITTEN_PAIRS:
        unwritten = 0
    stored = (total + 1) // 2 - unwritten
    p0, p1, q0, q1 = (np.zeros((2, stored), dtype=np.uint64) for _ in range(4))
    if total % 2:
        q1[0, -1] = 1  # neutral fraction 0/1
    blocks = []
    for leaf in layout:
        if leaf.index >= 0:
            entry = entries[leaf.index]
            name, offset = entry.table, entry.offset
            columns = list(values[leaf.index].columns)
        else:
            name, offset = tables[-1 - leaf.index], 0
            columns = TABLES[name].columns()
        constant = alpha - beta_powers[MAX_COLUMNS] * TABLES[name].number - offset
        if len(columns) > 1 and columns[-1].strides == (0,):  # one value everywhere
            constant = constant - beta_powers[len(columns) - 1] * int(columns[-1][0])
            columns.pop()
        coefficients = beta_powers[: len(columns)]
        if leaf.offset // 2 < unwritten:
            blocks.append(LeafBlock(leaf.offset // 2, columns, coefficients, constant))
            continue
        first = leaf.offset // 2 - unwritten
        if leaf.log_size == 0:
            key = constant - ext.inner(coefficients, [Ext(int(column[0])) for column in columns])
            (q1 if leaf.offset % 2 else q0)[:, first] = (key.a, key.b)
            (p1 if leaf.offset % 2 else p0)[0, first] = 1
            continue
        write_leaves(columns, coefficients, constant, q0, q1, first)
        stop = first + (1 << leaf.log_size) // 2
        if leaf.index < 0:
            negative = kf.to_field(-counts[multiplicity(name)])
            p0[0, first:stop], p1[0, first:stop] = negative[0::2], negative[1::2]
        else:
            p0[0, first:stop] = 1
            p1[0, first:stop] = 1
    return fraction_tree.Layer(p0, p1, q0, q1, Leaves(blocks) if blocks else None)


def prove(
    channel: ProverChannel,
    label: str,
    entries: Sequence[Entry],
    values: Sequence[Values],
    counts: dict[str, NDArray[np.int64]],
) -> list[ColumnClaim]:
    """All columns and ``counts`` are committed; returns the claims they have to meet."""
    tables = tables_of(entries)
    alpha, beta = channel.challenger.elements(f"{label}/keys", 2)  # V -> P
    beta_powers = ext.powers(beta, MAX_COLUMNS + 1)
    mark("leaves")
    leaves = _leaf_layer(entries, values, tables, counts, alpha, beta_powers)
    point = fraction_tree.prove(channel, label, leaves)
    del leaves

    mark("column values")
    claims = _columns(entries, tables, point)
    by_name = {
        name: column
        for entry, value in zip(entries, values, strict=True)
        for name, column in zip(entry.columns, value.columns, strict=False)
    }
    by_name.update(counts)
    evaluated = [_evaluate(by_name[name], at) for name, at in claims]
    channel.send(f"{label}/columns", evaluated)  # P -> V
    mark(None)
    return [(name, at, value) for (name, at), value in zip(claims, evaluated, strict=True)]


def _evaluate(column: NDArray[Any], point: Point) -> Ext:
    from ..prover.kernels import field as kf

    return kf.evaluate(column, point)


def _columns(
    entries: Sequence[Entry], tables: Sequence[str], point: Point
) -> list[tuple[str, Point]]:
    """Committed or virtual columns that the leaves need, each once, with their points."""
    needed: dict[tuple[str, int], None] = {}
    for entry in entries:
        for name in entry.columns:
            needed[(name, entry.log_size)] = None
    for name in tables:
        needed[(multiplicity(name), TABLES[name].log_size)] = None
    return [(name, point[:log_size]) for name, log_size in needed]


def verify(channel: VerifierChannel, label: str, entries: Sequence[Entry]) -> list[ColumnClaim]:
    """Returns the claims on columns and multiplicities that remain to be checked."""
    tables = tables_of(entries)
    _, total = _layout(entries, tables)
    alpha, beta = channel.challenger.elements(f"{label}/keys", 2)  # V -> P
    beta_powers = ext.powers(beta, MAX_COLUMNS + 1)
    claim = fraction_tree.verify(channel, label, ml.log2_ceil(total))
    point = claim.point

    claims = _columns(entries, tables, point)
    evaluated = channel.receive(f"{label}/columns", len(claims))  # P -> V
    value = {(name, len(at)): v for (name, at), v in zip(claims, evaluated, strict=True)}
    channel.check(
        lambda: _leaf_differences(entries, tables, value, alpha, beta_powers, claim),
        LookupMismatch("the claimed columns do not give the leaves of the tree", stage=label),
    )
    return [(name, at, v) for (name, at), v in zip(claims, evaluated, strict=True)]


def _leaf_differences(
    entries: Sequence[Entry],
    tables: Sequence[str],
    value: dict[tuple[str, int], Scalar],
    alpha: Ext,
    beta_powers: list[Ext],
    claim: fraction_tree.LeafClaim,
) -> tuple[Scalar, Scalar]:
    """Numerator and denominator of the leaf layer, from the columns' values, minus the claimed
    ones."""
    point = claim.point
    leaves, _ = _layout(entries, tables)
    numerator: Scalar = ZERO
    denominator: Scalar = ZERO
    covered = ZERO
    columns: list[Scalar]
    weight: Scalar
    for leaf in leaves:
        low, high = point[: leaf.log_size], point[leaf.log_size :]
        here = ml.eq_index(high, leaf.offset >> leaf.log_size)
        if leaf.index >= 0:
            entry = entries[leaf.index]
            name, offset = entry.table, entry.offset
            columns = [value[(column, leaf.log_size)] for column in entry.columns]
            if entry.indicator is not None:
                columns.append(entry.indicator(low))
            weight = ONE
        else:
            name, offset = tables[-1 - leaf.index], 0
            columns = list(TABLES[name].evaluate(low))
            weight = -value[(multiplicity(name), leaf.log_size)]
        key = alpha - beta_powers[MAX_COLUMNS] * TABLES[name].number - offset
        numerator = numerator + here * weight
        denominator = denominator + here * (key - combine(beta_powers[: len(columns)], columns))
        covered = covered + here
    denominator = denominator + (ONE - covered)
    return numerator - claim.numerator, denominator - claim.denominator
