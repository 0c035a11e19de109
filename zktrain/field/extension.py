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


class Ext:
    """``a + b x`` with ``0 <= a, b < p``."""

    __slots__ = ("a", "b")

    def __init__(self, a: int, b: int = 0) -> None:
        self.a = a % P
        self.b = b % P

    def __add__(self, other: Ext | int) -> Ext:
        if isinstance(other, Ext):
            return Ext(self.a + other.a, self.b + other.b)
        if isinstance(other, int):
            return Ext(self.a + other, self.b)
        return NotImplemented

    __radd__ = __add__

    def __sub__(self, other: Ext | int) -> Ext:
        if isinstance(other, Ext):
            return Ext(self.a - other.a, self.b - other.b)
        if isinstance(other, int):
            return Ext(self.a - other, self.b)
        return NotImplemented

    def __rsub__(self, other: int) -> Ext:
        return Ext(other - self.a, -self.b)

    def __neg__(self) -> Ext:
        return Ext(-self.a, -self.b)

    def __mul__(self, other: Ext | int) -> Ext:
        if isinstance(other, Ext):
            a = self.a * other.a + NON_RESIDUE * self.b * other.b
            return Ext(a, self.a * other.b + self.b * other.a)
        if isinstance(other, int):
            return Ext(self.a * other, self.b * other)
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
    return [Ext(a, b) for a, b in zip(vec[0].tolist(), vec[1].tolist(), strict=True)]


def from_base(values: gl.U64) -> ExtVec:
    """Embed F_p."""
    return np.stack([values, np.zeros_like(values)])


def add(a: ExtVec, b: ExtVec) -> ExtVec:
    return gl.add(a, b)


def sub(a: ExtVec, b: ExtVec) -> ExtVec:
    return gl.sub(a, b)


def mul(a: ExtVec, b: ExtVec) -> ExtVec:
    """Product of two E vectors (numpy broadcasting after the first axis)."""
    seven = np.uint64(NON_RESIDUE)
    return np.stack(
        [
            gl.add(gl.mul(a[0], b[0]), gl.mul(gl.mul(a[1], b[1]), seven)),  # type: ignore[arg-type]
            gl.add(gl.mul(a[0], b[1]), gl.mul(a[1], b[0])),
        ]
    )


def mul_base(a: ExtVec, b: gl.U64) -> ExtVec:
    """Product of an E vector by an F_p vector (broadcasting after the first axis)."""
    return np.stack([gl.mul(a[0], b), gl.mul(a[1], b)])


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


def powers(base: Ext, count: int) -> list[Ext]:
    """``[1, base, ..., base^(count-1)]``."""
    out, value = [], ONE
    for _ in range(count):
        out.append(value)
        value = value * base
    return out


def inner(a: Sequence[Ext], b: Sequence[Ext]) -> Ext:
    """``sum_i a_i b_i`` of scalars (``field.forms.combine`` also takes padded ones)."""
    total_ = ZERO
    for x, y in zip(a, b, strict=True):
        total_ = total_ + x * y
    return total_
