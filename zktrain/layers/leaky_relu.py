"""A ReLU with a slope below 0."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from ..operations import Product
from ..operations.build import MEAN_BITS, Build
from ..operations.extent import Extent
from . import limits
from .place import Parameter, Place, Torch


@dataclass(frozen=True, slots=True)
class LeakyReLU:
    """``z`` where it is above 0, else ``slope / 2^16`` times ``z``, rounded half up."""

    name: str
    slope: int

    relu: ClassVar[bool] = False
    activates: ClassVar[bool] = True
    takes: ClassVar[int | None] = None
    stem: ClassVar[str] = "leakyrelu{}"
    reads: ClassVar[tuple[str | None, ...]] = (None,)
    operators: ClassVar[tuple[str, ...]] = ("LeakyRelu",)

    @classmethod
    def imported(cls, operator: str, attributes: Mapping[str, Any]) -> LeakyReLU:
        """The layer that a node of an ONNX graph is, without its name. A slope that is not between
        0 and 1, or no number, becomes 0, which is refused as they are."""
        slope = attributes.get("alpha", 0.01)
        return cls("", round(slope * (1 << MEAN_BITS)) if 0 < slope < 1 else 0)

    def violation(self, position: int) -> str | None:
        """The first limit that it breaks."""
        return limits.names_problem(position, self.name) or self._slope_problem()

    def _slope_problem(self) -> str | None:
        if not 0 < self.slope < 1 << MEAN_BITS:
            return (
                f"the slope of layer {self.name!r} must be above 0 and below 1, in whole multiples "
                f"of 2^-{MEAN_BITS}: for 0 use ReLU"
            )
        return None

    def output(self, inputs: list[Extent]) -> Extent:
        """That of its input."""
        return inputs[0]

    def parameters(self) -> tuple[Parameter, ...]:
        """None."""
        return ()

    def forward(self, build: Build, place: Place) -> str:
        """``2^16 a = slope z + (2^16 - slope) s z`` rounded, with ``s = [z > 0]``."""
        index, extent, source = place.index, place.output, place.sources[0]
        sign = build.sign(f"s{index}", source, extent)
        above = build.virtual(f"sz{index}", extent)
        build.error_names[above] = f"se{index}"
        build.define(Product(above, sign, source))
        total = build.linear(
            f"acc{index}",
            extent,
            ((self.slope, source), ((1 << MEAN_BITS) - self.slope, above)),
            fraction=build.fixed_point.activation_bits + MEAN_BITS,
        )
        return build.rescale(total, f"z{index}", extent, shift=MEAN_BITS)

    @property
    def word(self) -> str:
        """What it is in a line that names the network."""
        return f"leaky{self.slope / (1 << MEAN_BITS):.3g}"

    @property
    def torch(self) -> Torch:
        """The same in floating point."""
        return Torch("LeakyReLU", (self.slope / (1 << MEAN_BITS),))
