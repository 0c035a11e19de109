"""The prover of lookups: multiplicities, the leaves of the tree, and the columns' values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...arguments.lookup import ColumnClaim, Entry, columns_of, layout_of, multiplicity, tables_of
from ...field import extension as ext
from ...field.extension import Ext, Point
from ...profile import mark
from ...tables import MAX_COLUMNS, TABLES
from ..kernels import field as kf
from ..kernels.leaves import LeafBlock, histogram, write_leaves
from ..kernels.threads import run
from ..kernels.unwritten import LOG_SIZE_MIN, Leaves
from ..transcript.channel import ProverChannel
from . import fraction_tree


@dataclass(frozen=True, slots=True)
class Values:
    """The prover's side of an entry: flat integer columns, the indicator's included."""

    columns: tuple[NDArray[Any], ...]


COUNTED = 1 << 18
"""Lookups that are counted at once: their rows stay in cache."""


UNWRITTEN_PAIRS = 1 << 16
"""From this many on, leaves of lookups and their parents are computed piece by piece and never all
at once."""


def count_lookups(
    entries: Sequence[Entry], values: Sequence[Values]
) -> dict[str, NDArray[np.int64]]:
    """Multiplicities by committed name; raises ValueError if a value is outside its table."""
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
    layout, total = layout_of(entries, tables)
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
    claims = columns_of(entries, tables, point)
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
    return kf.evaluate(column, point)
