"""The prover of the sum of many fractions: the tree, and one sumcheck per layer.

A layer is a list of runs of neighbouring fractions. What lies between and behind them is the
neutral fraction 0/1, which is never computed: it adds ``lambda`` times its weight to a round
polynomial, and the weight is 1 minus that of what is present.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...field import extension as ext
from ...field import multilinear as ml
from ...field.extension import ONE, ZERO, Ext, ExtVec, Point
from ...profile import mark
from ..kernels import field as kf
from ..kernels.field import fold
from ..kernels.fractions import Tables as Weights
from ..kernels.fractions import combine, round_sums, weight, weight_tables
from ..kernels.unwritten import Leaves, Parents
from ..transcript.channel import ProverChannel
from . import sumcheck

SMALL = 1 << 10
"""Unit fractions are treated like all others when so few are left."""
NEAR = 6
"""A gap behind a block of fewer than ``2^6`` cells is filled with neutral fractions."""
STORED_BYTES, BOUND_BYTES = 128, 96
"""Memory per pair: of the lowest stored layer, with all layers above it; and of tables whose
variables are bound, with those of the next round."""

Tables = tuple[ExtVec, ExtVec, ExtVec, ExtVec]


@dataclass(frozen=True, slots=True)
class Run:
    """Pairs of fractions, the first of them number ``first`` of the layer: first the ``unwritten``
    ones (an even number), then stored ones, ``p0, p1, q0, q1`` of shape ``(2, pairs)``.

    Before it stands a block of ``2^block_log`` pairs, of which maybe not all are present;
    ``first`` is a multiple of that, and blocks of the run are no larger. The last pair may have
    only its even fraction. Where ``unwritten`` pairs are not in the first run, ``block_log`` is
    at least ``NEAR`` until they are stored.
    """

    first: int
    block_log: int
    stored: Tables
    unwritten: Leaves | Parents | None = None

    @property
    def stop(self) -> int:
        """Number of the pair behind the last one."""
        before = self.unwritten.pairs if self.unwritten is not None else 0
        return self.first + before + int(self.stored[2].shape[1])

    def parents(self) -> Run:
        """The layer above."""
        above = self.unwritten.parents() if self.unwritten is not None else None
        written = self.unwritten if above is None else None
        even, odd = combine(*self.stored, written)
        tables = (even[:2], odd[:2], even[2:], odd[2:])
        return Run(self.first // 2, self.block_log - 1, tables, above)


def parents(layer: list[Run]) -> list[Run]:
    """The layer above."""
    return joined([run.parents() for run in layer])


def joined(layer: list[Run]) -> list[Run]:
    """A layer without small gaps."""
    runs = list(layer)
    while len(runs) > 1 and runs[-1].block_log < NEAR:
        last, before = runs.pop(), runs.pop()
        stored = _joined(before.stored, last.stored, last.first - before.stop, ZERO)
        runs.append(Run(before.first, before.block_log, stored, before.unwritten))
    return runs


def _joined(first: Tables, second: Tables, gap: int, numerator: Ext) -> Tables:
    """Both, with ``gap`` pairs of neutral fractions between; ``numerator``: what tables say of
    0/1."""
    cells = ext.vector([numerator, ZERO, ONE, ONE])
    tables = (
        np.concatenate((a, np.repeat(cells[:, i : i + 1], gap, axis=1), b), axis=1)
        for i, (a, b) in enumerate(zip(first, second, strict=True))
    )
    p0, p1, q0, q1 = tables
    return p0, p1, q0, q1


def rounds_unwritten(pairs: int, memory: int | None) -> int:
    """How many variables of a layer that is never stored are bound before its tables are."""
    rounds = 1 if memory is None else 2
    while memory is not None and BOUND_BYTES * (pairs >> rounds) > memory:
        rounds += 2
    return rounds


def unwritten_layers(leaves: int, memory: int | None) -> tuple[int, int]:
    """How many layers of a tree are never stored, and log2 of what the number of their leaves
    in every block must be a multiple of."""
    layers = 2
    while memory is not None and STORED_BYTES * (leaves >> layers + 1) > memory:
        layers += 1
    bound = (j + 1 + rounds_unwritten(leaves >> j + 1, memory) for j in range(layers))
    return layers, max(layers + 1, *bound)


class _Part:
    """What a sumcheck over a layer holds of one run: the tables ``s = p0 + lambda q0``, ``p1``,
    ``q0``, ``q1``; of unit fractions only ``1 + lambda q0`` and ``1 + lambda q1``; of unwritten
    ones nothing until ``rounds`` variables are bound, and what a pass over them said of the
    ``next`` round."""

    def __init__(self, run: Run, scale: Ext, rounds: int) -> None:
        self.first, self.block_log = run.first, run.block_log
        self.scale, self.rounds = scale, rounds
        self.unwritten = run.unwritten
        self.known: list[Ext] = []
        self.next: list[list[Ext]] = []
        p0, p1, q0, q1 = run.stored
        s = p0.copy()
        kf.add_scaled(s, scale, q0)
        self.stored: Tables = (s, p1, q0, q1)
        none = np.zeros((2, 0), dtype=np.uint64)
        self.unit = (none, none)
        if isinstance(self.unwritten, Leaves) and scale == ZERO:  # 1 + 0 q0 says nothing
            ones = ext.from_base(np.ones(self.unwritten.pairs, dtype=np.uint64))
            self.stored = _joined((ones, ones, *self.unwritten.written()), self.stored, 0, scale)
            self.unwritten = None

    @property
    def stop(self) -> int:
        """Number of the cell behind the last one."""
        before = self.unwritten.pairs >> len(self.known) if self.unwritten is not None else 0
        return self.first + before + int(self.unit[0].shape[1] + self.stored[0].shape[1])

    def write_units(self) -> None:
        """Store unit fractions like all others."""
        y, z = self.unit
        if y.shape[1]:
            one = ext.from_base(np.ones(y.shape[1], dtype=np.uint64))
            inverse = self.scale.inverse()
            q0, q1 = (ext.scale(ext.sub(table, one), inverse) for table in (y, z))
            self.stored = _joined((y, one, q0, q1), self.stored, 0, self.scale)
            self.unit = (y[:, :0], z[:, :0])

    def append(self, last: _Part) -> None:
        """Take over the run behind this one."""
        last.write_units()
        self.stored = _joined(self.stored, last.stored, last.first - self.stop, self.scale)

    def even_out(self) -> None:
        """Store unit fractions when they cannot be paired or are few; then add a neutral one if
        the number is odd."""
        units = self.unit[0].shape[1]
        if units % 2 or units <= SMALL:
            self.write_units()
        if self.stored[0].shape[1] % 2:
            none = tuple(table[:, :0] for table in self.stored)
            self.stored = _joined(self.stored, none, 1, self.scale)  # type: ignore[arg-type]

    def sums(self, rest: Point, weights: Weights) -> tuple[Ext, Ext]:
        """Its part of the round polynomial without ``eq`` of the lowest variable: the value at 0
        and the coefficient of ``X^2``."""
        first = self.first // 2
        if self.unwritten is None or self.rounds == 1:
            return round_sums(self.unit, self.stored, self.scale, weights, first, self.unwritten)
        behind = first + (self.unwritten.pairs >> len(self.known) + 1)
        at0, lead = round_sums(self.unit, self.stored, self.scale, weights, behind)
        if self.next:
            more0, more = (sumcheck.interpolate(v, self.known[-1]) for v in self.next)
        else:
            both = (weights, weight_tables(rest[1:]))
            now, after = self.unwritten.two_rounds(self.known, self.scale, both, self.first)
            self.next = [list(values) for values in zip(*after, strict=True)]
            more0, more = now
        return at0 + more0, lead + more

    def bind(self, challenge: Ext) -> None:
        self.first //= 2
        self.block_log -= 1
        unwritten = self.unwritten
        if unwritten is not None:
            self.known.append(challenge)
            if len(self.known) % 2 == 0:
                self.next = []
            if len(self.known) < self.rounds:
                self.stored = _bound(self.stored, challenge)
                return
            self.unwritten = None
        if isinstance(unwritten, Leaves):
            self.unit = unwritten.fold(self.known, self.scale)
        else:
            self.unit = (fold(self.unit[0], challenge), fold(self.unit[1], challenge))
        before = unwritten.pairs >> self.rounds if isinstance(unwritten, Parents) else 0
        self.stored = _bound(self.stored, challenge, before)
        if isinstance(unwritten, Parents):
            unwritten.fold(self.known, self.scale, self.stored)


def _bound(tables: Tables, challenge: Ext, before: int = 0) -> Tables:
    """The lowest variable bound, behind ``before`` empty cells."""
    count = before + tables[0].shape[1] // 2
    s, p1, q0, q1 = (np.empty((2, count), dtype=np.uint64) for _ in range(4))
    for table, out in zip(tables, (s, p1, q0, q1), strict=True):
        fold(table, challenge, out[:, before:])
    return s, p1, q0, q1


class LayerMachine:
    """Sumcheck prover of one layer. With ``memory`` tables of unwritten fractions are kept from
    where they take at most so many bytes; until then a pass computes them and gives two rounds."""

    degree = 3

    def __init__(
        self, layer: list[Run], point: Point, scale: Ext, claim: Ext, memory: int | None = None
    ) -> None:
        self.point = list(point)
        self.rounds = len(point)
        self.scale = scale
        self.claim = claim  # of sum_x eq(remaining r, x) g(x)
        self.prefix = ONE  # eq of the bound coordinates
        unwritten = sum(run.unwritten.pairs for run in layer if run.unwritten is not None)
        rounds = rounds_unwritten(unwritten, memory)
        self.parts = [_Part(run, scale, rounds) for run in layer]

    def _join(self) -> None:
        while len(self.parts) > 1 and self.parts[-1].block_log < NEAR:
            last = self.parts.pop()
            self.parts[-1].append(last)

    def message(self) -> list[Ext]:
        self._join()
        r, rest = self.point[0], tuple(self.point[1:])
        weights = weight_tables(rest)
        at0, lead, missing = ZERO, ZERO, ONE
        for part in self.parts:
            part.even_out()
            more0, more = part.sums(rest, weights)
            at0, lead = at0 + more0, lead + more
            missing = missing - weight(part.first // 2, part.stop // 2, weights)
        at0 = at0 + self.scale * missing
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
        for part in self.parts:
            part.bind(challenge)

    def finals(self) -> list[Ext]:
        """``p0, p1, q0, q1`` at the point."""
        self._join()
        self.parts[0].write_units()
        s, p1, q0, q1 = (ext.scalar(table, (0,)) for table in self.parts[0].stored)
        return [s - self.scale * q0, p1, q0, q1]


def prove(
    channel: ProverChannel,
    label: str,
    leaves: list[Run],
    depth: int,
    memory: int | None = None,
) -> Point:
    """Sum of ``2^depth`` leaves; returns the point at which they have to be evaluated.

    The messages do not depend on ``memory``, the bytes that tables may take besides those of
    stored leaves and their parents.
    """
    mark("tree")
    layers = [leaves]
    while len(layers) < depth:
        layers.append(parents(layers[-1]))

    mark("inner layers")
    top = layers.pop()[0]
    children = [ext.scalar(table, (0,)) for table in top.stored]
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
        machine = LayerMachine(layers.pop(), point, scale, claim, memory)
        inner = sumcheck.prove(channel, f"{label}/layer", machine)
        children = machine.finals()
        channel.send(f"{label}/children", children)  # P -> V
        mu = channel.challenger.element(f"{label}/merge")  # V -> P
        point = (mu, *inner)
    return point
