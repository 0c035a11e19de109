"""Round messages of product sumchecks over E.

Sums are kept as separate sums of 32-bit halves, because a modular addition is no reduction that
LLVM vectorises. A partial result is ``uint64[points][4]``: (low, high) halves of both
coordinates.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..field.extension import Ext, ExtVec
from .arithmetic import EPSILON, U32, ZERO, add, ext_mul, kernel, sub
from .threads import run


@kernel
def _round2(f0, f1, g0, g1):  # type: ignore[no-untyped-def]
    out = np.zeros((2, 4), dtype=np.uint64)
    a = b = c = d = ZERO
    e = f = g = h = ZERO
    for i in range(f0.shape[0] // 2):
        x0 = f0[2 * i]
        x1 = f1[2 * i]
        y0 = g0[2 * i]
        y1 = g1[2 * i]
        p0, p1 = ext_mul(x0, x1, y0, y1)
        a += p0 & EPSILON
        b += p0 >> U32
        c += p1 & EPSILON
        d += p1 >> U32
        u0 = f0[2 * i + 1]
        u1 = f1[2 * i + 1]
        v0 = g0[2 * i + 1]
        v1 = g1[2 * i + 1]
        q0, q1 = ext_mul(
            sub(add(u0, u0), x0), sub(add(u1, u1), x1), sub(add(v0, v0), y0), sub(add(v1, v1), y1)
        )
        e += q0 & EPSILON
        f += q0 >> U32
        g += q1 & EPSILON
        h += q1 >> U32
    out[0, 0], out[0, 1], out[0, 2], out[0, 3] = a, b, c, d
    out[1, 0], out[1, 1], out[1, 2], out[1, 3] = e, f, g, h
    return out


@kernel
def _round3(w0, w1, f0, f1, g0, g1):  # type: ignore[no-untyped-def]
    out = np.zeros((3, 4), dtype=np.uint64)
    a = b = c = d = ZERO
    e = f = g = h = ZERO
    k = m = n = o = ZERO
    for i in range(f0.shape[0] // 2):
        s0 = w0[2 * i]
        s1 = w1[2 * i]
        x0 = f0[2 * i]
        x1 = f1[2 * i]
        y0 = g0[2 * i]
        y1 = g1[2 * i]
        ds0 = sub(w0[2 * i + 1], s0)
        ds1 = sub(w1[2 * i + 1], s1)
        dx0 = sub(f0[2 * i + 1], x0)
        dx1 = sub(f1[2 * i + 1], x1)
        dy0 = sub(g0[2 * i + 1], y0)
        dy1 = sub(g1[2 * i + 1], y1)
        p0, p1 = ext_mul(x0, x1, y0, y1)
        p0, p1 = ext_mul(p0, p1, s0, s1)
        a += p0 & EPSILON
        b += p0 >> U32
        c += p1 & EPSILON
        d += p1 >> U32
        s0 = add(add(s0, ds0), ds0)
        s1 = add(add(s1, ds1), ds1)
        x0 = add(add(x0, dx0), dx0)
        x1 = add(add(x1, dx1), dx1)
        y0 = add(add(y0, dy0), dy0)
        y1 = add(add(y1, dy1), dy1)
        q0, q1 = ext_mul(x0, x1, y0, y1)
        q0, q1 = ext_mul(q0, q1, s0, s1)
        e += q0 & EPSILON
        f += q0 >> U32
        g += q1 & EPSILON
        h += q1 >> U32
        s0 = add(s0, ds0)
        s1 = add(s1, ds1)
        x0 = add(x0, dx0)
        x1 = add(x1, dx1)
        y0 = add(y0, dy0)
        y1 = add(y1, dy1)
        r0, r1 = ext_mul(x0, x1, y0, y1)
        r0, r1 = ext_mul(r0, r1, s0, s1)
        k += r0 & EPSILON
        m += r0 >> U32
        n += r1 & EPSILON
        o += r1 >> U32
    out[0, 0], out[0, 1], out[0, 2], out[0, 3] = a, b, c, d
    out[1, 0], out[1, 1], out[1, 2], out[1, 3] = e, f, g, h
    out[2, 0], out[2, 1], out[2, 2], out[2, 3] = k, m, n, o
    return out


def collect(partials: list[NDArray[np.uint64]]) -> list[Ext]:
    """Add partial results up and reduce."""
    points = partials[0].shape[0]
    out = []
    for i in range(points):
        low0, high0, low1, high1 = (sum(int(p[i, j]) for p in partials) for j in range(4))
        out.append(Ext(low0 + (high0 << 32), low1 + (high1 << 32)))
    return out


def round_message(factors: tuple[ExtVec, ...]) -> list[Ext]:
    """``sum_x prod_k f_k(X, x)`` at ``X = 0, 2`` (two factors) or ``X = 0, 2, 3`` (three)."""
    half = factors[0].shape[1] // 2
    rows = [row for factor in factors for row in (factor[0], factor[1])]
    kernel_ = {2: _round2, 3: _round3}[len(factors)]
    return collect(run(half, lambda lo, hi: kernel_(*(row[2 * lo : 2 * hi] for row in rows))))
