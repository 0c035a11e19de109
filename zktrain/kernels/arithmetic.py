"""Goldilocks and its quadratic extension as numba functions that LLVM vectorises.

``p = 2^64 - 2^32 + 1``, ``E = F_p[x] / (x^2 - 7)``. Every value in and out is canonical
(``< p``). Products are split into 32-bit halves: AVX-512 and NEON have 32 x 32 -> 64 bit
multiplications but no 64 x 64 -> 128 bit ones. There are no branches, only selects.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

P = np.uint64(0xFFFFFFFF00000001)
EPSILON = np.uint64(0xFFFFFFFF)  # 2^64 mod p
U32 = np.uint64(32)
ZERO = np.uint64(0)
SEVEN = np.uint64(7)


def kernel(function: Any) -> Any:
    """A cached native function without the GIL, so that threads run it side by side."""
    return numba.njit(nogil=True, cache=True, error_model="numpy")(function)


def inline(function: Any) -> Any:
    """A scalar function meant to be inlined in kernels."""
    return numba.njit(nogil=True, cache=True, inline="always")(function)


@inline
def add(a: Any, b: Any) -> Any:
    s = a + b
    s = s + (EPSILON if s < a else ZERO)
    return s - (P if s >= P else ZERO)


@inline
def sub(a: Any, b: Any) -> Any:
    d = a - b
    return d + (P if a < b else ZERO)


@inline
def reduce128(hi: Any, lo: Any) -> Any:
    """``hi * 2^64 + lo`` modulo p."""
    hi_hi = hi >> U32
    hi_lo = hi & EPSILON
    t = lo - hi_hi
    t = t - (EPSILON if lo < hi_hi else ZERO)
    u = (hi_lo << U32) - hi_lo
    r = t + u
    r = r + (EPSILON if r < u else ZERO)
    return r - (P if r >= P else ZERO)


@inline
def mul(a: Any, b: Any) -> Any:
    a0 = a & EPSILON
    a1 = a >> U32
    b0 = b & EPSILON
    b1 = b >> U32
    low = a0 * b0
    mid = a0 * b1 + (low >> U32)
    mid2 = a1 * b0 + (mid & EPSILON)
    hi = a1 * b1 + (mid >> U32) + (mid2 >> U32)
    return reduce128(hi, (mid2 << U32) | (low & EPSILON))


@inline
def mul7(a: Any) -> Any:
    """``7 a``."""
    low = (a & EPSILON) * SEVEN
    high = (a >> U32) * SEVEN + (low >> U32)
    return reduce128(high >> U32, (high << U32) | (low & EPSILON))


@inline
def ext_mul(a0: Any, a1: Any, b0: Any, b1: Any) -> Any:
    """Product in E."""
    return add(mul(a0, b0), mul7(mul(a1, b1))), add(mul(a0, b1), mul(a1, b0))


@inline
def from_signed(v: Any) -> Any:
    """An int64 with ``|v| < p/2`` as a residue."""
    return np.uint64(v) + (P if v < 0 else ZERO)
