"""Kernels of the matrix-product arguments: per-step contractions, and weights that are never
built."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...field.extension import ExtVec
from .arithmetic import ZERO, add, kernel, mul, settled, sub
from .field import _add_row, _dot4, _flush, _limbs, contract_first
from .threads import run

SAFE_ROWS = 1 << 14
"""So many products of 16-bit integers by 32-bit limbs fit in int64."""


@kernel
def _per_step(lo, hi, t, v, o0, o1):  # type: ignore[no-untyped-def]
    batch = t.shape[1]
    n = t.shape[2]
    sums = np.zeros((4, n), dtype=np.int64)
    a = sums[0]
    b = sums[1]
    c = sums[2]
    d = sums[3]
    o0[lo * n : hi * n] = ZERO
    o1[lo * n : hi * n] = ZERO
    for step in range(lo, hi):
        for first in range(0, batch, SAFE_ROWS):
            for sample in range(first, min(batch, first + SAFE_ROWS)):
                at = step * batch + sample
                _add_row(t[step, sample], v[0, at], v[1, at], v[2, at], v[3, at], a, b, c, d)
            _flush(a, b, c, d, o0[step * n : (step + 1) * n], o1[step * n : (step + 1) * n])


@kernel
def _per_step_single(lo, hi, t, v, o0, o1):  # type: ignore[no-untyped-def]
    batch = t.shape[1]
    for step in range(lo, hi):
        f0 = ZERO
        f1 = ZERO
        for first in range(0, batch, SAFE_ROWS):
            stop = min(batch, first + SAFE_ROWS)
            at = step * batch + first
            end = step * batch + stop
            a, b, c, d = _dot4(
                t[step, first:stop], v[0, at:end], v[1, at:end], v[2, at:end], v[3, at:end]
            )
            f0 = add(f0, settled(a, b))
            f1 = add(f1, settled(c, d))
        o0[step] = f0
        o1[step] = f1


def contract_samples(tensor: NDArray[Any], vector: ExtVec) -> ExtVec:
    """``out[t, j] = sum_b tensor[t, b, j] vector[t, b]``; tensor ``(T, B, n)``, vector ``(2, T
    B)``, out ``(2, T n)``."""
    steps, batch, n = tensor.shape
    if tensor.dtype.itemsize > 2:
        parts = [
            contract_first(tensor[t], np.ascontiguousarray(vector[:, t * batch : (t + 1) * batch]))
            for t in range(steps)
        ]
        return np.ascontiguousarray(np.concatenate(parts, axis=1))
    limbs = np.empty((4, vector.shape[1]), dtype=np.int64)
    _limbs(np.ascontiguousarray(vector[0]), np.ascontiguousarray(vector[1]), limbs)
    out = np.empty((2, steps * n), dtype=np.uint64)
    grain = max(1, (1 << 14) // (batch * n))
    if n == 1:
        column = tensor[:, :, 0]
        run(steps, lambda lo, hi: _per_step_single(lo, hi, column, limbs, *out), grain=grain)
    else:
        run(steps, lambda lo, hi: _per_step(lo, hi, tensor, limbs, *out), grain=grain)
    return out


@kernel
def _next_weights(w0, w1, f, g0, g1, o0, o1):  # type: ignore[no-untyped-def]
    for j in range(o0.shape[0]):
        o0[j] = sub(w0[j], mul(f, g0[j]))
        o1[j] = sub(w1[j], mul(f, g1[j]))


@kernel
def _history(lo, hi, n, start0, start1, m, g0, g1, o0, o1):  # type: ignore[no-untyped-def]
    o0[lo:hi] = start0[lo:hi]
    o1[lo:hi] = start1[lo:hi]
    for t in range(1, m.shape[0]):
        a = (t - 1) * n + lo
        b = (t - 1) * n + hi
        _next_weights(
            o0[a:b], o1[a:b], m[t - 1], g0[a:b], g1[a:b], o0[a + n : b + n], o1[a + n : b + n]
        )


def weight_history(start: ExtVec, multipliers: NDArray[np.uint64], gradients: ExtVec) -> ExtVec:
    """``w[t] = start - sum_{tau < t} m_tau g[tau]``; start ``(2, n)``, gradients and result
    ``(2, T n)``."""
    n = start.shape[1]
    out = np.empty_like(gradients)
    run(
        n,
        lambda lo, hi: _history(
            lo, hi, n, start[0], start[1], multipliers, gradients[0], gradients[1], out[0], out[1]
        ),
        grain=64,
    )
    return out


@kernel
def _filtered(lo, hi, n, start0, start1, f, offsets, tau, by, g0, g1, o0, o1):  # type: ignore[no-untyped-def]
    o0[lo:hi] = start0[lo:hi]
    o1[lo:hi] = start1[lo:hi]
    for t in range(1, f.shape[0] + 1):
        a = t * n + lo
        b = t * n + hi
        _next_weights(
            o0[a - n : b - n],
            o1[a - n : b - n],
            f[t - 1],
            start0[lo:hi],
            start1[lo:hi],
            o0[a:b],
            o1[a:b],
        )
        for i in range(offsets[t], offsets[t + 1]):
            c = tau[i] * n + lo
            d = tau[i] * n + hi
            _next_weights(o0[a:b], o1[a:b], by[i], g0[c:d], g1[c:d], o0[a:b], o1[a:b])


def filtered_history(
    start: ExtVec,
    changes: NDArray[np.uint64],
    offsets: NDArray[np.int64],
    tau: NDArray[np.int64],
    by: NDArray[np.uint64],
    gradients: ExtVec,
) -> ExtVec:
    """``w[0] = start``, ``w[t] = w[t - 1] - changes[t - 1] start - sum_i by[i] g[tau[i]]`` over
    ``i`` from ``offsets[t]`` to ``offsets[t + 1]``, with ``tau[i] < t``; shapes as in
    :func:`weight_history`, changes ``(T - 1,)``, offsets ``(T + 1,)``."""
    n = start.shape[1]
    out = np.empty_like(gradients)
    run(
        n,
        lambda lo, hi: _filtered(lo, hi, n, *start, changes, offsets, tau, by, *gradients, *out),
        grain=64,
    )
    return out


@kernel
def _scatter(index, t0, t1, target0, target1):  # type: ignore[no-untyped-def]
    for i in range(index.shape[0]):
        k = index[i]
        target0[k] = add(target0[k], t0[i])
        target1[k] = add(target1[k], t1[i])


def scatter(index: NDArray[np.int64], values: ExtVec, out: ExtVec) -> None:
    """``out[index[i]] += values[i]``, ``out`` of shape ``(2, size)``."""
    _scatter(index.reshape(-1), values[0], values[1], out[0], out[1])
