"""The lookup tables, as columns for the prover and as extensions for the verifier.

A new table needs an entry in :data:`TABLES` with a new number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..field import multilinear as ml
from ..field.extension import ONE, Ext, Point
from .curves import CURVES, curve
from .exp_table import exp_table
from .sigmoid_table import SATURATED, SIGMOID_HALF, sigmoid_table

MAX_COLUMNS = 4


@dataclass(frozen=True, slots=True)
class Table:
    """``columns()`` gives ``2^log_size`` rows; ``evaluate(point)`` the extension of every column.

    ``row(columns)`` maps looked-up values (one array per column) to row numbers.
    """

    number: int
    log_size: int
    columns: Callable[[], list[NDArray[Any]]]
    evaluate: Callable[[Point], list[Ext]]
    row: Callable[[list[NDArray[Any]]], tuple[NDArray[Any], int]]


def _range_columns(log_size: int) -> list[NDArray[Any]]:
    return [np.arange(1 << log_size, dtype=np.int32)]


def _range18_columns() -> list[NDArray[Any]]:
    """The lower 16 bits, and the two above."""
    v = np.arange(1 << 18, dtype=np.int32)
    return [v & 0xFFFF, (v >> 16).astype(np.int8)]


def _relu_columns() -> list[NDArray[Any]]:
    z = np.arange(-(1 << 15), 1 << 15, dtype=np.int32)
    return [z, (z > 0).astype(np.int8)]


def _relu_evaluate(point: Point) -> list[Ext]:
    return [ml.identity(point) - (1 << 15), ONE - ml.less_than(point, (1 << 15) + 1)]


def _exp_columns() -> list[NDArray[Any]]:
    at, before = exp_table()
    d = np.arange(1 << 16, dtype=np.int32)
    d[-1] = 0
    real = np.ones(1 << 16, dtype=np.int8)
    real[-1] = 0
    return [d, at.astype(np.int32), before.astype(np.int32), real]


@lru_cache(maxsize=1)
def _exp_residues() -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """The columns up to a power of two from which on they are 0."""
    at, before = (column.astype(np.uint64) for column in exp_table())
    size = 1 << int(max(np.flatnonzero(at)[-1], np.flatnonzero(before)[-1])).bit_length()
    return at[:size], before[:size]


def _exp_evaluate(point: Point) -> list[Ext]:
    at, before = _exp_residues()
    last = ml.eq_index(point, (1 << 16) - 1)
    low = at.size.bit_length() - 1
    small = ml.eq_index(point[low:], 0)
    return [
        ml.identity(point) - last * ((1 << 16) - 1),
        small * ml.evaluate_base(at, point[:low]),
        small * ml.evaluate_base(before, point[:low]),
        ONE - last,
    ]


def _exp_row(columns: list[NDArray[Any]]) -> tuple[NDArray[Any], int]:
    d, real = columns[0], columns[3]
    return np.where(real != 0, d.astype(np.int64), (1 << 16) - 1), 0


def _byte_columns() -> list[NDArray[Any]]:
    v = np.arange(512, dtype=np.int32)
    return [np.where(v < 256, v, 0).astype(np.int32), (v < 256).astype(np.int8)]


def _byte_evaluate(point: Point) -> list[Ext]:
    return [ml.identity(point[:8]) * (1 - point[8]), 1 - point[8]]


def _byte_row(columns: list[NDArray[Any]]) -> tuple[NDArray[Any], int]:
    value, real = columns
    return np.where(real != 0, value.astype(np.int32), 256), 0


def _winner_columns() -> list[NDArray[Any]]:
    d = np.arange(1 << 16, dtype=np.int32)
    wins = np.zeros(1 << 16, dtype=np.int8)
    d[-1], wins[-1] = 0, 1
    return [d, wins]


def _winner_evaluate(point: Point) -> list[Ext]:
    last = ml.eq_index(point, (1 << 16) - 1)
    return [ml.identity(point) - last * ((1 << 16) - 1), last]


def _winner_row(columns: list[NDArray[Any]]) -> tuple[NDArray[Any], int]:
    d, wins = columns
    return np.where(wins != 0, (1 << 16) - 1, d.astype(np.int64)), 0


def _sigmoid_columns() -> list[NDArray[Any]]:
    z = np.arange(-(1 << 15), 1 << 15, dtype=np.int32)
    return [z, sigmoid_table().astype(np.int32)]


@lru_cache(maxsize=1)
def _sigmoid_residues() -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """What the table exceeds ``-2^13`` by below 0 and falls short of ``2^13`` by above, where that
    is not 0."""
    table = sigmoid_table()
    below = table[(1 << 15) - SATURATED : 1 << 15] + SIGMOID_HALF
    above = SIGMOID_HALF - table[1 << 15 : (1 << 15) + SATURATED]
    return below.astype(np.uint64), above.astype(np.uint64)


def _sigmoid_evaluate(point: Point) -> list[Ext]:
    below, above = _sigmoid_residues()
    low = SATURATED.bit_length() - 1
    first = (1 << (15 - low)) - 1  # number of the last block below z = 0
    value = point[15] * (2 * SIGMOID_HALF) - SIGMOID_HALF
    value = value + ml.eq_index(point[low:], first) * ml.evaluate_base(below, point[:low])
    value = value - ml.eq_index(point[low:], first + 1) * ml.evaluate_base(above, point[:low])
    return [ml.identity(point) - (1 << 15), value]


def _curve_table(number: int, name: str) -> Table:
    """``(z, f - f(0), f' - f'(0))`` for signed 16-bit ``z``."""

    def columns() -> list[NDArray[Any]]:
        known = curve(name)
        z = np.arange(-(1 << 15), 1 << 15, dtype=np.int32)
        return [z, known.values.astype(np.int32), known.slopes.astype(np.int32)]

    def evaluate(point: Point) -> list[Ext]:
        both = [table.evaluate(point) for table in _curve_extensions(name)]
        return [ml.identity(point) - (1 << 15), *both]

    return Table(number, 16, columns, evaluate, lambda found: (found[0], 1 << 15))


@lru_cache(maxsize=len(CURVES))
def _curve_extensions(name: str) -> tuple[ml.IntegerTable, ml.IntegerTable]:
    known = curve(name)
    return ml.IntegerTable(known.values), ml.IntegerTable(known.slopes)


TABLES: dict[str, Table] = {
    "range16": Table(
        0,
        16,
        lambda: _range_columns(16),
        lambda point: [ml.identity(point)],
        lambda columns: (columns[0], 0),
    ),
    "relu": Table(1, 16, _relu_columns, _relu_evaluate, lambda columns: (columns[0], 1 << 15)),
    "exp": Table(2, 16, _exp_columns, _exp_evaluate, _exp_row),
    "byte": Table(3, 9, _byte_columns, _byte_evaluate, _byte_row),
    "winner": Table(4, 16, _winner_columns, _winner_evaluate, _winner_row),
    "sigmoid": Table(
        5, 16, _sigmoid_columns, _sigmoid_evaluate, lambda columns: (columns[0], 1 << 15)
    ),
    "range18": Table(
        6 + len(CURVES),
        18,
        _range18_columns,
        lambda point: [ml.identity(point[:16]), ml.identity(point[16:])],
        lambda columns: (columns[0].astype(np.int64) + (columns[1].astype(np.int64) << 16), 0),
    ),
    **{f"curve.{name}": _curve_table(6 + at, name) for at, name in enumerate(CURVES)},
}
