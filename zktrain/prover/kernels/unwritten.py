"""The lowest layers of the fraction tree, which are never stored.

Leaves with numerator 1 follow from the looked-up columns, and so do the layers above them. The
columns are an eighth of the leaves' size, and what the lowest layers would take is the prover's
largest memory. A sumcheck over such a layer computes its pairs piece by piece from the columns in
every pass, until so many variables are bound that its tables are stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...field.extension import Ext, ExtVec
from . import single_leaves
from .arithmetic import ZERO, add, ext_mul_add, kernel, sub
from .device import with_twin
from .field import add_scaled_rows, fold_rows
from .fractions import (
    Tables,
    combine_ones,
    combine_pairs,
    pair_of,
    round_pairs,
    round_units,
    weight,
)
from .leaves import LeafBlock, pieces
from .threads import run

PIECE = 4096
ONE = np.uint64(1)
Sums = tuple[Ext, Ext]
"""Of a round polynomial: the value at 0, and the coefficient of ``X^2``."""


@kernel
def _one_plus(l0, l1, u0, u1):  # type: ignore[no-untyped-def]
    for i in range(u0.shape[0]):
        u0[i], u1[i] = ext_mul_add(l0, l1, u0[i], u1[i], ONE, ZERO)


def _sum(found: list[Sums]) -> Sums:
    return sum((x for x, _ in found), Ext(0)), sum((y for _, y in found), Ext(0))


def _bound(rows: tuple[ExtVec, ...], known: Sequence[Ext]) -> tuple[ExtVec, ...]:
    """Tables with their lowest variables bound, on the calling thread."""
    for challenge in known:
        half = rows[0].shape[1] // 2
        bound = tuple(np.empty((2, half), dtype=np.uint64) for _ in rows)
        for table, out in zip(rows, bound, strict=True):
            fold_rows(table, challenge, out)
        rows = bound
    return rows


@dataclass(frozen=True, slots=True)
class Leaves:
    """Pairs of leaves, all numerators 1. ``layers``: how many layers from here on are never
    stored."""

    blocks: list[LeafBlock]
    layers: int = 2

    @property
    def pairs(self) -> int:
        return sum(block.pairs for block in self.blocks)

    def parents(self) -> Parents | None:
        """The layer above, unless it is stored."""
        return Parents(self, self.layers - 1) if self.layers > 1 else None

    def stretches(self, lo: int, hi: int) -> Iterator[tuple[LeafBlock, int, int]]:
        """Blocks that hold some of the pairs ``lo..hi``, and which of their own pairs."""
        for block in self.blocks:
            first, stop = max(lo, block.base), min(hi, block.base + block.pairs)
            if first < stop:
                yield block, first - block.base, stop - block.base

    def write_parents(
        self, lo: int, hi: int, even: NDArray[np.uint64], odd: NDArray[np.uint64]
    ) -> None:
        """Parents of the pairs ``lo..hi`` (both even), in turn to both arrays ``(4, n)``."""
        for block, first, stop in self.stretches(lo, hi):
            at = (block.base + first - lo) // 2
            if block.single:
                rows = slice(at, at + (stop - first) // 2)
                values = block.columns[0][2 * first : 2 * stop]
                single_leaves.write_parents(values, block.constant, even[:, rows], odd[:, rows])
                continue
            for piece, _, leaves in pieces(block, first, stop):
                combine_ones(*leaves, even, odd, at + (piece - first) // 2)

    def combine(self, even: NDArray[np.uint64], odd: NDArray[np.uint64]) -> None:
        """Write all parents, in turn to both arrays ``(4, pairs / 2)``."""
        _combine(self, even, odd)

    def written(self) -> tuple[ExtVec, ExtVec]:
        """All denominators, even and odd."""
        even, odd = (np.empty((2, self.pairs), dtype=np.uint64) for _ in range(2))
        for block in self.blocks:
            rows = slice(block.base, block.base + block.pairs)
            block.fill(0, block.pairs, (*even[:, rows], *odd[:, rows]))
        return even, odd

    def round_sums(self, scale: Ext, tables: Tables, first: int) -> Sums:
        """Their part of ``fractions.round_sums``."""
        l0, l1 = np.uint64(scale.a), np.uint64(scale.b)
        inverse = scale.inverse()

        def task(lo: int, hi: int) -> Sums:
            found = []
            for block, begin, stop in self.stretches(2 * lo, 2 * hi):
                if block.single:
                    found.append(
                        single_leaves.round_sums(
                            block.columns[0], begin // 2, stop // 2, first + block.base // 2,
                            tables, block.constant, scale,
                        )
                    )  # fmt: skip
                    continue
                for piece, end, rows in pieces(block, begin, stop):
                    _one_plus(l0, l1, *rows[:2])
                    _one_plus(l0, l1, *rows[2:])
                    a, n = first + (block.base + piece) // 2, (end - piece) // 2
                    x, y = pair_of(round_units(0, n, a, *rows, *tables))
                    found.append((inverse * (x - weight(a, a + n, tables)), inverse * y))
            return _sum(found)

        return _sum(run(self.pairs // 2, task))

    def _bound_pieces(
        self, lo: int, hi: int, known: Sequence[Ext], scale: Ext
    ) -> Iterator[tuple[int, tuple[ExtVec, ...]]]:
        """``1 + scale * denominator``, even and odd, of the pairs ``lo..hi``, their lowest
        variables bound: number of the first cell, tables."""
        l0, l1 = np.uint64(scale.a), np.uint64(scale.b)
        size = max(PIECE, 4 << len(known))
        for block, begin, stop in self.stretches(lo, hi):
            if (block.single and known) or (block.small and len(known) > 1):
                step = max(size, min(PIECE << len(known), 1 << 17))
                for piece in range(begin, stop, step):
                    end = min(stop, piece + step)
                    if len(known) == 1:
                        rows = tuple(np.empty((2, (end - piece) // 2), np.uint64) for _ in range(2))
                        values = block.columns[0][2 * piece : 2 * end]
                        single_leaves.write_folded(values, block.constant, scale, known[0], *rows)
                    else:
                        rows = _bound(block.bound(piece, end, known[:2], scale), known[2:])
                    yield (block.base + piece) >> len(known), rows
                continue
            for piece, _, cells in pieces(block, begin, stop, size):
                bound = _bound((np.stack(cells[:2]), np.stack(cells[2:])), known)
                for table in bound:
                    _one_plus(l0, l1, *table)
                yield (block.base + piece) >> len(known), bound

    def two_rounds(
        self, known: Sequence[Ext], scale: Ext, tables: tuple[Tables, Tables], first: int
    ) -> tuple[Sums, list[Sums]]:
        """See :func:`_two_rounds`."""
        inverse = scale.inverse()

        def sums(rows: tuple[ExtVec, ...], at: int, weights: Tables) -> Sums:
            n = rows[0].shape[1] // 2
            x, y = pair_of(round_units(0, n, at, *rows[0], *rows[1], *weights))
            return inverse * (x - weight(at, at + n, weights)), inverse * y

        def found(lo: int, hi: int) -> Iterator[list[Sums]]:
            for block, begin, stop in self.stretches(lo, hi):
                if block.single and not known:
                    yield from self._whole(block, begin, stop, scale, tables, first)
                    continue
                for at, rows in self._bound_pieces(
                    block.base + begin, block.base + stop, known, scale
                ):
                    yield _at_four(rows, first + at, tables, sums)

        return _two_rounds(self.pairs, len(known), found)

    def _whole(
        self,
        block: LeafBlock,
        begin: int,
        stop: int,
        scale: Ext,
        tables: tuple[Tables, Tables],
        first: int,
    ) -> Iterator[list[Sums]]:
        """Both rounds of a block of small integers of which nothing is bound, piece by piece."""
        for piece in range(begin, stop, 1 << 16):
            end, at = min(stop, piece + (1 << 16)), first + block.base + piece
            values = block.columns[0][2 * piece : 2 * end]
            n, given = (end - piece) // 2, (block.constant, scale)
            now = single_leaves.round_sums(values, 0, n, at // 2, tables[0], *given)
            yield [now, *single_leaves.next_sums(values, at // 4, tables[1], *given)]

    @with_twin
    def fold(self, known: Sequence[Ext], scale: Ext) -> tuple[ExtVec, ExtVec]:
        """``1 + scale * denominator``, even and odd, with the lowest variables of the pair's number
        bound."""
        bound = len(known)
        even, odd = (np.empty((2, self.pairs >> bound), dtype=np.uint64) for _ in range(2))

        def task(lo: int, hi: int) -> None:
            for at, rows in self._bound_pieces(lo << bound, hi << bound, known, scale):
                for table, out in zip(rows, (even, odd), strict=True):
                    out[:, at : at + table.shape[1]] = table

        run(self.pairs >> bound, task, grain=1 + (4096 >> bound))
        return even, odd


@dataclass(frozen=True, slots=True)
class Parents:
    """Pairs of parents of the layer ``below``."""

    below: Leaves | Parents
    layers: int = 1

    @property
    def pairs(self) -> int:
        return self.below.pairs // 2

    def parents(self) -> Parents | None:
        """The layer above, unless it is stored."""
        return Parents(self, self.layers - 1) if self.layers > 1 else None

    def _pieces(
        self, lo: int, hi: int, size: int = PIECE
    ) -> Iterator[tuple[int, int, NDArray[np.uint64], NDArray[np.uint64]]]:
        """``(first, stop, even, odd)`` of pieces of the pairs ``lo..hi``; arrays ``(4, n)`` that
        are reused."""
        buffers = np.empty((2, 4, min(size, hi - lo)), dtype=np.uint64)
        for first in range(lo, hi, size):
            stop = min(hi, first + size)
            even, odd = buffers[:, :, : stop - first]
            self.below.write_parents(2 * first, 2 * stop, even, odd)
            yield first, stop, even, odd

    def write_parents(
        self, lo: int, hi: int, even: NDArray[np.uint64], odd: NDArray[np.uint64]
    ) -> None:
        """Parents of the pairs ``lo..hi`` (both even), in turn to both arrays ``(4, n)``."""
        for first, stop, a, b in self._pieces(lo, hi):
            at = (first - lo) // 2
            combine_pairs(0, stop - first, a[:2], b[:2], a[2:], b[2:], even, odd, at)

    def combine(self, even: NDArray[np.uint64], odd: NDArray[np.uint64]) -> None:
        """Write all parents, in turn to both arrays ``(4, pairs / 2)``."""
        _combine(self, even, odd)

    def round_sums(self, scale: Ext, tables: Tables, first: int) -> Sums:
        """Their part of ``fractions.round_sums``."""

        def task(lo: int, hi: int) -> Sums:
            found = []
            for piece, stop, a, b in self._pieces(2 * lo, 2 * hi):
                add_scaled_rows(a[:2], scale, a[2:])
                n, at = (stop - piece) // 2, first + piece // 2
                out = round_pairs(0, n, at, *a[:2], *b[:2], *a[2:], *b[2:], *tables)
                found.append(pair_of(out))
            return _sum(found)

        return _sum(run(self.pairs // 2, task))

    def _bound_pieces(
        self, lo: int, hi: int, known: Sequence[Ext], scale: Ext
    ) -> Iterator[tuple[int, tuple[ExtVec, ...]]]:
        """``s = p0 + scale q0, p1, q0, q1`` of the pairs ``lo..hi``, their lowest variables bound:
        number of the first cell, tables."""
        for first, _, a, b in self._pieces(lo, hi, max(PIECE, 4 << len(known))):
            add_scaled_rows(a[:2], scale, a[2:])
            yield first >> len(known), _bound((a[:2], b[:2], a[2:], b[2:]), known)

    def two_rounds(
        self, known: Sequence[Ext], scale: Ext, tables: tuple[Tables, Tables], first: int
    ) -> tuple[Sums, list[Sums]]:
        """See :func:`_two_rounds`."""

        def sums(rows: tuple[ExtVec, ...], at: int, weights: Tables) -> Sums:
            cells = [row for table in rows for row in table]
            return pair_of(round_pairs(0, rows[0].shape[1] // 2, at, *cells, *weights))

        def found(lo: int, hi: int) -> Iterator[list[Sums]]:
            for at, rows in _gathered(self._bound_pieces(lo, hi, known, scale)):
                yield _at_four(rows, first + at, tables, sums)

        return _two_rounds(self.pairs, len(known), found)

    @with_twin
    def fold(self, known: Sequence[Ext], scale: Ext, tables: tuple[ExtVec, ...]) -> None:
        """``s = p0 + scale q0, p1, q0, q1`` with the lowest variables bound, to the start of the
        tables."""
        bound = len(known)

        def task(lo: int, hi: int) -> None:
            for at, rows in self._bound_pieces(lo << bound, hi << bound, known, scale):
                for table, out in zip(rows, tables, strict=True):
                    out[:, at : at + table.shape[1]] = table

        run(self.pairs >> bound, task, grain=1 + (4096 >> bound))


def _combine(layer: Leaves | Parents, even: NDArray[np.uint64], odd: NDArray[np.uint64]) -> None:
    run(
        layer.pairs // 2,
        lambda lo, hi: layer.write_parents(2 * lo, 2 * hi, even[:, lo:hi], odd[:, lo:hi]),
    )


def _two_rounds(
    pairs: int, bound: int, found: Callable[[int, int], Iterator[list[Sums]]]
) -> tuple[Sums, list[Sums]]:
    """In one pass, with some variables bound: the sums of this round, and those of the next one
    after the challenges 0, 1 and 2. ``found``: the four of them, of pieces of some pairs."""

    def task(lo: int, hi: int) -> list[Sums]:
        each = zip(*found(lo << bound + 2, hi << bound + 2), strict=True)
        return [_sum(list(sums)) for sums in each]

    parts = run(pairs >> bound + 2, task, grain=1 + (4096 >> bound + 2))
    now, *after = (_sum(list(each)) for each in zip(*parts, strict=True))
    return now, after


def _gathered(
    found: Iterator[tuple[int, tuple[ExtVec, ...]]],
) -> Iterator[tuple[int, tuple[ExtVec, ...]]]:
    """Neighbouring pieces of bound tables put together until they have some length."""
    held: list[tuple[ExtVec, ...]] = []
    first = cells = 0
    for at, rows in found:
        if not held:
            first, cells = at, 0
        cells += rows[0].shape[1]
        if not held and cells >= PIECE // 2:
            yield at, rows
            continue
        held.append(tuple(table.copy() for table in rows))
        if cells >= PIECE // 2:
            yield first, tuple(np.concatenate(tables, axis=1) for tables in zip(*held, strict=True))
            held = []
    if held:
        yield first, tuple(np.concatenate(tables, axis=1) for tables in zip(*held, strict=True))


def _at_four(
    rows: tuple[ExtVec, ...],
    first: int,
    tables: tuple[Tables, Tables],
    sums: Callable[[tuple[ExtVec, ...], int, Tables], Sums],
) -> list[Sums]:
    """The sums of a piece whose first cell has the number ``first``, as :func:`_two_rounds`."""
    half = rows[0].shape[1] // 2
    lines = np.empty((3, len(rows), 2, half), dtype=np.uint64)
    for i, table in enumerate(rows):
        for k in range(2):
            _line(table[k], lines[0, i, k], lines[1, i, k], lines[2, i, k])
    out = [sums(rows, first // 2, tables[0])]
    return out + [sums(tuple(lines[x]), first // 4, tables[1]) for x in range(3)]


@kernel
def _line(cells, zero, one, two):  # type: ignore[no-untyped-def]
    """The lines through neighbouring cells at 0, 1 and 2."""
    for i in range(zero.shape[0]):
        x = cells[2 * i]
        y = cells[2 * i + 1]
        zero[i] = x
        one[i] = y
        two[i] = sub(add(y, y), x)
