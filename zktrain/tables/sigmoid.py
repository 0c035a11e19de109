"""``(z, P(z) - 2^13)`` for signed 16-bit ``z``, the sigmoid that binary cross-entropy looks up."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from ..field import multilinear as ml
from ..field.extension import Ext, Point
from .base import Columns, Table, signed, signed_place

SIGMOID_ROWS = 1 << 16
SIGMOID_HALF = 1 << 13
"""``sigmoid(0)``, which the table is shifted by."""
_SATURATED = 1 << 12
"""From this ``|z|`` on the table is constant: ``sigmoid`` rounds to 0 or 1."""
_ONE_BITS = 14
_LOGIT_BITS = 8


@functools.cache
def sigmoid_table() -> npt.NDArray[np.int64]:
    """``round(2^14 sigmoid(z / 2^8)) - 2^13`` for ``z = -2^15 .. 2^15 - 1``, row ``z + 2^15``.

    Logits ``z`` carry 8 fractional bits, values 14. Shifted by one half the sigmoid is odd and 0 at
    ``z = 0``, so that padded cells, which are 0, need no row of their own.

    Every real value is further than ``2^-14`` from a rounding tie (tested against decimals of
    50 digits), so a floating-point ``exp`` with an error of ``1e-5`` still gives these integers.
    The array is read-only.
    """
    logits = np.arange(SIGMOID_ROWS // 2 + 1, dtype=np.float64)
    values = (1 << _ONE_BITS) / (1 + np.exp(logits / -(1 << _LOGIT_BITS)))
    upper = np.rint(values).astype(np.int64) - SIGMOID_HALF
    table = np.concatenate([-upper[:0:-1], upper[:-1]])
    table.setflags(write=False)
    return table


def _columns() -> Columns:
    return [signed(), sigmoid_table().astype(np.int32)]


@functools.cache
def _residues() -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """What the table exceeds ``-2^13`` by below 0 and falls short of ``2^13`` by above, where that
    is not 0."""
    table = sigmoid_table()
    below = table[(1 << 15) - _SATURATED : 1 << 15] + SIGMOID_HALF
    above = SIGMOID_HALF - table[1 << 15 : (1 << 15) + _SATURATED]
    return below.astype(np.uint64), above.astype(np.uint64)


def _evaluate(point: Point) -> list[Ext]:
    below, above = _residues()
    low = _SATURATED.bit_length() - 1
    first = (1 << (15 - low)) - 1  # number of the last block below z = 0
    value = point[15] * (2 * SIGMOID_HALF) - SIGMOID_HALF
    value = value + ml.eq_index(point[low:], first) * ml.evaluate_base(below, point[:low])
    value = value - ml.eq_index(point[low:], first + 1) * ml.evaluate_base(above, point[:low])
    return [ml.identity(point) - (1 << 15), value]


SIGMOID = Table(
    "sigmoid", 5, 16, _columns, _evaluate, signed_place,
    digest="sigmoid_table", tabulated=(1,),
)  # fmt: skip
