"""Multilinear extensions that the verifier evaluates itself.

Points list the lowest (fastest varying) variable first: index bit ``i`` belongs to
coordinate ``i``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from . import extension as ext
from . import goldilocks as gl
from .extension import NON_RESIDUE, ONE, ZERO, Ext, ExtVec, Point, reduced
from .goldilocks import P


def log2_ceil(n: int) -> int:
    """Smallest ``k`` with ``2^k >= n``, for ``n >= 1``."""
    return (n - 1).bit_length()


def bits(index: int, count: int) -> tuple[int, ...]:
    """Binary digits of ``index``, lowest first."""
    return tuple((index >> i) & 1 for i in range(count))


def eq(a: Sequence[Ext], b: Sequence[Ext]) -> Ext:
    """``prod_i (a_i b_i + (1 - a_i)(1 - b_i))``."""
    real, other = 1, 0
    for x, y in zip(a, b, strict=True):
        c = 2 * (x.a * y.a + NON_RESIDUE * x.b * y.b) + 1 - x.a - y.a
        d = 2 * (x.a * y.b + x.b * y.a) - x.b - y.b
        c, d = c % P, d % P
        real, other = (real * c + NON_RESIDUE * other * d) % P, (real * d + other * c) % P
    return reduced(real, other)


def eq_index(point: Sequence[Ext], index: int) -> Ext:
    """``eq(point, bits of index)``."""
    out = ONE
    for i, x in enumerate(point):
        out = out * (x if (index >> i) & 1 else 1 - x)
    return out


_SMALL = 5
"""Variables of a table that Python integers compute faster than short vectors."""


def eq_table(point: Sequence[Ext], factor: Ext = ONE) -> ExtVec:
    """``factor * eq(point, x)`` for all ``x``: shape ``(2, 2^n)``."""
    low, high = point[:_SMALL], point[_SMALL:]
    table = _eq_values(low, factor)
    while high:  # all products of the cells of two tables
        more, high = _eq_values(high[:_SMALL], ONE), high[_SMALL:]
        table = ext.mul(table[:, None, :], more[:, :, None]).reshape(2, -1)
    return table


def _eq_values(point: Sequence[Ext], factor: Ext) -> ExtVec:
    cells = [(factor.a, factor.b)]
    for x in point:
        c, d = x.a, x.b
        highs = [((a * c + NON_RESIDUE * b * d) % P, (a * d + b * c) % P) for a, b in cells]
        lows = [((a - c) % P, (b - d) % P) for (a, b), (c, d) in zip(cells, highs, strict=True)]
        cells = lows + highs
    return np.ascontiguousarray(np.array(cells, dtype=np.uint64).T)


def less_than(point: Sequence[Ext], bound: int) -> Ext:
    """Extension of ``[x < bound]`` over ``len(point)`` variables, in ``O(n)``."""
    if bound >= 1 << len(point):
        return ONE
    out = ZERO  # highest variable last: compare from the lowest bit up
    for i, x in enumerate(point):
        out = (1 - x) + x * out if (bound >> i) & 1 else (1 - x) * out
    return out


def identity(point: Sequence[Ext]) -> Ext:
    """Extension of ``x -> x`` (the index itself)."""
    out = ZERO
    for i, x in enumerate(point):
        out = out + x * (1 << i)
    return out


def evaluate_base(table: gl.U64, point: Point) -> Ext:
    """Extension of an F_p table of ``2^n`` cells at ``point``.

    Contracts the low half of the variables first, so that only one vector of the size of the
    table is ever multiplied by E.
    """
    low = len(point) // 2
    rows = table.reshape(-1, 1 << low)
    folded = gl.matmul(rows, eq_table(point[:low]).T).T
    return ext.dot(folded, eq_table(point[low:]))


_LIMB = 27
_ROW_LOG = 10
"""Sums of ``2^10`` products of 27-bit and 16-bit limbs stay below ``2^53``."""


class IntegerTable:
    """An integer tensor, ``|v| < 2^53``, of ``2^n`` cells, whose extension is wanted at several
    points.

    The low variables are contracted by float64 matrix products of limbs, which are exact.
    """

    __slots__ = ("_limbs", "_low")

    def __init__(self, tensor: NDArray[np.int64]) -> None:
        self._low = min(tensor.size.bit_length() // 2, _ROW_LOG)
        rows = tensor.reshape(-1, 1 << self._low)
        self._limbs = [(rows & ((1 << _LIMB) - 1)).astype(np.float64)]
        high = rows >> _LIMB
        if high.any():
            self._limbs.append(high.astype(np.float64))

    def evaluate(self, point: Point) -> Ext:
        """The extension at ``point``."""
        inner = gl.limbs(eq_table(point[: self._low])).transpose(1, 0, 2)
        inner = inner.reshape(1 << self._low, 8)
        folded = np.zeros((2, len(self._limbs[0])), dtype=np.uint64)
        for k, limb in enumerate(self._limbs):
            sums = gl.exact_products(limb, inner).astype(np.int64).reshape(-1, 2, 4)
            part = gl.carry(sums).T
            if k:
                part = gl.mul(part, np.full((1, 1), 1 << _LIMB, dtype=np.uint64))
            folded = gl.add(folded, part)
        return ext.dot(folded, eq_table(point[self._low :]))


def evaluate_integers(tensor: NDArray[np.int64], point: Point) -> Ext:
    """Extension of an integer tensor, ``|v| < 2^53``, of ``2^n`` cells at ``point``."""
    return IntegerTable(tensor).evaluate(point)


def evaluate(table: ExtVec, point: Point) -> Ext:
    """Extension of an E table of shape ``(2, 2^n)`` at ``point``."""
    return ext.dot(table, eq_table(point))
