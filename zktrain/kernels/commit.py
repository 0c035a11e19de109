"""Kernels of the commitment: laying cells out in lanes, and combining powers of query points."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..field.extension import Ext, ExtVec
from ..field.goldilocks import P as PRIME
from .arithmetic import add, from_signed, kernel, mul
from .threads import run

U64 = NDArray[np.uint64]


@kernel
def _fill(lo, hi, values, lane_size, lanes, column, start, matrix):  # type: ignore[no-untyped-def]
    n = values.shape[0]
    for position in range(lo, hi):
        for lane in range(lanes):
            at = lane * lane_size + position
            if at < n:
                matrix[start + position, column + lane] = from_signed(np.int64(values[at]))


def fill(values: NDArray[Any], lane_size: int, column: int, start: int, matrix: U64) -> None:
    """Write a flat tensor into ``matrix[position][lane]`` from ``(start, column)`` on, lane by
    lane."""
    n = values.shape[0]
    lanes = -(-n // lane_size)
    rows = min(n, lane_size)
    run(
        rows,
        lambda lo, hi: _fill(lo, hi, values, lane_size, lanes, column, start, matrix),
        grain=max(1, (1 << 14) // max(1, lanes)),
    )


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
def _scaled_row(c0, c1, low, w0, w1):  # type: ignore[no-untyped-def]
    for i in range(low.shape[0]):
        w0[i] = add(w0[i], mul(c0, low[i]))
        w1[i] = add(w1[i], mul(c1, low[i]))


@kernel
def _vandermonde(lo, hi, width, low, f0, f1, step, w0, w1):  # type: ignore[no-untyped-def]
    """``w[i1 * width + i0] += sum_q f_q step_q^i1 low[q, i0]`` for ``i1`` in ``lo..hi``."""
    for q in range(low.shape[0]):
        s = step[q]
        power = np.uint64(1)
        base = s
        e = lo
        while e > 0:  # step^lo
            if e & 1:
                power = mul(power, base)
            base = mul(base, base)
            e >>= 1
        c0 = mul(f0[q], power)
        c1 = mul(f1[q], power)
        for i1 in range(lo, hi):
            a = i1 * width
            b = a + width
            _scaled_row(c0, c1, low[q], w0[a:b], w1[a:b])
            c0 = mul(c0, s)
            c1 = mul(c1, s)


def add_powers(target: ExtVec, points: list[int], factors: list[Ext]) -> None:
    """``target[i] += sum_q factor_q point_q^i`` in place."""
    n = target.shape[1]
    width = min(n, 512)
    low = np.ones((len(points), width), dtype=np.uint64)
    base = np.array(points, dtype=np.uint64)
    filled = 1
    while filled < width:
        from ..field import goldilocks as gl

        step = np.array([pow(x, filled, PRIME) for x in points], dtype=np.uint64)
        take = min(filled, width - filled)
        low[:, filled : filled + take] = gl.mul(low[:, :take], step[:, None])
        filled += take
    step = np.array([pow(int(x), width, PRIME) for x in base], dtype=np.uint64)
    f0 = np.array([f.a for f in factors], dtype=np.uint64)
    f1 = np.array([f.b for f in factors], dtype=np.uint64)
    chunk = max(1, n // width)

    def task(lo: int, hi: int) -> None:
        block = 64  # keeps the slice of the target in cache while all queries pass over it
        for first in range(lo, hi, block):
            _vandermonde(
                first, min(hi, first + block), width, low, f0, f1, step, target[0], target[1]
            )

    run(chunk, task, grain=8)
