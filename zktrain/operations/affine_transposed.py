"""Backward through weights that change at every step.

``bac(r) = sum_{t,j} eq(r_t, t) E(t, r_b, j) W_t(r_i, j)``, taps counted with ``j``. One sumcheck
for each claim (``operations.matrix``). Error ``3 (n + log K) / |E|``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..arguments.tensors import log_units, log_width
from ..transcript.channel import VerifierChannel
from . import matrix
from .base import Context
from .reach import Bounds, Reaches, whole

if TYPE_CHECKING:
    from .reverse import Error, Reverse


@dataclass(frozen=True, slots=True)
class AffineTransposed:
    """``output[t, b, :] = source[t, b, :] W_t^T``."""

    output: str
    source: str
    weight: str

    @property
    def label(self) -> str:
        """Of its messages."""
        return f"transposed/{self.output}"

    def inputs(self) -> tuple[str, ...]:
        return self.source, self.weight

    def outputs(self) -> tuple[str, ...]:
        return (self.output,)

    def reach(self, bounds: Bounds) -> Reaches:
        """Each cell that is not 0 times the largest weight."""
        source, weight = (bounds.known[name] for name in self.inputs())
        most = source.cells * source.size * weight.size
        return {self.output: whole(bounds.tensors[self.output], -most, most)}

    def reverse(self, back: Reverse, error: Error) -> None:
        """None is in a forward pass. ``TypeError``."""
        raise TypeError("a forward pass has no transposed products")

    def verify(self, channel: VerifierChannel, context: Context) -> None:
        source, output = map(context.tensor, (self.source, self.output))
        steps = context.time_filters(self.weight)
        columns = log_width(source.width)
        for point, target in context.ledger.of(self.output):
            i, b, t = context.shape.split_units(output, point)
            rho, e, w = matrix.verify(channel, self.label, target, log_units(source), t)
            context.ledger.add(self.source, rho[0] + b + rho[1], e)
            row, column = i + rho[0][columns:], rho[0][:columns]
            claim = matrix.weight_claim(steps, rho[1], row, column, w)
            context.weights.add(self.weight, claim)
