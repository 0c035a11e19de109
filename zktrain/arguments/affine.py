"""Matrix products with weights that change at every step and are never materialised.

Forward: ``acc(r) = sum_{t,i} eq(r_t, t) A(t, r_b, i) W_t(i, r_j) + 2^f LT_B(r_b) sum_{t<K}
eq(r_t, t) b_t(r_j)``. Backward: ``bac(r) = sum_{t,j} eq(r_t, t) E(t, r_b, j) W_t(r_i, j)``. One
sumcheck each, over ``(unit, t)``. The prover gets ``W_t(., r_j) = W_0(., r_j) - sum_{tau<t}
m_tau sum_b A[tau, b, .] E(tau, b, r_j)`` (or what the time filter has in the place of ``m_tau``)
for all ``t`` in ``O(K B (n_in + n_out))``. Ends in
claims on the activation (or error) and on the weights at step-coordinates. Error ``3 (n + log K)
/ |E|``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..channel import ProverChannel, VerifierChannel
from ..circuit.operations import Accumulate, Affine, AffineTransposed
from ..errors import SumcheckMismatch
from ..field import extension as ext
from ..field import multilinear as ml
from ..field.extension import Ext, ExtVec, Point
from ..field.forms import Scalar
from . import sumcheck
from .claims import Ledger, Shape, WeightClaim, WeightLedger, Witness, log_width
from .time_filter import TimeFilter


def _at_point(
    time_filter: TimeFilter, t: Point, row: Point, column: Point, value: Scalar
) -> WeightClaim:
    """Claim on ``W(t, row, column)``, the extension over all padded steps."""

    def decays() -> ExtVec:
        return time_filter.decay(ml.eq_table(t))

    return WeightClaim(time_filter.first(t), decays, row, column, value)


def _bias_claim(
    shape: Shape, time_filter: TimeFilter, t: Point, column: Point, value: Scalar
) -> WeightClaim:
    """Claim on ``sum_{t < K} eq(t) b_t(column)``, over the real steps only."""

    def decays() -> ExtVec:
        omega = ml.eq_table(t)
        omega[:, shape.steps :] = 0
        return time_filter.decay(omega)

    return WeightClaim(time_filter.first(t, shape.steps), decays, (), column, value)


def _prove_product(
    channel: ProverChannel,
    label: str,
    source: NDArray[Any],
    history: ExtVec,
    b: Point,
    t: Point,
) -> tuple[tuple[Point, Point], Ext, Ext]:
    """``sum_{t,i} eq(t, .) source(., b, i) history(., i)``: point (units, steps), source and
    weight there."""
    from ..kernels import field as kf
    from ..kernels.training import contract_samples

    steps, _, width = source.shape
    samples = np.ascontiguousarray(np.tile(kf.eq_table(b), steps))
    selector = np.ascontiguousarray(np.repeat(kf.eq_table(t), width, axis=1))
    machine = sumcheck.ProductMachine([(selector, contract_samples(source, samples), history)])
    rho = sumcheck.prove(channel, label, machine)
    _, value, weight = machine.finals()[0]
    channel.send(f"{label}/factors", [value, weight])  # P -> V
    units = len(rho) - len(t)
    return (rho[:units], rho[units:]), value, weight


def _verify_product(
    channel: VerifierChannel, label: str, target: Scalar, shape: Shape, width: int, t: Point
) -> tuple[tuple[Point, Point], Scalar, Scalar]:
    stage, output = label.split("/")
    units = log_width(width)
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
    update: Accumulate,
    shape: Shape,
    time_filter: TimeFilter,
    start: NDArray[np.int64],
    start_bias: NDArray[np.int64] | None,
    ledger: Ledger,
    weights: WeightLedger,
    witness: Witness,
) -> None:
    """``start`` are the padded first weights ``(2^n_in, 2^n_out)`` of the segment,
    ``start_bias`` ``(2^n_out,)``."""
    from ..kernels import field as kf
    from ..kernels.training import contract_samples

    label = f"affine/{op.output}"
    activation, error = witness.tensor(op.source), witness.tensor(update.error)
    for point, _ in ledger.of(op.output):
        j, b, t = shape.split(point)
        units = kf.eq_table(j)
        errors = kf.contract_last(error.reshape(-1, error.shape[-1]), units)
        if op.bias is not None and start_bias is not None:
            first = kf.contract_last(start_bias.reshape(1, -1), units)
            per_step = ext.vector(
                [
                    kf.total(np.ascontiguousarray(errors[:, k : k + error.shape[1]]))
                    for k in range(0, errors.shape[1], error.shape[1])
                ]
            )
            scaled = ext.scale(per_step, Ext(1 << op.bias_shift))
            history = time_filter.history(first, np.ascontiguousarray(scaled))
            omega = kf.eq_table(t)
            omega[:, shape.steps :] = 0
            bias = kf.total(kf.product(omega, history))
            channel.send(f"{label}/bias", [bias])  # P -> V
            weights.add(op.bias, _bias_claim(shape, time_filter, t, j, bias))
        gradients = contract_samples(activation, errors)
        history = time_filter.history(kf.contract_last(start, units), gradients)
        rho, a, w = _prove_product(channel, label, activation, history, b, t)
        ledger.add(op.source, rho[0] + b + rho[1], a)
        weights.add(op.weight, _at_point(time_filter, rho[1], rho[0], j, w))


def verify_affine(
    channel: VerifierChannel,
    op: Affine,
    shape: Shape,
    source_width: int,
    time_filter: TimeFilter,
    ledger: Ledger,
    weights: WeightLedger,
) -> None:
    label = f"affine/{op.output}"
    for point, value in ledger.of(op.output):
        j, b, t = shape.split(point)
        target = value
        if op.bias is not None:
            (bias,) = channel.receive(f"{label}/bias", 1)  # P -> V
            weights.add(op.bias, _bias_claim(shape, time_filter, t, j, bias))
            target = target - ml.less_than(b, shape.batch) * bias * (1 << op.bias_shift)
        rho, a, w = _verify_product(channel, label, target, shape, source_width, t)
        ledger.add(op.source, rho[0] + b + rho[1], a)
        weights.add(op.weight, _at_point(time_filter, rho[1], rho[0], j, w))


def prove_transposed(
    channel: ProverChannel,
    op: AffineTransposed,
    update: Accumulate,
    shape: Shape,
    time_filter: TimeFilter,
    start: NDArray[np.int64],
    ledger: Ledger,
    weights: WeightLedger,
    witness: Witness,
) -> None:
    from ..kernels import field as kf
    from ..kernels.training import contract_samples

    label = f"transposed/{op.output}"
    activation, error = witness.tensor(update.activation), witness.tensor(op.source)
    for point, _ in ledger.of(op.output):
        i, b, t = shape.split(point)
        units = kf.eq_table(i)
        activations = kf.contract_last(activation.reshape(-1, activation.shape[-1]), units)
        gradients = contract_samples(error, activations)
        history = time_filter.history(kf.contract_first(start, units), gradients)
        rho, e, w = _prove_product(channel, label, error, history, b, t)
        ledger.add(op.source, rho[0] + b + rho[1], e)
        weights.add(op.weight, _at_point(time_filter, rho[1], i, rho[0], w))


def verify_transposed(
    channel: VerifierChannel,
    op: AffineTransposed,
    shape: Shape,
    source_width: int,
    time_filter: TimeFilter,
    ledger: Ledger,
    weights: WeightLedger,
) -> None:
    label = f"transposed/{op.output}"
    for point, value in ledger.of(op.output):
        i, b, t = shape.split(point)
        rho, e, w = _verify_product(channel, label, value, shape, source_width, t)
        ledger.add(op.source, rho[0] + b + rho[1], e)
        weights.add(op.weight, _at_point(time_filter, rho[1], i, rho[0], w))
