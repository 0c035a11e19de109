"""Accumulated weights: claims on weights inside or at the end of a segment become claims on its
first weights and on activations and errors.

``W_t = W_0 - sum_{tau < t} m_tau A_tau^T E_tau``, so for claim ``k`` with step weights ``omega_k``

    first_k W_0(row_k, col_k) - v_k = sum_{tau,b} decay_k(tau) A(tau, b, row_k) E(tau, b, col_k),

biases alike with ``A = 2^f``. Of images, the places of the grid count as samples. All claims of a
layer in one sumcheck over ``(b, tau)`` with powers of ``gamma``; the claim on the segment's last
weights has ``omega`` at the end: ``first = 1``, ``decay = m``. Under momentum or weight decay
``first`` and ``decay`` are those of the public filter (``time_filter``), and nothing else differs.
Error ``(#claims + 3 (log B + log K)) / |E|``.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from ..arguments import sumcheck
from ..arguments.claims import WeightClaim
from ..arguments.tensors import log_grid, log_units
from ..errors import SumcheckMismatch
from ..field import extension as ext
from ..field import multilinear as ml
from ..field.extension import ONE, Ext, Point
from ..field.forms import Scalar, combine
from ..transcript.challenger import Challenger
from ..transcript.channel import VerifierChannel
from .base import Context
from .reach import Bounds, Reach, Reaches


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

    def gather(
        self, challenger: Challenger, context: Context
    ) -> tuple[list[tuple[bool, WeightClaim]], list[Ext], Scalar]:
        """All claims of one layer (flag: bias), the one at the segment's end included, their
        batching powers and the sumcheck's target. The same for prover and verifier."""
        rows, columns = (log_units(context.tensor(n)) for n in (self.activation, self.error))
        point = tuple(challenger.elements(f"{self.label}/end", rows + columns))  # V -> P
        column, row = point[:columns], point[columns:]
        first, decay = context.time_filters(self.weight).end()
        claims: list[tuple[bool, WeightClaim]] = []
        starts: list[tuple[str, Point]] = []
        for name, at in zip(self.outputs(), (row, ()), strict=False):
            value = context.ends.value("end", name, column + at)
            context.weights.add(name, WeightClaim(first, ONE, lambda: decay, at, column, value))
            for claim in context.weights.claims[name]:
                claims.append((name == self.bias, claim))
                starts.append((name, claim.column + claim.row))
        known = [context.ends.value("start", *start) for start in starts]
        powers = challenger.powers(f"{self.label}/gamma", len(claims))  # V -> P
        differences = [c.first * at - c.value for (_, c), at in zip(claims, known, strict=True)]
        return claims, powers, combine(powers, differences)

    def verify(self, channel: VerifierChannel, context: Context) -> None:
        claims, powers, target = self.gather(channel.challenger, context)
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
