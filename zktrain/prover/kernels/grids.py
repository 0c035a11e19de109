"""Two rounds of a product sumcheck at once: ``sum_x' w(x') a(X, x') e(X, x')`` for all ``X`` in
``{0, 1, 2}`` or ``{0, 1, 2}^2``, the lowest variables, the first of them fastest.

A weight ``w`` is ``low`` times ``high``, the lower and the higher variables of ``x'``. Factors are
E vectors, or integers that are multiplied as integers and never laid out in E.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...field.extension import Ext, ExtVec
from .arithmetic import (
    EPSILON,
    U32,
    ZERO,
    add,
    ext_halves,
    ext_mul,
    from_halves,
    kernel,
    settled,
    sub,
)
from .device import with_twin
from .threads import run

PIECE = 256
"""Places whose products stay in the cache; their halves add up in int64."""
INTEGER_PIECE = 64
"""Products on lines through integers are at most 81 times those of the integers themselves."""
_GRAIN = 1 << 14

Factor = ExtVec | NDArray[Any] | int
"""An E vector ``(2, n)``, integers ``(n,)``, or one integer everywhere (the first factor only)."""
Weight = tuple[ExtVec | None, ExtVec]
"""``low`` (None: 1) and ``high``."""


@kernel
def _twice(x, y, out):  # type: ignore[no-untyped-def]
    for i in range(out.shape[0]):
        out[i] = sub(add(y[i], y[i]), x[i])


@kernel
def _spread(t, step, out):  # type: ignore[no-untyped-def]
    """One coordinate at all ``X``: rows of ``out`` are ``X_1 + 3 X_2``."""
    for j in range(step):
        row = out[j + j // 2]
        for i in range(row.shape[0]):
            row[i] = t[step * i + j]
    _twice(out[0], out[1], out[2])
    if step == 4:
        _twice(out[3], out[4], out[5])
        for k in range(3):
            _twice(out[k], out[3 + k], out[6 + k])


@kernel
def _dot(x0, x1, y0, y1):  # type: ignore[no-untyped-def]
    a = b = c = d = ZERO
    for i in range(x0.shape[0]):
        l0, h0, l1, h1 = ext_halves(x0[i], x1[i], y0[i], y1[i])
        a += l0
        b += h0
        c += l1
        d += h1
    return settled(np.int64(a), np.int64(b)), settled(np.int64(c), np.int64(d))


@kernel
def _multiply(x0, x1, y0, y1, o0, o1):  # type: ignore[no-untyped-def]
    for i in range(o0.shape[0]):
        o0[i], o1[i] = ext_mul(x0[i], x1[i], y0[i], y1[i])


@kernel
def _collect(sums, high, at, out):  # type: ignore[no-untyped-def]
    for w in range(out.shape[0]):
        for p in range(out.shape[1]):
            x, y = ext_mul(sums[w, p, 0], sums[w, p, 1], high[w, 0, at], high[w, 1, at])
            out[w, p, 0] = add(out[w, p, 0], x)
            out[w, p, 1] = add(out[w, p, 1], y)


@kernel
def _grid(lo, hi, a0, a1, e0, e1, constant, step, low, high, size):  # type: ignore[no-untyped-def]
    """Chunks ``lo..hi`` of ``size`` places; ``low`` is ``(W, 2, size)``, or ``(W, 2, 0)`` for 1;
    of a constant factor ``a`` is as long as a piece."""
    points = 9 if step == 4 else 3
    weights = high.shape[0]
    weighted = low.shape[2] > 0
    out = np.zeros((weights, points, 2), dtype=np.uint64)
    sums = np.zeros((weights, points, 2), dtype=np.uint64)
    left = np.empty((2, points, PIECE), dtype=np.uint64)
    right = np.empty((2, points, PIECE), dtype=np.uint64)
    product = np.empty((2, PIECE), dtype=np.uint64)
    for chunk in range(lo, hi):
        sums[:, :, :] = ZERO
        for first in range(0, size, PIECE):
            n = min(PIECE, size - first)
            begin = (chunk * size + first) * step
            start = 0 if constant else begin
            stop = start + n * step
            end = begin + n * step
            _spread(a0[start:stop], step, left[0, :, :n])
            _spread(a1[start:stop], step, left[1, :, :n])
            _spread(e0[begin:end], step, right[0, :, :n])
            _spread(e1[begin:end], step, right[1, :, :n])
            for p in range(points):
                x0 = left[0, p, :n]
                x1 = left[1, p, :n]
                y0 = right[0, p, :n]
                y1 = right[1, p, :n]
                if not weighted:
                    u, v = _dot(x0, x1, y0, y1)
                    for w in range(weights):
                        sums[w, p, 0] = add(sums[w, p, 0], u)
                        sums[w, p, 1] = add(sums[w, p, 1], v)
                    continue
                z0 = product[0, :n]
                z1 = product[1, :n]
                _multiply(x0, x1, y0, y1, z0, z1)
                for w in range(weights):
                    u, v = _dot(z0, z1, low[w, 0, first : first + n], low[w, 1, first : first + n])
                    sums[w, p, 0] = add(sums[w, p, 0], u)
                    sums[w, p, 1] = add(sums[w, p, 1], v)
        _collect(sums, high, chunk, out)
    return out


@kernel
def _spread_integers(t, step, out):  # type: ignore[no-untyped-def]
    for j in range(step):
        row = out[j + j // 2]
        for i in range(row.shape[0]):
            row[i] = np.int64(t[step * i + j])
    n = out.shape[1]
    for i in range(n):
        out[2, i] = 2 * out[1, i] - out[0, i]
    if step == 4:
        for i in range(n):
            out[5, i] = 2 * out[4, i] - out[3, i]
        for k in range(3):
            for i in range(n):
                out[6 + k, i] = 2 * out[3 + k, i] - out[k, i]


@kernel
def _dot_integers(x, y, w0, w1):  # type: ignore[no-untyped-def]
    a = b = c = d = np.int64(0)
    for i in range(x.shape[0]):
        p = x[i] * y[i]
        a += np.int64(w0[i] & EPSILON) * p
        b += np.int64(w0[i] >> U32) * p
        c += np.int64(w1[i] & EPSILON) * p
        d += np.int64(w1[i] >> U32) * p
    return settled(a, b), settled(c, d)


@kernel
def _integer_grid(lo, hi, a, e, step, low, high, size):  # type: ignore[no-untyped-def]
    points = 9 if step == 4 else 3
    weights = high.shape[0]
    out = np.zeros((weights, points, 2), dtype=np.uint64)
    sums = np.zeros((weights, points, 2), dtype=np.uint64)
    left = np.empty((points, INTEGER_PIECE), dtype=np.int64)
    right = np.empty((points, INTEGER_PIECE), dtype=np.int64)
    for chunk in range(lo, hi):
        sums[:, :, :] = ZERO
        for first in range(0, size, INTEGER_PIECE):
            n = min(INTEGER_PIECE, size - first)
            begin = (chunk * size + first) * step
            _spread_integers(a[begin : begin + n * step], step, left[:, :n])
            _spread_integers(e[begin : begin + n * step], step, right[:, :n])
            for p in range(points):
                for w in range(weights):
                    u, v = _dot_integers(
                        left[p, :n],
                        right[p, :n],
                        low[w, 0, first : first + n],
                        low[w, 1, first : first + n],
                    )
                    sums[w, p, 0] = add(sums[w, p, 0], u)
                    sums[w, p, 1] = add(sums[w, p, 1], v)
        _collect(sums, high, chunk, out)
    return out


@with_twin
def grid(a: Factor, e: Factor, variables: int, weights: Sequence[Weight]) -> list[list[Ext]]:
    """For every weight the sums at all ``X``; ``high`` has a value for every ``2^variables`` times
    as many cells as ``low``, or without ``low`` than there are values. Integers: the products of
    two, on all lines, are below ``2^24`` (``integer_products.fit``), and ``low`` is given."""
    step = 1 << variables
    low, high = stacked([w[0] for w in weights]), np.stack([w[1] for w in weights])
    if isinstance(e, int):
        raise TypeError("the second factor has cells")
    places = e.shape[-1] // step
    chunks = high.shape[2]
    size = places // chunks
    if isinstance(a, int):
        constant = np.zeros((2, PIECE * step), dtype=np.uint64)
        constant[0] = a
    elif a.ndim == 1:

        def integers(lo: int, hi: int) -> NDArray[np.uint64]:
            out: NDArray[np.uint64] = _integer_grid(lo, hi, a, e, step, low, high, size)
            return out

        return _results(run(chunks, integers, grain=max(1, _GRAIN // (size * step))))
    first = constant if isinstance(a, int) else a

    def vectors(lo: int, hi: int) -> NDArray[np.uint64]:
        same = isinstance(a, int)
        out: NDArray[np.uint64] = _grid(lo, hi, *first, *e, same, step, low, high, size)
        return out

    return _results(run(chunks, vectors, grain=max(1, _GRAIN // (size * step))))


def stacked(lows: Sequence[ExtVec | None]) -> NDArray[np.uint64]:
    """``(W, 2, size)``, or ``(W, 2, 0)`` where all are 1."""
    given = [low for low in lows if low is not None]
    if len(given) == len(lows):
        return np.stack(given)
    return np.zeros((len(lows), 2, 0), dtype=np.uint64)


def _results(parts: list[NDArray[np.uint64]]) -> list[list[Ext]]:
    weights, points, _ = parts[0].shape
    return [
        [
            Ext(
                sum(int(part[w, p, 0]) for part in parts), sum(int(part[w, p, 1]) for part in parts)
            )
            for p in range(points)
        ]
        for w in range(weights)
    ]


@kernel
def _fold_quads(t, w, o0, o1):  # type: ignore[no-untyped-def]
    for i in range(o0.shape[0]):
        a = b = c = d = np.int64(0)
        for j in range(4):
            v = np.int64(t[4 * i + j])
            a += np.int64(w[0, j] & EPSILON) * v
            b += np.int64(w[0, j] >> U32) * v
            c += np.int64(w[1, j] & EPSILON) * v
            d += np.int64(w[1, j] >> U32) * v
        o0[i] = from_halves(np.uint64(a), np.uint64(b))
        o1[i] = from_halves(np.uint64(c), np.uint64(d))


@with_twin
def fold_quads(values: NDArray[Any], weights: ExtVec) -> ExtVec:
    """``sum_j weights[j] values[4 i + j]`` for integers below ``2^18``: the two lowest variables
    bound, where ``weights`` is the equality table of their challenges."""
    out = np.empty((2, values.shape[0] // 4), dtype=np.uint64)
    run(
        out.shape[1],
        lambda lo, hi: _fold_quads(values[4 * lo : 4 * hi], weights, *out[:, lo:hi]),
    )
    return out
