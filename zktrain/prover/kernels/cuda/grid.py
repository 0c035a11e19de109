"""Where arrays go to the device and come back, kernels are launched, and sums are gathered."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numba import cuda
from numpy.typing import NDArray

from ....field.extension import Ext
from .scalars import add, kernel

BLOCK = 128
MOST_THREADS = 1 << 15
"""Of a kernel that adds up: each leaves a partial sum."""
_FEW = 1 << 9

# Layers become small towards the root: that cannot be helped.
warnings.filterwarnings("ignore", "Grid size .* under-utilization")


def send(array: NDArray[Any]) -> Any:
    """A copy on the device, C-contiguous."""
    return cuda.to_device(np.ascontiguousarray(array))


def empty(*shape: int) -> Any:
    """Uninitialised uint64 on the device."""
    return cuda.device_array(shape, np.uint64)


def fetch(array: Any) -> NDArray[np.uint64]:
    """A copy on the host."""
    host: NDArray[np.uint64] = array.copy_to_host()
    return host


def words(value: Ext) -> tuple[np.uint64, np.uint64]:
    """Both coordinates, for a kernel."""
    return np.uint64(value.a), np.uint64(value.b)


def launch(function: Any, count: int, *arguments: Any) -> None:
    """Run a kernel on at least ``count`` threads; nothing if that is 0."""
    if count:
        function[-(-count // BLOCK), BLOCK](*arguments)


@kernel
def _gather(sums, width, out):  # type: ignore[no-untyped-def]
    """``out[k, j]`` is the sum of ``sums[k, i]`` over ``i = j`` modulo ``width``."""
    for at in range(cuda.grid(1), out.shape[0] * width, cuda.gridsize(1)):
        k = at // width
        j = at - k * width
        total = sums[k, j]
        for i in range(j + width, sums.shape[1], width):
            total = add(total, sums[k, i])
        out[k, j] = total


def add_up(function: Any, count: int, rows: int, *arguments: Any) -> list[Ext]:
    """Totals of a kernel that adds up over ``range(count)``: every thread writes column ``t`` of
    the ``(2 rows, threads)`` array that is its last argument; both coordinates of each total in
    turn."""
    if not count:
        return [Ext(0)] * rows
    threads = min(count, MOST_THREADS)
    sums = empty(2 * rows, threads)
    launch(function, threads, *arguments, sums)
    if threads > _FEW:
        narrow = empty(2 * rows, _FEW)
        launch(_gather, 2 * rows * _FEW, sums, _FEW, narrow)
        sums = narrow
    totals = [sum(row) for row in fetch(sums).tolist()]
    return [Ext(*totals[2 * i : 2 * i + 2]) for i in range(rows)]
