"""Kernels for the leaves of the fraction tree: keys of looked-up values, and multiplicities."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...field.extension import Ext, ExtVec
from . import single_leaves
from .arithmetic import from_signed, kernel, mul, sub
from .field import eq_table
from .threads import run

CHUNK = 2048
PIECE = 4096

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


@dataclass(frozen=True, slots=True)
class LeafBlock:
    """Denominators ``constant - sum_j coefficient_j column_j`` in pairs, the first of them number
    ``base``; the first coefficient is 1. ``small``: all columns are of small integers; ``single``:
    besides, there is only one."""

    base: int
    columns: list[NDArray[Any]]
    coefficients: list[Ext]
    constant: Ext
    small: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "small", all(map(single_leaves.fits, self.columns)))

    @property
    def single(self) -> bool:
        return self.small and len(self.columns) == 1

    @property
    def pairs(self) -> int:
        return int(self.columns[0].shape[0]) // 2

    def part(self, base: int, lo: int, hi: int) -> LeafBlock:
        """Its cells ``lo..hi`` (even), with ``base`` as the number of the first pair."""
        columns = [column[lo:hi] for column in self.columns]
        return LeafBlock(base, columns, self.coefficients, self.constant)

    def fill(self, lo: int, hi: int, rows: Rows) -> None:
        """Write pairs ``lo..hi`` of the block to the rows (both coordinates of even, of odd)."""
        c0, c1 = np.uint64(self.constant.a), np.uint64(self.constant.b)
        _leaf(self.columns[0][2 * lo : 2 * hi], c0, c1, *rows)
        for column, factor in zip(self.columns[1:], self.coefficients[1:], strict=True):
            k0, k1 = np.uint64(factor.a), np.uint64(factor.b)
            _leaf_column(column[2 * lo : 2 * hi], k0, k1, *rows)

    def bound(self, lo: int, hi: int, two: Sequence[Ext], scale: Ext) -> tuple[ExtVec, ExtVec]:
        """``1 + scale * denominator``, even and odd, of pairs ``lo..hi``, with their lowest two
        variables bound; columns are small."""
        start = scale * self.constant + 1
        even, odd = (np.empty((2, (hi - lo) // 4), dtype=np.uint64) for _ in range(2))
        for table in (even, odd):
            table[0], table[1] = start.a, start.b
        for column, factor in zip(self.columns, self.coefficients, strict=True):
            weights = eq_table(tuple(two), scale * factor)
            single_leaves.subtract_bound(column[2 * lo : 2 * hi], weights, even, odd)
        return even, odd


def pieces(
    block: LeafBlock, lo: int, hi: int, size: int = PIECE
) -> Iterator[tuple[int, int, Rows]]:
    """``(first, stop, denominators)`` of pieces of the block's pairs ``lo..hi``; the rows are
    reused."""
    buffer = np.empty((4, min(size, hi - lo)), dtype=np.uint64)
    for first in range(lo, hi, size):
        stop = min(hi, first + size)
        rows = tuple(buffer[:, : stop - first])
        block.fill(first, stop, rows)
        yield first, stop, rows


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
