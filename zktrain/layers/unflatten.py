"""From a row of values to an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..operations.build import Build
from ..operations.extent import Extent
from ..operations.maps import Reorder
from . import limits
from .limits import GeometryError
from .place import Parameter, Place, Torch


@dataclass(frozen=True, slots=True)
class Unflatten:
    """A record of ``channels * height * width`` values, in this order, becomes an image."""

    name: str
    channels: int
    height: int
    width: int

    relu: ClassVar[bool] = False
    activates: ClassVar[bool] = False
    stem: ClassVar[str] = "image"
    reads: ClassVar[tuple[str | None, ...]] = (None,)

    def violation(self, position: int) -> str | None:
        """The first limit that it breaks."""
        return limits.names_problem(position, self.name) or limits.widths_problem(
            self.name, self.channels, self.height, self.width
        )

    @property
    def takes(self) -> int:
        """Values of a record, where it is the first layer."""
        return self.channels * self.height * self.width

    def output(self, inputs: list[Extent]) -> Extent:
        """Raises ``GeometryError``."""
        wanted = Extent((), self.takes)
        if inputs[0] != wanted:
            raise GeometryError(f"layer {self.name!r} takes {wanted}, not {inputs[0]}")
        return Extent((self.height, self.width), self.channels)

    def parameters(self) -> tuple[Parameter, ...]:
        """None."""
        return ()

    def forward(self, build: Build, place: Place) -> str:
        """The tensor of its output."""
        return build.mapped(f"a{place.index}", place.output, place.sources[0], Reorder())

    @property
    def word(self) -> str:
        """What it is in a line that names the network."""
        return f"{self.channels}x{self.height}x{self.width}"

    @property
    def torch(self) -> Torch:
        """The same in floating point."""
        return Torch("Unflatten", (1, (self.channels, self.height, self.width)))
