"""F_p and E in plain Python integers, written from the definitions; E elements are pairs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

P = 2**64 - 2**32 + 1
Pair = tuple[int, int]

EDGES = [
    0,
    1,
    2,
    7,
    2**16,
    2**31,
    2**32 - 2,
    2**32 - 1,
    2**32,
    2**32 + 1,
    2**48,
    2**63 - 1,
    2**63,
    (P - 1) // 2,
    (P + 1) // 2,
    (2**32 - 1) ** 2,
    P - 2**32,
    P - 2**32 + 1,
    0xFFFFFFFEFFFFFFFF,
    P - 2,
    P - 1,
]
"""Canonical residues around every place where carries and reductions happen."""

WORST = 0xFFFFFFFEFFFFFFFF
"""The residue whose two 32-bit halves are largest together."""


def add(x: Pair, y: Pair) -> Pair:
    return (x[0] + y[0]) % P, (x[1] + y[1]) % P


def sub(x: Pair, y: Pair) -> Pair:
    return (x[0] - y[0]) % P, (x[1] - y[1]) % P


def mul(x: Pair, y: Pair) -> Pair:
    """``(a + b X)(c + d X)`` with ``X^2 = 7``."""
    return (x[0] * y[0] + 7 * x[1] * y[1]) % P, (x[0] * y[1] + x[1] * y[0]) % P


def power(x: Pair, exponent: int) -> Pair:
    out = (1, 0)
    for digit in format(exponent, "b"):
        out = mul(out, out)
        if digit == "1":
            out = mul(out, x)
    return out


def lift(value: int | Pair) -> Pair:
    return value if isinstance(value, tuple) else (int(value) % P, 0)


def total(values: Iterable[Pair]) -> Pair:
    a = b = 0
    for x in values:
        a, b = a + x[0], b + x[1]
    return a % P, b % P


def extension(cells: Sequence[int | Pair], point: Sequence[Pair]) -> Pair:
    """Multilinear extension by interpolating along one variable after the other, lowest first."""
    table = [lift(c) for c in cells]
    for r in point:
        table = [
            add(table[i], mul(r, sub(table[i + 1], table[i]))) for i in range(0, len(table), 2)
        ]
    (value,) = table
    return value


def equality(point: Sequence[Pair], index: int) -> Pair:
    """Product over the bits: ``r`` where the bit of ``index`` is 1, else ``1 - r``."""
    out = (1, 0)
    for i, r in enumerate(point):
        out = mul(out, r if index >> i & 1 else sub((1, 0), r))
    return out


def polynomial(coefficients: Sequence[Pair], x: Pair) -> Pair:
    out = (0, 0)
    for c in reversed(coefficients):
        out = add(mul(out, x), c)
    return out


def pair(scalar: Any) -> Pair:
    """An ``Ext`` as a pair."""
    return scalar.a, scalar.b


def pairs(vector: NDArray[np.uint64]) -> list[Pair]:
    """A vector of shape ``(2, n)`` as pairs."""
    return list(zip(vector[0].tolist(), vector[1].tolist(), strict=True))


def array(values: Sequence[Pair]) -> NDArray[np.uint64]:
    """Pairs as a vector of shape ``(2, n)``."""
    out = np.empty((2, len(values)), dtype=np.uint64)
    out[0] = [v[0] for v in values]
    out[1] = [v[1] for v in values]
    return out


def residues(rng: np.random.Generator, *shape: int) -> NDArray[np.uint64]:
    """Uniform residues with edge values strewn in."""
    out = rng.integers(0, P, size=shape, dtype=np.uint64)
    edges = np.array(EDGES, dtype=np.uint64)
    chosen = rng.random(shape) < 0.2
    return np.where(chosen, rng.choice(edges, size=shape), out)


def random_pairs(rng: np.random.Generator, count: int) -> list[Pair]:
    cells = rng.integers(0, P, size=(count, 2), dtype=np.uint64)
    return [(int(a), int(b)) for a, b in cells]
