"""The prime field F_p, ``p = 2^64 - 2^32 + 1``: Python integers, and uint64 numpy vectors."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

P = 0xFFFFFFFF00000001
TWO_ADICITY = 32
GENERATOR = 7
"""Generates the multiplicative group."""

U64 = NDArray[np.uint64]

_P = np.uint64(P)
_EPSILON = np.uint64(0xFFFFFFFF)
_U32 = np.uint64(32)
_SEVEN = np.uint64(7)
_BLOCK = 1 << 13
"""Elements that are multiplied at once."""
_EXACT = 1 << 18
"""Longest inner products whose limbs float64 adds up exactly."""
_ONE_THREAD = 1 << 18
"""Float64 products in one matrix product that a BLAS computes in one thread."""


def root_of_unity(log_order: int) -> int:
    """Primitive ``2^log_order``-th root of unity."""
    if not 0 <= log_order <= TWO_ADICITY:
        raise ValueError(f"no root of unity of order 2^{log_order} in F_p")
    return pow(GENERATOR, (P - 1) >> log_order, P)


def bit_reverse(index: int, bits: int) -> int:
    """Reverse the lowest ``bits`` binary digits."""
    return int(format(index, f"0{bits}b")[::-1], 2) if bits else 0


@lru_cache(maxsize=TWO_ADICITY // 8)
def _byte_powers(number: int) -> list[int]:
    """Product of the roots of order ``2^(8 number + i + 1)`` over the bits ``i`` of every byte."""
    out = [1]
    for i in range(8):
        root = root_of_unity(8 * number + i + 1)
        out += [root * x % P for x in out]
    return out


def reversed_powers(log_order: int, indices: list[int]) -> U64:
    """``w^bitreverse(i)`` for the root ``w`` of order ``2^log_order`` and every index.

    Bit ``i`` of an index becomes ``w^(2^(log_order - 1 - i))``, the root of order ``2^(i + 1)``.
    """
    first, *others = (_byte_powers(number) for number in range(max(1, -(-log_order // 8))))
    out = [first[i & 255] for i in indices]
    for number, table in enumerate(others, 1):
        shift = 8 * number
        out = [x * table[i >> shift & 255] % P for x, i in zip(out, indices, strict=True)]
    return np.array(out, dtype=np.uint64)


def from_signed(values: NDArray[np.integer]) -> U64:
    """Integers of any numpy type, ``|v| < 2^63``, as residues."""
    if values.dtype.kind == "u":
        return (
            values.astype(np.uint64) % _P
            if values.dtype.itemsize == 8
            else values.astype(np.uint64)
        )
    wide = values.astype(np.int64).view(np.uint64)
    return np.where(values < 0, wide + _P, wide)


def add(a: U64, b: U64) -> U64:
    """Sum, element by element."""
    s = a + b
    s += (s < a) * _EPSILON
    out: U64 = np.minimum(s, s - _P)
    return out


def sub(a: U64, b: U64) -> U64:
    """Difference, element by element."""
    out: U64 = (a - b) + (a < b) * _P
    return out


def mul(a: U64, b: U64) -> U64:
    """Product, element by element, through 32-bit halves.

    Large products are computed in blocks, whose intermediate values stay in the cache.
    """
    shape = np.broadcast_shapes(a.shape, b.shape)
    if math.prod(shape) <= _BLOCK:
        return _mul_block(a, b)
    out = np.empty(shape, dtype=np.uint64)
    left, right = (v.reshape((1,) * (len(shape) - v.ndim) + v.shape) for v in (a, b))
    in_blocks(_mul_block, left, right, out, _BLOCK)
    return out


def in_blocks(
    function: Callable[[U64, U64], U64],
    a: U64,
    b: U64,
    out: U64,
    most: int,
    *,
    first_axis: int = 0,
) -> None:
    """``out = function(a, b)`` of as many axes, in parts of at most ``most`` elements: halved
    along the longest axis, never along one before ``first_axis``; ``a`` and ``b`` may be broadcast
    along any."""
    if out.size <= most or max(out.shape[first_axis:]) == 1:
        out[...] = function(a, b)
        return
    axis = first_axis + int(np.argmax(out.shape[first_axis:]))
    half = out.shape[axis] // 2
    for part in (slice(None, half), slice(half, None)):
        place = (slice(None),) * axis + (part,)
        first, second = (v[place] if v.shape[axis] > 1 else v for v in (a, b))
        in_blocks(function, first, second, out[place], most, first_axis=first_axis)


def times_seven(a: U64) -> U64:
    """``7 a``."""
    low = (a & _EPSILON) * _SEVEN
    high = (a >> _U32) * _SEVEN + (low >> _U32)
    return _reduce(high >> _U32, (high << _U32) | (low & _EPSILON))


def _mul_block(a: U64, b: U64) -> U64:
    a0, a1 = a & _EPSILON, a >> _U32
    b0, b1 = b & _EPSILON, b >> _U32
    low = a0 * b0
    mid = a0 * b1 + (low >> _U32)
    mid2 = a1 * b0 + (mid & _EPSILON)
    hi = a1 * b1
    hi += mid >> _U32
    hi += mid2 >> _U32
    mid2 <<= _U32
    mid2 |= low & _EPSILON
    return _reduce(hi, mid2)


def _reduce(hi: U64, lo: U64) -> U64:
    """``2^64 hi + lo`` for any 64-bit halves."""
    hi_hi = hi >> _U32
    t = lo - hi_hi
    t -= (lo < hi_hi) * _EPSILON
    u = (hi & _EPSILON) * _EPSILON
    t += u
    t += (t < u) * _EPSILON
    return np.minimum(t, t - _P)


def total(a: U64, axis: int = -1) -> U64:
    """Sum along one axis: the 32-bit halves are summed apart (fewer than 2^31 terms)."""
    low = (a & _EPSILON).sum(axis=axis, keepdims=True, dtype=np.uint64)
    high = (a >> _U32).sum(axis=axis, keepdims=True, dtype=np.uint64) + (low >> _U32)
    return np.squeeze(_reduce(high >> _U32, (high << _U32) | (low & _EPSILON)), axis=axis)


def matmul(a: U64, b: U64) -> U64:
    """Matrix product ``(m, n) (n, k)`` of residues, exact, by one float64 product of limbs.

    With 16-bit limbs ``a = sum_i a_i 2^(16 i)`` and ``2^64 = 2^32 - 1``, ``2^96 = -1``, the product
    is ``sum_c 2^(16 c) sum_(n, i) a_i B_(i c)``, four sums of ``4 n`` terms below ``2^33``: exact
    up to ``n = 2^18``, and longer ones are cut.
    """
    m, n = a.shape
    if n == 0:
        return np.zeros((m, b.shape[1]), dtype=np.uint64)
    if n > _EXACT:
        middle = n // 2
        return add(matmul(a[:, :middle], b[:middle]), matmul(a[:, middle:], b[middle:]))
    right = _limb_products(b)
    out = np.empty((m, b.shape[1]), dtype=np.uint64)
    rows = max(1, _BLOCK // max(n, b.shape[1]))
    for first in range(0, m, rows):
        sums = exact_products(limbs(a[first : first + rows]).reshape(-1, 4 * n), right)
        out[first : first + rows] = carry(sums.astype(np.int64).reshape(-1, b.shape[1], 4))
    return out


def exact_products(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Matrix product of floats whose sums are exact, in parts that a BLAS computes without waking
    its threads, which takes longer."""
    rows = max(1, _ONE_THREAD // b.size)
    whole = len(a) // rows * rows
    parts = a[:whole].reshape(-1, rows, a.shape[1]) @ b
    if whole == len(a):
        return parts.reshape(whole, b.shape[1])
    return np.concatenate([parts.reshape(whole, b.shape[1]), a[whole:] @ b])


def limbs(a: U64) -> NDArray[np.float64]:
    """Four 16-bit limbs, lowest first, along one more axis."""
    words = np.ascontiguousarray(a, dtype="<u8").view("<u2")
    return words.reshape(*a.shape, 4).astype(np.float64)


def _limb_products(b: U64) -> NDArray[np.float64]:
    """``B`` of :func:`matmul`: ``(4 n, 4 k)`` for ``(n, k)``."""
    b0, b1, b2, b3 = np.moveaxis(limbs(b), -1, 0)
    n, k = b.shape
    out = np.empty((n, 4, k, 4))
    # limbs i of a and j of b meet at 2^(16 (i + j)); with 2^64 = 2^32 - 1 what is at i + j = 4, 5
    # goes to c = i + j - 2 and with a minus to i + j - 4, and i + j = 6 is -1
    rows = (
        (b0, b1, b2, b3),
        (-b3, b0, b1 + b3, b2),
        (-b2, -b3, b0 + b2, b1 + b3),
        (-b1 - b3, -b2, b1, b0 + b2),
    )
    for i, row in enumerate(rows):
        for c, cell in enumerate(row):
            out[:, i, :, c] = cell
    return out.reshape(4 * n, 4 * k)


def carry(c: NDArray[np.int64]) -> U64:
    """``sum_c 2^(16 c) c[..., c]`` of four integers, ``|c| < 2^54``."""
    c0, c1, c2, c3 = np.moveaxis(c, -1, 0)
    # 2^40 p = 2^104 - 2^72 + 2^40 makes the part above 2^64 positive
    c0 = c0 + (1 << 40)
    c1 = c1 + (c0 >> 16)
    c2 = c2 + (c1 >> 16) - (1 << 40)
    c3 = c3 + (c2 >> 16)
    hi = (c3 >> 16) + (1 << 40)
    lo = (c0 & 0xFFFF) | (c1 & 0xFFFF) << 16 | (c2 & 0xFFFF) << 32 | (c3 & 0xFFFF) << 48
    return _reduce(hi.view(np.uint64), lo.view(np.uint64))


def sums_after(a: U64) -> U64:
    """``sum_{j > i} a_j`` for all ``i`` of a 1-D vector (fewer than 2^31 terms)."""
    later = a[:0:-1]
    low = np.cumsum(later & _EPSILON, dtype=np.uint64)
    high = np.cumsum(later >> _U32, dtype=np.uint64) + (low >> _U32)
    sums = _reduce(high >> _U32, ((high & _EPSILON) << _U32) | (low & _EPSILON))
    return np.concatenate([sums[::-1], np.zeros(1, dtype=np.uint64)])


def powers(base: int, count: int) -> U64:
    """``(1, base, base^2, ...)``, by doubling."""
    out = np.ones(count, dtype=np.uint64)
    filled = 1
    while filled < count:
        take = min(filled, count - filled)
        step = np.uint64(pow(base, filled, P))
        out[filled : filled + take] = mul(out[:take], np.full(take, step))
        filled += take
    return out


def power_table(points: U64, count: int) -> U64:
    """``points[i]^j`` for ``j < count``: shape ``(len(points), count)``, by doubling."""
    out = np.ones((len(points), count), dtype=np.uint64)
    filled, power = 1, points
    while filled < count:
        take = min(filled, count - filled)
        out[:, filled : filled + take] = mul(out[:, :take], power[:, None])
        filled, power = filled + take, mul(power, power)
    return out


def evaluate_polynomials(coefficients: U64, points: U64) -> U64:
    """Values of polynomials ``(rows, degree)``, lowest coefficient first, at all points: shape
    ``(rows, len(points))``.

    Each is cut in blocks of about the square root of its degree, whose values are one matrix
    product.
    """
    rows, degree = coefficients.shape
    size = 1 << ((max(1, rows * degree) - 1).bit_length() + 1) // 2
    blocks = -(-degree // size)
    padded = np.zeros((rows, blocks * size), dtype=np.uint64)
    padded[:, :degree] = coefficients
    table = power_table(points, size + 1)
    values = matmul(table[:, :size], padded.reshape(rows * blocks, size).T)
    out = values.reshape(len(points), rows, blocks).transpose(1, 0, 2)
    if blocks == 1:
        return np.ascontiguousarray(out[:, :, 0])
    return total(mul(out, power_table(table[:, size], blocks)[None]))


def dft(values: U64) -> U64:
    """``out_j = sum_i values_i w^(i j)`` along the last axis, of length ``2^k``, with ``w`` of that
    order. For vectors too small for a kernel, and for verifiers."""
    length = values.shape[-1]
    log_length = length.bit_length() - 1
    out = values[..., [bit_reverse(i, log_length) for i in range(length)]]
    every = powers(root_of_unity(log_length), max(1, length // 2))
    half = 1
    while half < length:
        roots = every[:: length // (2 * half)]
        blocks = out.reshape(*values.shape[:-1], -1, 2, half)
        low, high = blocks[..., 0, :], mul(blocks[..., 1, :], roots)
        out = np.stack([add(low, high), sub(low, high)], axis=-2).reshape(values.shape)
        half *= 2
    return out


def inverse_dft(values: U64) -> U64:
    """The inverse of :func:`dft`: coefficients of the polynomial with these values at ``w^i``."""
    length = values.shape[-1]
    reverse = (-np.arange(length)) % length
    return mul(dft(values)[..., reverse], np.uint64(pow(length, -1, P)) + np.zeros_like(values))
