"""Accumulated weights: claims on weights inside or at the end of a run become claims on its
first weights and on activations and errors.

``W_t = W_0 - sum_{tau < t} m_tau A_tau^T E_tau``, so for claim ``k`` with step weights ``omega_k``

    first_k W_0(row_k, col_k) - v_k = sum_{tau,b} decay_k(tau) A(tau, b, row_k) E(tau, b, col_k),

biases alike with ``A = 2^f``. Of images, the places of the grid count as samples. All claims of a
layer in one sumcheck over ``(b, tau)`` with powers of ``gamma``; the claim on the run's last
weights has ``omega`` at the end: ``first = 1``, ``decay = m``. Under momentum or weight decay
``first`` and ``decay`` are those of the public filter (``time_filter``), and nothing else differs.

Published weights after earlier steps (checkpoints) are claims at the point of the last ones: the
prover sends their values there, in clear, before ``gamma``; whoever has a file compares. Their
decays are added up with their powers of ``gamma``, so they cost no further claims on activations
and errors. Error ``(#claims + #checkpoints + 3 (log B + log K) + log rows + log columns) / |E|``,
of weights and biases each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import prod

import numpy as np

from ..arguments import sumcheck
from ..arguments.claims import WeightClaim
from ..arguments.tensors import log_grid, log_units
from ..arguments.time_filter import TimeFilter
from ..errors import SumcheckMismatch
from ..field import extension as ext
from ..field import multilinear as ml
from ..field.extension import ONE, ZERO, Ext, ExtVec, Point
from ..field.forms import Scalar, combine
from ..transcript.challenger import Challenger
from ..transcript.channel import VerifierChannel
from .base import Context
from .reach import Bounds, Reach, Reaches

Published = tuple[int, str, Point]
"""Step, parameter and point of a value of a checkpoint."""


@dataclass(frozen=True, slots=True)
class Accumulate:
    """``W_{t+1} = W_t - m_t sum_b activation[t, b, :]^T error[t, b, :]`` and
    ``bias_{t+1} = bias_t - m_t 2**bias_shift sum_b error[t, b, :]``."""

    weight: str
    bias: str | None
    activation: str
    error: str
    bias_shift: int

    @property
    def label(self) -> str:
        """Of its messages."""
        return f"weights/{self.weight}"

    def inputs(self) -> tuple[str, ...]:
        return self.activation, self.error

    def outputs(self) -> tuple[str, ...]:
        return (self.weight,) if self.bias is None else (self.weight, self.bias)

    def reach(self, bounds: Bounds) -> Reaches:
        """First weights and all updates of a run, as if each had the largest size and one sign."""
        activation, error = (bounds.known[name] for name in self.inputs())
        samples = bounds.batch_size * prod(bounds.tensors[self.error].grid)
        travelled = bounds.rate(self.weight) * samples * error.size
        moves = (travelled * activation.size, travelled << self.bias_shift)
        out = {}
        for name, move in zip(self.outputs(), moves, strict=False):
            most = bounds.starts[name] + move
            out[name] = Reach(-most, most)
        return out

    def samples(self, context: Context) -> int:
        """Variables of the samples, places of the grid included."""
        return context.shape.log_batch + log_grid(context.tensor(self.error))

    def point(self, challenger: Challenger, context: Context) -> tuple[Point, Point]:
        """Row and column where published weights are compared, the last ones and checkpoints."""
        rows, columns = (log_units(context.tensor(n)) for n in (self.activation, self.error))
        point = tuple(challenger.elements(f"{self.label}/end", rows + columns))  # V -> P
        return point[columns:], point[:columns]

    def published(self, context: Context, row: Point, column: Point) -> list[Published]:
        """The values of checkpoints that are sent, in order."""
        places = zip(self.outputs(), (column + row, column), strict=False)
        return [(step, name, at) for (name, at), step in product(places, context.checkpoints)]

    def gather(
        self,
        challenger: Challenger,
        context: Context,
        row: Point,
        column: Point,
        values: Sequence[Ext],
    ) -> tuple[list[tuple[bool, WeightClaim]], list[Ext], Scalar]:
        """All claims of one layer (flag: bias), those on published weights at ``row`` and
        ``column`` as one, their batching powers and the sumcheck's target; ``values`` are those of
        ``published``. The same for prover and verifier."""
        time_filter, steps = context.time_filters(self.weight), context.checkpoints
        first, decay = time_filter.end()
        claims: list[tuple[bool, WeightClaim]] = []
        starts: list[tuple[str, Point]] = []
        ends: list[int] = []
        for name, at in zip(self.outputs(), (row, ()), strict=False):
            value = context.ends.value("end", name, column + at)
            context.weights.add(name, WeightClaim(first, ONE, lambda: decay, at, column, value))
            for claim in context.weights.claims[name]:
                claims.append((name == self.bias, claim))
                starts.append((name, claim.column + claim.row))
            ends.append(len(claims) - 1)
        known = [context.ends.value("start", *start) for start in starts]
        powers = challenger.powers(f"{self.label}/gamma", len(claims) + len(values))  # V -> P
        differences = [c.first * at - c.value for (_, c), at in zip(claims, known, strict=True)]
        differences += [
            time_filter.start(step) * known[end] - value
            for (end, step), value in zip(product(ends, steps), values, strict=True)
        ]
        target, own = combine(powers, differences), powers[: len(claims)]
        for number, end in enumerate(ends if steps else []):
            bias, claim = claims[end]
            part = powers[len(claims) + number * len(steps) :][: len(steps)]
            claims[end] = bias, _joined(claim, own[end], time_filter, context, part)
            own[end] = ONE
        return claims, own, target

    def _receive_published(
        self, channel: VerifierChannel, context: Context, row: Point, column: Point
    ) -> list[Ext]:
        """Values of checkpoints, compared where their weights are given."""
        places = self.published(context, row, column)
        if not places:
            return []
        values = channel.receive_clear(f"{self.label}/checkpoints", len(places))  # P -> V
        for place, value in zip(places, values, strict=True):

            def difference(place: Published = place, value: Ext = value) -> Ext:
                given = context.ends.checkpoint(*place)
                return ZERO if given is None else given - value

            channel.check(
                difference,
                SumcheckMismatch(
                    f"the checkpoint of step {place[0]} does not hold the weights '{place[1]}' "
                    "that the run had then",
                    stage="weights",
                ),
            )
        return values

    def verify(self, channel: VerifierChannel, context: Context) -> None:
        row, column = self.point(channel.challenger, context)
        values = self._receive_published(channel, context, row, column)
        claims, powers, target = self.gather(channel.challenger, context, row, column, values)
        samples = self.samples(context)
        rounds = samples + context.shape.log_steps
        reduced, point = sumcheck.verify(channel, self.label, target, rounds, 3)
        count = sum(1 if bias else 2 for bias, _ in claims)
        received = iter(channel.receive(f"{self.label}/factors", count))  # P -> V
        products: list[Scalar] = []
        for bias, claim in claims:
            a: Scalar = Ext(1 << self.bias_shift)
            if not bias:
                a = next(received)
                context.ledger.add(self.activation, claim.row + point, a)
            e = next(received)
            context.ledger.add(self.error, claim.column + point, e)
            products.append(channel.multiply(a, e))

        def total() -> Scalar:
            steps = ml.eq_table(point[samples:])
            decays = [ext.dot(claim.decay, steps) for _, claim in claims]
            return combine([p * d for p, d in zip(powers, decays, strict=True)], products)

        channel.check(
            lambda: total() - reduced,
            SumcheckMismatch(f"the update of '{self.weight}' does not match", stage="weights"),
        )


def _joined(
    end: WeightClaim, power: Ext, time_filter: TimeFilter, context: Context, powers: list[Ext]
) -> WeightClaim:
    """The claim at the end times ``power``, and those of the checkpoints times ``powers``."""

    def decays() -> ExtVec:
        omega = np.zeros((2, 1 << context.shape.log_steps), dtype=np.uint64)
        omega[:, list(context.checkpoints)] = ext.vector(powers)
        return ext.add(ext.scale(end.decay, power), time_filter.decay(omega))

    return replace(end, decays=decays)
