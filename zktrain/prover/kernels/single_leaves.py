"""Leaves of lookups that have one column, of small integers: most of them.

A denominator is ``c - v`` with ``c`` in E and a small ``v``, so that the layer of leaves takes
products of small integers, sums over them, and hardly any multiplication in E. Of four
consecutive values the first two belong to a pair (its even and its odd fraction), the other two
to the next pair.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...field.extension import Ext, ExtVec
from .arithmetic import (
    EPSILON,
    U32,
    add,
    ext_mul,
    from_halves,
    from_signed,
    inline,
    kernel,
    settled,
    sub,
)

BOUND = 1 << 17
"""Values are smaller in absolute terms."""
SPAN = 1 << 16
"""Values differ by no more."""
_LIFT = np.int64(1 << 34)
_CUT = np.int64(18)
_REST = np.int64((1 << 18) - 1)


def fits(values: NDArray[Any]) -> bool:
    """Whether a column is small enough for these kernels."""
    if values.dtype.itemsize <= 2:
        return True  # without looking at them
    low, high = int(values.min()), int(values.max())
    return low > -BOUND and high < BOUND and high - low <= SPAN


@inline
def _less(constant, factor, value):  # type: ignore[no-untyped-def]
    """``constant - factor * value`` for ``|value| < 2^20``."""
    low = np.int64(constant & EPSILON) - np.int64(factor & EPSILON) * value
    high = np.int64(constant >> U32) - np.int64(factor >> U32) * value
    return from_halves(np.uint64(low), np.uint64(high))


@inline
def _line(constant, factor, value, slope, difference):  # type: ignore[no-untyped-def]
    """``constant - factor * value - slope * difference``."""
    low = np.int64(constant & EPSILON) - np.int64(factor & EPSILON) * value
    high = np.int64(constant >> U32) - np.int64(factor >> U32) * value
    low -= np.int64(slope & EPSILON) * difference
    high -= np.int64(slope >> U32) * difference
    return from_halves(np.uint64(low), np.uint64(high))


@kernel
def _parents(values, c0, c1, k0, k1, n0, n1, d0, d1):  # type: ignore[no-untyped-def]
    """Parents of every second pair: ``2 c - s`` and ``c^2 - c s + v v'`` with ``s = v + v'``;
    ``k = c^2``."""
    twice0 = add(c0, c0)
    twice1 = add(c1, c1)
    for j in range(n0.shape[0]):
        a = np.int64(values[4 * j])
        b = np.int64(values[4 * j + 1])
        s = a + b
        n0[j] = sub(twice0, from_signed(s))
        n1[j] = twice1
        low = np.int64(k0 & EPSILON) - np.int64(c0 & EPSILON) * s + a * b
        high = np.int64(k0 >> U32) - np.int64(c0 >> U32) * s
        d0[j] = from_halves(np.uint64(low), np.uint64(high))
        d1[j] = _less(k1, c1, s)


def write_parents(
    values: NDArray[Any], constant: Ext, even: NDArray[np.uint64], odd: NDArray[np.uint64]
) -> None:
    """Parents of ``2 n`` pairs, in turn to ``even`` and ``odd``, ``(4, n)`` each (rows p0, p1, q0,
    q1)."""
    square = constant * constant
    cells = [np.uint64(x) for x in (constant.a, constant.b, square.a, square.b)]
    _parents(values, *cells, *even)
    _parents(values[2:], *cells, *odd)


@kernel
def _folded(values, k0, k1, l0, l1, m0, m1, out0, out1):  # type: ignore[no-untyped-def]
    for j in range(out0.shape[0]):
        v = np.int64(values[4 * j])
        difference = np.int64(values[4 * j + 2]) - v
        out0[j] = _line(k0, l0, v, m0, difference)
        out1[j] = _line(k1, l1, v, m1, difference)


def write_folded(
    values: NDArray[Any],
    constant: Ext,
    scale: Ext,
    challenge: Ext,
    even: ExtVec,
    odd: ExtVec,
) -> None:
    """``1 + scale * denominator`` of ``2 n`` pairs, their lowest variable bound: ``n`` cells."""
    start, slope = scale * constant + 1, scale * challenge
    cells = [np.uint64(x) for x in (start.a, start.b, scale.a, scale.b, slope.a, slope.b)]
    _folded(values, *cells, *even)
    _folded(values[1:], *cells, *odd)


@kernel
def _less_four(values, weights, out0, out1):  # type: ignore[no-untyped-def]
    """Subtract the sum of every second one of eight values, times weights in halves."""
    w = weights
    for j in range(out0.shape[0]):
        v0 = np.int64(values[8 * j])
        v1 = np.int64(values[8 * j + 2])
        v2 = np.int64(values[8 * j + 4])
        v3 = np.int64(values[8 * j + 6])
        low = w[0][0] * v0 + w[0][1] * v1 + w[0][2] * v2 + w[0][3] * v3
        high = w[1][0] * v0 + w[1][1] * v1 + w[1][2] * v2 + w[1][3] * v3
        out0[j] = sub(out0[j], from_halves(np.uint64(low), np.uint64(high)))
        low = w[2][0] * v0 + w[2][1] * v1 + w[2][2] * v2 + w[2][3] * v3
        high = w[3][0] * v0 + w[3][1] * v1 + w[3][2] * v2 + w[3][3] * v3
        out1[j] = sub(out1[j], from_halves(np.uint64(low), np.uint64(high)))


def subtract_bound(values: NDArray[Any], weights: ExtVec, even: ExtVec, odd: ExtVec) -> None:
    """Subtract, of every four pairs of small values, the sum with four weights: of the first values
    of the pairs from ``even``, of the second ones from ``odd``."""
    halves = (half for row in weights for half in (row & EPSILON, row >> U32))
    limbs = tuple(tuple(half.astype(np.int64)) for half in halves)
    _less_four(values, limbs, *even)
    _less_four(values[1:], limbs, *odd)


@kernel
def _sums(values, weights):  # type: ignore[no-untyped-def]
    """Over ``j``, with the lower and upper halves of ``weights``: sums of the weights, of ``v0 +
    v1``, of ``2^34 + v0 v1`` and ``2^34 + (v2 - v0)(v3 - v1)``, those two in parts of 18 bits."""
    w_low = w_high = np.int64(0)
    a = b = c = d = e = np.int64(0)
    f = g = h = m = n = np.int64(0)
    for j in range(weights.shape[0]):
        low = np.int64(weights[j] & EPSILON)
        high = np.int64(weights[j] >> U32)
        v0 = np.int64(values[4 * j])
        v1 = np.int64(values[4 * j + 1])
        s = v0 + v1
        p = v0 * v1 + _LIFT
        q = (np.int64(values[4 * j + 2]) - v0) * (np.int64(values[4 * j + 3]) - v1) + _LIFT
        w_low += low
        w_high += high
        a += low * s
        f += high * s
        x = p & _REST
        b += low * x
        g += high * x
        x = np.int64(np.uint64(p) >> np.uint64(_CUT))
        c += low * x
        h += high * x
        x = q & _REST
        d += low * x
        m += high * x
        x = np.int64(np.uint64(q) >> np.uint64(_CUT))
        e += low * x
        n += high * x
    return w_low, w_high, a, f, b, g, c, h, d, m, e, n


@kernel
def _round(lo, hi, base, values, low, high, bits):  # type: ignore[no-untyped-def]
    """Rows: weight, sum, product, product of differences (both lifted); columns: coordinates."""
    out = np.zeros((4, 2), dtype=np.uint64)
    inner = np.zeros((4, 2), dtype=np.uint64)
    width = 1 << bits
    i = lo
    while i < hi:
        block = (base + i) >> bits
        inside = (base + i) & (width - 1)
        n = min(hi - i, width - inside)
        for k in range(2):
            sums = _sums(values[4 * i : 4 * (i + n)], low[k, inside : inside + n])
            inner[0, k] = settled(sums[0], sums[1])
            inner[1, k] = settled(sums[2], sums[3])
            for row in range(2):
                first = settled(sums[4 + 4 * row], sums[5 + 4 * row])
                second = settled(sums[6 + 4 * row], sums[7 + 4 * row])
                inner[2 + row, k] = add(first, _shifted(second))
        for row in range(4):
            x0, x1 = ext_mul(inner[row, 0], inner[row, 1], high[0, block], high[1, block])
            out[row, 0] = add(out[row, 0], x0)
            out[row, 1] = add(out[row, 1], x1)
        i += n
    return out


@inline
def _shifted(x):  # type: ignore[no-untyped-def]
    """``2^18 x``."""
    return from_halves((x & EPSILON) << np.uint64(18), (x >> U32) << np.uint64(18))


def round_sums(
    values: NDArray[Any],
    lo: int,
    hi: int,
    base: int,
    tables: tuple[NDArray[np.uint64], NDArray[np.uint64], int],
    constant: Ext,
    scale: Ext,
) -> tuple[Ext, Ext]:
    """``sum_i eq(i) g_i(X)`` at 0, and its coefficient of ``X^2``, over ``lo..hi``, each two pairs;
    ``g = u + v + scale u v`` for the denominators of a pair. Weight ``i`` is number ``base + i`` of
    ``tables`` (low, high, log2 of the low ones)."""
    out = _round(lo, hi, base, values, *tables)
    weight, sums, products, slopes = (Ext(int(row[0]), int(row[1])) for row in out)
    lift = weight * int(_LIFT)
    at0 = weight * (2 * constant + scale * constant * constant)
    at0 = at0 - sums * (1 + scale * constant) + scale * (products - lift)
    return at0, scale * (slopes - lift)


def next_sums(
    values: NDArray[Any],
    base: int,
    tables: tuple[NDArray[np.uint64], NDArray[np.uint64], int],
    constant: Ext,
    scale: Ext,
) -> list[tuple[Ext, Ext]]:
    """:func:`round_sums` of a number of pairs that four divides, after the challenges 0, 1, 2."""
    pairs = values.reshape(-1, 2, 2)
    first, second = (np.ascontiguousarray(pairs[:, x]).reshape(-1) for x in range(2))
    n = first.shape[0] // 4
    zero = round_sums(first, 0, n, base, tables, constant, scale)
    one = round_sums(second, 0, n, base, tables, constant, scale)
    # of differences, below 2^16, only products count: they are the coefficient of the square
    out = _round(0, n, base, second.astype(np.int32) - first, *tables)
    weight, _, products, slopes = (Ext(int(row[0]), int(row[1])) for row in out)
    lift = weight * int(_LIFT)
    two = [
        2 * y - x + 2 * scale * (square - lift)
        for x, y, square in zip(zero, one, (products, slopes), strict=True)
    ]
    return [zero, one, (two[0], two[1])]
