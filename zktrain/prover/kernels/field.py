"""Vector kernels over F_p and E: conversion, folding, equality tables, contractions.

E vectors have shape ``(2, n)``; kernels take the two rows. Integer tensors stay in their compact
types (int8 ... int32); ``contract_*`` multiply them by E vectors cut in 32-bit limbs and add up in
int64, so that nothing is reduced inside the loop.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...field.extension import Ext, ExtVec, Point
from .arithmetic import (
    EPSILON,
    U32,
    ZERO,
    add,
    ext_mul,
    ext_mul_add,
    from_signed,
    kernel,
    reduce128,
    settled,
    sub,
)
from .device import with_twin
from .threads import run
from .wide import contract_wide

Ints = NDArray[Any]
Rows = ExtVec | tuple[NDArray[np.uint64], NDArray[np.uint64]]


def _pair(value: Ext) -> tuple[np.uint64, np.uint64]:
    return np.uint64(value.a), np.uint64(value.b)


@kernel
def _to_field(values, out):  # type: ignore[no-untyped-def]
    for i in range(out.shape[0]):
        out[i] = from_signed(np.int64(values[i]))


def to_field(values: Ints, out: NDArray[np.uint64] | None = None) -> NDArray[np.uint64]:
    """Signed integers as residues, flattened."""
    flat = values.reshape(-1)
    if flat.dtype == np.uint64:
        return flat
    result = np.empty(flat.shape[0], dtype=np.uint64) if out is None else out
    run(flat.shape[0], lambda lo, hi: _to_field(flat[lo:hi], result[lo:hi]), grain=1 << 14)
    return result


@kernel
def _eq_step(t0, t1, h0, h1, x0, x1):  # type: ignore[no-untyped-def]
    for i in range(t0.shape[0]):
        u0, u1 = ext_mul(t0[i], t1[i], x0, x1)
        h0[i] = u0
        h1[i] = u1
        t0[i] = sub(t0[i], u0)
        t1[i] = sub(t1[i], u1)


def eq_table(point: Point, factor: Ext | None = None) -> ExtVec:
    """``factor * eq(point, x)`` for all ``x``, shape ``(2, 2^n)``."""
    table = np.empty((2, 1 << len(point)), dtype=np.uint64)
    table[0, 0], table[1, 0] = _pair(factor if factor is not None else Ext(1))
    for i, x in enumerate(point):
        size = 1 << i
        x0, x1 = _pair(x)
        low, high = table[:, :size], table[:, size : 2 * size]
        run(
            size,
            lambda lo, hi: _eq_step(*low[:, lo:hi], *high[:, lo:hi], x0, x1),  # noqa: B023
            grain=1 << 13,
        )
    return table


@kernel
def _fold(a0, a1, r0, r1, c0, c1):  # type: ignore[no-untyped-def]
    for i in range(c0.shape[0]):
        x0 = a0[2 * i]
        x1 = a1[2 * i]
        c0[i], c1[i] = ext_mul_add(r0, r1, sub(a0[2 * i + 1], x0), sub(a1[2 * i + 1], x1), x0, x1)


@with_twin
def fold(table: ExtVec, challenge: Ext, out: ExtVec | None = None) -> ExtVec:
    """Bind the lowest variable: ``t(2i) + r (t(2i+1) - t(2i))``, in a new table or in ``out``."""
    half = table.shape[1] // 2
    result = np.empty((2, half), dtype=np.uint64) if out is None else out
    r0, r1 = _pair(challenge)
    run(half, lambda lo, hi: _fold(*table[:, 2 * lo : 2 * hi], r0, r1, *result[:, lo:hi]))
    return result


def fold_rows(table: Rows, challenge: Ext, out: ExtVec) -> None:
    """:func:`fold` to ``out``, on the calling thread."""
    _fold(table[0], table[1], *_pair(challenge), out[0], out[1])


@kernel
def _axpy(y0, y1, s0, s1, x0, x1):  # type: ignore[no-untyped-def]
    for i in range(y0.shape[0]):
        y0[i], y1[i] = ext_mul_add(s0, s1, x0[i], x1[i], y0[i], y1[i])


def add_scaled(target: ExtVec, factor: Ext, vector: ExtVec) -> None:
    """``target += factor * vector`` in place."""
    s0, s1 = _pair(factor)
    run(target.shape[1], lambda lo, hi: _axpy(*target[:, lo:hi], s0, s1, *vector[:, lo:hi]))


_EQ_ROW = 12
"""Variables of an equality table that stays in the cache while rows are added."""


def add_eq_table(target: ExtVec, point: Point, factor: Ext) -> None:
    """``target += eq_table(point, factor)`` in place, without writing that table."""
    low = eq_table(point[:_EQ_ROW])
    high = eq_table(point[_EQ_ROW:], factor)
    width = low.shape[1]

    def task(lo: int, hi: int) -> None:
        _add_outer(*target[:, lo * width : hi * width], *high[:, lo:hi], *low)

    run(high.shape[1], task, grain=4)


@kernel
def _add_outer(y0, y1, s0, s1, x0, x1):  # type: ignore[no-untyped-def]
    width = x0.shape[0]
    for row in range(s0.shape[0]):
        at = row * width
        _axpy(y0[at : at + width], y1[at : at + width], s0[row], s1[row], x0, x1)


def outer(high: ExtVec, low: ExtVec) -> ExtVec:
    """``high[h] low[l]`` for all ``(h, l)``, flat."""
    repeated = np.ascontiguousarray(np.repeat(high, low.shape[1], axis=1))
    return product(repeated, np.ascontiguousarray(np.tile(low, high.shape[1])))


def add_scaled_rows(target: ExtVec, factor: Ext, vector: ExtVec) -> None:
    """:func:`add_scaled` on the calling thread."""
    _axpy(target[0], target[1], *_pair(factor), vector[0], vector[1])


@kernel
def _product(a0, a1, b0, b1, c0, c1):  # type: ignore[no-untyped-def]
    for i in range(c0.shape[0]):
        c0[i], c1[i] = ext_mul(a0[i], a1[i], b0[i], b1[i])


def product(a: ExtVec, b: ExtVec) -> ExtVec:
    """Element-wise product in E."""
    out = np.empty_like(a)
    run(a.shape[1], lambda lo, hi: _product(*a[:, lo:hi], *b[:, lo:hi], *out[:, lo:hi]))
    return out


@kernel
def _limbs(v0, v1, out):  # type: ignore[no-untyped-def]
    for i in range(v0.shape[0]):
        out[0, i] = np.int64(v0[i] & EPSILON)
        out[1, i] = np.int64(v0[i] >> U32)
        out[2, i] = np.int64(v1[i] & EPSILON)
        out[3, i] = np.int64(v1[i] >> U32)


def _safe_terms(dtype: np.dtype[Any]) -> int:
    """How many products of this type with a 32-bit limb fit in int64."""
    info = np.iinfo(dtype)
    bits = max(int(info.max), -int(info.min)).bit_length()
    return 1 << min(24, 62 - 32 - bits)


@kernel
def _dot4(t, v0, v1, v2, v3):  # type: ignore[no-untyped-def]
    a = np.int64(0)
    b = np.int64(0)
    c = np.int64(0)
    d = np.int64(0)
    for j in range(t.shape[0]):
        x = np.int64(t[j])
        a += x * v0[j]
        b += x * v1[j]
        c += x * v2[j]
        d += x * v3[j]
    return a, b, c, d


@kernel
def _contract_last(t, v, chunk, o0, o1):  # type: ignore[no-untyped-def]
    n = t.shape[1]
    for row in range(t.shape[0]):
        f0 = ZERO
        f1 = ZERO
        for first in range(0, n, chunk):
            stop = min(n, first + chunk)
            a, b, c, d = _dot4(
                t[row, first:stop],
                v[0, first:stop],
                v[1, first:stop],
                v[2, first:stop],
                v[3, first:stop],
            )
            f0 = add(f0, settled(a, b))
            f1 = add(f1, settled(c, d))
        o0[row] = f0
        o1[row] = f1


def contract_last(tensor: Ints, vector: ExtVec) -> ExtVec:
    """``out[row] = sum_j tensor[row, j] vector[j]``; tensor ``(rows, n)`` of integers, out ``(2,
    rows)``."""
    rows, n = tensor.shape
    out = np.empty((2, rows), dtype=np.uint64)
    if tensor.dtype.itemsize > 2:
        return contract_wide(tensor, vector, last=True)
    limbs = np.empty((4, n), dtype=np.int64)
    _limbs(vector[0], vector[1], limbs)
    chunk = _safe_terms(tensor.dtype)
    run(
        rows,
        lambda lo, hi: _contract_last(tensor[lo:hi], limbs, chunk, *out[:, lo:hi]),
        grain=max(1, (1 << 14) // n),
    )
    return out


@kernel
def _add_row(t, va, vb, vc, vd, a, b, c, d):  # type: ignore[no-untyped-def]
    for j in range(t.shape[0]):
        x = np.int64(t[j])
        a[j] += x * va
        b[j] += x * vb
        c[j] += x * vc
        d[j] += x * vd


@kernel
def _flush(a, b, c, d, o0, o1):  # type: ignore[no-untyped-def]
    """Add the four sums to the result and clear them."""
    for j in range(o0.shape[0]):
        o0[j] = add(o0[j], settled(a[j], b[j]))
        o1[j] = add(o1[j], settled(c[j], d[j]))
    a[:] = 0
    b[:] = 0
    c[:] = 0
    d[:] = 0


@kernel
def _contract_first(lo, hi, t, v, chunk, o0, o1):  # type: ignore[no-untyped-def]
    """In stripes whose four accumulators stay in the first-level cache."""
    rows = t.shape[0]
    stripe = 512
    sums = np.zeros((4, stripe), dtype=np.int64)
    o0[lo:hi] = ZERO
    o1[lo:hi] = ZERO
    for left in range(lo, hi, stripe):
        right = min(hi, left + stripe)
        width = right - left
        a = sums[0, :width]
        b = sums[1, :width]
        c = sums[2, :width]
        d = sums[3, :width]
        for first in range(0, rows, chunk):
            for row in range(first, min(rows, first + chunk)):
                _add_row(t[row, left:right], v[0, row], v[1, row], v[2, row], v[3, row], a, b, c, d)
            _flush(a, b, c, d, o0[left:right], o1[left:right])


def contract_first(tensor: Ints, vector: ExtVec) -> ExtVec:
    """``out[j] = sum_row vector[row] tensor[row, j]``; tensor ``(rows, n)`` of integers, out
    ``(2, n)``."""
    rows, n = tensor.shape
    if tensor.dtype.itemsize > 2:
        return contract_wide(tensor, vector, last=False)
    out = np.empty((2, n), dtype=np.uint64)
    limbs = np.empty((4, rows), dtype=np.int64)
    _limbs(vector[0], vector[1], limbs)
    chunk = _safe_terms(tensor.dtype)
    run(
        n,
        lambda lo, hi: _contract_first(lo, hi, tensor, limbs, chunk, *out),
        grain=max(64, (1 << 14) // rows),
    )
    return out


def evaluate(tensor: Ints, point: Point) -> Ext:
    """Extension of an integer tensor of ``2^n`` cells at ``point`` (lowest variable first); cells
    behind its end are 0."""
    width = 1 << len(point) // 2
    low, high = eq_table(point[: len(point) // 2]), eq_table(point[len(point) // 2 :])
    flat = np.asarray(tensor).reshape(-1)
    whole = flat[: flat.shape[0] // width * width].reshape(-1, width)
    rows = np.empty((2, -(-flat.shape[0] // width)), dtype=np.uint64)
    step = max(1, _RANGE // width)
    for first in range(0, whole.shape[0], step):  # wide cells are copied
        stop = min(whole.shape[0], first + step)
        rows[:, first:stop] = contract_last(whole[first:stop], low)
    if rows.shape[1] > whole.shape[0]:
        last = np.zeros((1, width), dtype=flat.dtype)
        last[0, : flat.shape[0] % width] = flat[whole.size :]
        rows[:, -1:] = contract_last(last, low)
    return total(product(rows, high[:, : rows.shape[1]]))


_RANGE = 1 << 22
"""Cells that are contracted at once."""


@kernel
def _total(a):  # type: ignore[no-untyped-def]
    low = ZERO
    high = ZERO
    for i in range(a.shape[0]):
        low += a[i] & EPSILON
        high += a[i] >> U32
    high += low >> U32
    return reduce128(high >> U32, (high << U32) | (low & EPSILON))


def total(vector: ExtVec) -> Ext:
    """Sum of all elements (fewer than 2^31)."""

    def row_total(row: NDArray[np.uint64]) -> int:
        return sum(int(s) for s in run(row.shape[0], lambda lo, hi: _total(row[lo:hi])))

    return Ext(row_total(vector[0]), row_total(vector[1]))
