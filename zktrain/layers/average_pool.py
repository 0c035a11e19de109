"""The mean of every window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..operations.build import MEAN_BITS, Build
from ..operations.extent import Extent
from . import limits
from .place import Parameter, Place, Torch


@dataclass(frozen=True, slots=True)
class AveragePool:
    """Mean of every window, without padding: a sum times ``round(2^16 / taps)``, divided by
    ``2^16``."""

    name: str
    kernel: tuple[int, int]
    stride: tuple[int, int]

    relu: ClassVar[bool] = False
    activates: ClassVar[bool] = False
    takes: ClassVar[int | None] = None
    stem: ClassVar[str] = "averagepool{}"
    reads: ClassVar[tuple[str | None, ...]] = (None,)

    @property
    def taps(self) -> int:
        """Values of a window."""
        return self.kernel[0] * self.kernel[1]

    def violation(self, position: int) -> str | None:
        """The first limit that it breaks."""
        problem = limits.names_problem(position, self.name)
        problem = problem or limits.windows_problem(self.name, *self.kernel, *self.stride)
        return problem or limits.mean_problem(self.name, self.taps)

    def output(self, inputs: list[Extent]) -> Extent:
        """Raises ``GeometryError``."""
        own = limits.image(self.name, inputs[0])
        return limits.places(limits.window(self.name, own, self.kernel, self.stride), own.width)

    def parameters(self) -> tuple[Parameter, ...]:
        """None."""
        return ()

    def forward(self, build: Build, place: Place) -> str:
        """The tensor of its output."""
        window = limits.window(self.name, place.inputs[0], self.kernel, self.stride)
        sums = build.mapped(f"acc{place.index}", place.output, place.sources[0], window)
        return build.rescale(
            sums,
            f"z{place.index}",
            place.output,
            factor=limits.mean_factor(self.taps),
            shift=MEAN_BITS,
        )

    @property
    def word(self) -> str:
        """What it is in a line that names the network."""
        return f"mean{self.kernel[0]}x{self.kernel[1]}"

    @property
    def torch(self) -> Torch:
        """The same in floating point."""
        return Torch("AvgPool2d", (self.kernel, self.stride))
