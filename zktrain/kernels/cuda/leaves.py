"""Twin of ``Leaves`` of ``kernels.leaves``, whose denominators are written on the device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import cuda

from ...field.extension import Ext, ExtVec
from .field import folded
from .grid import empty, fetch, launch, send, words
from .scalars import add, ext_mul, from_signed, kernel, mul, sub

if TYPE_CHECKING:
    from ..leaves import Leaves

_ONE = np.uint64(1)


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


@kernel
def _one_plus(table, l0, l1):  # type: ignore[no-untyped-def]
    for i in range(cuda.grid(1), table.shape[1], cuda.gridsize(1)):
        p0, p1 = ext_mul(table[0, i], table[1, i], l0, l1)
        table[0, i] = add(p0, _ONE)
        table[1, i] = p1


def units(leaves: Leaves, scale: Ext) -> tuple[Any, Any]:
    """``1 + scale * denominator``, even and odd, on the device."""
    tables = written(leaves)
    for table in tables:
        launch(_one_plus, leaves.pairs, table, *words(scale))
    return tables


def fold(leaves: Leaves, challenge: Ext, scale: Ext) -> tuple[ExtVec, ExtVec]:
    """See ``Leaves.fold``."""
    even, odd = (
        fetch(folded(table, leaves.pairs // 2, challenge)) for table in units(leaves, scale)
    )
    return even, odd
