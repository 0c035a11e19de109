"""The fixed-point format of a circuit."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FixedPoint:
    """Numbers of fractional bits of every integer quantity.

    Inputs and activations carry ``activation_bits``, errors (dLoss/dz, per sample, not
    averaged) ``error_bits``; ``learning_rate / batch_size = m * 2**-rate_bits``. Weights carry
    the sum of the three, so that the update ``W -= m * A^T E`` is exact.
    """

    activation_bits: int = 8
    error_bits: int = 14
    rate_bits: int = 10

    @property
    def weight_bits(self) -> int:
        return self.activation_bits + self.error_bits + self.rate_bits

    @property
    def shift(self) -> int:
        """Rescale shift, forward and backward: accumulators carry this many bits too many."""
        return self.weight_bits
