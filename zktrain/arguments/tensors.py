"""Tensors of a proof, and how their cells are laid out.

Every tensor has the axes ``(t, b, j)``: step, sample within the batch, unit; ``width`` is the
number of real units (0 for a per-sample tensor ``(t, b)``). Tensors of images have more:
``(t, b, y, x, j)`` where a ``grid`` gives height and width, and ``(t, b, y, x, ky, kx, j)`` where
``taps`` give the size of a window around every place. Axis sizes are padded to powers of two and
every padded cell is zero. Points list the variables of the last axis first (lowest first in each).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..field import multilinear as ml
from ..field.extension import ONE, Ext, Point
from .hints import Hint

_CELL_TYPES = {
    "uint8": (0, (1 << 8) - 1),
    "int16": (-(1 << 15), (1 << 15) - 1),
    "uint16": (0, (1 << 16) - 1),
    "int32": (-(1 << 31), (1 << 31) - 1),
}


@dataclass(frozen=True, slots=True)
class Tensor:
    """A named tensor. ``committed`` ones are in the proof's commitment, with integer values in
    ``[low, high]``; all others are virtual. Of a circuit's text the first seven fields are part."""

    name: str
    width: int
    committed: bool = False
    low: int = 0
    high: int = 0
    grid: tuple[int, ...] = ()
    taps: tuple[int, ...] = ()
    fraction: int = 0
    """Fractional bits of its integers."""
    layer: int | None = None
    """The number of the layer, from 1, that it belongs to; ``None`` for data and loss."""
    hint: Hint | None = None

    @property
    def cell_type(self) -> str:
        """The first of uint8, int16, uint16, int32 that holds the range; 16 bits of what is not
        committed, which is looked up as a limb. ``ValueError`` where 32 bits do not do."""
        if not self.committed:
            return "uint16"
        for kind, (least, most) in _CELL_TYPES.items():
            if least <= self.low and self.high <= most:
                return kind
        raise ValueError(f"tensor {self.name} needs more than 32 bits")

    @property
    def axes(self) -> tuple[int, ...]:
        """Real sizes after the sample's axis, outermost first."""
        return (*self.grid, *self.taps, *((self.width,) if self.width else ()))


@dataclass(frozen=True, slots=True)
class Shape:
    """``steps`` and ``batch`` are the real sizes, padded to ``2^log_steps`` and ``2^log_batch``."""

    steps: int
    batch: int

    @property
    def log_steps(self) -> int:
        return ml.log2_ceil(self.steps)

    @property
    def log_batch(self) -> int:
        return ml.log2_ceil(self.batch)

    def log_size(self, extent: int | Tensor) -> int:
        """Variables of a tensor, or of one of this width (0: one value per sample)."""
        cells = log_width(extent) if isinstance(extent, int) else log_cells(extent)
        return cells + self.log_batch + self.log_steps

    def used(self, tensor: Tensor) -> int:
        """Cells up to the last real step, or up to the last real sample of a single step."""
        per_sample = 1 << log_cells(tensor)
        one = self.steps == 1  # of an evaluation, records come last
        return self.batch * per_sample if one else self.steps * per_sample << self.log_batch

    def split(self, point: Point) -> tuple[Point, Point, Point]:
        """Coordinates within a sample, of the sample and of the step."""
        t = len(point) - self.log_steps
        b = t - self.log_batch
        return point[:b], point[b:t], point[t:]

    def indicator(self, extent: int | Tensor, point: Point) -> Ext:
        """Extension of "this cell is real"."""
        cell, b, t = self.split(point)
        inside = ml.less_than(b, self.batch) * ml.less_than(t, self.steps)
        if isinstance(extent, int):
            return inside * ml.less_than(cell, extent) if extent else inside
        places = coordinates(extent, cell)
        return inside * real(places.grid, extent.grid) * real_units(extent, places)

    def split_units(self, tensor: Tensor, point: Point) -> tuple[Point, Point, Point]:
        """Coordinates of the unit, of the sample and its place in the grid, and of the step."""
        t = len(point) - self.log_steps
        s = log_units(tensor)
        return point[:s], point[s:t], point[t:]

    def real_samples(self, tensor: Tensor, samples: Point) -> Ext:
        """Extension of "a real sample, at a real place of the grid"."""
        inside = ONE
        for size in reversed(tensor.grid):
            inside = inside * ml.less_than(samples[: log_width(size)], size)
            samples = samples[log_width(size) :]
        return inside * ml.less_than(samples, self.batch)

    def dims(self, tensor: Tensor) -> tuple[int, ...]:
        """Padded sizes of all axes, outermost first."""
        return (
            1 << self.log_steps,
            1 << self.log_batch,
            *(1 << log_width(size) for size in tensor.axes),
        )

    def real(self, tensor: Tensor) -> tuple[slice, ...]:
        """Where the real cells of a padded tensor are."""
        return tuple(slice(size) for size in (self.steps, self.batch, *tensor.axes))


def log_width(width: int) -> int:
    return ml.log2_ceil(width) if width else 0


def log_units(tensor: Tensor) -> int:
    """Variables of the units of a tensor, taps included."""
    return sum(log_width(size) for size in (*tensor.taps, tensor.width))


def log_grid(tensor: Tensor) -> int:
    """Variables of the grid."""
    return sum(log_width(size) for size in tensor.grid)


def log_cells(tensor: Tensor) -> int:
    """Variables of one sample."""
    return log_units(tensor) + log_grid(tensor)


@dataclass(frozen=True, slots=True)
class Coordinates:
    """The coordinates of a cell within its sample, axis by axis, outermost first."""

    grid: tuple[Point, ...]
    taps: tuple[Point, ...]
    unit: Point


def coordinates(tensor: Tensor, cell: Point) -> Coordinates:
    """Cut the coordinates of a cell, lowest first, at the axes of its tensor; those of a unit alone
    have no grid."""
    parts = []
    for size in (tensor.width, *reversed(tensor.taps), *reversed(tensor.grid)):
        parts.append(cell[: log_width(size)])
        cell = cell[log_width(size) :]
    if cell:
        raise ValueError(f"'{tensor.name}' has fewer variables than the point")
    grid = tuple(reversed(parts[1 + len(tensor.taps) :]))
    return Coordinates(grid, tuple(reversed(parts[1 : 1 + len(tensor.taps)])), parts[0])


def real(points: Sequence[Point], sizes: Sequence[int]) -> Ext:
    """Extension of "inside these sizes"."""
    out = ONE
    for point, size in zip(points, sizes, strict=True):
        out = out * ml.less_than(point, size)
    return out


def real_units(tensor: Tensor, places: Coordinates) -> Ext:
    """Extension of "a real tap of a real unit"."""
    inside = real(places.taps, tensor.taps)
    return inside * ml.less_than(places.unit, tensor.width) if tensor.width else inside
