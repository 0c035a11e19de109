"""Forward through weights that change at every step.

``acc(r) = sum_{t,i} eq(r_t, t) A(t, r_b, i) W_t(i, r_j) + 2^f LT_B(r_b) sum_{t<K} eq(r_t, t)
b_t(r_j)``. Of images, the places of the grid count as samples and the taps of a window as units.
One sumcheck for each claim (``operations.matrix``). Error ``3 (n + log K) / |E|``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..arguments.tensors import log_units
from ..transcript.channel import VerifierChannel
from . import matrix
from .accumulate import Accumulate
from .affine_transposed import AffineTransposed
from .base import Context
from .extent import Extent
from .fixed import Fixed
from .maps import transposed
from .reach import Bounds, Reaches, whole
from .unit_map import UnitMap

if TYPE_CHECKING:
    from .reverse import Error, Reverse


@dataclass(frozen=True, slots=True)
class Affine:
    """``output[t, b, :] = source[t, b, :] W_t + 2**bias_shift * bias_t`` on real cells."""

    output: str
    source: str
    weight: str
    bias: str | None
    bias_shift: int

    @property
    def label(self) -> str:
        """Of its messages."""
        return f"affine/{self.output}"

    def inputs(self) -> tuple[str, ...]:
        return self.source, self.weight

    def outputs(self) -> tuple[str, ...]:
        return (self.output,)

    def reach(self, bounds: Bounds) -> Reaches:
        """Each cell that is not 0 times the largest weight."""
        source, weight = (bounds.known[name] for name in self.inputs())
        most = source.cells * source.size * weight.size
        if self.bias is not None:
            most += bounds.known[self.bias].size << self.bias_shift
        return {self.output: whole(bounds.tensors[self.output], -most, most)}

    def reverse(self, back: Reverse, error: Error) -> None:
        """The update, and the transposed product. That of windows, which would have an error for
        every tap, is the product of the windows of the error."""
        build = back.build
        output, source = build.tensors[self.output], build.tensors[self.source]
        error = back.settled(error, output, f"{self.output}.error")
        build.operations.append(
            Fixed(self.weight, self.bias)
            if self.weight in back.frozen
            else Accumulate(self.weight, self.bias, self.source, error.name, self.bias_shift)
        )
        if self.source not in back.needed:
            return
        seen, towards = error.name, source
        window = build.definitions.get(self.source)
        if isinstance(window, UnitMap) and source.taps:
            towards = build.tensors[window.source]
            arrives = Extent(towards.grid, output.width)
            build.layer, name = source.layer, back.name(source, error)
            seen = build.mapped(name, arrives, seen, transposed(window.map), source.taps)
        excess = output.fraction - source.fraction
        passed = replace(error, excess=excess)
        result = back.like(towards, back.name(towards, passed), error, excess)
        build.define(AffineTransposed(result, seen, self.weight))
        back.give(towards.name, replace(passed, name=result))

    def verify(self, channel: VerifierChannel, context: Context) -> None:
        shape, source, output = context.shape, *map(context.tensor, (self.source, self.output))
        steps = context.time_filters(self.weight)
        for point, target in context.ledger.of(self.output):
            j, b, t = shape.split_units(output, point)
            if self.bias is not None:
                (bias,) = channel.receive(f"{self.label}/bias", 1)  # P -> V
                context.weights.add(self.bias, matrix.bias_claim(steps, shape.steps, t, j, bias))
                target = target - shape.real_samples(output, b) * bias * (1 << self.bias_shift)
            rho, a, w = matrix.verify(channel, self.label, target, log_units(source), t)
            context.ledger.add(self.source, rho[0] + b + rho[1], a)
            context.weights.add(self.weight, matrix.weight_claim(steps, rho[1], rho[0], j, w))
