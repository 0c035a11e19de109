"""The sum of many fractions by a binary tree, one sumcheck per layer.

The parent of the fractions ``p0/q0`` and ``p1/q1`` is ``(p0 q1 + p1 q0) / (q0 q1)``. A claim on
a layer's numerators and denominators at ``r`` is ``sum_x eq(r, x) (p0 q1 + p1 q0 + lambda q0
q1)(x)`` over the layer below. The lowest variable of a node's number is the choice of child.
Nodes beyond the last stored one are the neutral fraction 0/1. Ends in a claim on the leaves.
Error ``sum_k (3 k + 2) / |E|``. [GKR08, PH23]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import LookupMismatch, SumcheckMismatch
from ..field import multilinear as ml
from ..field.extension import ONE, Ext, Point
from ..field.forms import Scalar, combine
from ..transcript.channel import VerifierChannel
from . import sumcheck

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, slots=True)
class LeafClaim:
    """Numerators and denominators of all leaves at ``point``."""

    point: Point
    numerator: Scalar
    denominator: Scalar


def merge(children: Sequence[Scalar], mu: Ext) -> tuple[Scalar, Scalar]:
    """Numerator and denominator on the line through both children."""
    p0, p1, q0, q1 = children
    at0 = ONE - mu
    return combine([at0, mu], [p0, p1]), combine([at0, mu], [q0, q1])


def verify(channel: VerifierChannel, label: str, depth: int) -> LeafClaim:
    """The fractions of ``2^depth`` leaves add up to zero, if the claim on them holds."""
    children = channel.receive(f"{label}/root", 4)  # P -> V
    p0, p1, q0, q1 = children
    total = channel.multiply(p0, q1) + channel.multiply(p1, q0)
    channel.check(
        lambda: total, LookupMismatch("the sum over all lookups is not zero", stage=label)
    )
    channel.check_nonzero(  # P -> V
        f"{label}/nonzero", q0, q1, LookupMismatch("a lookup key is zero", stage=label)
    )
    mu = channel.challenger.element(f"{label}/merge")  # V -> P
    point: Point = (mu,)
    for variables in range(1, depth):
        scale = channel.challenger.element(f"{label}/lambda")  # V -> P
        claim = combine([ONE, scale], merge(children, mu))
        reduced, inner = sumcheck.verify(channel, f"{label}/layer", claim, variables, 3)
        children = channel.receive(f"{label}/children", 4)  # P -> V
        p0, p1, q0, q1 = children
        sums = channel.multiply(p0, q1) + channel.multiply(p1, q0)
        sums = sums + scale * channel.multiply(q0, q1)
        channel.check(
            lambda: ml.eq(point, inner) * sums - reduced,  # noqa: B023
            SumcheckMismatch("a layer of the fraction tree does not match", stage=label),
        )
        mu = channel.challenger.element(f"{label}/merge")  # V -> P
        point = (mu, *inner)
    return LeafClaim(point, *merge(children, mu))
