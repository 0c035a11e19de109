"""Twin of ``Leaves`` of ``kernels.leaves``, whose denominators are written on the device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import cuda

from ...field.extension import Ext, ExtVec
from .field import folded
from .grid import empty, fetch, launch, send, words
from .scalars import from_signed, kernel, mul, sub

if TYPE_CHECKING:
    from ..leaves import Leaves


@kernel
def _set(c0, c1, first, pairs, even, odd):  # type: ignore[no-untyped-def]
    for i in range(first + cuda.grid(1), first + pairs, cuda.gridsize(1)):
        even[0, i] = c0
        even[1, i] = c1
        odd[0, i] = c0
        odd[1, i] = c1


@kernel
def _subtract(values, k0, k1, first, even, odd):  # type: ignore[no-untyped-def]
    """Subtract ``k`` times a column of integers."""
    for i in range(cuda.grid(1), values.shape[0] // 2, cuda.gridsize(1)):
        v = from_signed(np.int64(values[2 * i]))
        even[0, first + i] = sub(even[0, first + i], mul(k0, v))
        even[1, first + i] = sub(even[1, first + i], mul(k1, v))
        v = from_signed(np.int64(values[2 * i + 1]))
        odd[0, first + i] = sub(odd[0, first + i], mul(k0, v))
        odd[1, first + i] = sub(odd[1, first + i], mul(k1, v))


def written(leaves: Leaves) -> tuple[Any, Any]:
    """Even and odd denominators on the device."""
    even, odd = empty(2, leaves.pairs), empty(2, leaves.pairs)
    for block in leaves.blocks:
        launch(_set, block.pairs, *words(block.constant), block.base, block.pairs, even, odd)
        for column, factor in zip(block.columns, block.coefficients, strict=False):
            cells = send(column)
            launch(_subtract, block.pairs, cells, *words(factor), block.base, even, odd)
    return even, odd


def fold(leaves: Leaves, challenge: Ext) -> tuple[ExtVec, ExtVec]:
    """See ``Leaves.fold``."""
    even, odd = (fetch(folded(table, leaves.pairs // 2, challenge)) for table in written(leaves))
    return even, odd
