"""Goldilocks and its quadratic extension as LLVM instructions that vectorise.

``p = 2^64 - 2^32 + 1``, ``E = F_p[x] / (x^2 - 7)``. Every value in and out is canonical
(``< p``). Products are split into 32-bit halves: vector units have 32 x 32 -> 64 bit
multiplications but no 64 x 64 -> 128 bit ones. There are no branches, only selects. The
functions are numba intrinsics: they add their instructions to the kernel that uses them, so
nothing is left to inline and kernels compile quickly.

Sums of products are reduced once. With ``phi = 2^32``, ``phi^2 = phi - 1``, a product is ``p00 -
p11 + phi (p01 + p10 + p11)``. Its 64-bit terms are added up modulo ``2^64``, and beside them the
upper halves of the terms exactly (*parts*); the exact sum of the lower halves follows. That gives
``l + phi h`` with small signed ``l, h`` (*halves*), which loops add up before anything is reduced.

Loops vectorise when they run over ``range(n)`` of contiguous 1-D arrays: kernels therefore take
rows and slices, not offsets.
"""

from __future__ import annotations

import inspect
from contextlib import suppress
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .cache import trusted

P = np.uint64(0xFFFFFFFF00000001)
EPSILON = np.uint64(0xFFFFFFFF)  # 2^64 mod p
U32 = np.uint64(32)
ZERO = np.uint64(0)

_I64 = ir.IntType(64)


def kernel(function: Any) -> Any:
    """A cached native function without the GIL, so that threads run it side by side."""
    return _compiled(function, nogil=True, error_model="numpy")


def inline(function: Any) -> Any:
    """A scalar function meant to be inlined in kernels."""
    return _compiled(function, nogil=True, inline="always")


def _compiled(function: Any, **options: Any) -> Any:
    """Kept on disk where nobody else could put another function in its place."""
    made = numba.njit(cache=True, **options)(function)
    if not trusted(made.stats.cache_path):
        return numba.njit(**options)(function)
    _survive_damage(getattr(made, "_cache", None))
    return made


def _survive_damage(cache: Any) -> None:
    """Compile anew where a kept function cannot be read, instead of failing with every command."""
    load = getattr(cache, "load_overload", None)
    if load is None:
        return

    def careful(*args: Any) -> Any:
        try:
            return load(*args)
        except Exception:  # whatever unpickling makes of damaged bytes
            with suppress(Exception):
                cache.flush()
            return None

    cache.load_overload = careful


def _constant(value: int) -> ir.Constant:
    return ir.Constant(_I64, value & (2**64 - 1))


_PRIME = _constant(int(P))
_MASK = _constant(int(EPSILON))
_SHIFT = _constant(32)
_NONE = _constant(0)
_ONES = _constant(-1)
# 2^22 p, in halves that make others positive
_LIFT_LOW = _constant((1 << 56) + (1 << 22))
_LIFT_HIGH = _constant((1 << 54) - (1 << 22) - (1 << 24))

Parts = tuple[Any, Any, Any, Any]
"""``E, upper(E), D, upper(D)`` of a sum ``E + phi D``: 64-bit sums modulo 2^64, exact sums of
upper halves."""


def _like(x: Any, constant: ir.Constant) -> ir.Constant:
    """The constant, for a vector in every cell."""
    kind = getattr(x, "type", None)  # nothing where instructions are interpreted
    return (
        ir.Constant(kind, [constant] * kind.count) if isinstance(kind, ir.VectorType) else constant
    )


def build_add(b: Any, x: Any, y: Any) -> Any:
    """Instructions of a sum in F_p, of words or of vectors of them."""
    return build_sub(b, x, b.sub(_like(y, _PRIME), y))


def build_sub(b: Any, x: Any, y: Any) -> Any:
    """Of a difference."""
    below = b.icmp_unsigned("<", x, y)
    return b.add(b.sub(x, y), b.select(below, _like(x, _PRIME), _like(x, _NONE)))


def _canonical(b: Any, r: Any) -> Any:
    above = b.icmp_unsigned(">=", r, _like(r, _PRIME))
    return b.add(r, b.select(above, _like(r, _MASK), _like(r, _NONE)))


def _where_negative(b: Any, sign: Any) -> Any:
    """``2^64`` modulo p where the top bit of ``sign`` is set."""
    none = _like(sign, _NONE)
    return b.select(b.icmp_signed("<", sign, none), _like(sign, _MASK), none)


def build_reduce(b: Any, hi: Any, lo: Any) -> Any:
    """Of ``hi 2^64 + lo``: ``2^64 = 2^32 - 1`` and ``2^96 = -1`` modulo p."""
    mask = _like(hi, _MASK)
    top = b.lshr(hi, _like(hi, _SHIFT))
    t = b.sub(lo, top)  # borrows only from a small ``lo``, into the top bit
    t = b.sub(t, _where_negative(b, b.and_(b.xor(lo, _like(lo, _ONES)), t)))
    u = b.mul(b.and_(hi, mask), mask)
    r = b.add(t, u)
    r = b.add(r, b.select(b.icmp_unsigned("<", r, u), mask, _like(hi, _NONE)))
    return _canonical(b, r)


def _halves_of(b: Any, x: Any) -> tuple[Any, Any]:
    return b.and_(x, _like(x, _MASK)), b.lshr(x, _like(x, _SHIFT))


def build_mul(b: Any, x: Any, y: Any) -> Any:
    """Of a product."""
    (x0, x1), (y0, y1) = _halves_of(b, x), _halves_of(b, y)
    low = b.mul(x0, y0)
    mid = b.add(b.mul(x0, y1), _halves_of(b, low)[1])
    mid2 = b.add(b.mul(x1, y0), _halves_of(b, mid)[0])
    hi = b.add(b.add(b.mul(x1, y1), _halves_of(b, mid)[1]), _halves_of(b, mid2)[1])
    upper = b.shl(mid2, _like(mid2, _SHIFT))
    return build_reduce(b, hi, b.or_(upper, _halves_of(b, low)[0]))


def build_mul_2_48(b: Any, x: Any) -> Any:
    """Of a product with ``2^48``."""
    return build_reduce(b, b.lshr(x, _like(x, _constant(16))), b.shl(x, _like(x, _constant(48))))


def _parts(b: Any, x: Any, y: Any) -> Parts:
    (x0, x1), (y0, y1) = _halves_of(b, x), _halves_of(b, y)
    p00, p01, p10, p11 = b.mul(x0, y0), b.mul(x0, y1), b.mul(x1, y0), b.mul(x1, y1)
    u00, u01, u10, u11 = (b.lshr(p, _SHIFT) for p in (p00, p01, p10, p11))
    return (
        b.sub(p00, p11),
        b.sub(u00, u11),
        b.add(b.add(p01, p10), p11),
        b.add(b.add(u01, u10), u11),
    )


def _plus(b: Any, first: Parts, second: Parts) -> Parts:
    e, f, g, h = (b.add(x, y) for x, y in zip(first, second, strict=True))
    return e, f, g, h


def _times_7(b: Any, parts: Parts) -> Parts:
    e, f, g, h = (b.sub(b.shl(x, _constant(3)), x) for x in parts)
    return e, f, g, h


def _ext_parts(b: Any, *factors: Any) -> tuple[Parts, Parts]:
    """Both coordinates of ``a b + c d + ...`` for factors ``a0, a1, b0, b1, c0, ...``."""
    out: tuple[Parts, Parts] | None = None
    for i in range(0, len(factors), 4):
        x0, x1, y0, y1 = factors[i : i + 4]
        c0 = _plus(b, _parts(b, x0, y0), _times_7(b, _parts(b, x1, y1)))
        c1 = _plus(b, _parts(b, x0, y1), _parts(b, x1, y0))
        out = (c0, c1) if out is None else (_plus(b, out[0], c0), _plus(b, out[1], c1))
    if out is None:
        raise ValueError("no factors")
    return out


def _to_halves(b: Any, parts: Parts) -> tuple[Any, Any]:
    e, upper_e, d, upper_d = parts
    low = b.sub(b.sub(e, upper_d), b.shl(upper_e, _SHIFT))
    high = b.add(b.add(b.sub(d, b.shl(upper_d, _SHIFT)), upper_d), upper_e)
    return low, high


def _from_halves(b: Any, low: Any, high: Any) -> Any:
    """``low + 2^32 high`` for ``|low| <= 2^56``, ``|high| < 2^53``."""
    low, high = b.add(low, _LIFT_LOW), b.add(high, _LIFT_HIGH)
    carried = b.add(high, b.lshr(low, _SHIFT))
    top = b.lshr(carried, _SHIFT)
    w = b.or_(b.shl(carried, _SHIFT), b.and_(low, _MASK))
    r = b.add(w, b.sub(b.shl(top, _SHIFT), top))  # overflows only from a large ``w``
    r = b.add(r, _where_negative(b, b.and_(w, b.xor(r, _ONES))))
    return _canonical(b, r)


def _settle(b: Any, parts: Parts) -> Any:
    return _from_halves(b, *_to_halves(b, parts))


def _intrinsic(name: str, arguments: int, results: int, build: Any) -> Any:
    """A numba intrinsic on ``arguments`` residues; several results are a tuple."""
    word = types.uint64
    kind: Any = word if results == 1 else types.UniTuple(word, results)  # type: ignore[no-untyped-call]

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        out = build(builder, *args)
        if results == 1:
            return out
        return context.make_tuple(builder, signature.return_type, list(out))

    def typed(typingctx, *args):  # type: ignore[no-untyped-def]
        return kind(*[word] * arguments), codegen

    # numba counts the arguments by the signature
    names = ["typingctx", *(f"x{i}" for i in range(arguments))]
    parameters = [inspect.Parameter(n, inspect.Parameter.POSITIONAL_OR_KEYWORD) for n in names]
    typed.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    typed.__name__ = typed.__qualname__ = name
    return intrinsic(typed)


def _ext_product(b: Any, *factors: Any) -> list[Any]:
    return [_settle(b, parts) for parts in _ext_parts(b, *factors)]


def _ext_mul_add(b: Any, a0: Any, a1: Any, b0: Any, b1: Any, x0: Any, x1: Any) -> list[Any]:
    out = []
    for (e, f, g, h), x in zip(_ext_parts(b, a0, a1, b0, b1), (x0, x1), strict=True):
        out.append(_settle(b, (b.add(e, x), b.add(f, b.lshr(x, _SHIFT)), g, h)))
    return out


def _ext_halves(b: Any, *factors: Any) -> list[Any]:
    return [half for parts in _ext_parts(b, *factors) for half in _to_halves(b, parts)]


def _base_halves(b: Any, x: Any, y0: Any, y1: Any) -> list[Any]:
    return [half for y in (y0, y1) for half in _to_halves(b, _parts(b, x, y))]


add = _intrinsic("add", 2, 1, build_add)
"""Sum in F_p."""
sub = _intrinsic("sub", 2, 1, build_sub)
"""Difference in F_p."""
mul = _intrinsic("mul", 2, 1, build_mul)
"""Product in F_p."""
mul_2_48 = _intrinsic("mul_2_48", 1, 1, build_mul_2_48)
"""Product with ``2^48``, a fourth root of unity."""
reduce128 = _intrinsic("reduce128", 2, 1, build_reduce)
"""``hi * 2^64 + lo`` modulo p."""
from_halves = _intrinsic("from_halves", 2, 1, _from_halves)
"""``low + 2^32 high`` modulo p, int64 bits, for ``|low| <= 2^56``, ``|high| < 2^53``."""
ext_mul = _intrinsic("ext_mul", 4, 2, _ext_product)
"""Product in E, as a pair."""
ext_mul_2 = _intrinsic("ext_mul_2", 8, 2, _ext_product)
"""``a b + c d`` in E, as a pair."""
ext_mul_add = _intrinsic("ext_mul_add", 6, 2, _ext_mul_add)
"""``a b + x`` in E, as a pair."""
ext_halves = _intrinsic("ext_halves", 4, 4, _ext_halves)
"""Product in E as ``l0, h0, l1, h1``, int64 bits below ``2^37``: coordinates ``l + 2^32 h``."""


base_halves = _intrinsic("base_halves", 3, 4, _base_halves)
"""Product of F_p with E, ``x (y0, y1)``, as :data:`ext_halves`."""


def _typed_from_signed(typingctx, v):  # type: ignore[no-untyped-def]
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        negative = builder.icmp_signed("<", args[0], _NONE)
        return builder.add(args[0], builder.select(negative, _PRIME, _NONE))

    return types.uint64(types.int64), codegen


from_signed: Any = intrinsic(_typed_from_signed)
"""An int64 with ``|v| < p/2`` as a residue."""


@kernel
def settled(low, high):  # type: ignore[no-untyped-def]
    """Residue of ``low + 2^32 high`` for int64 sums."""
    a = from_signed(low)
    a = a - (P if a >= P else ZERO)
    b = from_signed(high)
    b = b - (P if b >= P else ZERO)
    return add(a, reduce128(b >> U32, b << U32))
