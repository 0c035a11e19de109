"""Sums and means over axes of an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..operations import Lookup, Sum
from ..operations.build import MEAN_BITS, Build
from ..operations.extent import Extent
from . import limits
from .limits import GeometryError
from .place import Parameter, Place, Torch


@dataclass(frozen=True, slots=True)
class Reduce:
    """The sum of ``channels`` channels of ``height`` lines of ``width`` columns, each either all
    that the image has, or 1: then nothing is summed over this axis. The ``mean`` is a sum times
    ``round(2^16 / values)``, divided by ``2^16``."""

    name: str
    channels: int
    height: int
    width: int
    mean: bool

    relu: ClassVar[bool] = False
    activates: ClassVar[bool] = False
    takes: ClassVar[int | None] = None
    stem: ClassVar[str] = "reduce{}"
    reads: ClassVar[tuple[str | None, ...]] = (None,)

    @property
    def _sizes(self) -> tuple[int, int, int]:
        return self.channels, self.height, self.width

    @property
    def values(self) -> int:
        """How many values are added up."""
        return self.channels * self.height * self.width

    def violation(self, position: int) -> str | None:
        """The first limit that it breaks."""
        problem = limits.names_problem(position, self.name)
        problem = problem or limits.widths_problem(self.name, *self._sizes)
        return problem or (limits.mean_problem(self.name, self.values) if self.mean else None)

    def output(self, inputs: list[Extent]) -> Extent:
        """Raises ``GeometryError``."""
        own = limits.image(self.name, inputs[0])
        have = (own.width, *own.grid)
        if any(n not in (1, size) for n, size in zip(self._sizes, have, strict=True)):
            raise GeometryError(f"layer {self.name!r} sums other axes than those of {own}")
        units, *grid = (size // n for n, size in zip(self._sizes, have, strict=True))
        return Extent(tuple(grid), units)

    def parameters(self) -> tuple[Parameter, ...]:
        """None."""
        return ()

    def forward(self, build: Build, place: Place) -> str:
        """The tensor of its output, which has 16 bits by a lookup."""
        name, output = f"{'acc' if self.mean else 'z'}{place.index}", place.output
        build.virtual(name, output, fraction=build.tensors[place.sources[0]].fraction)
        build.define(Sum(name, place.sources[0]))
        if self.mean:
            factor = limits.mean_factor(self.values)
            return build.rescale(name, f"z{place.index}", output, factor=factor, shift=MEAN_BITS)
        build.operations.append(Lookup("range16", (name,), 1 << 15))
        return name

    @property
    def word(self) -> str:
        """What it is in a line that names the network."""
        return f"{'mean' if self.mean else 'sum'}{'x'.join(map(str, self._sizes))}"

    @property
    def torch(self) -> Torch:
        """The same in floating point: to a pool over volumes samples are channels."""
        divisor = None if self.mean else 1
        return Torch("AvgPool3d", (self._sizes, self._sizes, 0, False, True, divisor))
