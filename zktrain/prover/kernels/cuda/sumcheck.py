"""Twin of ``kernels.sumcheck``: every thread adds up its share of the round message."""

from __future__ import annotations

import numpy as np
from numba import cuda

from ....field.extension import Ext, ExtVec
from .grid import add_up, send
from .scalars import add, device_function, ext_mul, kernel, sub

_ZERO = np.uint64(0)


@device_function
def along(table, i, x):  # type: ignore[no-untyped-def]
    """The line through elements ``2 i`` and ``2 i + 1`` at ``x = 0, 2, 3``."""
    a0 = table[0, 2 * i]
    a1 = table[1, 2 * i]
    if x == 0:
        return a0, a1
    b0 = table[0, 2 * i + 1]
    b1 = table[1, 2 * i + 1]
    d0 = sub(b0, a0)
    d1 = sub(b1, a1)
    b0 = add(b0, d0)
    b1 = add(b1, d1)
    if x == 3:
        b0 = add(b0, d0)
        b1 = add(b1, d1)
    return b0, b1


@device_function
def slope(table, i):  # type: ignore[no-untyped-def]
    """The difference of elements ``2 i + 1`` and ``2 i``."""
    return sub(table[0, 2 * i + 1], table[0, 2 * i]), sub(table[1, 2 * i + 1], table[1, 2 * i])


@kernel
def _round2(f, g, sums):  # type: ignore[no-untyped-def]
    thread = cuda.grid(1)
    threads = sums.shape[1]
    if thread < threads:
        for k in range(2):
            t0 = _ZERO
            t1 = _ZERO
            for i in range(thread, f.shape[1] // 2, threads):
                a0, a1 = along(f, i, 2 * k)
                b0, b1 = along(g, i, 2 * k)
                p0, p1 = ext_mul(a0, a1, b0, b1)
                t0 = add(t0, p0)
                t1 = add(t1, p1)
            sums[2 * k, thread] = t0
            sums[2 * k + 1, thread] = t1


@kernel
def _round3(f, g, h, sums):  # type: ignore[no-untyped-def]
    thread = cuda.grid(1)
    threads = sums.shape[1]
    if thread < threads:
        for k in range(3):
            x = k + 1 if k else 0
            t0 = _ZERO
            t1 = _ZERO
            for i in range(thread, f.shape[1] // 2, threads):
                a0, a1 = along(f, i, x)
                b0, b1 = along(g, i, x)
                c0, c1 = along(h, i, x)
                p0, p1 = ext_mul(a0, a1, b0, b1)
                p0, p1 = ext_mul(p0, p1, c0, c1)
                t0 = add(t0, p0)
                t1 = add(t1, p1)
            sums[2 * k, thread] = t0
            sums[2 * k + 1, thread] = t1


def round_message(factors: tuple[ExtVec, ...]) -> list[Ext]:
    """See ``kernels.sumcheck``."""
    function = {2: _round2, 3: _round3}[len(factors)]
    half = factors[0].shape[1] // 2
    return add_up(function, half, len(factors), *(send(factor) for factor in factors))
