"""The prover of lookups: multiplicities, the leaves of the tree, and the columns' values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...arguments.lookup import (
    ColumnClaim,
    Entry,
    Leaf,
    columns_of,
    layout_of,
    multiplicity,
    tables_of,
)
from ...field import extension as ext
from ...field.extension import Ext, ExtVec, Point
from ...field.multilinear import log2_ceil
from ...profile import mark
from ...scratch import pause
from ...tables import MAX_COLUMNS, TABLES
from ..kernels import field as kf
from ..kernels.leaves import LeafBlock, histogram, write_leaves
from ..kernels.threads import run
from ..kernels.unwritten import Leaves
from ..transcript.channel import ProverChannel
from . import fraction_tree


@dataclass(frozen=True, slots=True)
class Values:
    """The prover's side of an entry: flat integer columns, the indicator's included. They may be
    memory maps, which are read in ranges, and may end behind the live cells."""

    columns: tuple[NDArray[Any], ...]


LEAST = 1 << 24
"""With less memory nothing more is gained: what does not fill blocks is stored."""


def held(entries: Sequence[Entry], memory: int | None = None) -> int:
    """Bytes that :func:`prove` takes besides columns and multiplicities."""
    tables = tables_of(entries)
    live = sum(entry.cells for entry in entries)
    layers, _ = fraction_tree.unwritten_layers(live, memory)
    cut = _cut(entries, tables, memory)
    unwritten = sum(stretch.unwritten for stretch in cut)
    written = sum(stretch.stop - stretch.start for stretch in cut) - unwritten
    bound = 0
    for layer in range(layers):  # that of leaves has two tables, not four
        pairs = unwritten >> layer + 1
        kept = fraction_tree.BOUND_BYTES // (1 if layer else 2)
        bound = max(bound, kept * (pairs >> fraction_tree.rounds_unwritten(pairs, memory)))
    stored = fraction_tree.STORED_BYTES * (unwritten >> layers + 1)
    return fraction_tree.STORED_BYTES * written // 2 + max(stored, bound)


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
            entry.cells,
            lambda lo, hi: _count(entry, value, lo, hi),  # noqa: B023
            grain=COUNTED,
            pauses=False,
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
        pause()
    return counts


def _live(entry: Entry, value: Values) -> Iterator[NDArray[Any]]:
    """The cells of its columns that are looked up; ValueError unless all others are 0."""
    for column in value.columns:
        for first in range(entry.cells, column.shape[0], COUNTED):
            if column[first : first + COUNTED].any():
                raise ValueError(f"a cell of {entry.columns} that is not looked up is not 0")
        yield np.asarray(column[: entry.cells])


@dataclass(slots=True)
class _Stretch:
    """Neighbouring live leaves from number ``start`` on: the first ones, ``unwritten``, computed
    piece by piece. Behind a block of ``2^block_log`` leaves, some of which are not live."""

    start: int
    block_log: int
    stop: int = 0
    unwritten: int = 0
    leaves: list[Leaf] = field(default_factory=list)


def _stretches(layout: Sequence[Leaf], entries: Sequence[Entry], align: int) -> Iterator[_Stretch]:
    """Unwritten leaves are in blocks of a multiple of ``2^align``."""
    now = _Stretch(0, 64)
    for leaf in layout:
        live = entries[leaf.index].cells if leaf.index >= 0 else 1 << leaf.log_size
        if leaf.offset != now.stop:
            yield now
            now = _Stretch(leaf.offset, now.leaves[-1].log_size, leaf.offset)
        smallest = align if not now.start else align + fraction_tree.NEAR
        if leaf.index >= 0 and leaf.log_size >= smallest and now.unwritten == now.stop - now.start:
            now.unwritten += live >> align << align
        now.stop = leaf.offset + live
        now.leaves.append(leaf)
    yield now


def _cut(entries: Sequence[Entry], tables: Sequence[str], memory: int | None) -> list[_Stretch]:
    """All leaves; few of them are all stored."""
    layout, _ = layout_of(entries, tables)
    live = sum(entry.cells for entry in entries)
    stretches = list(_stretches(layout, entries, fraction_tree.unwritten_layers(live, memory)[1]))
    if memory is None and sum(s.unwritten for s in stretches) < 2 * UNWRITTEN_PAIRS:
        for stretch in stretches:
            stretch.unwritten = 0
    return stretches


def _leaf_layer(
    entries: Sequence[Entry],
    values: Sequence[Values],
    tables: Sequence[str],
    counts: dict[str, NDArray[np.int64]],
    alpha: Ext,
    beta_powers: list[Ext],
    memory: int | None,
) -> list[fraction_tree.Run]:
    layers, _ = fraction_tree.unwritten_layers(sum(entry.cells for entry in entries), memory)
    stretches = _cut(entries, tables, memory)

    def block_of(leaf: Leaf) -> LeafBlock:
        if leaf.index >= 0:
            entry = entries[leaf.index]
            name, offset = entry.table, entry.offset
            columns = list(_live(entry, values[leaf.index]))
        else:
            name, offset = tables[-1 - leaf.index], 0
            columns = TABLES[name].columns()
        constant = alpha - beta_powers[MAX_COLUMNS] * TABLES[name].number - offset
        if len(columns) > 1 and columns[-1].strides == (0,):  # one value everywhere
            constant = constant - beta_powers[len(columns) - 1] * int(columns[-1][0])
            columns.pop()
        return LeafBlock(0, columns, beta_powers[: len(columns)], constant)

    runs = []
    for stretch in stretches:
        base = stretch.start + stretch.unwritten
        p0, p1, q0, q1 = (
            np.zeros((2, (stretch.stop - base + 1) // 2), dtype=np.uint64) for _ in range(4)
        )
        if (stretch.stop - base) % 2:
            q1[0, -1] = 1  # neutral fraction 0/1
        unwritten = []
        for leaf in stretch.leaves:
            block = block_of(leaf)
            cut = max(0, min(2 * block.pairs, base - leaf.offset))
            if cut:
                unwritten.append(block.part((leaf.offset - stretch.start) // 2, 0, cut))
            _write(block, cut, leaf.offset + cut - base, (p0, p1, q0, q1))
            if leaf.index < 0:
                first = (leaf.offset - base) // 2
                stop = first + (1 << leaf.log_size) // 2
                negative = kf.to_field(-counts[multiplicity(tables[-1 - leaf.index])])
                p0[0, first:stop], p1[0, first:stop] = negative[0::2], negative[1::2]
        runs.append(
            fraction_tree.Run(
                stretch.start // 2,
                stretch.block_log - 1,
                (p0, p1, q0, q1),
                Leaves(unwritten, layers) if unwritten else None,
            )
        )
    return fraction_tree.joined(runs)


def _write(block: LeafBlock, cut: int, at: int, stored: tuple[ExtVec, ...]) -> None:
    """Store the leaves of a block from number ``cut`` (even) on, numerators 1, at leaf ``at``."""
    p0, p1, q0, q1 = stored
    cells = block.columns[0].shape[0]
    if cells - cut > 1:
        columns = [column[cut : cells & ~1] for column in block.columns]
        write_leaves(columns, block.coefficients, block.constant, q0, q1, at // 2)
        for numerators in (p0, p1):
            numerators[0, at // 2 : (at + cells - cut) // 2] = 1
    if cells % 2:
        row = [Ext(int(column[-1])) for column in block.columns]
        key = block.constant - ext.inner(block.coefficients, row)
        at += cells - cut - 1
        (q1 if at % 2 else q0)[:, at // 2] = (key.a, key.b)
        (p1 if at % 2 else p0)[0, at // 2] = 1


def prove(
    channel: ProverChannel,
    label: str,
    entries: Sequence[Entry],
    values: Sequence[Values],
    counts: dict[str, NDArray[np.int64]],
    memory: int | None = None,
) -> list[ColumnClaim]:
    """All columns and ``counts`` are committed; returns the claims they have to meet.

    ``memory``: bytes that the tree may take besides the rows of tables and small columns (None:
    what one pass over each layer takes). The messages do not depend on it.
    """
    tables = tables_of(entries)
    alpha, beta = channel.challenger.elements(f"{label}/keys", 2)  # V -> P
    beta_powers = ext.powers(beta, MAX_COLUMNS + 1)
    mark("leaves")
    depth = log2_ceil(layout_of(entries, tables)[1])
    leaves = _leaf_layer(entries, values, tables, counts, alpha, beta_powers, memory)
    point = fraction_tree.prove(channel, label, leaves, depth, memory)
    del leaves

    mark("column values")
    claims = columns_of(entries, tables, point)
    by_name = {
        name: column if entry.live is None else column[: entry.cells]
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
