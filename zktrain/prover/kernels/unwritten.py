"""The two lowest layers of the fraction tree, which are never stored.

Leaves with numerator 1 follow from the looked-up columns, and so do their parents. The columns are
an eighth of the leaves' size, and what the two layers would take is the prover's largest memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...field.extension import Ext, ExtVec
from . import single_leaves
from .arithmetic import ZERO, add, ext_mul_add, kernel
from .device import with_twin
from .field import add_scaled_rows, fold_rows
from .fractions import Tables, combine_ones, combine_pairs, pair_of, round_pairs, round_units
from .leaves import LeafBlock, pieces
from .threads import run

PIECE = 8192
ONE = np.uint64(1)
LOG_SIZE_MIN = 3
"""Blocks have at least so many cells that the parents of their leaves are an even number of
pairs."""


@kernel
def _one_plus(l0, l1, u0, u1):  # type: ignore[no-untyped-def]
    for i in range(u0.shape[0]):
        u0[i], u1[i] = ext_mul_add(l0, l1, u0[i], u1[i], ONE, ZERO)


@kernel
def _weight(lo, hi, low, high, bits):  # type: ignore[no-untyped-def]
    """Sum of the weights ``lo..hi``."""
    out0 = ZERO
    out1 = ZERO
    width = 1 << bits
    i = lo
    while i < hi:
        block = i >> bits
        inside = i & (width - 1)
        n = min(hi - i, width - inside)
        s0 = ZERO
        s1 = ZERO
        for j in range(inside, inside + n):
            s0 = add(s0, low[0, j])
            s1 = add(s1, low[1, j])
        out0, out1 = ext_mul_add(s0, s1, high[0, block], high[1, block], out0, out1)
        i += n
    return out0, out1


def _sum(found: list[tuple[Ext, Ext]]) -> tuple[Ext, Ext]:
    return sum((x for x, _ in found), Ext(0)), sum((y for _, y in found), Ext(0))


@dataclass(frozen=True, slots=True)
class Leaves:
    """Pairs of leaves, all numerators 1."""

    blocks: list[LeafBlock]

    @property
    def pairs(self) -> int:
        return sum(block.pairs for block in self.blocks)

    def parents(self) -> Parents:
        """The layer above."""
        return Parents(self)

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
        run(
            self.pairs // 2,
            lambda lo, hi: self.write_parents(2 * lo, 2 * hi, even[:, lo:hi], odd[:, lo:hi]),
        )

    def written(self) -> tuple[ExtVec, ExtVec]:
        """All denominators, even and odd."""
        even, odd = (np.empty((2, self.pairs), dtype=np.uint64) for _ in range(2))
        for block in self.blocks:
            rows = slice(block.base, block.base + block.pairs)
            block.fill(0, block.pairs, (*even[:, rows], *odd[:, rows]))
        return even, odd

    def round_sums(self, scale: Ext, tables: Tables) -> tuple[Ext, Ext]:
        """Their part of ``fractions.round_sums``."""
        l0, l1 = np.uint64(scale.a), np.uint64(scale.b)
        inverse = scale.inverse()

        def task(lo: int, hi: int) -> tuple[Ext, Ext]:
            found = []
            for block, first, stop in self.stretches(2 * lo, 2 * hi):
                if block.single:
                    found.append(
                        single_leaves.round_sums(
                            block.columns[0], first // 2, stop // 2, block.base // 2, tables,
                            block.constant, scale,
                        )
                    )  # fmt: skip
                    continue
                for piece, end, rows in pieces(block, first, stop):
                    _one_plus(l0, l1, *rows[:2])
                    _one_plus(l0, l1, *rows[2:])
                    a, n = (block.base + piece) // 2, (end - piece) // 2
                    x, y = pair_of(round_units(0, n, a, *rows, *tables))
                    weight = Ext(*map(int, _weight(a, a + n, *tables)))
                    found.append((inverse * (x - weight), inverse * y))
            return _sum(found)

        return _sum(run(self.pairs // 2, task))

    @with_twin
    def fold(self, challenge: Ext, scale: Ext) -> tuple[ExtVec, ExtVec]:
        """``1 + scale * denominator``, even and odd, with the lowest variable of the pair's number
        bound."""
        even, odd = (np.empty((2, self.pairs // 2), dtype=np.uint64) for _ in range(2))
        l0, l1 = np.uint64(scale.a), np.uint64(scale.b)

        def task(lo: int, hi: int) -> None:
            for block, first, stop in self.stretches(2 * lo, 2 * hi):
                at = slice((block.base + first) // 2, (block.base + stop) // 2)
                if block.single:
                    values = block.columns[0][2 * first : 2 * stop]
                    single_leaves.write_folded(
                        values, block.constant, scale, challenge, even[:, at], odd[:, at]
                    )
                    continue
                for piece, end, rows in pieces(block, first, stop):
                    at = slice((block.base + piece) // 2, (block.base + end) // 2)
                    for (q0, q1), out in ((rows[:2], even[:, at]), (rows[2:], odd[:, at])):
                        fold_rows((q0, q1), challenge, out)
                        _one_plus(l0, l1, *out)

        run(self.pairs // 2, task)
        return even, odd


@dataclass(frozen=True, slots=True)
class Parents:
    """Pairs of parents of leaves."""

    leaves: Leaves

    @property
    def pairs(self) -> int:
        return self.leaves.pairs // 2

    def parents(self) -> None:
        """The layer above is stored."""
        return

    def _pieces(
        self, lo: int, hi: int
    ) -> Iterator[tuple[int, int, NDArray[np.uint64], NDArray[np.uint64]]]:
        """``(first, stop, even, odd)`` of pieces of the pairs ``lo..hi``; arrays ``(4, n)`` that
        are reused."""
        buffers = np.empty((2, 4, PIECE), dtype=np.uint64)
        for first in range(lo, hi, PIECE):
            stop = min(hi, first + PIECE)
            even, odd = buffers[:, :, : stop - first]
            self.leaves.write_parents(2 * first, 2 * stop, even, odd)
            yield first, stop, even, odd

    def combine(self, even: NDArray[np.uint64], odd: NDArray[np.uint64]) -> None:
        """Write all parents, in turn to both arrays ``(4, pairs / 2)``."""

        def task(lo: int, hi: int) -> None:
            for first, stop, a, b in self._pieces(2 * lo, 2 * hi):
                combine_pairs(0, stop - first, a[:2], b[:2], a[2:], b[2:], even, odd, first // 2)

        run(self.pairs // 2, task)

    def round_sums(self, scale: Ext, tables: Tables) -> tuple[Ext, Ext]:
        """Their part of ``fractions.round_sums``."""

        def task(lo: int, hi: int) -> tuple[Ext, Ext]:
            found = []
            for first, stop, a, b in self._pieces(2 * lo, 2 * hi):
                add_scaled_rows(a[:2], scale, a[2:])
                n = (stop - first) // 2
                out = round_pairs(0, n, first // 2, *a[:2], *b[:2], *a[2:], *b[2:], *tables)
                found.append(pair_of(out))
            return _sum(found)

        return _sum(run(self.pairs // 2, task))

    @with_twin
    def fold(self, challenge: Ext, scale: Ext, tables: tuple[ExtVec, ...]) -> None:
        """``s = p0 + scale q0, p1, q0, q1`` with the lowest variable bound, to the start of the
        tables."""

        def task(lo: int, hi: int) -> None:
            for first, stop, a, b in self._pieces(2 * lo, 2 * hi):
                add_scaled_rows(a[:2], scale, a[2:])
                at = slice(first // 2, stop // 2)
                for rows, out in zip((a[:2], b[:2], a[2:], b[2:]), tables, strict=True):
                    fold_rows(rows, challenge, out[:, at])

        run(self.pairs // 2, task)
