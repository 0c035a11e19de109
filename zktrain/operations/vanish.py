"""A tensor that is 0 everywhere is 0 at a random point, drawn after everything is committed.

Error ``variables / |E|``.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..field.extension import ZERO
from ..transcript.challenger import Challenger
from ..transcript.channel import VerifierChannel
from .base import Context
from .reach import Bounds, Reaches


@dataclass(frozen=True, slots=True)
class Vanish:
    """Every cell of ``source`` is 0, padded ones included."""

    source: str

    def inputs(self) -> tuple[str, ...]:
        return (self.source,)

    def outputs(self) -> tuple[str, ...]:
        return ()

    def reach(self, bounds: Bounds) -> Reaches:
        """``Linear.chosen`` says what follows."""
        return {}

    def claim_zero(self, challenger: Challenger, context: Context) -> None:
        """The same for prover and verifier: the claim that remains to be shown."""
        variables = context.shape.log_size(context.tensor(self.source))
        point = challenger.elements(f"vanish/{self.source}", variables)  # V -> P
        context.ledger.add(self.source, tuple(point), ZERO)

    def verify(self, channel: VerifierChannel, context: Context) -> None:
        self.claim_zero(channel.challenger, context)
