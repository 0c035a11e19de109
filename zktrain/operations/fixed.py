"""Public weights that no step changes: claims on them are checked at once.

``sum_t omega(t) W_t(row, column) = (sum_t omega(t)) W(row, column)``, which the verifier evaluates
itself, whatever filter acts on the weights of other layers. Exact; no error term.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..arguments.claims import WeightClaim, WeightLedger
from ..errors import SumcheckMismatch
from ..field.extension import Ext, Point
from ..field.forms import Scalar
from ..transcript.channel import VerifierChannel


@dataclass(frozen=True, slots=True)
class Fixed:
    """The weights and the bias are public and the same at every step; it stands where trained ones
    have their ``Accumulate``."""

    weight: str
    bias: str | None

    def inputs(self) -> set[str]:
        """See ``Operation``."""
        return set()

    def outputs(self) -> set[str]:
        """See ``Operation``."""
        return {self.weight}


def verify(
    channel: VerifierChannel,
    op: Fixed,
    weights: WeightLedger,
    public_value: Callable[[str, Point], Ext],
) -> None:
    """``public_value(name, point)`` evaluates padded weights; the prover sends nothing."""
    names = [op.weight] if op.bias is None else [op.weight, op.bias]
    for name in names:
        for claim in weights.claims.get(name, []):

            def difference(name: str = name, claim: WeightClaim = claim) -> Scalar:
                return claim.constant * public_value(name, claim.column + claim.row) - claim.value

            channel.check(
                difference,
                SumcheckMismatch(f"the weights '{name}' are not those in use", stage="weights"),
            )
