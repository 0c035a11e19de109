"""Round messages of product sumchecks over E.

Loops add up the halves of products (``kernels.arithmetic``), which LLVM vectorises; pieces are
short enough that int64 holds the sums.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...field.extension import Ext, ExtVec
from .arithmetic import ZERO, add, ext_halves, ext_mul, kernel, settled, sub
from .device import with_twin
from .threads import run

_PIECE = 1 << 14


@kernel
def _piece2(f0, f1, g0, g1):  # type: ignore[no-untyped-def]
    a = b = c = d = ZERO
    e = f = g = h = ZERO
    for i in range(f0.shape[0] // 2):
        x0 = f0[2 * i]
        x1 = f1[2 * i]
        y0 = g0[2 * i]
        y1 = g1[2 * i]
        l0, h0, l1, h1 = ext_halves(x0, x1, y0, y1)
        a += l0
        b += h0
        c += l1
        d += h1
        u0 = f0[2 * i + 1]
        u1 = f1[2 * i + 1]
        v0 = g0[2 * i + 1]
        v1 = g1[2 * i + 1]
        l0, h0, l1, h1 = ext_halves(
            sub(add(u0, u0), x0), sub(add(u1, u1), x1), sub(add(v0, v0), y0), sub(add(v1, v1), y1)
        )
        e += l0
        f += h0
        g += l1
        h += h1
    return a, b, c, d, e, f, g, h


@kernel
def _gather(sums, out):  # type: ignore[no-untyped-def]
    """Add a piece's sums of halves to residues."""
    for k in range(out.shape[0]):
        out[k] = add(out[k], settled(np.int64(sums[2 * k]), np.int64(sums[2 * k + 1])))


@kernel
def _round2(f0, f1, g0, g1):  # type: ignore[no-untyped-def]
    out = np.zeros(4, dtype=np.uint64)
    for a in range(0, f0.shape[0], _PIECE):
        b = min(f0.shape[0], a + _PIECE)
        _gather(_piece2(f0[a:b], f1[a:b], g0[a:b], g1[a:b]), out)
    return out


@kernel
def _piece3(w0, w1, f0, f1, g0, g1):  # type: ignore[no-untyped-def]
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
        l0, h0, l1, h1 = ext_halves(p0, p1, s0, s1)
        a += l0
        b += h0
        c += l1
        d += h1
        s0 = add(add(s0, ds0), ds0)
        s1 = add(add(s1, ds1), ds1)
        x0 = add(add(x0, dx0), dx0)
        x1 = add(add(x1, dx1), dx1)
        y0 = add(add(y0, dy0), dy0)
        y1 = add(add(y1, dy1), dy1)
        p0, p1 = ext_mul(x0, x1, y0, y1)
        l0, h0, l1, h1 = ext_halves(p0, p1, s0, s1)
        e += l0
        f += h0
        g += l1
        h += h1
        p0, p1 = ext_mul(add(x0, dx0), add(x1, dx1), add(y0, dy0), add(y1, dy1))
        l0, h0, l1, h1 = ext_halves(p0, p1, add(s0, ds0), add(s1, ds1))
        k += l0
        m += h0
        n += l1
        o += h1
    return a, b, c, d, e, f, g, h, k, m, n, o


@kernel
def _round3(w0, w1, f0, f1, g0, g1):  # type: ignore[no-untyped-def]
    out = np.zeros(6, dtype=np.uint64)
    for a in range(0, f0.shape[0], _PIECE):
        b = min(f0.shape[0], a + _PIECE)
        _gather(_piece3(w0[a:b], w1[a:b], f0[a:b], f1[a:b], g0[a:b], g1[a:b]), out)
    return out


def collect(partials: list[NDArray[np.uint64]]) -> list[Ext]:
    """Add up the coordinates of partial results."""
    cells = [sum(int(p[k]) for p in partials) for k in range(partials[0].shape[0])]
    return [Ext(a, b) for a, b in zip(cells[0::2], cells[1::2], strict=True)]


@with_twin
def round_message(factors: tuple[ExtVec, ...]) -> list[Ext]:
    """``sum_x prod_k f_k(X, x)`` at ``X = 0, 2`` (two factors) or ``X = 0, 2, 3`` (three)."""
    half = factors[0].shape[1] // 2
    rows = [row for factor in factors for row in (factor[0], factor[1])]
    kernel_ = {2: _round2, 3: _round3}[len(factors)]
    return collect(run(half, lambda lo, hi: kernel_(*(row[2 * lo : 2 * hi] for row in rows))))
