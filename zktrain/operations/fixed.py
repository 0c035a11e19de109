"""Public weights that no step changes: claims on them are checked at once.

``sum_t omega(t) W_t(row, column) = (sum_t omega(t)) W(row, column)``, which the verifier evaluates
itself, whatever filter acts on the weights of other layers. Exact; no error term.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..arguments.claims import WeightClaim
from ..errors import SumcheckMismatch
from ..field.forms import Scalar
from ..transcript.channel import VerifierChannel
from .base import Context
from .reach import Bounds, Reach, Reaches


@dataclass(frozen=True, slots=True)
class Fixed:
    """The weights and the bias are public and the same at every step; it stands where trained ones
    have their ``Accumulate``."""

    weight: str
    bias: str | None

    def inputs(self) -> tuple[str, ...]:
        return ()

    def outputs(self) -> tuple[str, ...]:
        return (self.weight,) if self.bias is None else (self.weight, self.bias)

    def reach(self, bounds: Bounds) -> Reaches:
        """The first ones."""
        return {
            name: Reach(-most, most) for name in self.outputs() for most in [bounds.starts[name]]
        }

    def verify(self, channel: VerifierChannel, context: Context) -> None:
        """The prover sends nothing."""
        for name in self.outputs():
            for claim in context.weights.claims.get(name, []):

                def difference(name: str = name, claim: WeightClaim = claim) -> Scalar:
                    public = context.ends.value("fixed", name, claim.column + claim.row)
                    return claim.constant * public - claim.value

                channel.check(
                    difference,
                    SumcheckMismatch(f"the weights '{name}' are not those in use", stage="weights"),
                )
