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

import numpy as np

from ..errors import LookupMismatch, SumcheckMismatch
from ..field import extension as ext
from ..field import multilinear as ml
from ..field.extension import ONE, ZERO, Ext, ExtVec, Point
from ..field.forms import Scalar, combine
from ..profile import mark
from ..transcript.channel import ProverChannel, VerifierChannel
from . import sumcheck

if TYPE_CHECKING:
    from ..prover.kernels.unwritten import Leaves, Parents

SMALL = 1 << 10
"""Unit fractions are treated like all others when so few are left."""


@dataclass(frozen=True, slots=True)
class Layer:
    """Pairs of fractions: first the ``unwritten`` ones (an even number), then stored ones, ``p0,
    p1, q0, q1`` of shape ``(2, pairs)``."""

    p0: ExtVec
    p1: ExtVec
    q0: ExtVec
    q1: ExtVec
    unwritten: Leaves | Parents | None = None

    @property
    def pairs(self) -> int:
        before = self.unwritten.pairs if self.unwritten is not None else 0
        return int(self.q0.shape[1]) + before

    def parents(self) -> Layer:
        """The layer above."""
        from ..prover.kernels.fractions import combine

        above = self.unwritten.parents() if self.unwritten is not None else None
        written = self.unwritten if above is None else None
        even, odd = combine(self.p0, self.p1, self.q0, self.q1, written)
        return Layer(even[:2], odd[:2], even[2:], odd[2:], above)


@dataclass(frozen=True, slots=True)
class LeafClaim:
    """Numerators and denominators of all leaves at ``point``."""

    point: Point
    numerator: Scalar
    denominator: Scalar


class LayerMachine:
    """Sumcheck prover of one layer. Its tables are ``s = p0 + lambda q0``, ``p1``, ``q0``,
    ``q1``; of unit fractions only ``1 + lambda q0`` and ``1 + lambda q1``, or nothing yet
    (``unwritten``)."""

    degree = 3

    def __init__(self, layer: Layer, point: Point, scale: Ext, claim: Ext) -> None:
        from ..prover.kernels import field as kf
        from ..prover.kernels.unwritten import Leaves

        self.point = list(point)
        self.rounds = len(point)
        self.scale = scale
        self.claim = claim  # of sum_x eq(remaining r, x) g(x)
        self.prefix = ONE  # eq of the bound coordinates
        self.unwritten = layer.unwritten
        none = np.zeros((2, 0), dtype=np.uint64)
        self.unit = (none, none)
        s = layer.p0.copy()
        kf.add_scaled(s, scale, layer.q0)
        self.stored = (s, layer.p1, layer.q0, layer.q1)
        if isinstance(self.unwritten, Leaves) and scale == ZERO:  # 1 + 0 q0 says nothing
            ones = ext.from_base(np.ones(self.unwritten.pairs, dtype=np.uint64))
            self.stored = _join((ones, ones, *self.unwritten.written()), self.stored)
            self.unwritten = None

    def _even_out(self) -> None:
        """Store unit fractions when they cannot be paired or are few; then add a neutral one if
        the number is odd."""
        units = self.unit[0].shape[1]
        if units and (units % 2 or units <= SMALL):
            y, z = self.unit
            one = ext.from_base(np.ones(units, dtype=np.uint64))
            inverse = self.scale.inverse()
            q0, q1 = (ext.scale(ext.sub(table, one), inverse) for table in (y, z))
            self.stored = _join((y, one, q0, q1), self.stored)
            self.unit = (y[:, :0], z[:, :0])
        if self.stored[0].shape[1] % 2:
            s, one = ext.vector([self.scale]), ext.vector([ONE])
            self.stored = _join(self.stored, (s, ext.vector([ZERO]), one, one))

    def message(self) -> list[Ext]:
        from ..prover.kernels.fractions import round_sums

        self._even_out()
        r, rest = self.point[0], tuple(self.point[1:])
        at0, lead = round_sums(self.unit, self.stored, self.scale, rest, self.unwritten)
        units = self.unit[0].shape[1] if self.unwritten is None else self.unwritten.pairs
        present = (units + self.stored[0].shape[1]) // 2
        missing = self.scale * (ONE - ml.less_than(rest, present))
        at0 = at0 + missing
        at1 = (self.claim - (1 - r) * at0) * r.inverse()
        at2 = 2 * (at1 + lead) - at0
        self._values = [at0, at1, at2]
        at3 = sumcheck.interpolate(self._values, Ext(3))
        return [
            self.prefix * (1 - r) * at0,
            self.prefix * (3 * r - 1) * at2,
            self.prefix * (5 * r - 2) * at3,
        ]

    def bind(self, challenge: Ext) -> None:
        from ..prover.kernels.field import fold
        from ..prover.kernels.unwritten import Leaves, Parents

        r = self.point.pop(0)
        self.prefix = self.prefix * ml.eq([r], [challenge])
        self.claim = sumcheck.interpolate(self._values, challenge)
        unwritten, self.unwritten = self.unwritten, None
        if isinstance(unwritten, Leaves):
            self.unit = unwritten.fold(challenge, self.scale)
        else:
            self.unit = (fold(self.unit[0], challenge), fold(self.unit[1], challenge))
        before = unwritten.pairs // 2 if isinstance(unwritten, Parents) else 0
        count = before + self.stored[0].shape[1] // 2
        tables = tuple(np.empty((2, count), dtype=np.uint64) for _ in range(4))
        if isinstance(unwritten, Parents):
            unwritten.fold(challenge, self.scale, tables)
        for table, out in zip(self.stored, tables, strict=True):
            fold(table, challenge, out[:, before:])
        s, p1, q0, q1 = tables
        self.stored = (s, p1, q0, q1)

    def finals(self) -> list[Ext]:
        """``p0, p1, q0, q1`` at the point."""
        if self.unit[0].shape[1]:
            inverse = self.scale.inverse()
            q0, q1 = (inverse * (ext.scalar(table, (0,)) - 1) for table in self.unit)
            return [ONE, ONE, q0, q1]
        s, p1, q0, q1 = (ext.scalar(table, (0,)) for table in self.stored)
        return [s - self.scale * q0, p1, q0, q1]


Tables = tuple[ExtVec, ExtVec, ExtVec, ExtVec]


def _join(first: Tables, second: Tables) -> Tables:
    a, b, c, d = (np.concatenate(pair, axis=1) for pair in zip(first, second, strict=True))
    return a, b, c, d


def _merge(children: Sequence[Scalar], mu: Ext) -> tuple[Scalar, Scalar]:
    """Numerator and denominator on the line through both children."""
    p0, p1, q0, q1 = children
    at0 = ONE - mu
    return combine([at0, mu], [p0, p1]), combine([at0, mu], [q0, q1])


def prove(channel: ProverChannel, label: str, leaves: Layer) -> Point:
    """Returns the point at which the leaves have to be evaluated."""
    mark("tree")
    layers = [leaves]
    while layers[-1].pairs > 1:
        layers.append(layers[-1].parents())

    mark("inner layers")
    top = layers.pop()
    children = [ext.scalar(table, (0,)) for table in (top.p0, top.p1, top.q0, top.q1)]
    channel.send(f"{label}/root", children)  # P -> V
    channel.send_nonzero(f"{label}/nonzero", children[2], children[3])  # P -> V
    mu = channel.challenger.element(f"{label}/merge")  # V -> P
    point: Point = (mu,)
    while layers:
        if len(layers) == 1:
            mark("leaf layer")
        p0, p1, q0, q1 = children
        scale = channel.challenger.element(f"{label}/lambda")  # V -> P
        claim = p0 + mu * (p1 - p0) + scale * (q0 + mu * (q1 - q0))
        machine = LayerMachine(layers.pop(), point, scale, claim)
        inner = sumcheck.prove(channel, f"{label}/layer", machine)
        children = machine.finals()
        channel.send(f"{label}/children", children)  # P -> V
        mu = channel.challenger.element(f"{label}/merge")  # V -> P
        point = (mu, *inner)
    return point


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
        claim = combine([ONE, scale], _merge(children, mu))
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
    return LeafClaim(point, *_merge(children, mu))
