"""Matrix products with weights that change at every step and are never materialised.

``sum_{t,i} eq(t_point, t) source(t, b, i) W_t(i, .)`` in one sumcheck over ``(i, t)``. It ends in
claims on the source and on the weights at step-coordinates. Error ``3 (n + log K) / |E|``.
"""

from __future__ import annotations

from ..arguments import sumcheck
from ..arguments.claims import WeightClaim
from ..arguments.time_filter import TimeFilter
from ..errors import SumcheckMismatch
from ..field import multilinear as ml
from ..field.extension import ONE, ExtVec, Point
from ..field.forms import Scalar
from ..transcript.channel import VerifierChannel


def weight_claim(
    time_filter: TimeFilter, t: Point, row: Point, column: Point, value: Scalar
) -> WeightClaim:
    """Claim on ``W(t, row, column)``, the extension over all padded steps."""

    def decays() -> ExtVec:
        return time_filter.decay(ml.eq_table(t))

    return WeightClaim(time_filter.first(t), ONE, decays, row, column, value)


def bias_claim(
    time_filter: TimeFilter, steps: int, t: Point, column: Point, value: Scalar
) -> WeightClaim:
    """Claim on ``sum_{t < K} eq(t) b_t(column)``, over the real steps only."""

    def decays() -> ExtVec:
        omega = ml.eq_table(t)
        omega[:, steps:] = 0
        return time_filter.decay(omega)

    return WeightClaim(
        time_filter.first(t, steps), ml.less_than(t, steps), decays, (), column, value
    )


def verify(
    channel: VerifierChannel, label: str, target: Scalar, units: int, t: Point
) -> tuple[tuple[Point, Point], Scalar, Scalar]:
    """Point (units, steps), source and weight there; ``units`` are the source's variables."""
    stage, output = label.split("/")
    reduced, rho = sumcheck.verify(channel, label, target, units + len(t), 3)
    value, weight = channel.receive(f"{label}/factors", 2)  # P -> V
    both = channel.multiply(value, weight)
    channel.check(
        lambda: ml.eq(t, rho[units:]) * both - reduced,
        SumcheckMismatch(f"the product '{output}' does not match", stage=stage),
    )
    return (rho[:units], rho[units:]), value, weight
