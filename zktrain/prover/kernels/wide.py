"""Contractions of tensors of 32 or 64 bits: weights, above all."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...field.extension import ExtVec
from .arithmetic import ZERO, P, add, base_halves, from_halves, from_signed, kernel, settled
from .threads import run

WIDE_PIECE = 1 << 14
"""Products whose halves, below ``2^37``, add up to less than ``2^53``."""
ONE = np.uint64(1)


@kernel
def _dot_wide(t, v0, v1):  # type: ignore[no-untyped-def]
    """Sums of halves."""
    a = b = c = d = ZERO
    for j in range(t.shape[0]):
        l0, h0, l1, h1 = base_halves(from_signed(t[j]), v0[j], v1[j])
        a += l0
        b += h0
        c += l1
        d += h1
    return a, b, c, d


@kernel
def _contract_last_wide(t, v0, v1, o0, o1):  # type: ignore[no-untyped-def]
    for row in range(t.shape[0]):
        f0 = ZERO
        f1 = ZERO
        for first in range(0, t.shape[1], WIDE_PIECE):
            stop = min(t.shape[1], first + WIDE_PIECE)
            a, b, c, d = _dot_wide(t[row, first:stop], v0[first:stop], v1[first:stop])
            f0 = add(f0, settled(np.int64(a), np.int64(b)))
            f1 = add(f1, settled(np.int64(c), np.int64(d)))
        o0[row] = f0
        o1[row] = f1


@kernel
def _add_row_wide(t, x0, x1, a, b, c, d):  # type: ignore[no-untyped-def]
    for j in range(t.shape[0]):
        l0, h0, l1, h1 = base_halves(from_signed(t[j]), x0, x1)
        a[j] += l0
        b[j] += h0
        c[j] += l1
        d[j] += h1


@kernel
def _contract_first_wide(lo, hi, t, v0, v1, o0, o1):  # type: ignore[no-untyped-def]
    """In stripes whose four accumulators stay in the first-level cache."""
    stripe = 512
    sums = np.zeros((4, stripe), dtype=np.uint64)
    o0[lo:hi] = ZERO
    o1[lo:hi] = ZERO
    for left in range(lo, hi, stripe):
        right = min(hi, left + stripe)
        a = sums[0, : right - left]
        b = sums[1, : right - left]
        c = sums[2, : right - left]
        d = sums[3, : right - left]
        for first in range(0, t.shape[0], WIDE_PIECE):
            for row in range(first, min(t.shape[0], first + WIDE_PIECE)):
                _add_row_wide(t[row, left:right], v0[row], v1[row], a, b, c, d)
            for j in range(right - left):
                o0[left + j] = add(o0[left + j], from_halves(a[j], b[j]))
                o1[left + j] = add(o1[left + j], from_halves(c[j], d[j]))
            sums[:, :] = ZERO


def contract_wide(tensor: NDArray[Any], vector: ExtVec, *, last: bool) -> ExtVec:
    """``sum_j tensor[row, j] vector[j]`` (``last``), or ``sum_row vector[row] tensor[row, j]``;
    tensor ``(rows, n)``, result ``(2, rows)`` or ``(2, n)``."""
    cells = tensor
    if cells.dtype == np.uint64:  # residues already; those above p/2 are negative integers
        cells = np.where(cells > P >> ONE, cells - P, cells).view(np.int64)
    cells = cells.astype(np.int64, copy=False)
    rows, n = cells.shape
    out = np.empty((2, rows if last else n), dtype=np.uint64)
    v0, v1 = np.ascontiguousarray(vector[0]), np.ascontiguousarray(vector[1])
    if last:
        run(
            rows,
            lambda lo, hi: _contract_last_wide(cells[lo:hi], v0, v1, *out[:, lo:hi]),
            grain=max(1, (1 << 12) // n),
        )
    else:
        run(
            n,
            lambda lo, hi: _contract_first_wide(lo, hi, cells, v0, v1, *out),
            grain=max(64, (1 << 12) // rows),
        )
    return out
