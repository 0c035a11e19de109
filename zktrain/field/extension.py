"""The challenge field ``E = F_p[x] / (x^2 - 7)``: scalars, and vectors of shape ``(2, ...)``.

A scalar is an immutable :class:`Ext`; a vector is a uint64 array whose first axis holds the
coefficients of ``1`` and ``x``, so that either coordinate is contiguous.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from . import goldilocks as gl
from .goldilocks import P

NON_RESIDUE = 7
LOG2_SIZE = 2 * 63.99999999966408
"""log2 |E| = 2 log2 p (rounded down)."""

ExtVec = NDArray[np.uint64]

_BLOCK = 1 << 12
"""Coordinates of a product that are computed at once."""


class Ext:
    """``a + b x`` with ``0 <= a, b < p``."""

    __slots__ = ("a", "b")

    def __init__(self, a: int, b: int = 0) -> None:
        self.a = a % P
        self.b = b % P

    def __add__(self, other: Ext | int) -> Ext:
        if isinstance(other, Ext):
            return reduced((self.a + other.a) % P, (self.b + other.b) % P)
        if isinstance(other, int):
            return reduced((self.a + other) % P, self.b)
        return NotImplemented

    __radd__ = __add__

    def __sub__(self, other: Ext | int) -> Ext:
        if isinstance(other, Ext):
            return reduced((self.a - other.a) % P, (self.b - other.b) % P)
        if isinstance(other, int):
            return reduced((self.a - other) % P, self.b)
        return NotImplemented

    def __rsub__(self, other: int) -> Ext:
        return reduced((other - self.a) % P, -self.b % P)

    def __neg__(self) -> Ext:
        return reduced(-self.a % P, -self.b % P)

    def __mul__(self, other: Ext | int) -> Ext:
        if isinstance(other, Ext):
            a, b, c, d = self.a, self.b, other.a, other.b
            out = _new(Ext)
            out.a = (a * c + NON_RESIDUE * b * d) % P
            out.b = (a * d + b * c) % P
            return out
        if isinstance(other, int):
            return reduced(self.a * other % P, self.b * other % P)
        return NotImplemented

    __rmul__ = __mul__

    def inverse(self) -> Ext:
        """``1 / self``; raises ZeroDivisionError at 0."""
        norm = (self.a * self.a - NON_RESIDUE * self.b * self.b) % P
        if norm == 0:
            raise ZeroDivisionError("0 has no inverse in E")
        inverse = pow(norm, -1, P)
        return Ext(self.a * inverse, -self.b * inverse)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, int):
            return self.b == 0 and self.a == other % P
        return isinstance(other, Ext) and self.a == other.a and self.b == other.b

    def __hash__(self) -> int:
        return hash((self.a, self.b))

    def __bool__(self) -> bool:
        return bool(self.a or self.b)

    def __repr__(self) -> str:
        return f"Ext({self.a}, {self.b})"


_new = object.__new__


def reduced(a: int, b: int) -> Ext:
    """``a + b x`` for coordinates that are known to be residues."""
    out = _new(Ext)
    out.a = a
    out.b = b
    return out


ZERO = Ext(0)
ONE = Ext(1)
HALF = Ext((P + 1) // 2)

Point = tuple[Ext, ...]
"""Coordinates of a point, lowest (fastest varying) variable first."""


def vector(values: Iterable[Ext]) -> ExtVec:
    """Scalars as a vector of shape ``(2, n)``."""
    items = list(values)
    out = np.empty((2, len(items)), dtype=np.uint64)
    out[0] = [v.a for v in items]
    out[1] = [v.b for v in items]
    return out


def scalar(vec: ExtVec, index: int | tuple[int, ...] = ()) -> Ext:
    """One element of a vector."""
    return Ext(int(vec[0][index]), int(vec[1][index]))


def scalars(vec: ExtVec) -> list[Ext]:
    """All elements of a vector of shape ``(2, n)``."""
    return [reduced(a, b) for a, b in zip(vec[0].tolist(), vec[1].tolist(), strict=True)]


def from_base(values: gl.U64) -> ExtVec:
    """Embed F_p."""
    return np.stack([values, np.zeros_like(values)])


def add(a: ExtVec, b: ExtVec) -> ExtVec:
    return gl.add(a, b)


def sub(a: ExtVec, b: ExtVec) -> ExtVec:
    return gl.sub(a, b)


def mul(a: ExtVec, b: ExtVec) -> ExtVec:
    """Product of two E vectors (numpy broadcasting after the first axis)."""
    if a.ndim != b.ndim:
        axes = max(a.ndim, b.ndim)
        a, b = (v.reshape(2, *(1,) * (axes - v.ndim), *v.shape[1:]) for v in (a, b))
    if a.size > b.size:
        a, b = b, a
    out = np.empty((2, *np.broadcast_shapes(a.shape[1:], b.shape[1:])), dtype=np.uint64)
    gl.in_blocks(_mul_block, a, b, out, _BLOCK, first_axis=1)
    return out


def _mul_block(a: ExtVec, b: ExtVec) -> ExtVec:
    seven = gl.times_seven(a[1:])[0]
    left = np.array([[a[0], seven], [a[0], a[1]]])
    right = np.array([[b[0], b[1]], [b[1], b[0]]])
    products = gl.mul(left, right)
    return gl.add(products[:, 0], products[:, 1])


def mul_base(a: ExtVec, b: gl.U64) -> ExtVec:
    """Product of an E vector by an F_p vector (broadcasting after the first axis)."""
    axes = max(a.ndim - 1, b.ndim)
    return gl.mul(a.reshape(2, *(1,) * (axes - a.ndim + 1), *a.shape[1:]), b)


def scale(a: ExtVec, factor: Ext) -> ExtVec:
    """Product of an E vector by a scalar."""
    shape = (2,) + (1,) * (a.ndim - 1)
    return mul(a, vector([factor]).reshape(shape))


def total(a: ExtVec, axis: int = -1) -> ExtVec:
    """Sum along one axis (counted after the coordinate axis only if negative)."""
    return np.stack([gl.total(a[0], axis), gl.total(a[1], axis)])


def dot(a: ExtVec, b: ExtVec) -> Ext:
    """``sum_i a_i b_i`` in E."""
    return scalar(total(mul(a, b)))


def contract(a: ExtVec, b: ExtVec) -> ExtVec:
    """``sum_n a[:, m, n] b[:, n]`` for all ``m``."""
    m, n = a.shape[1:]
    products: gl.U64 = gl.matmul(a.reshape(2 * m, n), b.T)
    p = products.reshape(2, m, 2).transpose(0, 2, 1)  # coordinates of a and b, m
    real, other = gl.add(p[0, 0], gl.times_seven(p[1, 1])), gl.add(p[0, 1], p[1, 0])
    return np.stack([real, other])


def powers(base: Ext, count: int) -> list[Ext]:
    """``[1, base, ..., base^(count-1)]``."""
    x, y = base.a, base.b
    a, b = 1, 0
    out = []
    for _ in range(count):
        out.append(reduced(a, b))
        a, b = (a * x + NON_RESIDUE * b * y) % P, (a * y + b * x) % P
    return out


def inner(a: Sequence[Ext], b: Sequence[Ext]) -> Ext:
    """``sum_i a_i b_i`` of scalars (``field.forms.combine`` also takes padded ones)."""
    real = square = mixed = 0
    for x, y in zip(a, b, strict=True):
        real += x.a * y.a
        square += x.b * y.b
        mixed += x.a * y.b + x.b * y.a
    return reduced((real + NON_RESIDUE * square) % P, mixed % P)
