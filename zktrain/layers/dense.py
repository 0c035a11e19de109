"""A dense layer."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar

from ..operations import Affine
from ..operations.build import Build
from ..operations.extent import Extent
from . import limits
from .limits import GeometryError
from .place import Parameter, Place, Torch


@dataclass(frozen=True, slots=True)
class Layer:
    """One affine layer ``acc = A W (+ 2**activation_bits * b)``, followed by ReLU or not.

    ``weight`` and ``bias`` are the parameter names in the weight file. The file stores the
    weight as torch does, ``(outputs, inputs)``; inside zktrain it is ``(inputs, outputs)``.
    """

    name: str
    inputs: int
    outputs: int
    weight: str
    bias: str | None
    relu: bool

    activates: ClassVar[bool] = False
    reads: ClassVar[tuple[str | None, ...]] = (None,)
    """The layers that it reads, ``None`` for the one before it."""

    def violation(self, position: int) -> str | None:
        """The first limit that it breaks."""
        return limits.names_problem(
            position, self.name, self.weight, self.bias
        ) or limits.widths_problem(self.name, self.inputs, self.outputs)

    @property
    def takes(self) -> int:
        """Values of a record, where it is the first layer."""
        return self.inputs

    def output(self, inputs: list[Extent]) -> Extent:
        """Raises ``GeometryError``."""
        if inputs[0] != Extent((), self.inputs):
            raise GeometryError(
                f"layer {self.name!r} takes {self.inputs} inputs, "
                f"but the layer before it gives {inputs[0]}"
            )
        return Extent((), self.outputs)

    def parameters(self) -> tuple[Parameter, ...]:
        """The weight, then the bias."""
        return affine_parameters(self.weight, self.bias, (self.inputs, self.outputs))

    def forward(self, build: Build, place: Place) -> str:
        """The tensor of its output."""
        return affine(build, place, self.weight, self.bias, place.sources[0], relu=self.relu)

    @property
    def word(self) -> str:
        """What it is in a line that names the network."""
        return str(self.outputs)

    @property
    def torch(self) -> Torch:
        """The same in floating point, before its ReLU."""
        return Torch("Linear", (self.inputs, self.outputs, self.bias is not None))


def affine_parameters(
    weight: str, bias: str | None, shape: tuple[int, ...]
) -> tuple[Parameter, ...]:
    """Of a weight ``(..., inputs, outputs)`` and a bias."""
    inputs = prod(shape[:-1])
    found = (Parameter(weight, shape, inputs),)
    return found if bias is None else (*found, Parameter(bias, shape[-1:], inputs))


def affine(
    build: Build, place: Place, weight: str, bias: str | None, source: str, *, relu: bool
) -> str:
    """``acc{l} = source W + 2^f b`` rescaled to ``z{l}``; the tensor behind the ReLU."""
    index, bits = place.index, build.fixed_point.activation_bits
    accumulator = build.virtual(
        f"acc{index}", place.output, fraction=bits + build.fixed_point.weight_bits
    )
    build.define(Affine(accumulator, source, weight, bias, bits))
    z = build.rescale(
        accumulator, f"z{index}", place.output, signed_range=not (relu or place.bounded)
    )
    return build.rectified(index, z, place.output, relu=relu)
