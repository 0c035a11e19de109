"""From an image to a row of values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..operations.build import Build
from ..operations.extent import Extent
from ..operations.maps import Reorder
from . import limits
from .place import Parameter, Place, Torch


@dataclass(frozen=True, slots=True)
class Flatten:
    """An image becomes a row of values: channels, then lines, then columns."""

    name: str

    relu: ClassVar[bool] = False
    activates: ClassVar[bool] = False
    takes: ClassVar[int | None] = None
    stem: ClassVar[str] = "flatten"
    reads: ClassVar[tuple[str | None, ...]] = (None,)
    word: ClassVar[str] = ""

    def violation(self, position: int) -> str | None:
        """The first limit that it breaks."""
        return limits.names_problem(position, self.name)

    def output(self, inputs: list[Extent]) -> Extent:
        """Raises ``GeometryError``."""
        return Extent((), limits.image(self.name, inputs[0]).cells)

    def parameters(self) -> tuple[Parameter, ...]:
        """None."""
        return ()

    def forward(self, build: Build, place: Place) -> str:
        """The tensor of its output."""
        return build.mapped(f"a{place.index}", place.output, place.sources[0], Reorder())

    @property
    def torch(self) -> Torch:
        """The same in floating point."""
        return Torch("Flatten")
