"""Kernels for the leaves of the fraction tree: keys of looked-up values, and multiplicities."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..field.extension import Ext, ExtVec
from .arithmetic import from_signed, kernel, mul, sub
from .field import _fold
from .threads import run

CHUNK = 2048
PIECE = 8192


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


@dataclass(frozen=True, slots=True)
class LeafBlock:
    """Denominators ``constant - sum_j coefficient_j column_j`` in pairs, the first of them number
    ``base``; the first coefficient is 1."""

    base: int
    columns: list[NDArray[Any]]
    coefficients: list[Ext]
    constant: Ext

    @property
    def pairs(self) -> int:
        return int(self.columns[0].shape[0]) // 2

    def fill(self, lo: int, hi: int, rows: tuple[NDArray[np.uint64], ...]) -> None:
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

    def pieces(self, lo: int, hi: int) -> Iterator[tuple[int, int, tuple[NDArray[np.uint64], ...]]]:
        """``(first, stop, rows)`` over pairs ``lo..hi``; the rows are reused."""
        buffer = np.empty((4, PIECE), dtype=np.uint64)
        for block in self.blocks:
            stop_block = min(hi, block.base + block.pairs)
            for first in range(max(lo, block.base), stop_block, PIECE):
                stop = min(stop_block, first + PIECE)
                rows = tuple(buffer[:, : stop - first])
                block.fill(first - block.base, stop - block.base, rows)
                yield first, stop, rows

    def fold(self, challenge: Ext) -> tuple[ExtVec, ExtVec]:
        """Even and odd denominators with the lowest variable of the pair's number bound."""
        out = tuple(np.empty((2, self.pairs // 2), dtype=np.uint64) for _ in range(2))
        r0, r1 = np.uint64(challenge.a), np.uint64(challenge.b)

        def task(lo: int, hi: int) -> None:
            for first, stop, rows in self.pieces(2 * lo, 2 * hi):
                a, b = first // 2, stop // 2
                _fold(rows[0], rows[1], r0, r1, out[0][0, a:b], out[0][1, a:b])
                _fold(rows[2], rows[3], r0, r1, out[1][0, a:b], out[1][1, a:b])

        run(self.pairs // 2, task)
        return out[0], out[1]


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
