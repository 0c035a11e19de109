"""A tensor that is 0 everywhere is 0 at a random point, drawn after everything is committed.

Error ``variables / |E|``.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..arguments.claims import Ledger
from ..arguments.tensors import Shape, Tensor
from ..field.extension import ZERO
from ..transcript.challenger import Challenger


@dataclass(frozen=True, slots=True)
class Vanish:
    """Every cell of ``source`` is 0, padded ones included."""

    source: str

    def inputs(self) -> set[str]:
        """See ``Operation``."""
        return {self.source}

    def outputs(self) -> set[str]:
        """See ``Operation``."""
        return set()


def claim_zero(challenger: Challenger, tensor: Tensor, shape: Shape, ledger: Ledger) -> None:
    """The same for prover and verifier: the claim that remains to be shown."""
    point = challenger.elements(f"vanish/{tensor.name}", shape.log_size(tensor))  # V -> P
    ledger.add(tensor.name, tuple(point), ZERO)
