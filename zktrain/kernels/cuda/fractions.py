"""Twin of ``kernels.fractions``: every thread has its share of the pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import cuda
from numpy.typing import NDArray

from ...field.extension import Ext, ExtVec
from .grid import add_up, empty, fetch, launch, send
from .leaves import units as unit_tables
from .leaves import written
from .scalars import add, device_function, ext_mul, kernel, sub
from .sumcheck import along, slope

if TYPE_CHECKING:
    from ..leaves import Leaves

_ZERO = np.uint64(0)
_ONE = np.uint64(1)
_LOW_BITS = 10


@kernel
def _parents(pe, po, qe, qo, first, out):  # type: ignore[no-untyped-def]
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


def combine(
    pe: ExtVec, po: ExtVec, qe: ExtVec, qo: ExtVec, leaves: Leaves | None = None
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """See ``kernels.fractions``."""
    units = leaves.pairs if leaves is not None else 0
    stored = qe.shape[1]
    parents = empty(4, units + stored)
    if leaves is not None:
        launch(_parents_of_ones, units, *written(leaves), parents)
    if stored:
        tables = (send(table) for table in (pe, po, qe, qo))
        launch(_parents, stored, *tables, units, parents)
    half = (units + stored + 1) // 2
    even, odd = empty(4, half), empty(4, half)
    launch(_split, 4 * half, parents, even, odd)
    return fetch(even), fetch(odd)


@device_function
def _weight(low, high, bits, at):  # type: ignore[no-untyped-def]
    block = at >> bits
    inside = at - (block << bits)
    return ext_mul(low[0, inside], low[1, inside], high[0, block], high[1, block])


@kernel
def _round(s, p, u, v, first, low, high, bits, sums):  # type: ignore[no-untyped-def]
    """``sum_i eq_(first + i) (v s + u p)`` at 0, and its coefficient of ``X^2``."""
    thread = cuda.grid(1)
    threads = sums.shape[1]
    if thread < threads:
        for k in range(2):
            t0 = _ZERO
            t1 = _ZERO
            for i in range(thread, u.shape[1] // 2, threads):
                if k == 0:
                    a0, a1 = along(v, i, 0)
                    b0, b1 = along(s, i, 0)
                    c0, c1 = along(u, i, 0)
                    d0, d1 = along(p, i, 0)
                else:
                    a0, a1 = slope(v, i)
                    b0, b1 = slope(s, i)
                    c0, c1 = slope(u, i)
                    d0, d1 = slope(p, i)
                x0, x1 = ext_mul(a0, a1, b0, b1)
                y0, y1 = ext_mul(c0, c1, d0, d1)
                e0, e1 = _weight(low, high, bits, first + i)
                x0, x1 = ext_mul(add(x0, y0), add(x1, y1), e0, e1)
                t0 = add(t0, x0)
                t1 = add(t1, x1)
            sums[2 * k, thread] = t0
            sums[2 * k + 1, thread] = t1


@kernel
def _round_of_units(y, z, low, high, bits, sums):  # type: ignore[no-untyped-def]
    """``sum_i eq_i (y z - 1)`` at 0, and its coefficient of ``X^2``."""
    thread = cuda.grid(1)
    threads = sums.shape[1]
    if thread < threads:
        for k in range(2):
            t0 = _ZERO
            t1 = _ZERO
            for i in range(thread, y.shape[1] // 2, threads):
                if k == 0:
                    a0, a1 = along(y, i, 0)
                    b0, b1 = along(z, i, 0)
                else:
                    a0, a1 = slope(y, i)
                    b0, b1 = slope(z, i)
                x0, x1 = ext_mul(a0, a1, b0, b1)
                if k == 0:
                    x0 = sub(x0, _ONE)
                e0, e1 = _weight(low, high, bits, i)
                x0, x1 = ext_mul(x0, x1, e0, e1)
                t0 = add(t0, x0)
                t1 = add(t1, x1)
            sums[2 * k, thread] = t0
            sums[2 * k + 1, thread] = t1


def round_sums(
    units: tuple[ExtVec, ExtVec],
    parts: tuple[ExtVec, ExtVec, ExtVec, ExtVec],
    scale: Ext,
    rest: tuple[Ext, ...],
    leaves: Leaves | None = None,
) -> tuple[Ext, Ext]:
    """See ``kernels.fractions``."""
    from ..field import eq_table

    bits = min(_LOW_BITS, len(rest))
    weights = (send(eq_table(rest[:bits])), send(eq_table(rest[bits:])), bits)
    first = (leaves.pairs if leaves is not None else units[0].shape[1]) // 2
    at0, lead = Ext(0), Ext(0)
    if first:
        tables = unit_tables(leaves, scale) if leaves is not None else tuple(map(send, units))
        inverse = scale.inverse()
        at0, lead = (
            inverse * total for total in add_up(_round_of_units, first, 2, *tables, *weights)
        )
    stored = parts[0].shape[1] // 2
    if stored:
        more0, more = add_up(_round, stored, 2, *map(send, parts), first, *weights)
        at0, lead = at0 + more0, lead + more
    return at0, lead
