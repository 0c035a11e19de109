"""``(d, 0)`` for ``0 <= d < 2^16 - 1``, and ``(0, 1)``: who wins is ahead of nobody."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..field import multilinear as ml
from ..field.extension import Ext, Point
from .base import Columns, Table

_LAST = (1 << 16) - 1


def _columns() -> Columns:
    d = np.arange(1 << 16, dtype=np.int32)
    wins = (d == _LAST).astype(np.int8)
    d[-1] = 0
    return [d, wins]


def _evaluate(point: Point) -> list[Ext]:
    last = ml.eq_index(point, _LAST)
    return [ml.identity(point) - last * _LAST, last]


def _row(columns: Columns) -> tuple[NDArray[Any], int]:
    d, wins = columns
    return np.where(wins != 0, _LAST, d.astype(np.int64)), 0


WINNER = Table("winner", 4, 16, _columns, _evaluate, _row)
