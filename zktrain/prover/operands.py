"""Factors of matrix products, as far as their proofs need them: contracted over their units at a
point, or over their samples with any vector.

With ``K`` steps, ``S`` samples per step (places of the grid included) and ``n`` units (taps
included), all padded. The patches of an image are never written down: they are as many times
larger as a window has taps.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..arguments.tensors import Tensor, coordinates, log_width
from ..field.extension import ExtVec, Point
from ..operations.map_arrays import span
from ..operations.maps import Steps, Window


class Operand(Protocol):
    """One factor."""

    @property
    def steps(self) -> int:
        """``K``."""
        ...

    def over_units(self, units: Point) -> ExtVec:
        """``sum_j cells[t, s, j] eq(units, j)``, shape ``(2, K S)``."""
        ...

    def over_samples(self, samples: ExtVec) -> ExtVec:
        """``sum_s cells[t, s, j] samples[t, s]``, shape ``(2, K n)`` from ``(2, K S)``."""
        ...


class Dense:
    """A tensor in memory, ``(K, ..., n)`` without taps."""

    def __init__(self, cells: NDArray[Any]) -> None:
        self._cells = cells

    @property
    def steps(self) -> int:
        """See ``Operand``."""
        return int(self._cells.shape[0])

    def over_units(self, units: Point) -> ExtVec:
        """See ``Operand``."""
        from .kernels import field as kf

        return kf.contract_last(self._cells.reshape(-1, self._cells.shape[-1]), kf.eq_table(units))

    def over_samples(self, samples: ExtVec) -> ExtVec:
        """See ``Operand``."""
        from .kernels.training import contract_samples

        return contract_samples(self._cells.reshape(self.steps, -1, self._cells.shape[-1]), samples)


class Patches:
    """The windows of an image, or where ``transposed`` those of the errors that reach it:
    ``output`` is ``map_`` of ``source``, whose cells are ``(K, B, height, width, n)``."""

    def __init__(self, map_: Window, source: Tensor, output: Tensor, cells: NDArray[Any]) -> None:
        self._map = map_
        self._source = source
        self._output = output
        self._cells = cells
        self._grid = tuple(1 << log_width(size) for size in output.grid)

    @property
    def steps(self) -> int:
        """See ``Operand``."""
        return int(self._cells.shape[0])

    def _spans(self, steps: Steps, tap: int) -> tuple[slice, slice]:
        """Places of the output and of the source that belong together."""
        o, i = span(steps.outputs, steps.inputs, steps.stride, tap - steps.padding)
        return (i, o) if self._map.transposed else (o, i)

    def over_units(self, units: Point) -> ExtVec:
        """See ``Operand``: units first, then the windows along one axis and the other."""
        from .kernels import field as kf

        places = coordinates(self._output, units)
        cells = self._cells
        table = kf.contract_last(cells.reshape(-1, cells.shape[-1]), kf.eq_table(places.unit))
        table = table.reshape(2, -1, *cells.shape[2:4])
        table = self._slide(table, self._map.horizontal, 1, places.taps[1])
        table = self._slide(table, self._map.vertical, 0, places.taps[0])
        return table.reshape(2, -1)

    def _slide(self, table: ExtVec, steps: Steps, axis: int, tap: Point) -> ExtVec:
        """``(2, samples, height, width)`` summed over the windows of one axis with weights
        ``eq(tap, .)``."""
        from ..field import multilinear as ml
        from ..field.extension import scalars
        from .kernels import field as kf

        dims = list(table.shape)
        dims[2 + axis] = self._grid[axis]
        out = np.zeros((2, int(np.prod(dims[1:]))), dtype=np.uint64)
        shifted = np.zeros(dims, dtype=np.uint64)
        before = (slice(None),) * (2 + axis)
        for k, weight in enumerate(scalars(ml.eq_table(tap))[: steps.kernel]):
            ours, theirs = self._spans(steps, k)
            shifted[...] = 0
            shifted[(*before, ours)] = table[(*before, theirs)]
            kf.add_scaled(out, weight, shifted.reshape(2, -1))
        return out.reshape(dims)

    def over_samples(self, samples: ExtVec) -> ExtVec:
        """See ``Operand``: the vector is moved, once for every tap, not the image."""
        from .kernels.training import contract_samples

        cells = self._cells
        steps, batch, height, width, units = cells.shape
        given = samples.reshape(2, steps, batch, *self._grid)
        taps = [1 << log_width(size) for size in self._output.taps]
        out = np.zeros((2, steps, *taps, units), dtype=np.uint64)
        moved = np.zeros((2, steps, batch, height, width), dtype=np.uint64)
        image = cells.reshape(steps, -1, units)
        for ky in range(self._map.vertical.kernel):
            y, from_y = self._spans(self._map.vertical, ky)
            for kx in range(self._map.horizontal.kernel):
                x, from_x = self._spans(self._map.horizontal, kx)
                moved[...] = 0
                moved[:, :, :, from_y, from_x] = given[:, :, :, y, x]
                found = contract_samples(image, moved.reshape(2, -1))
                out[:, :, ky, kx] = found.reshape(2, steps, units)
        return out.reshape(2, -1)
