"""Kernels of the logUp-GKR fraction tree.

A layer holds fractions ``p / q`` over E in pairs: numerators ``p0, p1`` and denominators ``q0,
q1``, each as two contiguous rows. The parent of a pair is ``(p0 q1 + p1 q0) / (q0 q1)``. Round
sums use ``s = p0 + lambda q0``, for which ``g = (p0 q1 + p1 q0) + lambda q0 q1 = q1 s + q0 p1``.
Where numerators are 1 they use ``z = 1 + lambda q``: ``lambda g = z0 z1 - 1``.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ...field.extension import Ext, ExtVec, Point
from .arithmetic import (
    ZERO,
    add,
    ext_halves,
    ext_mul,
    ext_mul_2,
    ext_mul_add,
    kernel,
    settled,
    sub,
)
from .device import with_twin
from .field import eq_table
from .threads import run

CHUNK = 2048
LOW_BITS = 10
LOW_BITS_MAX = 12
"""Of very long layers; sums over so many cells fit in int64."""


@kernel
def _split(source, even, odd):  # type: ignore[no-untyped-def]
    for i in range(even.shape[0]):
        even[i] = source[2 * i]
        odd[i] = source[2 * i + 1]


@kernel
def _parents(pe0, pe1, po0, po1, qe0, qe1, qo0, qo1, n0, n1, d0, d1):  # type: ignore[no-untyped-def]
    for i in range(n0.shape[0]):
        u0 = qe0[i]
        u1 = qe1[i]
        v0 = qo0[i]
        v1 = qo1[i]
        n0[i], n1[i] = ext_mul_2(pe0[i], pe1[i], v0, v1, po0[i], po1[i], u0, u1)
        d0[i], d1[i] = ext_mul(u0, u1, v0, v1)


@kernel
def _parents_of_ones(qe0, qe1, qo0, qo1, n0, n1, d0, d1):  # type: ignore[no-untyped-def]
    for i in range(n0.shape[0]):
        n0[i] = add(qe0[i], qo0[i])
        n1[i] = add(qe1[i], qo1[i])
        d0[i], d1[i] = ext_mul(qe0[i], qe1[i], qo0[i], qo1[i])


@kernel
def combine_pairs(lo, hi, pe, po, qe, qo, even, odd, at):  # type: ignore[no-untyped-def]
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
def combine_ones(q0, q1, r0, r1, even, odd, at):  # type: ignore[no-untyped-def]
    """Parents of an even number of pairs of unit fractions, to place ``at`` of both arrays."""
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


@with_twin
def combine(
    pe: ExtVec, po: ExtVec, qe: ExtVec, qo: ExtVec, unwritten: Unwritten | None = None
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Parents of all pairs, as two arrays ``(4, n)`` (rows p0, p1, q0, q1) of even and odd parents.

    ``unwritten`` pairs, an even number, come before the stored ones. A missing last odd parent is
    the neutral fraction 0/1.
    """
    before = unwritten.pairs // 2 if unwritten is not None else 0
    count = qe.shape[1]
    half = before + (count + 1) // 2
    even, odd = (np.empty((4, half), dtype=np.uint64) for _ in range(2))
    if unwritten is not None:
        unwritten.combine(even[:, :before], odd[:, :before])
    arrays = (pe, po, qe, qo, even, odd, before)
    run(count // 2, lambda lo, hi: combine_pairs(2 * lo, 2 * hi, *arrays))
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
def _round_block(s0, s1, t0, t1, u0, u1, v0, v1, w0, w1):  # type: ignore[no-untyped-def]
    """``sum_i w_i (v s + u t)`` at 0 and its coefficient of ``X^2``, in halves."""
    a = b = c = d = ZERO
    e = f = k = m = ZERO
    for j in range(w0.shape[0]):
        e0 = w0[j]
        e1 = w1[j]
        x0, x1 = ext_mul_2(
            v0[2 * j], v1[2 * j], s0[2 * j], s1[2 * j], u0[2 * j], u1[2 * j], t0[2 * j], t1[2 * j]
        )
        l0, h0, l1, h1 = ext_halves(x0, x1, e0, e1)
        a += l0
        b += h0
        c += l1
        d += h1
        x0, x1 = ext_mul_2(
            sub(v0[2 * j + 1], v0[2 * j]),
            sub(v1[2 * j + 1], v1[2 * j]),
            sub(s0[2 * j + 1], s0[2 * j]),
            sub(s1[2 * j + 1], s1[2 * j]),
            sub(u0[2 * j + 1], u0[2 * j]),
            sub(u1[2 * j + 1], u1[2 * j]),
            sub(t0[2 * j + 1], t0[2 * j]),
            sub(t1[2 * j + 1], t1[2 * j]),
        )
        l0, h0, l1, h1 = ext_halves(x0, x1, e0, e1)
        e += l0
        f += h0
        k += l1
        m += h1
    return a, b, c, d, e, f, k, m


@kernel
def _round_block_of_units(y0, y1, z0, z1, w0, w1):  # type: ignore[no-untyped-def]
    """``sum_i w_i y z`` at 0 and its coefficient of ``X^2``, in halves."""
    a = b = c = d = ZERO
    e = f = k = m = ZERO
    for j in range(w0.shape[0]):
        e0 = w0[j]
        e1 = w1[j]
        x0, x1 = ext_mul(y0[2 * j], y1[2 * j], z0[2 * j], z1[2 * j])
        l0, h0, l1, h1 = ext_halves(x0, x1, e0, e1)
        a += l0
        b += h0
        c += l1
        d += h1
        x0, x1 = ext_mul(
            sub(y0[2 * j + 1], y0[2 * j]),
            sub(y1[2 * j + 1], y1[2 * j]),
            sub(z0[2 * j + 1], z0[2 * j]),
            sub(z1[2 * j + 1], z1[2 * j]),
        )
        l0, h0, l1, h1 = ext_halves(x0, x1, e0, e1)
        e += l0
        f += h0
        k += l1
        m += h1
    return a, b, c, d, e, f, k, m


@kernel
def _weighted(sums, h0, h1, out):  # type: ignore[no-untyped-def]
    """Add a block's sums, times the weight of the block."""
    for k in range(2):
        x0 = settled(np.int64(sums[4 * k]), np.int64(sums[4 * k + 1]))
        x1 = settled(np.int64(sums[4 * k + 2]), np.int64(sums[4 * k + 3]))
        x0, x1 = ext_mul(x0, x1, h0, h1)
        out[2 * k] = add(out[2 * k], x0)
        out[2 * k + 1] = add(out[2 * k + 1], x1)


@kernel
def round_pairs(lo, hi, base, s0, s1, t0, t1, u0, u1, v0, v1, low, high, bits):  # type: ignore[no-untyped-def]
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
def round_units(lo, hi, base, y0, y1, z0, z1, low, high, bits):  # type: ignore[no-untyped-def]
    out = np.zeros(4, dtype=np.uint64)
    width = 1 << bits
    i = lo
    while i < hi:
        block = (base + i) >> bits
        inside = (base + i) & (width - 1)
        n = min(hi - i, width - inside)
        p = 2 * i
        q = 2 * (i + n)
        sums = _round_block_of_units(
            y0[p:q], y1[p:q], z0[p:q], z1[p:q],
            low[0, inside : inside + n], low[1, inside : inside + n],
        )  # fmt: skip
        _weighted(sums, high[0, block], high[1, block], out)
        i += n
    return out


Tables = tuple[NDArray[np.uint64], NDArray[np.uint64], int]
"""``eq`` of the low and of the high variables, and how many low ones there are."""


def weight_tables(rest: Point) -> Tables:
    """For the pairs of a round: number ``i`` has the weight ``eq(rest, i)``."""
    bits = min(len(rest), max(LOW_BITS, min(LOW_BITS_MAX, len(rest) // 2)))
    return eq_table(rest[:bits]), eq_table(rest[bits:]), bits


@kernel
def _weight(lo, hi, low, high, bits):  # type: ignore[no-untyped-def]
    out0 = ZERO
    out1 = ZERO
    width = 1 << bits
    i = lo
    while i < hi:
        block = i >> bits
        inside = i & (width - 1)
        n = min(hi - i, width - inside)
        if n == width:  # the weights of all low variables add up to 1
            out0 = add(out0, high[0, block])
            out1 = add(out1, high[1, block])
        else:
            s0 = ZERO
            s1 = ZERO
            for j in range(inside, inside + n):
                s0 = add(s0, low[0, j])
                s1 = add(s1, low[1, j])
            out0, out1 = ext_mul_add(s0, s1, high[0, block], high[1, block], out0, out1)
        i += n
    return out0, out1


def weight(lo: int, hi: int, tables: Tables) -> Ext:
    """Sum of the weights ``lo..hi``."""
    a, b = _weight(lo, hi, *tables)
    return Ext(int(a), int(b))


class Unwritten(Protocol):
    """Pairs of fractions that are computed piece by piece from something smaller."""

    @property
    def pairs(self) -> int: ...

    def combine(self, even: NDArray[np.uint64], odd: NDArray[np.uint64]) -> None:
        """Write the parents, in turn to both arrays ``(4, pairs / 2)``."""
        ...

    def round_sums(self, scale: Ext, tables: Tables, first: int) -> tuple[Ext, Ext]:
        """Its part of :func:`round_sums`."""
        ...


def pair_of(cells: NDArray[np.uint64]) -> tuple[Ext, Ext]:
    """Two elements of E from their four cells."""
    return Ext(int(cells[0]), int(cells[1])), Ext(int(cells[2]), int(cells[3]))


@with_twin
def round_sums(
    units: tuple[ExtVec, ExtVec],
    parts: tuple[ExtVec, ExtVec, ExtVec, ExtVec],
    scale: Ext,
    tables: Tables,
    first: int = 0,
    unwritten: Unwritten | None = None,
) -> tuple[Ext, Ext]:
    """``sum_i w_(first + i) g_i(X)`` at ``X = 0``, and its coefficient of ``X^2``, over the part
    with unit numerators, given as ``1 + scale q0, 1 + scale q1`` (or over ``unwritten`` pairs
    instead), then the general part ``(s, p1, q0, q1)``; all have an even number of elements.
    ``scale`` is not 0 if there are units."""
    count = parts[0].shape[1] // 2
    at0 = lead = Ext(0)
    after = first + units[0].shape[1] // 2
    if unwritten is not None:
        after = first + unwritten.pairs // 2
        at0, lead = unwritten.round_sums(scale, tables, first)
    elif after > first:
        inverse = scale.inverse()
        found = run(
            after - first, lambda lo, hi: round_units(lo, hi, first, *units[0], *units[1], *tables)
        )
        for x, y in map(pair_of, found):
            at0, lead = at0 + inverse * x, lead + inverse * y
        at0 = at0 - inverse * weight(first, after, tables)
    if count:
        rows = [row for part in parts for row in part]
        found = run(count, lambda lo, hi: round_pairs(lo, hi, after, *rows, *tables))
        for x, y in map(pair_of, found):
            at0, lead = at0 + x, lead + y
    return at0, lead
