"""Public linear maps over the axes of one sample: windows, orders of cells, what comes before.

A map is a matrix of zeros and ones that both sides know. It acts on some axes of the source and
leaves the others as they are; how it is proved is ``operations.unit_map``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Steps:
    """Windows along one axis: place ``o < outputs`` sees, at tap ``k < kernel``, the place ``i =
    stride o + k - padding``, if ``0 <= i < inputs``."""

    inputs: int
    outputs: int
    kernel: int
    stride: int
    padding: int

    def relation(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """All ``(i, o, k)`` inside, as three arrays."""
        o, k = (axis.reshape(-1) for axis in np.indices((self.outputs, self.kernel)))
        i = self.stride * o + k - self.padding
        inside = (i >= 0) & (i < self.inputs)
        return i[inside], o[inside], k[inside]

    def overlaps(self) -> tuple[int, int]:
        """The smallest and the largest number of windows that see one place."""
        counts = np.bincount(self.relation()[0], minlength=self.inputs)
        return int(counts.min()), int(counts.max())

    def seen(self) -> tuple[int, int]:
        """The smallest and the largest number of places that one window sees."""
        counts = np.bincount(self.relation()[1], minlength=self.outputs)
        return int(counts.min()), int(counts.max())


@dataclass(frozen=True, slots=True)
class Window:
    """From the grid of the inputs to that of the outputs, or back where ``transposed``.

    Where one of both tensors has taps, its cell ``(o, k)`` belongs to place ``i``; where none
    has, the cells of all taps are added up. Units stay as they are.
    """

    vertical: Steps
    horizontal: Steps
    transposed: bool = False

    @property
    def apart(self) -> bool:
        """Whether no place is seen by two windows."""
        return all(steps.kernel <= steps.stride for steps in (self.vertical, self.horizontal))


@dataclass(frozen=True, slots=True)
class Reorder:
    """Between a row of units and an image: unit ``(j height + y) width + x`` is unit ``j`` at
    ``(y, x)``."""


@dataclass(frozen=True, slots=True)
class Before:
    """The sum over all taps before this one, in row-major order; where there are no taps, over
    all units before this one."""


Map = Window | Reorder | Before


def transposed(map_: Map) -> Map:
    """The map that errors go back by. ``TypeError`` for one of which nothing trained is the
    source."""
    match map_:
        case Window():
            return replace(map_, transposed=not map_.transposed)
        case Reorder():
            return map_
        case Before():
            raise TypeError("no error goes back through what comes before")
