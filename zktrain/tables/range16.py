"""``v`` from 0 to ``2^16 - 1``."""

from __future__ import annotations

import numpy as np

from ..field import multilinear as ml
from .base import Table

RANGE16 = Table(
    "range16",
    0,
    16,
    lambda: [np.arange(1 << 16, dtype=np.int32)],
    lambda point: [ml.identity(point)],
)
