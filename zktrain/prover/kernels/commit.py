"""Kernels of the commitment: laying cells out in lanes, and combining powers of query points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...field import goldilocks as gl
from ...field.extension import Ext, ExtVec
from . import ntt
from .arithmetic import add, from_signed, kernel, mul
from .threads import run

FILL_ROWS = 512
ROW = 512
"""``W`` of :func:`add_powers`."""
POWER_BYTES = 1 << 26
"""What is transformed at once there, unless eight columns take more."""

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


def fill(tensors: Sequence[Placed], lane_size: int, matrix: U64, row: int = 0) -> None:
    """Write flat tensors into lanes of ``lane_size`` positions, lane by lane, each from its own
    column and position on, and 0 elsewhere; ``matrix[position - row][lane]`` are some of the
    positions. All tensors together, so that every row is brought to the cache once."""
    lanes = [-(-placed.values.shape[0] // lane_size) for placed in tensors]

    def task(lo: int, hi: int) -> None:
        for first in range(row + lo, row + hi, FILL_ROWS):
            stop = min(row + hi, first + FILL_ROWS)
            matrix[first - row : stop - row] = 0
            for (values, column, start), count in zip(tensors, lanes, strict=True):
                own = max(0, first - start), min(stop - start, values.shape[0])
                if own[0] < own[1]:
                    _fill(*own, values, lane_size, count, column, start - row, matrix)

    run(max(0, min(lane_size - row, len(matrix))), task, grain=FILL_ROWS)


@kernel
def _fill_field(lo, hi, values, lanes, begin, end, first, matrix):  # type: ignore[no-untyped-def]
    """Rows ``lo..hi`` and lanes ``begin..end`` of :func:`fill_pairs`."""
    for row in range(lo, hi):
        for lane in range(begin, end):
            matrix[row, 2 * (first + lane)] = values[0, row * lanes + lane]
            matrix[row, 2 * (first + lane) + 1] = values[1, row * lanes + lane]


def fill_pairs(values: ExtVec, rows: int, first: int, matrix: U64, row: int = 0) -> None:
    """Lay an E vector ``(2, rows * lanes)`` out as ``rows`` rows, lowest variables inside a row,
    from lane ``first`` on: pairs of base columns. ``matrix`` has those from number ``row`` on; what
    falls outside of it is left out."""
    lanes = values.shape[1] // rows
    begin, end = max(0, -first), min(lanes, matrix.shape[1] // 2 - first)
    count, here = min(rows - row, len(matrix)), values[:, row * lanes :]
    if begin < end and count > 0:
        run(count, lambda lo, hi: _fill_field(lo, hi, here, lanes, begin, end, first, matrix))


@kernel
def _add_scaled_rows(lo, hi, rows, factor, ratio, out):  # type: ignore[no-untyped-def]
    power = factor
    for i in range(lo, hi):
        for lane in range(rows.shape[1]):
            out[i, lane] = add(out[i, lane], mul(power, rows[i, lane]))
        power = mul(power, ratio)


def add_rows(rows: U64, factor: int, ratio: int, out: U64) -> None:
    """``out[i] += factor ratio^i rows[i]``, in place."""

    def task(lo: int, hi: int) -> None:
        first = np.uint64(factor * pow(ratio, lo, gl.P) % gl.P)
        _add_scaled_rows(lo, hi, rows, first, np.uint64(ratio), out)

    run(len(rows), task)


@kernel
def _add_rows(lo, hi, order, matrix, first, step, t0, t1):  # type: ignore[no-untyped-def]
    """Row ``order[i]`` of the matrix to both coordinates, from cell ``first + step i`` on."""
    width = matrix.shape[1] // 2
    for i in range(lo, hi):
        row = matrix[order[i]]
        a = t0[first + i * step : first + i * step + width]
        b = t1[first + i * step : first + i * step + width]
        for j in range(width):
            a[j] = add(a[j], row[j])
            b[j] = add(b[j], row[width + j])


def add_powers(target: ExtVec, indices: list[int], code_log: int, factors: list[Ext]) -> None:
    """``target[i] += sum_q factor_q x_q^i`` in place, ``x_q`` being where position ``index_q`` of a
    code word of length ``2^code_log`` evaluates; ``target (2, 2^n)``, ``n <= code_log``.

    With ``x = omega^k`` and ``i = W i1 + i0``, the sum is a transform of length ``2^code_log / W``
    over ``i1`` for every ``i0``, of ``factor_q x_q^i0`` at ``k_q`` modulo that length; as many
    ``i0`` at once as ``POWER_BYTES`` take.
    """
    n = target.shape[1]
    width = min(n, ROW)
    rows = (1 << code_log) // width
    exponents = [gl.bit_reverse(i, code_log) for i in indices]
    root = gl.root_of_unity(code_log)
    points = np.array([pow(root, k, gl.P) for k in exponents], dtype=np.uint64)
    low = np.ones((len(indices), width), dtype=np.uint64)
    filled, power = 1, points
    while filled < width:  # power = points^filled
        low[:, filled : 2 * filled] = gl.mul(low[:, :filled], power[:, None])
        filled, power = 2 * filled, gl.mul(power, power)
    here = min(width, max(8, POWER_BYTES // (16 * rows)))
    matrix = ntt.matrix(rows, 2 * here)
    log_rows = rows.bit_length() - 1
    order = np.array([gl.bit_reverse(i, log_rows) for i in range(n // width)], dtype=np.int64)
    wide = matrix[:, : 2 * here]
    for first in range(0, width, here):
        matrix[:] = 0
        for k, factor, powers in zip(exponents, factors, low[:, first : first + here], strict=True):
            row = matrix[k % rows]
            for cell, part in ((factor.a, row[:here]), (factor.b, row[here : 2 * here])):
                part[:] = gl.add(part, gl.mul(powers, np.full(here, cell, dtype=np.uint64)))
        ntt.transform(matrix)
        run(
            n // width,
            lambda lo, hi: _add_rows(lo, hi, order, wide, first, width, *target),  # noqa: B023
            grain=64,
        )
