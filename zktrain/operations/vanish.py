"""A tensor that is 0 everywhere is 0 at a random point, drawn after everything is committed.

Error ``variables / |E|``.
"""

from __future__ import annotations

from ..arguments.claims import Ledger, Shape
from ..field.extension import ZERO
from ..transcript.challenger import Challenger
from .operations import Tensor


def claim_zero(challenger: Challenger, tensor: Tensor, shape: Shape, ledger: Ledger) -> None:
    """The same for prover and verifier: the claim that remains to be shown."""
    point = challenger.elements(f"vanish/{tensor.name}", shape.log_size(tensor))  # V -> P
    ledger.add(tensor.name, tuple(point), ZERO)
