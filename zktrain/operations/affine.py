"""Matrix products with weights that change at every step and are never materialised.

Forward: ``acc(r) = sum_{t,i} eq(r_t, t) A(t, r_b, i) W_t(i, r_j) + 2^f LT_B(r_b) sum_{t<K}
eq(r_t, t) b_t(r_j)``. Backward: ``bac(r) = sum_{t,j} eq(r_t, t) E(t, r_b, j) W_t(r_i, j)``. Of
images, the places of the grid count as samples and the taps of a window as units. One sumcheck
each, over ``(unit, t)``. The prover gets ``W_t(., r_j) = W_0(., r_j) - sum_{tau<t}
m_tau sum_b A[tau, b, .] E(tau, b, r_j)`` (or what the time filter has in the place of ``m_tau``)
for all ``t`` in ``O(K B (n_in + n_out))``. Ends in
claims on the activation (or error) and on the weights at step-coordinates. Error ``3 (n + log K)
/ |E|``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..arguments import sumcheck
from ..arguments.claims import Ledger, WeightClaim, WeightLedger
from ..arguments.tensors import Shape, Tensor, log_grid, log_units, log_width
from ..arguments.time_filter import TimeFilter
from ..errors import SumcheckMismatch
from ..field import extension as ext
from ..field import multilinear as ml
from ..field.extension import ONE, Ext, ExtVec, Point
from ..field.forms import Scalar
from ..transcript.channel import VerifierChannel
from .accumulate import Accumulate


@dataclass(frozen=True, slots=True)
class AffineTransposed:
    """``output[t, b, :] = source[t, b, :] W_t^T``."""

    output: str
    source: str
    weight: str

    def inputs(self) -> set[str]:
        """See ``Operation``."""
        return {self.source, self.weight}

    def outputs(self) -> set[str]:
        """See ``Operation``."""
        return {self.output}


@dataclass(frozen=True, slots=True)
class Affine:
    """``output[t, b, :] = source[t, b, :] W_t + 2**bias_shift * bias_t`` on real cells."""

    output: str
    source: str
    weight: str
    bias: str | None
    bias_shift: int

    def inputs(self) -> set[str]:
        """See ``Operation``."""
        return {self.source, self.weight}

    def outputs(self) -> set[str]:
        """See ``Operation``."""
        return {self.output}


if TYPE_CHECKING:
    from ..prover.arguments.claims import Witness
    from ..prover.operands import Operand
    from ..prover.transcript.channel import ProverChannel


def _at_point(
    time_filter: TimeFilter, t: Point, row: Point, column: Point, value: Scalar
) -> WeightClaim:
    """Claim on ``W(t, row, column)``, the extension over all padded steps."""

    def decays() -> ExtVec:
        return time_filter.decay(ml.eq_table(t))

    return WeightClaim(time_filter.first(t), ONE, decays, row, column, value)


def _bias_claim(
    shape: Shape, time_filter: TimeFilter, t: Point, column: Point, value: Scalar
) -> WeightClaim:
    """Claim on ``sum_{t < K} eq(t) b_t(column)``, over the real steps only."""

    def decays() -> ExtVec:
        omega = ml.eq_table(t)
        omega[:, shape.steps :] = 0
        return time_filter.decay(omega)

    first, constant = time_filter.first(t, shape.steps), ml.less_than(t, shape.steps)
    return WeightClaim(first, constant, decays, (), column, value)


def _history(
    first: ExtVec, time_filter: TimeFilter, gradients: ExtVec | None, steps: int
) -> ExtVec:
    """Weights of all steps; without gradients they stay the first ones."""
    if gradients is None:
        return np.ascontiguousarray(np.tile(first, steps))
    from ..prover.arguments.time_filter import history

    return history(time_filter, first, gradients)


def _prove_product(
    channel: ProverChannel,
    label: str,
    source: Operand,
    history: ExtVec,
    b: Point,
    t: Point,
) -> tuple[tuple[Point, Point], Ext, Ext]:
    """``sum_{t,i} eq(t, .) source(., b, i) history(., i)``: point (units, steps), source and
    weight there."""
    from ..prover.arguments import sumcheck as prover_sumcheck
    from ..prover.kernels import field as kf

    samples = np.ascontiguousarray(np.tile(kf.eq_table(b), source.steps))
    width = history.shape[1] // source.steps
    selector = np.ascontiguousarray(np.repeat(kf.eq_table(t), width, axis=1))
    machine = prover_sumcheck.ProductMachine([(selector, source.over_samples(samples), history)])
    rho = prover_sumcheck.prove(channel, label, machine)
    _, value, weight = machine.finals()[0]
    channel.send(f"{label}/factors", [value, weight])  # P -> V
    units = len(rho) - len(t)
    return (rho[:units], rho[units:]), value, weight


def _verify_product(
    channel: VerifierChannel,
    label: str,
    target: Scalar,
    shape: Shape,
    source: int | Tensor,
    t: Point,
) -> tuple[tuple[Point, Point], Scalar, Scalar]:
    stage, output = label.split("/")
    units = log_units(source)
    reduced, rho = sumcheck.verify(channel, label, target, units + shape.log_steps, 3)
    value, weight = channel.receive(f"{label}/factors", 2)  # P -> V
    both = channel.multiply(value, weight)
    channel.check(
        lambda: ml.eq(t, rho[units:]) * both - reduced,
        SumcheckMismatch(f"the product '{output}' does not match", stage=stage),
    )
    return (rho[:units], rho[units:]), value, weight


def prove_affine(
    channel: ProverChannel,
    op: Affine,
    update: Accumulate | None,
    shape: Shape,
    time_filter: TimeFilter,
    start: NDArray[np.int64],
    start_bias: NDArray[np.int64] | None,
    ledger: Ledger,
    weights: WeightLedger,
    witness: Witness,
) -> None:
    """``start`` are the padded first weights ``(..., 2^n_in, 2^n_out)`` of the segment, taps
    first, ``start_bias`` ``(2^n_out,)``; without ``update`` they do not change."""
    from ..prover.kernels import field as kf

    label = f"affine/{op.output}"
    activation = witness.operand(op.source)
    error = None if update is None else witness.operand(update.error)
    outputs = start.shape[-1]
    for point, _ in ledger.of(op.output):
        j, b, t = shape.split_units(outputs, point)
        units = kf.eq_table(j)
        errors = None if error is None else error.over_units(j)
        if op.bias is not None and start_bias is not None:
            first = kf.contract_last(start_bias.reshape(1, -1), units)
            scaled = None
            if errors is not None:
                samples = errors.shape[1] // activation.steps
                per_step = ext.vector(
                    [
                        kf.total(np.ascontiguousarray(errors[:, k : k + samples]))
                        for k in range(0, errors.shape[1], samples)
                    ]
                )
                scaled = np.ascontiguousarray(ext.scale(per_step, Ext(1 << op.bias_shift)))
            history = _history(first, time_filter, scaled, activation.steps)
            omega = kf.eq_table(t)
            omega[:, shape.steps :] = 0
            bias = kf.total(kf.product(omega, history))
            channel.send(f"{label}/bias", [bias])  # P -> V
            weights.add(op.bias, _bias_claim(shape, time_filter, t, j, bias))
        gradients = None if errors is None else activation.over_samples(errors)
        first = kf.contract_last(start.reshape(-1, outputs), units)
        history = _history(first, time_filter, gradients, activation.steps)
        rho, a, w = _prove_product(channel, label, activation, history, b, t)
        ledger.add(op.source, rho[0] + b + rho[1], a)
        weights.add(op.weight, _at_point(time_filter, rho[1], rho[0], j, w))


def verify_affine(
    channel: VerifierChannel,
    op: Affine,
    shape: Shape,
    source: int | Tensor,
    time_filter: TimeFilter,
    ledger: Ledger,
    weights: WeightLedger,
    output: int | Tensor | None = None,
) -> None:
    """``source`` and ``output`` are the tensors; of one without grid its width may stand for it,
    and no output for one without grid."""
    label = f"affine/{op.output}"
    for point, value in ledger.of(op.output):
        s = shape.log_batch + (0 if output is None else log_grid(output))
        units = len(point) - shape.log_steps - s
        j, b, t = point[:units], point[units : units + s], point[units + s :]
        target = value
        if op.bias is not None:
            (bias,) = channel.receive(f"{label}/bias", 1)  # P -> V
            weights.add(op.bias, _bias_claim(shape, time_filter, t, j, bias))
            target = target - shape.real_samples(output or 0, b) * bias * (1 << op.bias_shift)
        rho, a, w = _verify_product(channel, label, target, shape, source, t)
        ledger.add(op.source, rho[0] + b + rho[1], a)
        weights.add(op.weight, _at_point(time_filter, rho[1], rho[0], j, w))


def prove_transposed(
    channel: ProverChannel,
    op: AffineTransposed,
    update: Accumulate | None,
    shape: Shape,
    time_filter: TimeFilter,
    start: NDArray[np.int64],
    ledger: Ledger,
    weights: WeightLedger,
    witness: Witness,
    activation: str | None = None,
) -> None:
    """``activation`` names the layer's input, where that of ``update`` are its windows; without
    ``update`` the weights do not change."""
    from ..prover.kernels import field as kf

    label = f"transposed/{op.output}"
    error = witness.operand(op.source)
    below = None if update is None else witness.operand(activation or update.activation)
    inputs, outputs = start.shape[-2:]
    columns = log_width(outputs)
    for point, _ in ledger.of(op.output):
        i, b, t = shape.split_units(inputs, point)
        units = kf.eq_table(i)
        gradients = None if below is None else error.over_samples(below.over_units(i))
        taps = [kf.contract_first(tap, units) for tap in start.reshape(-1, inputs, outputs)]
        first = np.ascontiguousarray(np.concatenate(taps, axis=1))
        history = _history(first, time_filter, gradients, error.steps)
        rho, e, w = _prove_product(channel, label, error, history, b, t)
        ledger.add(op.source, rho[0] + b + rho[1], e)
        row, column = i + rho[0][columns:], rho[0][:columns]
        weights.add(op.weight, _at_point(time_filter, rho[1], row, column, w))


def verify_transposed(
    channel: VerifierChannel,
    op: AffineTransposed,
    shape: Shape,
    source: int | Tensor,
    time_filter: TimeFilter,
    ledger: Ledger,
    weights: WeightLedger,
) -> None:
    """``source`` is the tensor, or the width of one without grid."""
    label = f"transposed/{op.output}"
    columns = log_width(source if isinstance(source, int) else source.width)
    s = shape.log_batch + log_grid(source)
    for point, value in ledger.of(op.output):
        units = len(point) - shape.log_steps - s
        i, b, t = point[:units], point[units : units + s], point[units + s :]
        rho, e, w = _verify_product(channel, label, value, shape, source, t)
        ledger.add(op.source, rho[0] + b + rho[1], e)
        row, column = i + rho[0][columns:], rho[0][:columns]
        weights.add(op.weight, _at_point(time_filter, rho[1], row, column, w))
