"""Prover of ``operations.affine``."""

from __future__ import annotations

import numpy as np

from ...arguments.tensors import log_grid, log_units
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
    start = given.weights[op.weight]
    start = start.reshape(-1, start.shape[-1])
    steps = context.time_filters(op.weight)
    for point, _ in context.ledger.of(op.output):
        j, b, t = shape.split_units(output, point)
        source, gradients, errors = _contracted(op, context, given, (j, b))
        if op.bias is not None:
            bias = _bias(op, context, given, (j, t), errors)
            channel.send(f"{op.label}/bias", [bias])  # P -> V
            context.weights.add(op.bias, bias_claim(steps, shape.steps, t, j, bias))
        first = kf.contract_last(start, kf.eq_table(j))
        history = matrix.history(context, op.weight, first, gradients)
        rho, a, w = matrix.prove(channel, op.label, shape, source, history, t)
        context.ledger.add(op.source, rho[0] + b + rho[1], a)
        context.weights.add(op.weight, weight_claim(steps, rho[1], rho[0], j, w))


def _contracted(
    op: Affine, context: Context, given: Given, at: tuple[Point, Point]
) -> tuple[ExtVec, ExtVec | None, ExtVec | None]:
    """For ``at = (j, b)``, of every step: the source summed over samples with ``eq(b)``, and where
    the weights change, their gradients at column ``j`` and those of the bias."""
    shape, source = context.shape, context.tensor(op.source)
    update = matrix.update_of(context.graph, op.weight)
    places, width = log_grid(context.tensor(op.output)), 1 << log_units(source)
    found, gradients = (matrix.PerStep(shape, width) for _ in range(2))
    errors = matrix.PerStep(shape, 1)
    names = (op.source,) if update is None else (op.source, update.error)
    samples = kf.eq_table(at[1])
    for here in given.witness.ranges(names, matrix.CONTRACTED << places):
        view = given.witness.view(here)
        activation = view.operand(op.source)
        found.add(here, activation.over_samples(matrix.samples_of(here, samples, places)))
        if update is not None:
            error = view.operand(update.error).over_units(at[0])
            gradients.add(here, activation.over_samples(error))
            errors.add(here, _per_step(error, here.steps))
    if update is None:
        return found.vector, None, None
    return found.vector, gradients.vector, errors.vector


def _per_step(errors: ExtVec, steps: int) -> ExtVec:
    parts = np.split(errors, steps, axis=1)
    return ext.vector([kf.total(np.ascontiguousarray(part)) for part in parts])


def _bias(
    op: Affine, context: Context, given: Given, at: tuple[Point, Point], errors: ExtVec | None
) -> Ext:
    """``sum_{t < K} eq(t) b_t(j)`` for ``at = (j, t)``; ``errors`` are summed over samples at
    column ``j``."""
    j, t = at
    first = kf.contract_last(given.weights[op.bias or ""].reshape(1, -1), kf.eq_table(j))
    scaled = None if errors is None else ext.scale(errors, Ext(1 << op.bias_shift))
    biases = matrix.history(context, op.weight, first, scaled)
    steps = context.shape.steps
    return kf.total(
        kf.product(*(np.ascontiguousarray(v[:, :steps]) for v in (kf.eq_table(t), biases)))
    )


work = matrix.work
