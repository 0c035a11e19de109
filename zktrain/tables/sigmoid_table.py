"""The table of the sigmoid that binary cross-entropy looks up."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

SIGMOID_ROWS = 1 << 16
SIGMOID_HALF = 1 << 13
"""``sigmoid(0)``, which the table is shifted by."""
SATURATED = 1 << 12
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
