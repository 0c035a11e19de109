"""Twin of ``kernels.unwritten``: what the CPU never stores is written on the device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import cuda

from ....field.extension import Ext, ExtVec
from .field import folded
from .grid import empty, fetch, launch, send, words
from .scalars import add, ext_mul, from_signed, kernel, mul, sub

if TYPE_CHECKING:
    from ..unwritten import Leaves, Parents

_ZERO = np.uint64(0)
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


def _written(leaves: Leaves) -> tuple[Any, Any]:
    """Even and odd denominators on the device."""
    even, odd = empty(2, leaves.pairs), empty(2, leaves.pairs)
    for block in leaves.blocks:
        launch(_set, block.pairs, *words(block.constant), block.base, block.pairs, even, odd)
        for column, factor in zip(block.columns, block.coefficients, strict=False):
            cells = send(column)
            launch(_subtract, block.pairs, cells, *words(factor), block.base, even, odd)
    return even, odd


@kernel
def parents(pe, po, qe, qo, first, out):  # type: ignore[no-untyped-def]
    """Parents of stored pairs, to columns ``first`` and on."""
    for i in range(cuda.grid(1), qe.shape[1], cuda.gridsize(1)):
        a0, a1 = ext_mul(pe[0, i], pe[1, i], qo[0, i], qo[1, i])
        b0, b1 = ext_mul(po[0, i], po[1, i], qe[0, i], qe[1, i])
        d0, d1 = ext_mul(qe[0, i], qe[1, i], qo[0, i], qo[1, i])
        out[0, first + i] = add(a0, b0)
        out[1, first + i] = add(a1, b1)
        out[2, first + i] = d0
        out[3, first + i] = d1


@kernel
def _parents_of_ones(qe, qo, out):  # type: ignore[no-untyped-def]
    for i in range(cuda.grid(1), qe.shape[1], cuda.gridsize(1)):
        d0, d1 = ext_mul(qe[0, i], qe[1, i], qo[0, i], qo[1, i])
        out[0, i] = add(qe[0, i], qo[0, i])
        out[1, i] = add(qe[1, i], qo[1, i])
        out[2, i] = d0
        out[3, i] = d1


@kernel
def _split(parents, even, odd):  # type: ignore[no-untyped-def]
    """Every other column, the neutral fraction 0/1 where one is missing."""
    width = even.shape[1]
    for at in range(cuda.grid(1), 4 * width, cuda.gridsize(1)):
        row = at // width
        i = at - row * width
        even[row, i] = parents[row, 2 * i]
        if 2 * i + 1 < parents.shape[1]:
            odd[row, i] = parents[row, 2 * i + 1]
        else:
            odd[row, i] = _ONE if row == 2 else _ZERO


def split(fractions: Any) -> tuple[Any, Any]:
    """Even and odd columns of ``(4, n)`` on the device, filled up with the neutral fraction."""
    half = (fractions.shape[1] + 1) // 2
    even, odd = empty(4, half), empty(4, half)
    launch(_split, 4 * half, fractions, even, odd)
    return even, odd


@kernel
def _add_scaled(target, vector, l0, l1, one):  # type: ignore[no-untyped-def]
    """``target = target + lambda vector``, or ``1 + lambda vector`` if ``one``."""
    for i in range(cuda.grid(1), target.shape[1], cuda.gridsize(1)):
        p0, p1 = ext_mul(vector[0, i], vector[1, i], l0, l1)
        if one:
            target[0, i] = add(p0, _ONE)
            target[1, i] = p1
        else:
            target[0, i] = add(target[0, i], p0)
            target[1, i] = add(target[1, i], p1)


def unit_tables(leaves: Leaves, scale: Ext) -> tuple[Any, Any]:
    """``1 + scale * denominator``, even and odd, on the device."""
    tables = _written(leaves)
    for table in tables:
        launch(_add_scaled, leaves.pairs, table, table, *words(scale), 1)
    return tables


def _quadruple(layer: Parents) -> tuple[Any, Any, Any, Any]:
    """``p0, p1, q0, q1`` on the device."""
    out = empty(4, layer.below.pairs)
    write_parents(layer.below, out)
    even, odd = split(out)
    return even[:2], odd[:2], even[2:], odd[2:]


def parent_tables(layer: Parents, scale: Ext) -> tuple[Any, Any, Any, Any]:
    """``s = p0 + scale q0, p1, q0, q1`` on the device."""
    s, p1, q0, q1 = _quadruple(layer)
    launch(_add_scaled, layer.pairs, s, q0, *words(scale), 0)
    return s, p1, q0, q1


def write_parents(layer: Leaves | Parents, out: Any) -> None:
    """Parents of all pairs, to the first columns of ``(4, n)`` on the device."""
    from ..unwritten import Parents

    if isinstance(layer, Parents):
        launch(parents, layer.pairs, *_quadruple(layer), 0, out)
    else:
        launch(_parents_of_ones, layer.pairs, *_written(layer), out)


def leaves_fold(leaves: Leaves, known: Sequence[Ext], scale: Ext) -> tuple[ExtVec, ExtVec]:
    """See ``Leaves.fold``."""
    even, odd = (fetch(_bound(t, leaves.pairs, known)) for t in unit_tables(leaves, scale))
    return even, odd


def parents_fold(
    layer: Parents, known: Sequence[Ext], scale: Ext, tables: tuple[ExtVec, ...]
) -> None:
    """See ``Parents.fold``."""
    for table, out in zip(parent_tables(layer, scale), tables, strict=True):
        out[:, : layer.pairs >> len(known)] = fetch(_bound(table, layer.pairs, known))


def _bound(table: Any, cells: int, known: Sequence[Ext]) -> Any:
    for challenge in known:
        cells //= 2
        table = folded(table, cells, challenge)
    return table
