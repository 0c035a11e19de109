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

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..arguments import sumcheck
from ..arguments.claims import Ledger, WeightClaim, WeightLedger
from ..arguments.tensors import Shape, Tensor, log_grid, log_units
from ..arguments.time_filter import TimeFilter
from ..errors import SumcheckMismatch
from ..field import extension as ext
from ..field import multilinear as ml
from ..field.extension import ONE, Ext, Point
from ..field.forms import Scalar, combine
from ..transcript.challenger import Challenger
from ..transcript.channel import VerifierChannel


@dataclass(frozen=True, slots=True)
class Accumulate:
    """``W_{t+1} = W_t - m_t sum_b activation[t, b, :]^T error[t, b, :]`` and
    ``bias_{t+1} = bias_t - m_t 2**bias_shift sum_b error[t, b, :]``."""

    weight: str
    bias: str | None
    activation: str
    error: str
    bias_shift: int

    def inputs(self) -> set[str]:
        """See ``Operation``."""
        return {self.activation, self.error}

    def outputs(self) -> set[str]:
        """See ``Operation``."""
        return {self.weight}


if TYPE_CHECKING:
    from ..prover.arguments.claims import Witness
    from ..prover.transcript.channel import ProverChannel

Boundary = Callable[[str, Point], Scalar]
"""Value of a parameter's extension at the start or the end of the segment: evaluated where it is
public, sent and opened where it is committed."""


def _gather(
    challenger: Challenger,
    op: Accumulate,
    widths: tuple[int | Tensor, int | Tensor],
    time_filter: TimeFilter,
    weights: WeightLedger,
    start: Boundary,
    end: Boundary,
) -> tuple[list[tuple[bool, WeightClaim]], list[Ext], Scalar]:
    """All claims of one layer (flag: bias), their batching powers and the sumcheck's target."""
    label = f"weights/{op.weight}"
    rows, columns = (log_units(w) for w in widths)
    point = tuple(challenger.elements(f"{label}/end", rows + columns))  # V -> P
    column, row = point[:columns], point[columns:]
    first, decay = time_filter.end()
    claims = [(False, claim) for claim in weights.claims.get(op.weight, [])]
    claims.append(
        (False, WeightClaim(first, ONE, lambda: decay, row, column, end(op.weight, column + row)))
    )
    if op.bias is not None:
        claims += [(True, claim) for claim in weights.claims.get(op.bias, [])]
        at_end = WeightClaim(first, ONE, lambda: decay, (), column, end(op.bias, column))
        claims.append((True, at_end))
    starts = [
        start(op.bias if bias and op.bias is not None else op.weight, claim.column + claim.row)
        for bias, claim in claims
    ]
    powers = ext.powers(challenger.element(f"{label}/gamma"), len(claims))  # V -> P
    differences = [
        claim.first * known - claim.value for (_, claim), known in zip(claims, starts, strict=True)
    ]
    return claims, powers, combine(powers, differences)


def prove(
    channel: ProverChannel,
    op: Accumulate,
    widths: tuple[int | Tensor, int | Tensor],
    time_filter: TimeFilter,
    weights: WeightLedger,
    start: Boundary,
    end: Boundary,
    shape: Shape,
    ledger: Ledger,
    witness: Witness,
) -> None:
    from ..prover.arguments import sumcheck as prover_sumcheck

    label = f"weights/{op.weight}"
    claims, powers, _ = _gather(channel.challenger, op, widths, time_filter, weights, start, end)
    activation, error = witness.operand(op.activation), witness.operand(op.error)
    batch = 1 << (shape.log_batch + log_grid(widths[1]))
    terms = []
    for power, (bias, claim) in zip(powers, claims, strict=True):
        if bias:
            a = np.zeros((2, activation.steps * batch), dtype=np.uint64)
            a[0] = 1 << op.bias_shift
        else:
            a = activation.over_units(claim.row)
        e = error.over_units(claim.column)
        decay = np.ascontiguousarray(np.repeat(ext.scale(claim.decay, power), batch, axis=1))
        terms.append((decay, a, e))
    machine = prover_sumcheck.ProductMachine(terms)
    point = prover_sumcheck.prove(channel, label, machine)
    sent: list[Ext] = []
    for (bias, claim), (_, at_row, at_column) in zip(claims, machine.finals(), strict=True):
        sent += [at_column] if bias else [at_row, at_column]
        if not bias:
            ledger.add(op.activation, claim.row + point, at_row)
        ledger.add(op.error, claim.column + point, at_column)
    channel.send(f"{label}/factors", sent)  # P -> V


def verify(
    channel: VerifierChannel,
    op: Accumulate,
    widths: tuple[int | Tensor, int | Tensor],
    time_filter: TimeFilter,
    weights: WeightLedger,
    start: Boundary,
    end: Boundary,
    shape: Shape,
    ledger: Ledger,
) -> None:
    label = f"weights/{op.weight}"
    claims, powers, target = _gather(
        channel.challenger, op, widths, time_filter, weights, start, end
    )
    samples = shape.log_batch + log_grid(widths[1])
    rounds = samples + shape.log_steps
    reduced, point = sumcheck.verify(channel, label, target, rounds, 3)
    count = sum(1 if bias else 2 for bias, _ in claims)
    received = channel.receive(f"{label}/factors", count)  # P -> V
    products: list[Scalar] = []
    at = 0
    for bias, claim in claims:
        a: Scalar = Ext(1 << op.bias_shift)
        if not bias:
            a = received[at]
            at += 1
            ledger.add(op.activation, claim.row + point, a)
        e = received[at]
        at += 1
        ledger.add(op.error, claim.column + point, e)
        products.append(channel.multiply(a, e))

    def total() -> Scalar:
        steps = ml.eq_table(point[samples:])
        decays = [ext.dot(claim.decay, steps) for _, claim in claims]
        return combine([p * d for p, d in zip(powers, decays, strict=True)], products)

    channel.check(
        lambda: total() - reduced,
        SumcheckMismatch(f"the update of '{op.weight}' does not match", stage="weights"),
    )
