"""The sum of two layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..operations import Lookup
from ..operations.build import Build
from ..operations.extent import Extent
from . import limits
from .limits import GeometryError
from .place import Parameter, Place, Torch


@dataclass(frozen=True, slots=True)
class Add:
    """The sum of the output of the layer before it and that of ``other``, followed by ReLU or
    not."""

    name: str
    other: str
    relu: bool

    activates: ClassVar[bool] = False
    takes: ClassVar[int | None] = None
    stem: ClassVar[str] = "add{}"
    word: ClassVar[str] = "add"

    def violation(self, position: int) -> str | None:
        """The first limit that it breaks."""
        return limits.names_problem(position, self.name, self.other)

    @property
    def reads(self) -> tuple[str | None, ...]:
        """The layer before it, and the other one."""
        return (None, self.other)

    def output(self, inputs: list[Extent]) -> Extent:
        """Raises ``GeometryError``."""
        if inputs[0] != inputs[1]:
            raise GeometryError(f"layer {self.name!r} adds {inputs[0]} and {inputs[1]}")
        return inputs[0]

    def parameters(self) -> tuple[Parameter, ...]:
        """None."""
        return ()

    def forward(self, build: Build, place: Place) -> str:
        """The tensor of its output, which has 16 bits by a lookup."""
        terms = tuple((1, source) for source in place.sources)
        z = build.linear(f"z{place.index}", place.output, terms)
        if not self.relu:
            build.operations.append(Lookup("range16", (z,), 1 << 15))
        return build.rectified(place.index, z, place.output, relu=self.relu)

    @property
    def torch(self) -> Torch:
        """In floating point no module, but the sum itself."""
        return Torch("Identity")
