"""Kernels of the logUp-GKR fraction tree.

A layer holds fractions ``p / q`` over E in pairs: numerators ``p0, p1`` and denominators ``q0, q1``, each as two
contiguous rows. The parent of a pair is ``(p0 q1 + p1 q0) / (q0 q1)``. Round sums use ``s = p0 + lambda q0``, for
which ``(p0 q1 + p1 q0) + lambda q0 q1 = q1 s + q0 p1``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..field.extension import Ext, ExtVec
from .arithmetic import EPSILON, U32, ZERO, add, ext_mul, from_signed, kernel, mul, reduce128, sub
from .field import eq_table
from .threads import run

ONE = np.uint64(1)
LOW_BITS = 10


@kernel
def _leaf(lo, hi, values, c0, c1, e0, e1, o0, o1, base):  # type: ignore[no-untyped-def]
    for i in range(lo, hi):
        e0[base + i] = sub(c0, from_signed(np.int64(values[2 * i])))
        e1[base + i] = c1
        o0[base + i] = sub(c0, from_signed(np.int64(values[2 * i + 1])))
        o1[base + i] = c1


@kernel
def _leaf_column(lo, hi, values, k0, k1, e0, e1, o0, o1, base):  # type: ignore[no-untyped-def]
    for i in range(lo, hi):
        v = from_signed(np.int64(values[2 * i]))
        e0[base + i] = sub(e0[base + i], mul(k0, v))
        e1[base + i] = sub(e1[base + i], mul(k1, v))
        v = from_signed(np.int64(values[2 * i + 1]))
        o0[base + i] = sub(o0[base + i], mul(k0, v))
        o1[base + i] = sub(o1[base + i], mul(k1, v))


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
    rows = (even[0], even[1], odd[0], odd[1])
    c0, c1 = np.uint64(constant.a), np.uint64(constant.b)
    run(pairs, lambda lo, hi: _leaf(lo, hi, columns[0], c0, c1, *rows, base))
    for column, coefficient in zip(columns[1:], coefficients[1 : len(columns)], strict=True):
        k0, k1 = np.uint64(coefficient.a), np.uint64(coefficient.b)
        run(pairs, lambda lo, hi: _leaf_column(lo, hi, column, k0, k1, *rows, base))  # noqa: B023


@kernel
def _combine(lo, hi, shift, pe0, pe1, po0, po1, qe0, qe1, qo0, qo1, ones, rows):  # type: ignore[no-untyped-def]
    """Parents of pairs ``2 y + parity``: rows = (p0, p1, q0, q1) of one parity; ``shift`` is the parity."""
    for y in range(lo, hi):
        x = 2 * y + shift
        a0, a1, b0, b1 = qe0[x], qe1[x], qo0[x], qo1[x]
        m0, m1 = ext_mul(pe0[x - ones], pe1[x - ones], b0, b1)
        n0, n1 = ext_mul(po0[x - ones], po1[x - ones], a0, a1)
        d0, d1 = ext_mul(a0, a1, b0, b1)
        rows[0, y] = add(m0, n0)
        rows[1, y] = add(m1, n1)
        rows[2, y] = d0
        rows[3, y] = d1


@kernel
def _combine_ones(lo, hi, shift, qe0, qe1, qo0, qo1, rows):  # type: ignore[no-untyped-def]
    for y in range(lo, hi):
        x = 2 * y + shift
        a0, a1, b0, b1 = qe0[x], qe1[x], qo0[x], qo1[x]
        d0, d1 = ext_mul(a0, a1, b0, b1)
        rows[0, y] = add(a0, b0)
        rows[1, y] = add(a1, b1)
        rows[2, y] = d0
        rows[3, y] = d1


def combine(
    pe: ExtVec, po: ExtVec, qe: ExtVec, qo: ExtVec, ones: int
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Parents of all pairs, as two arrays ``(4, n)`` (rows p0, p1, q0, q1) of even and odd parents.

    Numerators of the first ``ones`` pairs (an even number) are 1 and not stored. A missing last odd
    parent is the neutral fraction 0/1.
    """
    count = qe.shape[1]
    half = (count + 1) // 2
    out = (np.empty((4, half), dtype=np.uint64), np.empty((4, half), dtype=np.uint64))
    if count % 2:
        out[1][:, -1] = (0, 0, 1, 0)
    for parity in (0, 1):
        rows = out[parity]
        first, stop = ones // 2, (count - parity + 1) // 2
        run(first, lambda lo, hi: _combine_ones(lo, hi, parity, *qe, *qo, rows))  # noqa: B023
        run(
            stop - first,
            lambda lo, hi: _combine(
                first + lo, first + hi, parity, *pe, *po, *qe, *qo, ones, rows  # noqa: B023
            ),
        )
    return out


@kernel
def _halves(a, b, c, d):  # type: ignore[no-untyped-def]
    b += a >> U32
    d += c >> U32
    return (
        reduce128(b >> U32, (b << U32) | (a & EPSILON)),
        reduce128(d >> U32, (d << U32) | (c & EPSILON)),
    )


@kernel
def _round(lo, hi, base, s0, s1, t0, t1, u0, u1, v0, v1, w0, w1, h0, h1, bits):  # type: ignore[no-untyped-def]
    """``sum_i eq_i (v s + u t)`` at 0 and 2 for pairs ``lo..hi`` of this part, whose first pair has global
    index ``base``. Arrays: s = p0 + lambda q0, t = p1, u = q0, v = q1."""
    out = np.zeros(4, dtype=np.uint64)
    width = 1 << bits
    i = lo
    while i < hi:
        g = base + i
        block = g >> bits
        inside = g & (width - 1)
        stop = min(hi, i + width - inside)
        a = b = c = d = ZERO
        e = f = k = m = ZERO
        shift = inside - i
        for j in range(i, stop):
            e0 = w0[j + shift]
            e1 = w1[j + shift]
            x0, x1 = ext_mul(v0[2 * j], v1[2 * j], s0[2 * j], s1[2 * j])
            y0, y1 = ext_mul(u0[2 * j], u1[2 * j], t0[2 * j], t1[2 * j])
            x0, x1 = ext_mul(add(x0, y0), add(x1, y1), e0, e1)
            a += x0 & EPSILON
            b += x0 >> U32
            c += x1 & EPSILON
            d += x1 >> U32
            ps0 = s0[2 * j + 1]
            ps1 = s1[2 * j + 1]
            pt0 = t0[2 * j + 1]
            pt1 = t1[2 * j + 1]
            pu0 = u0[2 * j + 1]
            pu1 = u1[2 * j + 1]
            pv0 = v0[2 * j + 1]
            pv1 = v1[2 * j + 1]
            x0, x1 = ext_mul(
                sub(add(pv0, pv0), v0[2 * j]),
                sub(add(pv1, pv1), v1[2 * j]),
                sub(add(ps0, ps0), s0[2 * j]),
                sub(add(ps1, ps1), s1[2 * j]),
            )
            y0, y1 = ext_mul(
                sub(add(pu0, pu0), u0[2 * j]),
                sub(add(pu1, pu1), u1[2 * j]),
                sub(add(pt0, pt0), t0[2 * j]),
                sub(add(pt1, pt1), t1[2 * j]),
            )
            x0, x1 = ext_mul(add(x0, y0), add(x1, y1), e0, e1)
            e += x0 & EPSILON
            f += x0 >> U32
            k += x1 & EPSILON
            m += x1 >> U32
        r0, r1 = _halves(a, b, c, d)
        r0, r1 = ext_mul(r0, r1, h0[block], h1[block])
        out[0] = add(out[0], r0)
        out[1] = add(out[1], r1)
        r0, r1 = _halves(e, f, k, m)
        r0, r1 = ext_mul(r0, r1, h0[block], h1[block])
        out[2] = add(out[2], r0)
        out[3] = add(out[3], r1)
        i = stop
    return out


@kernel
def _round_ones(lo, hi, l0, l1, u0, u1, v0, v1, w0, w1, h0, h1, bits):  # type: ignore[no-untyped-def]
    """As :func:`_round` where all numerators are 1: ``u + v + lambda u v``; global index = local."""
    out = np.zeros(4, dtype=np.uint64)
    width = 1 << bits
    i = lo
    while i < hi:
        block = i >> bits
        inside = i & (width - 1)
        stop = min(hi, i + width - inside)
        a = b = c = d = ZERO
        e = f = k = m = ZERO
        shift = inside - i
        for j in range(i, stop):
            e0 = w0[j + shift]
            e1 = w1[j + shift]
            ua0 = u0[2 * j]
            ua1 = u1[2 * j]
            va0 = v0[2 * j]
            va1 = v1[2 * j]
            x0, x1 = ext_mul(ua0, ua1, va0, va1)
            x0, x1 = ext_mul(x0, x1, l0, l1)
            x0, x1 = ext_mul(add(x0, add(ua0, va0)), add(x1, add(ua1, va1)), e0, e1)
            a += x0 & EPSILON
            b += x0 >> U32
            c += x1 & EPSILON
            d += x1 >> U32
            ub0 = u0[2 * j + 1]
            ub1 = u1[2 * j + 1]
            vb0 = v0[2 * j + 1]
            vb1 = v1[2 * j + 1]
            ua0 = sub(add(ub0, ub0), ua0)
            ua1 = sub(add(ub1, ub1), ua1)
            va0 = sub(add(vb0, vb0), va0)
            va1 = sub(add(vb1, vb1), va1)
            x0, x1 = ext_mul(ua0, ua1, va0, va1)
            x0, x1 = ext_mul(x0, x1, l0, l1)
            x0, x1 = ext_mul(add(x0, add(ua0, va0)), add(x1, add(ua1, va1)), e0, e1)
            e += x0 & EPSILON
            f += x0 >> U32
            k += x1 & EPSILON
            m += x1 >> U32
        r0, r1 = _halves(a, b, c, d)
        r0, r1 = ext_mul(r0, r1, h0[block], h1[block])
        out[0] = add(out[0], r0)
        out[1] = add(out[1], r1)
        r0, r1 = _halves(e, f, k, m)
        r0, r1 = ext_mul(r0, r1, h0[block], h1[block])
        out[2] = add(out[2], r0)
        out[3] = add(out[3], r1)
        i = stop
    return out


def round_sums(
    ones: tuple[ExtVec, ExtVec],
    parts: tuple[ExtVec, ExtVec, ExtVec, ExtVec],
    scale: Ext,
    rest: tuple[Ext, ...],
) -> tuple[Ext, Ext]:
    """``sum_i eq(rest, i) g_i(X)`` at ``X = 0, 2`` over the unit-numerator part ``(q0, q1)``, then the general
    part ``(s, p1, q0, q1)``; both have an even number of elements."""
    bits = min(LOW_BITS, len(rest))
    low, high = eq_table(rest[:bits]), eq_table(rest[bits:])
    tables = (low[0], low[1], high[0], high[1], bits)
    first = ones[0].shape[1] // 2
    count = parts[0].shape[1] // 2
    sums = []
    if first:
        l0, l1 = np.uint64(scale.a), np.uint64(scale.b)
        sums += run(first, lambda lo, hi: _round_ones(lo, hi, l0, l1, *ones[0], *ones[1], *tables))
    if count:
        rows = [row for part in parts for row in (part[0], part[1])]
        sums += run(count, lambda lo, hi: _round(lo, hi, first, *rows, *tables))
    at = [sum(int(s[i]) for s in sums) for i in range(4)]
    return Ext(at[0], at[1]), Ext(at[2], at[3])


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
