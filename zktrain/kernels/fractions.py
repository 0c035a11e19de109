"""Kernels of the logUp-GKR fraction tree.

A layer holds fractions ``p / q`` over E in pairs: numerators ``p0, p1`` and denominators ``q0,
q1``, each as two contiguous rows. The parent of a pair is ``(p0 q1 + p1 q0) / (q0 q1)``. Round
sums use ``s = p0 + lambda q0``, for which ``(p0 q1 + p1 q0) + lambda q0 q1 = q1 s + q0 p1``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..field.extension import Ext, ExtVec
from .arithmetic import EPSILON, U32, ZERO, add, ext_mul, kernel, reduce128, sub
from .field import eq_table
from .leaves import CHUNK, Leaves
from .threads import run

LOW_BITS = 10


@kernel
def _split(source, even, odd):  # type: ignore[no-untyped-def]
    for i in range(even.shape[0]):
        even[i] = source[2 * i]
        odd[i] = source[2 * i + 1]


@kernel
def _parents(pe0, pe1, po0, po1, qe0, qe1, qo0, qo1, n0, n1, d0, d1):  # type: ignore[no-untyped-def]
    for i in range(n0.shape[0]):
        a0, a1 = ext_mul(pe0[i], pe1[i], qo0[i], qo1[i])
        b0, b1 = ext_mul(po0[i], po1[i], qe0[i], qe1[i])
        n0[i] = add(a0, b0)
        n1[i] = add(a1, b1)
        d0[i], d1[i] = ext_mul(qe0[i], qe1[i], qo0[i], qo1[i])


@kernel
def _parents_of_ones(qe0, qe1, qo0, qo1, n0, n1, d0, d1):  # type: ignore[no-untyped-def]
    for i in range(n0.shape[0]):
        n0[i] = add(qe0[i], qo0[i])
        n1[i] = add(qe1[i], qo1[i])
        d0[i], d1[i] = ext_mul(qe0[i], qe1[i], qo0[i], qo1[i])


@kernel
def _combine(lo, hi, pe, po, qe, qo, even, odd, at):  # type: ignore[no-untyped-def]
    """Parents of pairs ``lo..hi`` (both even), through a buffer that stays in cache, to place
    ``at`` and on of both arrays."""
    buffer = np.empty((4, CHUNK), dtype=np.uint64)
    for first in range(lo, hi, CHUNK):
        stop = min(hi, first + CHUNK)
        n = stop - first
        _parents(
            pe[0, first:stop], pe[1, first:stop], po[0, first:stop], po[1, first:stop],
            qe[0, first:stop], qe[1, first:stop], qo[0, first:stop], qo[1, first:stop],
            buffer[0, :n], buffer[1, :n], buffer[2, :n], buffer[3, :n],
        )  # fmt: skip
        c = at + first // 2
        d = at + stop // 2
        for row in range(4):
            _split(buffer[row, :n], even[row, c:d], odd[row, c:d])


@kernel
def _combine_piece(q0, q1, r0, r1, even, odd, at):  # type: ignore[no-untyped-def]
    """Parents of an even number of unit pairs, to place ``at`` of both arrays."""
    n = q0.shape[0]
    buffer = np.empty((4, CHUNK), dtype=np.uint64)
    for first in range(0, n, CHUNK):
        stop = min(n, first + CHUNK)
        m = stop - first
        _parents_of_ones(
            q0[first:stop], q1[first:stop], r0[first:stop], r1[first:stop],
            buffer[0, :m], buffer[1, :m], buffer[2, :m], buffer[3, :m],
        )  # fmt: skip
        a = at + first // 2
        b = at + stop // 2
        for row in range(4):
            _split(buffer[row, :m], even[row, a:b], odd[row, a:b])


def combine(
    pe: ExtVec, po: ExtVec, qe: ExtVec, qo: ExtVec, leaves: Leaves | None = None
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Parents of all pairs, as two arrays ``(4, n)`` (rows p0, p1, q0, q1) of even and odd parents.

    ``leaves`` (an even number of pairs, numerators 1) come before the stored pairs. A missing last
    odd parent is the neutral fraction 0/1.
    """
    before = leaves.pairs // 2 if leaves is not None else 0
    count = qe.shape[1]
    half = before + (count + 1) // 2
    even, odd = (np.empty((4, half), dtype=np.uint64) for _ in range(2))
    if leaves is not None:
        unwritten = leaves

        def task(lo: int, hi: int) -> None:
            for first, _, rows in unwritten.pieces(2 * lo, 2 * hi):
                _combine_piece(*rows, even, odd, first // 2)

        run(before, task)
    arrays = (pe, po, qe, qo, even, odd, before)
    run(count // 2, lambda lo, hi: _combine(2 * lo, 2 * hi, *arrays))
    if count % 2:
        last = np.empty(4, dtype=np.uint64)
        _parents(
            pe[0, -1:], pe[1, -1:], po[0, -1:], po[1, -1:], qe[0, -1:], qe[1, -1:], qo[0, -1:],
            qo[1, -1:], last[0:1], last[1:2], last[2:3], last[3:4],
        )  # fmt: skip
        even[:, -1] = last
        odd[:, -1] = (0, 0, 1, 0)
    return even, odd


@kernel
def _halves(a, b, c, d):  # type: ignore[no-untyped-def]
    b += a >> U32
    d += c >> U32
    return (
        reduce128(b >> U32, (b << U32) | (a & EPSILON)),
        reduce128(d >> U32, (d << U32) | (c & EPSILON)),
    )


@kernel
def _round_block(s0, s1, t0, t1, u0, u1, v0, v1, w0, w1):  # type: ignore[no-untyped-def]
    """``sum_i w_i (v s + u t)`` at 0 and 2, as sums of 32-bit halves."""
    a = b = c = d = ZERO
    e = f = k = m = ZERO
    for j in range(w0.shape[0]):
        e0 = w0[j]
        e1 = w1[j]
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
    return a, b, c, d, e, f, k, m


@kernel
def _round_block_of_ones(l0, l1, u0, u1, v0, v1, w0, w1):  # type: ignore[no-untyped-def]
    """As :func:`_round_block` where all numerators are 1: ``u + v + lambda u v``."""
    a = b = c = d = ZERO
    e = f = k = m = ZERO
    for j in range(w0.shape[0]):
        e0 = w0[j]
        e1 = w1[j]
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
    return a, b, c, d, e, f, k, m


@kernel
def _weighted(sums, h0, h1, out):  # type: ignore[no-untyped-def]
    """Add a block's sums, times the weight of the block."""
    a, b, c, d, e, f, k, m = sums
    r0, r1 = _halves(a, b, c, d)
    r0, r1 = ext_mul(r0, r1, h0, h1)
    out[0] = add(out[0], r0)
    out[1] = add(out[1], r1)
    r0, r1 = _halves(e, f, k, m)
    r0, r1 = ext_mul(r0, r1, h0, h1)
    out[2] = add(out[2], r0)
    out[3] = add(out[3], r1)


@kernel
def _round(lo, hi, base, s0, s1, t0, t1, u0, u1, v0, v1, low, high, bits):  # type: ignore[no-untyped-def]
    """Pairs ``lo..hi`` of a part whose first pair has global index ``base``. Arrays: s = p0 +
    lambda q0, t = p1, u = q0, v = q1."""
    out = np.zeros(4, dtype=np.uint64)
    width = 1 << bits
    i = lo
    while i < hi:
        block = (base + i) >> bits
        inside = (base + i) & (width - 1)
        n = min(hi - i, width - inside)
        p = 2 * i
        q = 2 * (i + n)
        sums = _round_block(
            s0[p:q], s1[p:q], t0[p:q], t1[p:q], u0[p:q], u1[p:q], v0[p:q], v1[p:q],
            low[0, inside : inside + n], low[1, inside : inside + n],
        )  # fmt: skip
        _weighted(sums, high[0, block], high[1, block], out)
        i += n
    return out


@kernel
def _round_of_ones(lo, hi, base, l0, l1, u0, u1, v0, v1, low, high, bits):  # type: ignore[no-untyped-def]
    out = np.zeros(4, dtype=np.uint64)
    width = 1 << bits
    i = lo
    while i < hi:
        block = (base + i) >> bits
        inside = (base + i) & (width - 1)
        n = min(hi - i, width - inside)
        p = 2 * i
        q = 2 * (i + n)
        sums = _round_block_of_ones(
            l0, l1, u0[p:q], u1[p:q], v0[p:q], v1[p:q],
            low[0, inside : inside + n], low[1, inside : inside + n],
        )  # fmt: skip
        _weighted(sums, high[0, block], high[1, block], out)
        i += n
    return out


def round_sums(
    ones: tuple[ExtVec, ExtVec],
    parts: tuple[ExtVec, ExtVec, ExtVec, ExtVec],
    scale: Ext,
    rest: tuple[Ext, ...],
    leaves: Leaves | None = None,
) -> tuple[Ext, Ext]:
    """``sum_i eq(rest, i) g_i(X)`` at ``X = 0, 2`` over the unit-numerator part ``(q0, q1)`` (or
    ``leaves`` instead of it), then the general part ``(s, p1, q0, q1)``; all have an even number
    of elements."""
    bits = min(LOW_BITS, len(rest))
    low, high = eq_table(rest[:bits]), eq_table(rest[bits:])
    count = parts[0].shape[1] // 2
    l0, l1 = np.uint64(scale.a), np.uint64(scale.b)
    tables = (low, high, bits)
    sums = []
    if leaves is not None:
        unwritten, first = leaves, leaves.pairs // 2

        def task(lo: int, hi: int) -> list[NDArray[np.uint64]]:
            return [
                _round_of_ones(0, (stop - start) // 2, start // 2, l0, l1, *rows, *tables)
                for start, stop, rows in unwritten.pieces(2 * lo, 2 * hi)
            ]

        sums += [out for outs in run(first, task) for out in outs]
    else:
        first = ones[0].shape[1] // 2
        sums += run(
            first, lambda lo, hi: _round_of_ones(lo, hi, 0, l0, l1, *ones[0], *ones[1], *tables)
        )
    if count:
        rows = [row for part in parts for row in part]
        sums += run(count, lambda lo, hi: _round(lo, hi, first, *rows, *tables))
    at = [sum(int(s[i]) for s in sums) for i in range(4)]
    return Ext(at[0], at[1]), Ext(at[2], at[3])
