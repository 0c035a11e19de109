"""Goldilocks and its quadratic extension as LLVM instructions that vectorise.

``p = 2^64 - 2^32 + 1``, ``E = F_p[x] / (x^2 - 7)``. Every value in and out is canonical
(``< p``). Products are split into 32-bit halves: AVX-512 and NEON have 32 x 32 -> 64 bit
multiplications but no 64 x 64 -> 128 bit ones. There are no branches, only selects. The
functions are numba intrinsics: they add their instructions to the kernel that uses them, so
nothing is left to inline and kernels compile quickly.

Loops vectorise when they run over ``range(n)`` of contiguous 1-D arrays: kernels therefore take
rows and slices, not offsets.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

P = np.uint64(0xFFFFFFFF00000001)
EPSILON = np.uint64(0xFFFFFFFF)  # 2^64 mod p
U32 = np.uint64(32)
ZERO = np.uint64(0)

_I64 = ir.IntType(64)


def kernel(function: Any) -> Any:
    """A cached native function without the GIL, so that threads run it side by side."""
    return numba.njit(nogil=True, cache=True, error_model="numpy")(function)


def inline(function: Any) -> Any:
    """A scalar function meant to be inlined in kernels."""
    return numba.njit(nogil=True, cache=True, inline="always")(function)


def _constant(value: int) -> ir.Constant:
    return ir.Constant(_I64, value)


_PRIME = _constant(int(P))
_MASK = _constant(int(EPSILON))
_SHIFT = _constant(32)
_NONE = _constant(0)


def _add(b: Any, x: Any, y: Any) -> Any:
    total = b.add(x, y)
    total = b.add(total, b.select(b.icmp_unsigned("<", total, x), _MASK, _NONE))
    return b.sub(total, b.select(b.icmp_unsigned(">=", total, _PRIME), _PRIME, _NONE))


def _sub(b: Any, x: Any, y: Any) -> Any:
    return b.add(b.sub(x, y), b.select(b.icmp_unsigned("<", x, y), _PRIME, _NONE))


def _reduce(b: Any, hi: Any, lo: Any) -> Any:
    """``hi 2^64 + lo``: ``2^64 = 2^32 - 1`` and ``2^96 = -1`` modulo p."""
    top = b.lshr(hi, _SHIFT)
    middle = b.and_(hi, _MASK)
    t = b.sub(lo, top)
    t = b.sub(t, b.select(b.icmp_unsigned("<", lo, top), _MASK, _NONE))
    u = b.sub(b.shl(middle, _SHIFT), middle)
    r = b.add(t, u)
    r = b.add(r, b.select(b.icmp_unsigned("<", r, u), _MASK, _NONE))
    return b.sub(r, b.select(b.icmp_unsigned(">=", r, _PRIME), _PRIME, _NONE))


def _mul(b: Any, x: Any, y: Any) -> Any:
    x0, x1 = b.and_(x, _MASK), b.lshr(x, _SHIFT)
    y0, y1 = b.and_(y, _MASK), b.lshr(y, _SHIFT)
    low = b.mul(x0, y0)
    mid = b.add(b.mul(x0, y1), b.lshr(low, _SHIFT))
    mid2 = b.add(b.mul(x1, y0), b.and_(mid, _MASK))
    hi = b.add(b.add(b.mul(x1, y1), b.lshr(mid, _SHIFT)), b.lshr(mid2, _SHIFT))
    return _reduce(b, hi, b.or_(b.shl(mid2, _SHIFT), b.and_(low, _MASK)))


def _mul7(b: Any, x: Any) -> Any:
    seven = _constant(7)
    low = b.mul(b.and_(x, _MASK), seven)
    high = b.add(b.mul(b.lshr(x, _SHIFT), seven), b.lshr(low, _SHIFT))
    return _reduce(b, b.lshr(high, _SHIFT), b.or_(b.shl(high, _SHIFT), b.and_(low, _MASK)))


def _binary(name: str, build: Any) -> Any:
    """A numba intrinsic on two residues."""

    def typed(typingctx, x, y):  # type: ignore[no-untyped-def]
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return build(builder, *args)

        return types.uint64(types.uint64, types.uint64), codegen

    typed.__name__ = typed.__qualname__ = name
    return intrinsic(typed)


add = _binary("add", _add)
"""Sum in F_p."""
sub = _binary("sub", _sub)
"""Difference in F_p."""
mul = _binary("mul", _mul)
"""Product in F_p."""
reduce128 = _binary("reduce128", _reduce)
"""``hi * 2^64 + lo`` modulo p."""


def _typed_from_signed(typingctx, v):  # type: ignore[no-untyped-def]
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        negative = builder.icmp_signed("<", args[0], _NONE)
        return builder.add(args[0], builder.select(negative, _PRIME, _NONE))

    return types.uint64(types.int64), codegen


def _typed_ext_mul(typingctx, a0, a1, b0, b1):  # type: ignore[no-untyped-def]
    pair: Any = types.UniTuple(types.uint64, 2)  # type: ignore[no-untyped-call]

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        x0, x1, y0, y1 = args
        c0 = _add(builder, _mul(builder, x0, y0), _mul7(builder, _mul(builder, x1, y1)))
        c1 = _add(builder, _mul(builder, x0, y1), _mul(builder, x1, y0))
        return context.make_tuple(builder, signature.return_type, [c0, c1])

    return pair(*[types.uint64] * 4), codegen


from_signed: Any = intrinsic(_typed_from_signed)
"""An int64 with ``|v| < p/2`` as a residue."""
ext_mul: Any = intrinsic(_typed_ext_mul)
"""Product in E, as a pair."""
