"""``(z, f - f(0), f' - f'(0))`` for signed 16-bit ``z``: activations that are looked up with their
slopes, sigmoid, tanh and GELU."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..field import multilinear as ml
from ..field.extension import Ext, Point
from .base import Columns, Table, signed, signed_place

CURVES = ("sigmoid", "tanh", "gelu")
ROWS = 1 << 16
VALUE_BITS = 8
SLOPE_BITS = 14

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """``values[z + 2^15] = round(2^8 f(z / 2^8)) - value_at_0`` and ``slopes[z + 2^15] = round(2^14
    f'(z / 2^8)) - slope_at_0``: both are 0 at ``z = 0``, as padded cells are. Read-only."""

    values: npt.NDArray[np.int64]
    slopes: npt.NDArray[np.int64]
    value_at_0: int
    slope_at_0: int


def _sigmoid(x: Floats) -> tuple[Floats, Floats]:
    value = 1 / (1 + np.exp(-x))
    return value, value * (1 - value)


def _tanh(x: Floats) -> tuple[Floats, Floats]:
    value = np.tanh(x)
    return value, 1 - value * value


def _gelu(x: Floats) -> tuple[Floats, Floats]:
    share = np.array([0.5 * math.erfc(-v / math.sqrt(2)) for v in x.tolist()])
    density = np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
    return x * share, share + x * density


_FUNCTIONS: dict[str, Callable[[Floats], tuple[Floats, Floats]]] = {
    "sigmoid": _sigmoid,
    "tanh": _tanh,
    "gelu": _gelu,
}


def real(name: str, x: Floats) -> tuple[Floats, Floats]:
    """The function and its derivative in floating point."""
    return _FUNCTIONS[name](x)


@functools.cache
def curve(name: str) -> Curve:
    """The integers of a curve.

    Every real value is further than ``1e-6`` from a rounding tie (tested), so a floating-point
    error of ``1e-7`` still gives these integers.
    """
    z = np.arange(-(ROWS // 2), ROWS // 2, dtype=np.float64)
    value, slope = real(name, z / (1 << VALUE_BITS))
    values = np.rint(value * (1 << VALUE_BITS)).astype(np.int64)
    slopes = np.rint(slope * (1 << SLOPE_BITS)).astype(np.int64)
    at_0 = int(values[ROWS // 2]), int(slopes[ROWS // 2])
    values -= at_0[0]
    slopes -= at_0[1]
    for column in (values, slopes):
        column.setflags(write=False)
    return Curve(values, slopes, *at_0)


@functools.cache
def _extensions(name: str) -> tuple[ml.IntegerTable, ml.IntegerTable]:
    known = curve(name)
    return ml.IntegerTable(known.values), ml.IntegerTable(known.slopes)


def _table(number: int, name: str) -> Table:
    def columns() -> Columns:
        known = curve(name)
        return [signed(), known.values.astype(np.int32), known.slopes.astype(np.int32)]

    def evaluate(point: Point) -> list[Ext]:
        both = [table.evaluate(point) for table in _extensions(name)]
        return [ml.identity(point) - (1 << 15), *both]

    return Table(
        f"curve.{name}", number, 16, columns, evaluate, signed_place,
        digest=f"curve_{name}", tabulated=(1, 2),
    )  # fmt: skip


CURVE_TABLES = tuple(_table(number, name) for number, name in enumerate(CURVES, 6))
