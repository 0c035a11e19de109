"""Public linear maps applied to arrays of real cells."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arguments.tensors import Tensor
from .maps import Before, Map, Reorder, Window


def span(count: int, inputs: int, stride: int, shift: int) -> tuple[slice, slice]:
    """Which of ``count`` places ``o`` have ``i = stride o + shift`` in ``[0, inputs)``, and these
    ``i``."""
    first = max(0, -(shift // stride))
    stop = max(first, min(count, (inputs - 1 - shift) // stride + 1))
    start = stride * first + shift
    return slice(first, stop), slice(start, start + stride * (stop - first), stride)


def apply_map(map_: Map, cells: NDArray[Any], source: Tensor, output: Tensor) -> NDArray[Any]:
    """``(..., *output.axes)`` from the real cells ``(..., *source.axes)`` of a tensor; of 16 bits
    in 32, which hold the sum of as many cells as a window can have, of others in 64."""
    narrow = cells.dtype.itemsize == 1 or cells.dtype == np.int16
    kind = np.int32 if narrow else np.int64
    lead = cells.shape[: cells.ndim - len(source.axes)]
    match map_:
        case Reorder():
            return _reordered(cells.astype(kind), lead, source, output)
        case Before():
            taps = source.taps or (source.width,)
            rest = (source.width,) if source.taps else ()
            flat = cells.reshape(*lead, *source.grid, int(np.prod(taps)), *rest).astype(kind)
            axis = flat.ndim - 1 - len(rest)
            before: NDArray[Any] = np.subtract(np.cumsum(flat, axis=axis, dtype=kind), flat)
            return before.reshape(cells.shape)
        case Window():
            out = np.zeros((*lead, *output.axes), dtype=kind)
            for place, taken in window_moves(map_, source, output):
                out[(..., *place, slice(None))] += cells[(..., *taken, slice(None))]
            return out


Places = tuple[slice | int, ...]


def window_moves(map_: Window, source: Tensor, output: Tensor) -> Iterator[tuple[Places, Places]]:
    """Tap by tap, places of the output's grid and taps, and those of the source that are added to
    them."""
    for ky in range(map_.vertical.kernel):
        for kx in range(map_.horizontal.kernel):
            pairs = [
                span(steps.outputs, steps.inputs, steps.stride, k - steps.padding)
                for steps, k in ((map_.vertical, ky), (map_.horizontal, kx))
            ]
            o, i = (tuple(pair[side] for pair in pairs) for side in (0, 1))
            theirs, ours = (o, i) if map_.transposed else (i, o)
            place: Places = (*ours, *((ky, kx) if output.taps else ()))
            yield place, (*theirs, *((ky, kx) if source.taps else ()))


def _reordered(
    cells: NDArray[Any], lead: tuple[int, ...], source: Tensor, output: Tensor
) -> NDArray[Any]:
    image = source if source.grid else output
    height, width = image.grid
    n = len(lead)
    if source.grid:
        planes = np.moveaxis(cells, -1, n)
        return planes.reshape(*lead, output.width)
    planes = cells.reshape(*lead, image.width, height, width)
    return np.ascontiguousarray(np.moveaxis(planes, n, -1))
