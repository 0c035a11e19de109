"""Element-wise products: all claims on ``out = left * right`` in one sumcheck.

``sum_k gamma^k v_k = sum_x (sum_k gamma^k eq(z_k, x)) left(x) right(x)``. Error ``(#claims + 3
n) / |E|``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..arguments import sumcheck
from ..arguments.tensors import Tensor
from ..errors import SumcheckMismatch
from ..field import multilinear as ml
from ..field.extension import ZERO
from ..field.forms import combine
from ..transcript.channel import VerifierChannel
from .base import Context
from .reach import Bounds, Reach, Reaches

if TYPE_CHECKING:
    from .reverse import Error, Reverse


@dataclass(frozen=True, slots=True)
class Product:
    """``output = left * right``, cell by cell."""

    output: str
    left: str
    right: str

    @property
    def label(self) -> str:
        """Of its messages."""
        return f"product/{self.output}"

    def inputs(self) -> tuple[str, ...]:
        return self.left, self.right

    def outputs(self) -> tuple[str, ...]:
        return (self.output,)

    def reach(self, bounds: Bounds) -> Reaches:
        """The corners; 0 where either is."""
        left, right = (bounds.known[name] for name in self.inputs())
        corners = [a * b for a in (left.low, left.high) for b in (right.low, right.high)]
        units, taps = min(left.units, right.units), min(left.taps, right.taps)
        return {self.output: Reach(min(corners), max(corners), units, taps)}

    def apply(self, tensors: Mapping[str, Tensor], value: Callable[[str], Any]) -> Any:
        """Cell by cell."""
        return value(self.left) * value(self.right)

    def reverse(self, back: Reverse, error: Error) -> None:
        """``e_left = right e``, ``e_right = left e``."""
        for side, other in ((self.left, self.right), (self.right, self.left)):
            if side in back.needed:
                back.multiplied(side, self.output, other, error)

    def verify(self, channel: VerifierChannel, context: Context) -> None:
        claims = context.ledger.of(self.output)
        weights = channel.challenger.powers(f"{self.label}/gamma", len(claims))  # V -> P
        if not claims:
            return
        target = combine(weights, [value for _, value in claims])
        reduced, point = sumcheck.verify(channel, self.label, target, len(claims[0][0]), 3)
        a, b = channel.receive(f"{self.label}/factors", 2)  # P -> V
        both = channel.multiply(a, b)
        weight = ZERO
        for (z, _), power in zip(claims, weights, strict=True):
            weight = weight + power * ml.eq(z, point)
        channel.check(
            lambda: weight * both - reduced,
            SumcheckMismatch(f"the product '{self.output}' does not match", stage="product"),
        )
        context.ledger.add(self.left, point, a)
        context.ledger.add(self.right, point, b)
