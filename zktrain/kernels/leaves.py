"""Kernels for the leaves of the fraction tree: keys of looked-up values, and multiplicities."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..field.extension import Ext, ExtVec
from . import single_leaves
from .arithmetic import ZERO, ext_mul_add, from_signed, kernel, mul, sub
from .field import _fold
from .threads import run

CHUNK = 2048
PIECE = 8192
ONE = np.uint64(1)

Rows = tuple[NDArray[np.uint64], ...]


@kernel
def _leaf(values, c0, c1, e0, e1, o0, o1):  # type: ignore[no-untyped-def]
    for i in range(e0.shape[0]):
        e0[i] = sub(c0, from_signed(np.int64(values[2 * i])))
        e1[i] = c1
        o0[i] = sub(c0, from_signed(np.int64(values[2 * i + 1])))
        o1[i] = c1


@kernel
def _leaf_column(values, k0, k1, e0, e1, o0, o1):  # type: ignore[no-untyped-def]
    for i in range(e0.shape[0]):
        v = from_signed(np.int64(values[2 * i]))
        e0[i] = sub(e0[i], mul(k0, v))
        e1[i] = sub(e1[i], mul(k1, v))
        v = from_signed(np.int64(values[2 * i + 1]))
        o0[i] = sub(o0[i], mul(k0, v))
        o1[i] = sub(o1[i], mul(k1, v))


def write_leaves(
    columns: list[NDArray[Any]],
    coefficients: list[Ext],
    constant: Ext,
    even: ExtVec,
    odd: ExtVec,
    base: int,
) -> None:
    """Denominators ``constant - sum_j coefficient_j column_j`` of one block, from pair ``base`` on.

    The first coefficient is 1; columns have an even number of cells.
    """
    pairs = columns[0].shape[0] // 2
    block = LeafBlock(0, columns, coefficients[: len(columns)], constant)
    e, o = even[:, base : base + pairs], odd[:, base : base + pairs]

    def task(lo: int, hi: int) -> None:
        for first in range(lo, hi, CHUNK):  # all columns pass over a piece while it is in cache
            stop = min(hi, first + CHUNK)
            block.fill(first, stop, (*e[:, first:stop], *o[:, first:stop]))

    run(pairs, task)


@kernel
def _one_plus(l0, l1, u0, u1):  # type: ignore[no-untyped-def]
    for i in range(u0.shape[0]):
        u0[i], u1[i] = ext_mul_add(l0, l1, u0[i], u1[i], ONE, ZERO)


@dataclass(frozen=True, slots=True)
class LeafBlock:
    """Denominators ``constant - sum_j coefficient_j column_j`` in pairs, the first of them number
    ``base``; the first coefficient is 1. ``single``: there is one column, of small integers."""

    base: int
    columns: list[NDArray[Any]]
    coefficients: list[Ext]
    constant: Ext
    single: bool = field(init=False)

    def __post_init__(self) -> None:
        single = len(self.columns) == 1 and single_leaves.fits(self.columns[0])
        object.__setattr__(self, "single", single)

    @property
    def pairs(self) -> int:
        return int(self.columns[0].shape[0]) // 2

    def fill(self, lo: int, hi: int, rows: Rows) -> None:
        """Write pairs ``lo..hi`` of the block to the rows (both coordinates of even, of odd)."""
        c0, c1 = np.uint64(self.constant.a), np.uint64(self.constant.b)
        _leaf(self.columns[0][2 * lo : 2 * hi], c0, c1, *rows)
        for column, factor in zip(self.columns[1:], self.coefficients[1:], strict=True):
            k0, k1 = np.uint64(factor.a), np.uint64(factor.b)
            _leaf_column(column[2 * lo : 2 * hi], k0, k1, *rows)


@dataclass(frozen=True, slots=True)
class Leaves:
    """Leaves with numerator 1 that are written only piece by piece: their columns are an eighth of
    their size, and the memory that they would take is the prover's largest."""

    blocks: list[LeafBlock]

    @property
    def pairs(self) -> int:
        return sum(block.pairs for block in self.blocks)

    def stretches(self, lo: int, hi: int) -> Iterator[tuple[LeafBlock, int, int]]:
        """Blocks that hold some of the pairs ``lo..hi``, and which."""
        for block in self.blocks:
            first, stop = max(lo, block.base), min(hi, block.base + block.pairs)
            if first < stop:
                yield block, first, stop

    def written(self) -> tuple[ExtVec, ExtVec]:
        """All denominators, even and odd."""
        even, odd = (np.empty((2, self.pairs), dtype=np.uint64) for _ in range(2))
        for block in self.blocks:
            rows = slice(block.base, block.base + block.pairs)
            block.fill(0, block.pairs, (*even[:, rows], *odd[:, rows]))
        return even, odd

    def fold(self, challenge: Ext, scale: Ext) -> tuple[ExtVec, ExtVec]:
        """``1 + scale * denominator``, even and odd, with the lowest variable of the pair's number
        bound."""
        out = tuple(np.empty((2, self.pairs // 2), dtype=np.uint64) for _ in range(2))
        r0, r1 = np.uint64(challenge.a), np.uint64(challenge.b)
        l0, l1 = np.uint64(scale.a), np.uint64(scale.b)

        def task(lo: int, hi: int) -> None:
            for block, first, stop in self.stretches(2 * lo, 2 * hi):
                a, b = first // 2, stop // 2
                even, odd = (tuple(table[:, a:b]) for table in out)
                if block.single:
                    values = block.columns[0][2 * (first - block.base) : 2 * (stop - block.base)]
                    single_leaves.write_folded(values, block.constant, scale, challenge, even, odd)
                    continue
                for piece, rows in pieces(block, first, stop):
                    n = rows[0].shape[0] // 2
                    at = slice(piece // 2 - a, piece // 2 - a + n)
                    for (u0, u1), (z0, z1) in ((rows[:2], even), (rows[2:], odd)):
                        _fold(u0, u1, r0, r1, z0[at], z1[at])
                        _one_plus(l0, l1, z0[at], z1[at])

        run(self.pairs // 2, task)
        return out[0], out[1]


def pieces(block: LeafBlock, lo: int, hi: int) -> Iterator[tuple[int, Rows]]:
    """First pair and denominators of pieces of the pairs ``lo..hi``; the rows are reused."""
    buffer = np.empty((4, PIECE), dtype=np.uint64)
    for first in range(lo, hi, PIECE):
        stop = min(hi, first + PIECE)
        rows = tuple(buffer[:, : stop - first])
        block.fill(first - block.base, stop - block.base, rows)
        yield first, rows


@kernel
def _histogram(values, offset, counts):  # type: ignore[no-untyped-def]
    for i in range(values.shape[0]):
        counts[np.int64(values[i]) + offset] += 1


def histogram(values: NDArray[Any], offset: int, counts: NDArray[np.int64]) -> None:
    """``counts[v + offset] += 1`` for every value; values must be in range (checked before)."""
    low, high = int(values.min()), int(values.max())
    if low + offset < 0 or high + offset >= counts.shape[0]:
        raise ValueError(f"a looked-up value is outside its table: {low}..{high} + {offset}")
    _histogram(values, offset, counts)
