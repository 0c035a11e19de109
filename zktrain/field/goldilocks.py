"""The prime field F_p, ``p = 2^64 - 2^32 + 1``: Python integers, and uint64 numpy vectors."""

from __future__ import annotations

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
_ZERO = np.uint64(0)


def root_of_unity(log_order: int) -> int:
    """Primitive ``2^log_order``-th root of unity."""
    if not 0 <= log_order <= TWO_ADICITY:
        raise ValueError(f"no root of unity of order 2^{log_order} in F_p")
    return pow(GENERATOR, (P - 1) >> log_order, P)


def bit_reverse(index: int, bits: int) -> int:
    """Reverse the lowest ``bits`` binary digits."""
    return int(format(index, f"0{bits}b")[::-1], 2) if bits else 0


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
    s = s + np.where(s < a, _EPSILON, _ZERO)
    return s - np.where(s >= _P, _P, _ZERO)


def sub(a: U64, b: U64) -> U64:
    """Difference, element by element."""
    return (a - b) + np.where(a < b, _P, _ZERO)


def mul(a: U64, b: U64) -> U64:
    """Product, element by element, through 32-bit halves."""
    a0, a1 = a & _EPSILON, a >> _U32
    b0, b1 = b & _EPSILON, b >> _U32
    low = a0 * b0
    mid = a0 * b1 + (low >> _U32)
    mid2 = a1 * b0 + (mid & _EPSILON)
    hi = a1 * b1 + (mid >> _U32) + (mid2 >> _U32)
    return _reduce(hi, (mid2 << _U32) | (low & _EPSILON))


def _reduce(hi: U64, lo: U64) -> U64:
    hi_hi = hi >> _U32
    hi_lo = hi & _EPSILON
    t = (lo - hi_hi) - np.where(lo < hi_hi, _EPSILON, _ZERO)
    u = (hi_lo << _U32) - hi_lo
    r = t + u
    r = r + np.where(r < u, _EPSILON, _ZERO)
    return r - np.where(r >= _P, _P, _ZERO)


def total(a: U64, axis: int = -1) -> U64:
    """Sum along one axis: the 32-bit halves are summed apart (fewer than 2^31 terms)."""
    low = (a & _EPSILON).sum(axis=axis, keepdims=True, dtype=np.uint64)
    high = (a >> _U32).sum(axis=axis, keepdims=True, dtype=np.uint64) + (low >> _U32)
    reduced = _reduce(high >> _U32, ((high & _EPSILON) << _U32) | (low & _EPSILON))
    return np.squeeze(reduced, axis=axis)


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


def dft(values: U64) -> U64:
    """``out_j = sum_i values_i w^(i j)`` along the last axis, of length ``2^k``, with ``w`` of that
    order. For vectors too small for a kernel, and for verifiers."""
    length = values.shape[-1]
    log_length = length.bit_length() - 1
    out = values[..., [bit_reverse(i, log_length) for i in range(length)]]
    half = 1
    while half < length:
        roots = powers(root_of_unity(half.bit_length()), half)
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
