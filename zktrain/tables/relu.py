"""``(z, [z > 0])`` for signed 16-bit ``z``."""

from __future__ import annotations

import numpy as np

from ..field import multilinear as ml
from ..field.extension import ONE, Ext, Point
from .base import Columns, Table, signed, signed_place


def _columns() -> Columns:
    return [signed(), (signed() > 0).astype(np.int8)]


def _evaluate(point: Point) -> list[Ext]:
    return [ml.identity(point) - (1 << 15), ONE - ml.less_than(point, (1 << 15) + 1)]


RELU = Table("relu", 1, 16, _columns, _evaluate, signed_place)
