"""First round of ``sum_x w(x) a(x) b(x)`` for small integers ``a, b`` and ``w`` over E.

The integers are multiplied as integers and nothing is laid out in E before half of it is folded
away.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...field.extension import Ext, ExtVec
from .arithmetic import EPSILON, U32, add, from_halves, inline, kernel, settled, sub
from .sumcheck import collect
from .threads import run

BOUND = 1 << 17
"""Of integers and of their products. On a line through two of them, products at 3 are at most 25
times larger; with 32 bits of a weight, pieces of ``2^8`` fit in int64."""
_PIECE = 1 << 9


def fit(first: NDArray[Any], second: NDArray[Any]) -> bool:
    """Whether two columns are small enough for these kernels."""
    a, b = (max(int(values.max()), -int(values.min())) for values in (first, second))
    return max(a, b, a * b) <= BOUND


@inline
def _times(w, n):  # type: ignore[no-untyped-def]
    """Halves of ``w n``."""
    return np.int64(w & EPSILON) * n, np.int64(w >> U32) * n


@kernel
def _piece(w0, w1, first, second):  # type: ignore[no-untyped-def]
    """Sums of halves at 0, 2 and 3."""
    a = b = c = d = np.int64(0)
    e = f = g = h = np.int64(0)
    k = m = n = o = np.int64(0)
    for i in range(w0.shape[0] // 2):
        s0 = w0[2 * i]
        s1 = w1[2 * i]
        ds0 = sub(w0[2 * i + 1], s0)
        ds1 = sub(w1[2 * i + 1], s1)
        x = np.int64(first[2 * i])
        y = np.int64(second[2 * i])
        dx = np.int64(first[2 * i + 1]) - x
        dy = np.int64(second[2 * i + 1]) - y
        p = x * y
        low, high = _times(s0, p)
        a += low
        b += high
        low, high = _times(s1, p)
        c += low
        d += high
        s0 = add(add(s0, ds0), ds0)
        s1 = add(add(s1, ds1), ds1)
        x += 2 * dx
        y += 2 * dy
        p = x * y
        low, high = _times(s0, p)
        e += low
        f += high
        low, high = _times(s1, p)
        g += low
        h += high
        p = (x + dx) * (y + dy)
        low, high = _times(add(s0, ds0), p)
        k += low
        m += high
        low, high = _times(add(s1, ds1), p)
        n += low
        o += high
    return a, b, c, d, e, f, g, h, k, m, n, o


@kernel
def _round(w0, w1, first, second):  # type: ignore[no-untyped-def]
    out = np.zeros(6, dtype=np.uint64)
    for start in range(0, w0.shape[0], _PIECE):
        stop = min(w0.shape[0], start + _PIECE)
        sums = _piece(w0[start:stop], w1[start:stop], first[start:stop], second[start:stop])
        for k in range(6):
            out[k] = add(out[k], settled(sums[2 * k], sums[2 * k + 1]))
    return out


def round_message(weight: ExtVec, first: NDArray[Any], second: NDArray[Any]) -> list[Ext]:
    """``sum_x w(X, x) a(X, x) b(X, x)`` at ``X = 0, 2, 3``; ``fit(first, second)`` holds."""
    half = first.shape[0] // 2

    def task(lo: int, hi: int) -> NDArray[np.uint64]:
        at = slice(2 * lo, 2 * hi)
        out: NDArray[np.uint64] = _round(*weight[:, at], first[at], second[at])
        return out

    return collect(run(half, task))


@kernel
def _fold(values, r0, r1, c0, c1):  # type: ignore[no-untyped-def]
    for i in range(c0.shape[0]):
        v = np.int64(values[2 * i])
        difference = np.int64(values[2 * i + 1]) - v
        low, high = _times(r0, difference)
        c0[i] = from_halves(np.uint64(v + low), np.uint64(high))
        low, high = _times(r1, difference)
        c1[i] = from_halves(np.uint64(low), np.uint64(high))


def fold(values: NDArray[Any], challenge: Ext) -> ExtVec:
    """Bind the lowest variable of integers below ``2^19``: a table over E of half the size."""
    half = values.shape[0] // 2
    out = np.empty((2, half), dtype=np.uint64)
    r0, r1 = np.uint64(challenge.a), np.uint64(challenge.b)
    run(half, lambda lo, hi: _fold(values[2 * lo : 2 * hi], r0, r1, *out[:, lo:hi]))
    return out
