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
from .extension import ONE, ZERO, Ext, ExtVec, Point


def log2_ceil(n: int) -> int:
    """Smallest ``k`` with ``2^k >= n``, for ``n >= 1``."""
    return (n - 1).bit_length()


def bits(index: int, count: int) -> tuple[int, ...]:
    """Binary digits of ``index``, lowest first."""
    return tuple((index >> i) & 1 for i in range(count))


def eq(a: Sequence[Ext], b: Sequence[Ext]) -> Ext:
    """``prod_i (a_i b_i + (1 - a_i)(1 - b_i))``."""
    out = ONE
    for x, y in zip(a, b, strict=True):
        xy = x * y
        out = out * (xy + xy - x - y + 1)
    return out


def eq_index(point: Sequence[Ext], index: int) -> Ext:
    """``eq(point, bits of index)``."""
    out = ONE
    for i, x in enumerate(point):
        out = out * (x if (index >> i) & 1 else 1 - x)
    return out


def eq_table(point: Sequence[Ext], factor: Ext = ONE) -> ExtVec:
    """``factor * eq(point, x)`` for all ``x``: shape ``(2, 2^n)``."""
    table = ext.vector([factor])
    for x in point:
        high = ext.scale(table, x)
        table = np.concatenate([ext.sub(table, high), high], axis=1)
    return table


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
    inner = eq_table(point[:low])
    folded = np.stack([gl.total(gl.mul(rows, inner[c][None, :]), axis=1) for c in (0, 1)])
    return ext.dot(folded, eq_table(point[low:]))


_LIMB = 18
_WEIGHT_LIMBS = 3  # |w| < 2^53


def evaluate_integers(tensor: NDArray[np.int64], point: Point) -> Ext:
    """Extension of an integer tensor, ``|v| < 2^53``, of ``2^n`` cells at ``point``.

    The low variables are contracted by float64 matrix products of 18-bit and 16-bit limbs, whose
    sums stay below ``2^53`` (at most ``2^16`` cells per row), so they are exact.
    """
    low = min(len(point), max(len(point) // 2, len(point) - 16), 16)
    rows = tensor.reshape(-1, 1 << low)
    inner = eq_table(point[:low])
    limbs = np.stack(
        [(inner[c] >> np.uint64(16 * k)) & np.uint64(0xFFFF) for c in (0, 1) for k in range(4)]
    ).astype(np.float64)
    folded = np.zeros((2, rows.shape[0]), dtype=np.uint64)
    for k in range(_WEIGHT_LIMBS):
        shifted = rows >> (_LIMB * k)
        part = shifted if k == _WEIGHT_LIMBS - 1 else shifted & ((1 << _LIMB) - 1)
        sums = (part.astype(np.float64) @ limbs.T).astype(np.int64)
        for c in (0, 1):
            for i in range(4):
                weight = np.uint64(pow(2, _LIMB * k + 16 * i, gl.P))
                term = gl.mul(gl.from_signed(sums[:, 4 * c + i]), np.full(rows.shape[0], weight))
                folded[c] = gl.add(folded[c], term)
    return ext.dot(folded, eq_table(point[low:]))


def evaluate(table: ExtVec, point: Point) -> Ext:
    """Extension of an E table of shape ``(2, 2^n)`` at ``point``."""
    return ext.dot(table, eq_table(point))
