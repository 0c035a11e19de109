"""Prover of ``operations.affine``."""

from __future__ import annotations

import numpy as np

from ...field import extension as ext
from ...field.extension import Ext, ExtVec, Point
from ...operations import Affine
from ...operations.base import Context
from ...operations.matrix import bias_claim, weight_claim
from ..kernels import field as kf
from ..transcript.channel import ProverChannel
from . import matrix
from .base import Given


def prove(op: Affine, channel: ProverChannel, context: Context, given: Given) -> None:
    shape, output = context.shape, context.tensor(op.output)
    update = matrix.update_of(context.graph, op.weight)
    activation = given.witness.operand(op.source)
    error = None if update is None else given.witness.operand(update.error)
    start = given.weights[op.weight]
    start = start.reshape(-1, start.shape[-1])
    steps = context.time_filters(op.weight)
    for point, _ in context.ledger.of(op.output):
        j, b, t = shape.split_units(output, point)
        errors = None if error is None else error.over_units(j)
        if op.bias is not None:
            bias = _bias(op, context, given, (j, t), errors)
            channel.send(f"{op.label}/bias", [bias])  # P -> V
            context.weights.add(op.bias, bias_claim(steps, shape.steps, t, j, bias))
        gradients = None if errors is None else activation.over_samples(errors)
        first = kf.contract_last(start, kf.eq_table(j))
        history = matrix.history(context, op.weight, first, gradients)
        rho, a, w = matrix.prove(channel, op.label, activation, history, (b, t))
        context.ledger.add(op.source, rho[0] + b + rho[1], a)
        context.weights.add(op.weight, weight_claim(steps, rho[1], rho[0], j, w))


def _bias(
    op: Affine, context: Context, given: Given, at: tuple[Point, Point], errors: ExtVec | None
) -> Ext:
    """``sum_{t < K} eq(t) b_t(j)`` for ``at = (j, t)``; ``errors`` are contracted over ``j``."""
    j, t = at
    steps = 1 << context.shape.log_steps
    first = kf.contract_last(given.weights[op.bias or ""].reshape(1, -1), kf.eq_table(j))
    scaled = None
    if errors is not None:
        parts = np.split(errors, steps, axis=1)
        per_step = ext.vector([kf.total(np.ascontiguousarray(part)) for part in parts])
        scaled = np.ascontiguousarray(ext.scale(per_step, Ext(1 << op.bias_shift)))
    omega = kf.eq_table(t)
    omega[:, context.shape.steps :] = 0
    return kf.total(kf.product(omega, matrix.history(context, op.weight, first, scaled)))


work = matrix.work
