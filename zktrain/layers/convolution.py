"""A convolution over images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..operations.build import Build
from ..operations.extent import Extent
from . import limits
from .dense import affine, affine_parameters
from .limits import GeometryError
from .place import Parameter, Place, Torch


@dataclass(frozen=True, slots=True)
class Convolution:
    """``acc = A * W (+ 2**activation_bits * b)``, a cross-correlation as torch's ``Conv2d`` with
    one group, followed by ReLU or not. Pairs are (vertical, horizontal).

    The file stores the weight as torch does, ``(outputs, inputs, height, width)``; inside
    zktrain it is ``(height, width, inputs, outputs)``. ``source`` names the layer whose output it
    reads, ``None`` the layer before it.
    """

    name: str
    inputs: int
    outputs: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    weight: str
    bias: str | None
    relu: bool
    source: str | None = None

    activates: ClassVar[bool] = False
    takes: ClassVar[int | None] = None

    def violation(self, position: int) -> str | None:
        """The first limit that it breaks."""
        problem = limits.names_problem(position, self.name, self.weight, self.bias, self.source)
        problem = problem or limits.widths_problem(self.name, self.inputs, self.outputs)
        problem = problem or limits.windows_problem(self.name, *self.kernel, *self.stride)
        return problem or self._padding_problem()

    def _padding_problem(self) -> str | None:
        if not all(0 <= pad < size for pad, size in zip(self.padding, self.kernel, strict=True)):
            return f"the padding of layer {self.name!r} must be at least 0 and below its kernel"
        return None

    @property
    def reads(self) -> tuple[str | None, ...]:
        """The layer that it reads."""
        return (self.source,)

    def output(self, inputs: list[Extent]) -> Extent:
        """Raises ``GeometryError``."""
        own = limits.image(self.name, inputs[0])
        if own.width != self.inputs:
            raise GeometryError(
                f"layer {self.name!r} takes {self.inputs} channels, not {own.width}"
            )
        window = limits.window(self.name, own, self.kernel, self.stride, self.padding)
        return limits.places(window, self.outputs)

    def parameters(self) -> tuple[Parameter, ...]:
        """The weight, then the bias."""
        return affine_parameters(self.weight, self.bias, (*self.kernel, self.inputs, self.outputs))

    def forward(self, build: Build, place: Place) -> str:
        """The tensor of its output: a dense layer on the windows ``u{l}`` of its input, whose
        errors are those of the windows ``v{l}``."""
        own = place.inputs[0]
        windows = limits.window(self.name, own, self.kernel, self.stride, self.padding)
        seen = build.mapped(
            f"u{place.index}",
            Extent(place.output.grid, own.width),
            place.sources[0],
            windows,
            self.kernel,
        )
        build.error_names[seen] = f"v{place.index}"
        return affine(build, place, self.weight, self.bias, seen, relu=self.relu)

    @property
    def word(self) -> str:
        """What it is in a line that names the network."""
        return f"conv{self.outputs}"

    @property
    def torch(self) -> Torch:
        """The same in floating point, before its ReLU."""
        window = (self.kernel, self.stride, self.padding)
        dilation, groups = 1, 1
        bias = self.bias is not None
        return Torch("Conv2d", (self.inputs, self.outputs, *window, dilation, groups, bias))
