"""Twin of ``kernels.grids``: every thread adds up its share of the places, for one weight and one
point after the other. Integers become elements of E on the device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import cuda
from numpy.typing import NDArray

from ....field.extension import Ext, ExtVec
from .grid import add_up, empty, fetch, launch, send
from .scalars import add, device_function, ext_mul, from_signed, kernel, mul, sub

if TYPE_CHECKING:
    from ..grids import Factor, Weight

_ZERO = np.uint64(0)


@kernel
def _lift(values, out):  # type: ignore[no-untyped-def]
    for i in range(cuda.grid(1), values.shape[0], cuda.gridsize(1)):
        out[0, i] = from_signed(np.int64(values[i]))
        out[1, i] = _ZERO


@device_function
def _line(x, y, at):  # type: ignore[no-untyped-def]
    """The line through two values at 0, 1 or 2."""
    if at == 0:
        return x
    if at == 1:
        return y
    return sub(add(y, y), x)


@device_function
def _at(table, k, first, step, point):  # type: ignore[no-untyped-def]
    """Coordinate ``k`` of the cells from ``first`` on, at ``point = X_1 + 3 X_2``."""
    found = _line(table[k, first], table[k, first + 1], point % 3)
    if step == 4:
        other = _line(table[k, first + 2], table[k, first + 3], point % 3)
        found = _line(found, other, point // 3)
    return found


@kernel
def _grid(a, e, constant, step, low, high, size, sums):  # type: ignore[no-untyped-def]
    thread = cuda.grid(1)
    threads = sums.shape[1]
    points = 9 if step == 4 else 3
    if thread < threads:
        for w in range(high.shape[0]):
            for p in range(points):
                t0 = _ZERO
                t1 = _ZERO
                for i in range(thread, e.shape[1] // step, threads):
                    first = 0 if constant else step * i
                    a0 = _at(a, 0, first, step, p)
                    a1 = _at(a, 1, first, step, p)
                    e0 = _at(e, 0, step * i, step, p)
                    e1 = _at(e, 1, step * i, step, p)
                    x0, x1 = ext_mul(a0, a1, e0, e1)
                    chunk = i // size
                    if low.shape[2] > 0:
                        at = i - chunk * size
                        x0, x1 = ext_mul(x0, x1, low[w, 0, at], low[w, 1, at])
                    x0, x1 = ext_mul(x0, x1, high[w, 0, chunk], high[w, 1, chunk])
                    t0 = add(t0, x0)
                    t1 = add(t1, x1)
                row = 2 * (w * points + p)
                sums[row, thread] = t0
                sums[row + 1, thread] = t1


def _lifted(factor: Factor, step: int) -> Any:
    """Its cells in E on the device; of one integer those of one place."""
    if isinstance(factor, int):
        factor = np.full(step, factor, dtype=np.int64)
    sent = send(factor)
    if factor.ndim == 2:
        return sent
    out = empty(2, len(factor))
    launch(_lift, len(factor), sent, out)
    return out


def grid(a: Factor, e: Factor, variables: int, weights: Sequence[Weight]) -> list[list[Ext]]:
    """See ``kernels.grids``."""
    from ..grids import stacked

    step, points = 1 << variables, 3**variables
    cells = _lifted(e, step)
    places = cells.shape[1] // step
    low, high = stacked([w[0] for w in weights]), np.stack([w[1] for w in weights])
    found = add_up(
        _grid,
        places,
        points * len(weights),
        _lifted(a, step),
        cells,
        int(isinstance(a, int)),
        step,
        send(low),
        send(high),
        places // high.shape[2],
    )
    return [found[first : first + points] for first in range(0, len(found), points)]


@kernel
def _fold_quads(values, weights, out):  # type: ignore[no-untyped-def]
    for i in range(cuda.grid(1), out.shape[1], cuda.gridsize(1)):
        t0 = _ZERO
        t1 = _ZERO
        for j in range(4):
            v = from_signed(np.int64(values[4 * i + j]))
            t0 = add(t0, mul(weights[0, j], v))
            t1 = add(t1, mul(weights[1, j], v))
        out[0, i] = t0
        out[1, i] = t1


def fold_quads(values: NDArray[Any], weights: ExtVec) -> ExtVec:
    """See ``kernels.grids``."""
    out = empty(2, values.shape[0] // 4)
    launch(_fold_quads, out.shape[1], send(values), send(weights), out)
    return fetch(out)
