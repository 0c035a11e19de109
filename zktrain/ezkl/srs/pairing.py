"""G2 and the pairing of BN254, by py_ecc."""

from __future__ import annotations

import sys

from .curve import Point, R
from .format import Coordinates

_limit = sys.getrecursionlimit()
from py_ecc.optimized_bn128 import (  # noqa: E402
    FQ,
    FQ2,
    G2,
    b2,
    is_inf,
    is_on_curve,
    multiply,
    normalize,
    pairing,
)
from py_ecc.typing import Optimized_Point3D  # noqa: E402

# py_ecc raises it to 100,000, with which a deeply nested JSON text of a stranger would end this
# process instead of being refused.
sys.setrecursionlimit(_limit)

_Group2 = Optimized_Point3D[FQ2]


def generator() -> Coordinates:
    """The generator of G2 that everybody uses."""
    x, y = normalize(G2)
    return (*map(int, x.coeffs), *map(int, y.coeffs))  # type: ignore[return-value]


def flaw(point: Coordinates) -> str | None:
    """Why a point is none of the group of order ``r``; None if it is one."""
    if not is_on_curve(_group2(point), b2):
        return "is not on the curve"
    return None if is_inf(multiply(_group2(point), R)) else "is outside the group of order r"


def paired_alike(first: Point, h: Coordinates, second: Point, s_h: Coordinates) -> bool:
    """Whether ``e(first, h) = e(second, s_h)``, for points of the groups."""
    left = pairing(_group2(h), _group1(first))
    return bool(left == pairing(_group2(s_h), _group1(second)))


def _group1(point: Point) -> Optimized_Point3D[FQ]:
    x, y, z = (1, 1, 0) if point is None else (*point, 1)
    return FQ(x), FQ(y), FQ(z)


def _group2(point: Coordinates) -> _Group2:
    return FQ2(point[:2]), FQ2(point[2:]), FQ2.one()
