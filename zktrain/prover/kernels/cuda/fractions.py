"""Twin of ``kernels.fractions``: every thread has its share of the pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import cuda
from numpy.typing import NDArray

from ....field.extension import Ext, ExtVec
from .grid import add_up, empty, fetch, launch, send
from .scalars import add, device_function, ext_mul, kernel, sub
from .sumcheck import along, slope
from .unwritten import parent_tables, parents, split, unit_tables, write_parents

if TYPE_CHECKING:
    from ..fractions import Tables
    from ..unwritten import Leaves, Parents

_ZERO = np.uint64(0)
_ONE = np.uint64(1)


def combine(
    pe: ExtVec, po: ExtVec, qe: ExtVec, qo: ExtVec, unwritten: Leaves | Parents | None = None
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """See ``kernels.fractions``."""
    before = unwritten.pairs if unwritten is not None else 0
    stored = qe.shape[1]
    out = empty(4, before + stored)
    if unwritten is not None:
        write_parents(unwritten, out)
    if stored:
        launch(parents, stored, *map(send, (pe, po, qe, qo)), before, out)
    even, odd = split(out)
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
def _round_of_units(y, z, first, low, high, bits, sums):  # type: ignore[no-untyped-def]
    """``sum_i eq_(first + i) (y z - 1)`` at 0, and its coefficient of ``X^2``."""
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
                e0, e1 = _weight(low, high, bits, first + i)
                x0, x1 = ext_mul(x0, x1, e0, e1)
                t0 = add(t0, x0)
                t1 = add(t1, x1)
            sums[2 * k, thread] = t0
            sums[2 * k + 1, thread] = t1


def round_sums(
    units: tuple[ExtVec, ExtVec],
    parts: tuple[ExtVec, ExtVec, ExtVec, ExtVec],
    scale: Ext,
    tables: Tables,
    first: int = 0,
    unwritten: Leaves | Parents | None = None,
) -> tuple[Ext, Ext]:
    """See ``kernels.fractions``."""
    from ..unwritten import Parents

    weights = (send(tables[0]), send(tables[1]), tables[2])
    before = (unwritten.pairs if unwritten is not None else units[0].shape[1]) // 2
    at0, lead = Ext(0), Ext(0)
    if isinstance(unwritten, Parents):
        found = parent_tables(unwritten, scale)
        at0, lead = add_up(_round, before, 2, *found, first, *weights)
    elif before:
        ones = map(send, units) if unwritten is None else unit_tables(unwritten, scale)
        sums = add_up(_round_of_units, before, 2, *ones, first, *weights)
        at0, lead = (scale.inverse() * total for total in sums)
    stored = parts[0].shape[1] // 2
    if stored:
        more0, more = add_up(_round, stored, 2, *map(send, parts), first + before, *weights)
        at0, lead = at0 + more0, lead + more
    return at0, lead
