"""Files of powers of tau written from the definitions, with py_ecc, for tests to spoil."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from pathlib import Path

from py_ecc.optimized_bn128 import (
    FQ,
    FQ2,
    G2,
    add,
    b2,
    curve_order,
    field_modulus,
    multiply,
    normalize,
)

ROOT_OF_UNITY = 0x03DDB9F5166D18B798865EA93DD31F743215CF6DD39329C8D34F1ED960C37C9C
"""Of order 2^28, as halo2 has it."""

Pair = tuple[int, int]
IDENTITY: Pair = (0, 0)


def times(scalar: int, point: Pair = (1, 2)) -> Pair:
    """A multiple of a point of G1."""
    product = multiply((FQ(point[0]), FQ(point[1]), FQ(1)), scalar % curve_order)
    if product[2] == FQ(0):
        return IDENTITY
    return tuple(int(c) for c in normalize(product))  # type: ignore[return-value]


def plus(first: Pair, second: Pair) -> Pair:
    """A sum in G1."""
    total = add(*((FQ(x), FQ(y), FQ(1)) for x, y in (first, second)))
    return tuple(int(c) for c in normalize(total))  # type: ignore[return-value]


def times2(scalar: int) -> list[int]:
    """A multiple of the generator of G2."""
    x, y = normalize(multiply(G2, scalar % curve_order))
    return [int(c) for c in (*x.coeffs, *y.coeffs)]


def outside_of_the_group() -> list[int]:
    """A point of the curve that G2 is on, of another order than that of G2."""
    q = field_modulus
    for real in range(1, 100):
        x = FQ2([real, 0])
        square = x * x * x + b2
        a, b = (int(c) for c in square.coeffs)
        norm = pow(a * a + b * b, (q + 1) // 4, q)
        for root in (norm, -norm):
            half = (a + root) * pow(2, -1, q) % q
            c = pow(half, (q + 1) // 4, q)
            if not c:
                continue
            y = FQ2([c, b * pow(2 * c, -1, q) % q])
            if y * y == square:
                return [real, 0, *(int(part) for part in y.coeffs)]
    raise AssertionError("half of all x are of points")


def shifted_out_of_the_group(point: list[int]) -> list[int]:
    """The sum of a point of G2 and one of the cofactor's order."""
    first, other = ((FQ2(p[:2]), FQ2(p[2:]), FQ2.one()) for p in (point, outside_of_the_group()))
    x, y = normalize(add(first, multiply(other, curve_order)))
    return [int(c) for c in (*x.coeffs, *y.coeffs)]


def lagrange(tau: int, logrows: int) -> list[int]:
    """``L_j(tau)``, by the product over the other elements of the domain."""
    count = 1 << logrows
    root = pow(ROOT_OF_UNITY, 1 << (28 - logrows), curve_order)
    domain = [pow(root, j, curve_order) for j in range(count)]
    values = []
    for at in domain:
        value = 1
        for other in domain:
            if other != at:
                value = value * (tau - other) * pow(at - other, -1, curve_order) % curve_order
        values.append(value)
    return values


@dataclass
class Srs:
    """The parts of a file."""

    tau: int
    powers: list[Pair]
    lagrange: list[Pair]
    h: list[int]
    tau_h: list[int]
    logrows: int
    raw: dict[int, int] = field(default_factory=dict)
    """Elements to write as they are, by their number in the file."""

    @classmethod
    def of(cls, tau: int, logrows: int) -> Srs:
        powers = [times(pow(tau, i, curve_order)) for i in range(1 << logrows)]
        points = [times(value) for value in lagrange(tau, logrows)]
        return cls(tau, powers, points, times2(1), times2(tau), logrows)

    def to_bytes(self) -> bytes:
        pairs = [*self.powers, *self.lagrange]
        elements = [*(c for pair in pairs for c in pair), *self.h, *self.tau_h]
        stored = [value * 2**256 % field_modulus for value in elements]
        for number, value in self.raw.items():
            stored[number] = value
        body = b"".join(value.to_bytes(32, "little") for value in stored)
        return self.logrows.to_bytes(4, "little") + body

    def write(self, folder: Path) -> Path:
        path = folder / "forged.srs"
        path.write_bytes(self.to_bytes())
        return path


def secret_tau() -> int:
    return 2 + secrets.randbelow(curve_order - 2)
