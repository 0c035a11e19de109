"""``(d, T(d), T(d - 1), 1)``, the exponential that softmax cross-entropy looks up, and four zeros
for padding."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt

from ..field import multilinear as ml
from ..field.extension import ONE, Ext, Point
from .base import Columns, Table

EXP_ROWS = 1 << 16
EXP_SCALE_BITS = 14
EXP_DISTANCES = (1 << 16) - 1
_ONE_BITS = 14
_LOGIT_BITS = 8


@functools.cache
def exp_table() -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """``(T(d), T(d - 1))`` for ``d = 0 .. 2^16 - 1`` with ``T(d) = round(2^14 exp(-d / 2^8))``.

    Distances ``d`` carry 8 fractional bits, values 14. The last row, ``d = 2^16 - 1``, is
    ``(0, 0)`` and kept for padding: a real cell has ``d < 2^16 - 1``.

    Every real value is further than ``2^-15`` from a rounding tie (tested against decimals of
    50 digits), so a floating-point ``exp`` with an error of ``1e-5`` still gives these integers.
    Both arrays are read-only.
    """
    distances = np.arange(-1, EXP_ROWS - 1, dtype=np.float64)
    values = np.exp(distances / -(1 << _LOGIT_BITS)) * (1 << _ONE_BITS)
    table = np.append(np.rint(values).astype(np.int64), 0)
    at, before = table[1:].copy(), table[:-1].copy()
    at[-1] = before[-1] = 0
    at.setflags(write=False)
    before.setflags(write=False)
    return at, before


def _columns() -> Columns:
    at, before = exp_table()
    d = np.arange(EXP_ROWS, dtype=np.int32)
    d[-1] = 0
    real = np.ones(EXP_ROWS, dtype=np.int8)
    real[-1] = 0
    return [d, at.astype(np.int32), before.astype(np.int32), real]


@functools.cache
def _residues() -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """The columns up to a power of two from which on they are 0."""
    at, before = (column.astype(np.uint64) for column in exp_table())
    size = 1 << int(max(np.flatnonzero(at)[-1], np.flatnonzero(before)[-1])).bit_length()
    return at[:size], before[:size]


def _evaluate(point: Point) -> list[Ext]:
    at, before = _residues()
    last = ml.eq_index(point, EXP_DISTANCES)
    low = at.size.bit_length() - 1
    small = ml.eq_index(point[low:], 0)
    return [
        ml.identity(point) - last * EXP_DISTANCES,
        small * ml.evaluate_base(at, point[:low]),
        small * ml.evaluate_base(before, point[:low]),
        ONE - last,
    ]


def _row(columns: Columns) -> tuple[npt.NDArray[Any], int]:
    d, real = columns[0], columns[3]
    return np.where(real != 0, d.astype(np.int64), EXP_DISTANCES), 0


EXP = Table(
    "exp", 2, 16, _columns, _evaluate, _row,
    indicator=True, digest="exp_table", tabulated=(1, 2),
)  # fmt: skip
