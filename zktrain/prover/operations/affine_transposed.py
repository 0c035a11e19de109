"""Prover of ``operations.affine_transposed``."""

from __future__ import annotations

import numpy as np

from ...arguments.tensors import log_grid, log_units, log_width
from ...field.extension import ExtVec, Point
from ...operations import Accumulate, AffineTransposed, UnitMap
from ...operations.base import Context
from ...operations.matrix import weight_claim
from ..kernels import field as kf
from ..transcript.channel import ProverChannel
from . import matrix
from .base import Given


def prove(op: AffineTransposed, channel: ProverChannel, context: Context, given: Given) -> None:
    shape, output = context.shape, context.tensor(op.output)
    start = given.weights[op.weight]
    columns = log_width(context.tensor(op.source).width)
    steps = context.time_filters(op.weight)
    for point, _ in context.ledger.of(op.output):
        i, b, t = shape.split_units(output, point)
        units = kf.eq_table(i)
        source, gradients = _contracted(op, context, given, (i, b))
        taps = [kf.contract_first(tap, units) for tap in start.reshape(-1, *start.shape[-2:])]
        first = np.ascontiguousarray(np.concatenate(taps, axis=1))
        history = matrix.history(context, op.weight, first, gradients)
        rho, e, w = matrix.prove(channel, op.label, shape, source, history, t)
        context.ledger.add(op.source, rho[0] + b + rho[1], e)
        row, column = i + rho[0][columns:], rho[0][:columns]
        context.weights.add(op.weight, weight_claim(steps, rho[1], row, column, w))


def _contracted(
    op: AffineTransposed, context: Context, given: Given, at: tuple[Point, Point]
) -> tuple[ExtVec, ExtVec | None]:
    """For ``at = (i, b)``, of every step: the errors summed over samples with ``eq(b)``, and where
    the weights change, their gradients at row ``i``."""
    shape, source = context.shape, context.tensor(op.source)
    update = matrix.update_of(context.graph, op.weight)
    places, width = log_grid(context.tensor(op.output)), 1 << log_units(source)
    found, gradients = (matrix.PerStep(shape, width) for _ in range(2))
    below = None if update is None else _activation(op, context, update)
    names = (op.source,) if below is None else (op.source, below)
    samples = kf.eq_table(at[1])
    for here in given.witness.ranges(names, matrix.CONTRACTED << places):
        view = given.witness.view(here)
        error = view.operand(op.source)
        found.add(here, error.over_samples(matrix.samples_of(here, samples, places)))
        if below is not None:
            rows = view.operand(below).over_units(at[0])
            gradients.add(here, error.over_samples(rows))
    return found.vector, None if below is None else gradients.vector


def _activation(op: AffineTransposed, context: Context, update: Accumulate) -> str:
    """The layer's input; where errors come as windows, what the windows of ``update`` are of."""
    made = {o.output: o.source for o in context.graph.operations if isinstance(o, UnitMap)}
    return (
        made.get(update.activation, update.activation) if op.source in made else update.activation
    )


work = matrix.work
