"""Forward through weights that change at every step.

``acc(r) = sum_{t,i} eq(r_t, t) A(t, r_b, i) W_t(i, r_j) + 2^f LT_B(r_b) sum_{t<K} eq(r_t, t)
b_t(r_j)``. Of images, the places of the grid count as samples and the taps of a window as units.
One sumcheck for each claim (``operations.matrix``). Error ``3 (n + log K) / |E|``.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..arguments.tensors import log_units
from ..transcript.channel import VerifierChannel
from . import matrix
from .base import Context
from .reach import Bounds, Reaches, whole


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
