"""Public linear maps applied to arrays of real cells."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .maps import Before, Map, Reorder, Steps, Window
from .operations import Tensor


def span(count: int, inputs: int, stride: int, shift: int) -> tuple[slice, slice]:
    """Which of ``count`` places ``o`` have ``i = stride o + shift`` in ``[0, inputs)``, and these
    ``i``."""
    first = max(0, -(shift // stride))
    stop = max(first, min(count, (inputs - 1 - shift) // stride + 1))
    start = stride * first + shift
    return slice(first, stop), slice(start, start + stride * (stop - first), stride)


def apply_map(map_: Map, cells: NDArray[Any], source: Tensor, output: Tensor) -> NDArray[np.int32]:
    """``(..., *output.axes)`` from the real cells ``(..., *source.axes)`` of a tensor."""
    lead = cells.shape[: cells.ndim - len(source.axes)]
    match map_:
        case Reorder():
            return _reordered(cells.astype(np.int32), lead, source, output)
        case Before():
            taps = source.taps or (source.width,)
            rest = (source.width,) if source.taps else ()
            flat = cells.reshape(*lead, *source.grid, int(np.prod(taps)), *rest).astype(np.int32)
            axis = flat.ndim - 1 - len(rest)
            before: NDArray[np.int32] = np.cumsum(flat, axis=axis, dtype=np.int32) - flat
            return before.reshape(cells.shape)
        case Window(vertical, horizontal, transposed):
            out = np.zeros((*lead, *output.axes), dtype=np.int32)
            for ky in range(vertical.kernel):
                for kx in range(horizontal.kernel):
                    o, i = zip(
                        *(
                            span(steps.outputs, steps.inputs, steps.stride, k - steps.padding)
                            for steps, k in ((vertical, ky), (horizontal, kx))
                        ),
                        strict=True,
                    )
                    theirs, ours = (o, i) if transposed else (i, o)
                    from_taps = (ky, kx) if source.taps else ()
                    to_taps = (ky, kx) if output.taps else ()
                    out[(..., *ours, *to_taps, slice(None))] += cells[
                        (..., *theirs, *from_taps, slice(None))
                    ]
            return out


def _reordered(
    cells: NDArray[np.int32], lead: tuple[int, ...], source: Tensor, output: Tensor
) -> NDArray[np.int32]:
    image = source if source.grid else output
    height, width = image.grid
    n = len(lead)
    if source.grid:
        planes = np.moveaxis(cells, -1, n)
        return planes.reshape(*lead, output.width)
    planes = cells.reshape(*lead, image.width, height, width)
    return np.ascontiguousarray(np.moveaxis(planes, n, -1))


__all__ = ["Steps", "apply_map", "span"]
