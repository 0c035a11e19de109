"""The table of the exponential that softmax cross-entropy looks up."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

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
