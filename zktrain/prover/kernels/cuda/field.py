"""Twin of the fold of ``kernels.field``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import cuda

from ....field.extension import Ext, ExtVec
from .grid import empty, fetch, launch, send, words
from .scalars import add, ext_mul, kernel, sub


@kernel
def _fold(table, r0, r1, out):  # type: ignore[no-untyped-def]
    for i in range(cuda.grid(1), out.shape[1], cuda.gridsize(1)):
        x0 = table[0, 2 * i]
        x1 = table[1, 2 * i]
        p0, p1 = ext_mul(sub(table[0, 2 * i + 1], x0), sub(table[1, 2 * i + 1], x1), r0, r1)
        out[0, i] = add(x0, p0)
        out[1, i] = add(x1, p1)


def folded(table: Any, half: int, challenge: Ext) -> Any:
    """``t(2i) + r (t(2i+1) - t(2i))`` of ``half`` pairs, on the device."""
    out = empty(2, half)
    launch(_fold, half, table, *words(challenge), out)
    return out


def fold(table: ExtVec, challenge: Ext, out: ExtVec | None = None) -> ExtVec:
    """See ``kernels.field``."""
    half = table.shape[1] // 2
    result = np.empty((2, half), dtype=np.uint64) if out is None else out
    if half:
        result[:] = fetch(folded(send(table), half, challenge))
    return result
