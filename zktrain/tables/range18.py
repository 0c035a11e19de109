"""Numbers of 18 bits: the lower 16 bits, and the two above."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..field import multilinear as ml
from ..field.extension import Ext, Point
from .base import Columns, Table


def _columns() -> Columns:
    v = np.arange(1 << 18, dtype=np.int32)
    return [v & 0xFFFF, (v >> 16).astype(np.int8)]


def _evaluate(point: Point) -> list[Ext]:
    return [ml.identity(point[:16]), ml.identity(point[16:])]


def _row(columns: Columns) -> tuple[NDArray[Any], int]:
    low, high = columns
    return low.astype(np.int64) + (high.astype(np.int64) << 16), 0


RANGE18 = Table("range18", 9, 18, _columns, _evaluate, _row)
