"""The prover of the sum of many fractions: the tree, and one sumcheck per layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...field import extension as ext
from ...field import multilinear as ml
from ...field.extension import ONE, ZERO, Ext, ExtVec, Point
from ...profile import mark
from ..kernels import field as kf
from ..kernels.field import fold
from ..kernels.fractions import combine, round_sums
from ..kernels.unwritten import Leaves, Parents
from ..transcript.channel import ProverChannel
from . import sumcheck

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
        above = self.unwritten.parents() if self.unwritten is not None else None
        written = self.unwritten if above is None else None
        even, odd = combine(self.p0, self.p1, self.q0, self.q1, written)
        return Layer(even[:2], odd[:2], even[2:], odd[2:], above)


class LayerMachine:
    """Sumcheck prover of one layer. Its tables are ``s = p0 + lambda q0``, ``p1``, ``q0``,
    ``q1``; of unit fractions only ``1 + lambda q0`` and ``1 + lambda q1``, or nothing yet
    (``unwritten``)."""

    degree = 3

    def __init__(self, layer: Layer, point: Point, scale: Ext, claim: Ext) -> None:
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
