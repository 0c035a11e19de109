"""Prover of ``operations.affine_transposed``."""

from __future__ import annotations

import numpy as np

from ...arguments.tensors import log_width
from ...operations import Accumulate, AffineTransposed, UnitMap
from ...operations.base import Context
from ...operations.matrix import weight_claim
from ..kernels import field as kf
from ..transcript.channel import ProverChannel
from . import matrix
from .base import Given


def prove(op: AffineTransposed, channel: ProverChannel, context: Context, given: Given) -> None:
    source, output = context.tensor(op.source), context.tensor(op.output)
    update = matrix.update_of(context.graph, op.weight)
    error = given.witness.operand(op.source)
    below = None if update is None else given.witness.operand(_activation(op, context, update))
    start = given.weights[op.weight]
    columns = log_width(source.width)
    steps = context.time_filters(op.weight)
    for point, _ in context.ledger.of(op.output):
        i, b, t = context.shape.split_units(output, point)
        units = kf.eq_table(i)
        gradients = None if below is None else error.over_samples(below.over_units(i))
        taps = [kf.contract_first(tap, units) for tap in start.reshape(-1, *start.shape[-2:])]
        first = np.ascontiguousarray(np.concatenate(taps, axis=1))
        history = matrix.history(context, op.weight, first, gradients)
        rho, e, w = matrix.prove(channel, op.label, error, history, (b, t))
        context.ledger.add(op.source, rho[0] + b + rho[1], e)
        row, column = i + rho[0][columns:], rho[0][:columns]
        context.weights.add(op.weight, weight_claim(steps, rho[1], row, column, w))


def _activation(op: AffineTransposed, context: Context, update: Accumulate) -> str:
    """The layer's input; where errors come as windows, what the windows of ``update`` are of."""
    made = {o.output: o.source for o in context.graph.operations if isinstance(o, UnitMap)}
    return (
        made.get(update.activation, update.activation) if op.source in made else update.activation
    )


work = matrix.work
