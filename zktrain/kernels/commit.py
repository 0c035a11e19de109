"""Kernels of the commitment: laying cells out in lanes, and combining powers of query points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..field import goldilocks as gl
from ..field.extension import Ext, ExtVec
from .arithmetic import add, from_halves, from_signed, inner4_halves, kernel, mul
from .threads import run

FILL_ROWS = 512
ROW = 512
"""Powers of one row are added up at a time: their sums stay in the first-level cache."""

U64 = NDArray[np.uint64]


class Placed(NamedTuple):
    """A flat tensor, and where it begins in the matrix."""

    values: NDArray[Any]
    column: int
    start: int


@kernel
def _fill(lo, hi, values, lane_size, lanes, column, start, matrix):  # type: ignore[no-untyped-def]
    """Positions ``lo..hi`` of all lanes: few enough to stay in cache."""
    n = values.shape[0]
    for lane in range(lanes):
        base = lane * lane_size
        for position in range(lo, min(hi, n - base)):
            matrix[start + position, column + lane] = from_signed(np.int64(values[base + position]))


def fill(tensors: Sequence[Placed], lane_size: int, matrix: U64) -> None:
    """Write flat tensors into ``matrix[position][lane]``, lane by lane, each from its own column
    and position on; all of them together, so that every row is brought to the cache once."""
    lanes = [-(-placed.values.shape[0] // lane_size) for placed in tensors]

    def task(lo: int, hi: int) -> None:
        for first in range(lo, hi, FILL_ROWS):
            stop = min(hi, first + FILL_ROWS)
            for (values, column, start), count in zip(tensors, lanes, strict=True):
                own = max(0, first - start), min(stop - start, values.shape[0])
                if own[0] < own[1]:
                    _fill(*own, values, lane_size, count, column, start, matrix)

    run(lane_size, task, grain=FILL_ROWS)


@kernel
def _fill_field(lo, hi, values, lanes, first, matrix):  # type: ignore[no-untyped-def]
    """Rows ``lo..hi`` of :func:`fill_pairs`."""
    for row in range(lo, hi):
        for lane in range(lanes):
            matrix[row, 2 * (first + lane)] = values[0, row * lanes + lane]
            matrix[row, 2 * (first + lane) + 1] = values[1, row * lanes + lane]


def fill_pairs(values: ExtVec, rows: int, first: int, matrix: U64) -> None:
    """Lay an E vector ``(2, rows * lanes)`` out as ``rows`` rows of ``matrix``, lowest variables
    inside a row, from lane ``first``: pairs of base columns."""
    lanes = values.shape[1] // rows
    run(rows, lambda lo, hi: _fill_field(lo, hi, values, lanes, first, matrix))


@kernel
def _sum_row(c0, c1, low, l0, h0, l1, h1, w0, w1):  # type: ignore[no-untyped-def]
    """``w[i] += sum_q c_q low[q, i]``, a multiple of four ``q``; sums of halves in ``l, h``."""
    l0[:] = 0
    h0[:] = 0
    l1[:] = 0
    h1[:] = 0
    for q in range(0, low.shape[0], 4):
        a0, a1, a2, a3 = c0[q], c0[q + 1], c0[q + 2], c0[q + 3]
        b0, b1, b2, b3 = c1[q], c1[q + 1], c1[q + 2], c1[q + 3]
        _four(
            a0, a1, a2, a3, b0, b1, b2, b3, low[q], low[q + 1], low[q + 2], low[q + 3],
            l0, h0, l1, h1,
        )  # fmt: skip
    for i in range(w0.shape[0]):
        w0[i] = add(w0[i], from_halves(l0[i], h0[i]))
        w1[i] = add(w1[i], from_halves(l1[i], h1[i]))


@kernel
def _four(a0, a1, a2, a3, b0, b1, b2, b3, p0, p1, p2, p3, l0, h0, l1, h1):  # type: ignore[no-untyped-def]
    for i in range(l0.shape[0]):
        x, y = inner4_halves(a0, p0[i], a1, p1[i], a2, p2[i], a3, p3[i])
        l0[i] += x
        h0[i] += y
        x, y = inner4_halves(b0, p0[i], b1, p1[i], b2, p2[i], b3, p3[i])
        l1[i] += x
        h1[i] += y


@kernel
def _power(base, exponent):  # type: ignore[no-untyped-def]
    power = np.uint64(1)
    while exponent > 0:
        if exponent & 1:
            power = mul(power, base)
        base = mul(base, base)
        exponent >>= 1
    return power


@kernel
def _vandermonde(lo, hi, width, low, f0, f1, step, w0, w1):  # type: ignore[no-untyped-def]
    """``w[i1 * width + i0] += sum_q f_q step_q^i1 low[q, i0]`` for ``i1`` in ``lo..hi``."""
    count = step.shape[0]
    c0 = np.empty(count, dtype=np.uint64)
    c1 = np.empty(count, dtype=np.uint64)
    for q in range(count):
        power = _power(step[q], lo)
        c0[q] = mul(f0[q], power)
        c1[q] = mul(f1[q], power)
    sums = np.empty((4, width), dtype=np.uint64)
    for i1 in range(lo, hi):
        a = i1 * width
        b = a + width
        _sum_row(c0, c1, low, sums[0], sums[1], sums[2], sums[3], w0[a:b], w1[a:b])
        for q in range(count):
            c0[q] = mul(c0[q], step[q])
            c1[q] = mul(c1[q], step[q])


def add_powers(target: ExtVec, points: list[int], factors: list[Ext]) -> None:
    """``target[i] += sum_q factor_q point_q^i`` in place."""
    n = target.shape[1]
    width = min(n, ROW)
    count = -(-len(points) // 4) * 4  # with factors 0
    base = np.zeros(count, dtype=np.uint64)
    base[: len(points)] = points
    low = np.ones((count, width), dtype=np.uint64)
    filled, power = 1, base
    while filled < width:  # power = base^filled
        take = min(filled, width - filled)
        low[:, filled : filled + take] = gl.mul(low[:, :take], power[:, None])
        filled, power = 2 * filled, gl.mul(power, power)
    f0, f1 = (np.zeros(count, dtype=np.uint64) for _ in range(2))
    f0[: len(points)] = [f.a for f in factors]
    f1[: len(points)] = [f.b for f in factors]
    step = gl.mul(low[:, -1], base)
    run(
        n // width,
        lambda lo, hi: _vandermonde(lo, hi, width, low, f0, f1, step, target[0], target[1]),
        grain=8,
    )
