"""``(v, 1)`` for ``0 <= v < 256``, and ``(0, 0)`` for padding: what the cells of a dataset are."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..field import multilinear as ml
from ..field.extension import Ext, Point
from .base import Columns, Table


def _columns() -> Columns:
    v = np.arange(512, dtype=np.int32)
    return [np.where(v < 256, v, 0).astype(np.int32), (v < 256).astype(np.int8)]


def _evaluate(point: Point) -> list[Ext]:
    return [ml.identity(point[:8]) * (1 - point[8]), 1 - point[8]]


def _row(columns: Columns) -> tuple[NDArray[Any], int]:
    value, real = columns
    return np.where(real != 0, value.astype(np.int32), 256), 0


BYTE = Table("byte", 3, 9, _columns, _evaluate, _row)
