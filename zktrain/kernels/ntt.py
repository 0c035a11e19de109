"""Number-theoretic transform of many columns at once.

The array is ``[position][lane]``: a butterfly works on two rows of lanes, so the inner loop is
contiguous. Decimation in frequency: input in natural order, output at index ``i`` is the value at
``omega^bitreverse(i)``, which is how code words are indexed everywhere.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..field.goldilocks import powers, root_of_unity
from .arithmetic import add, kernel, mul, sub
from .threads import run

_TILE_BYTES = 1 << 19


@kernel
def _layer(lo, hi, m, half, stride, twiddles):  # type: ignore[no-untyped-def]
    """Butterflies ``lo..hi`` of one layer over the whole array: blocks of ``2 * half`` rows."""
    lanes = m.shape[1]
    for k in range(lo, hi):
        block = k // half
        j = k - block * half
        a = block * 2 * half + j
        b = a + half
        w = twiddles[j * stride]
        for lane in range(lanes):
            x = m[a, lane]
            y = m[b, lane]
            m[a, lane] = add(x, y)
            m[b, lane] = mul(sub(x, y), w)


@kernel
def _two_layers(lo, hi, m, quarter, stride, twiddles, imaginary):  # type: ignore[no-untyped-def]
    """Two layers in one pass over memory: blocks of ``4 * quarter`` rows."""
    lanes = m.shape[1]
    for k in range(lo, hi):
        block = k // quarter
        j = k - block * quarter
        r0 = block * 4 * quarter + j
        r1 = r0 + quarter
        r2 = r1 + quarter
        r3 = r2 + quarter
        w1 = twiddles[j * stride]
        w2 = mul(w1, w1)
        w3 = mul(w1, w2)
        for lane in range(lanes):
            a = m[r0, lane]
            b = m[r1, lane]
            c = m[r2, lane]
            d = m[r3, lane]
            s = add(a, c)
            t = sub(a, c)
            u = add(b, d)
            v = mul(sub(b, d), imaginary)
            m[r0, lane] = add(s, u)
            m[r1, lane] = mul(sub(s, u), w2)
            m[r2, lane] = mul(add(t, v), w1)
            m[r3, lane] = mul(sub(t, v), w3)


@kernel
def _tile(lo, hi, m, rows, stride, twiddles):  # type: ignore[no-untyped-def]
    """All remaining layers inside tiles of ``rows`` rows that fit the second-level cache."""
    lanes = m.shape[1]
    for tile in range(lo, hi):
        base = tile * rows
        half = rows // 2
        step = stride
        while half >= 1:
            for first in range(base, base + rows, 2 * half):
                for j in range(half):
                    a = first + j
                    b = a + half
                    w = twiddles[j * step]
                    for lane in range(lanes):
                        x = m[a, lane]
                        y = m[b, lane]
                        m[a, lane] = add(x, y)
                        m[b, lane] = mul(sub(x, y), w)
            half //= 2
            step *= 2


def transform(matrix: NDArray[np.uint64]) -> None:
    """In place, each lane of ``matrix`` (``(2^k, lanes)``, C-contiguous) by itself."""
    length, lanes = matrix.shape
    if length == 1:
        return
    log_length = length.bit_length() - 1
    twiddles = powers(root_of_unity(log_length), max(1, length // 2))
    tile = 1 << max(1, min(log_length, (_TILE_BYTES // (8 * lanes)).bit_length() - 1))
    imaginary = np.uint64(root_of_unity(2)) if log_length >= 2 else np.uint64(1)
    size, stride = length, 1
    while size > tile:
        if size >= 4 * tile or size == 2 * tile * 2:
            quarter = size // 4
            run(
                length // 4,
                lambda lo, hi: _two_layers(lo, hi, matrix, quarter, stride, twiddles, imaginary),  # noqa: B023
                grain=max(1, (1 << 12) // lanes),
            )
            size //= 4
            stride *= 4
        else:
            half = size // 2
            run(
                length // 2,
                lambda lo, hi: _layer(lo, hi, matrix, half, stride, twiddles),  # noqa: B023
                grain=max(1, (1 << 12) // lanes),
            )
            size //= 2
            stride *= 2
    run(
        length // size,
        lambda lo, hi: _tile(lo, hi, matrix, size, stride, twiddles),
        grain=max(1, (1 << 12) // (lanes * size)),
    )
