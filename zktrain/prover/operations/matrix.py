"""Prover of matrix products with weights that change at every step.

``W_t(., r_j) = W_0(., r_j) - sum_{tau<t} m_tau sum_b A[tau, b, .] E(tau, b, r_j)`` (or what the
time filter has in the place of ``m_tau``) for all ``t`` in ``O(K B (n_in + n_out))``.
"""

from __future__ import annotations

import numpy as np

from ...cost.parts import ROUND, Work
from ...field.extension import Ext, ExtVec, Point
from ...operations import Accumulate, Affine, AffineTransposed
from ...operations.base import Context, StepGraph
from ..arguments import sumcheck, time_filter
from ..kernels import field as kf
from ..operands import Operand
from ..transcript.channel import ProverChannel
from .base import Segment


def update_of(graph: StepGraph, weight: str) -> Accumulate | None:
    """What changes the weights; None: nothing does."""
    for op in graph.operations:
        if isinstance(op, Accumulate) and op.weight == weight:
            return op
    return None


def history(context: Context, weight: str, first: ExtVec, gradients: ExtVec | None) -> ExtVec:
    """Weights of all steps; without gradients they stay the first ones."""
    if gradients is None:
        return np.ascontiguousarray(np.tile(first, 1 << context.shape.log_steps))
    return time_filter.history(context.time_filters(weight), first, gradients)


def prove(
    channel: ProverChannel, label: str, source: Operand, history: ExtVec, at: tuple[Point, Point]
) -> tuple[tuple[Point, Point], Ext, Ext]:
    """``sum_{t,i} eq(t, .) source(., b, i) history(., i)`` for ``at = (b, t)``: point (units,
    steps), source and weight there."""
    b, t = at
    samples = np.ascontiguousarray(np.tile(kf.eq_table(b), source.steps))
    width = history.shape[1] // source.steps
    selector = np.ascontiguousarray(np.repeat(kf.eq_table(t), width, axis=1))
    machine = sumcheck.ProductMachine([(selector, source.over_samples(samples), history)])
    rho = sumcheck.prove(channel, label, machine)
    _, value, weight = machine.finals()[0]
    channel.send(f"{label}/factors", [value, weight])  # P -> V
    units = len(rho) - len(t)
    return (rho[:units], rho[units:]), value, weight


def work(op: Affine | AffineTransposed, segment: Segment) -> Work:
    """Of all products with one matrix."""
    many = segment.claims.tensors[op.output]
    n, m = segment.units(op.source), segment.units(op.output)
    cells = many * segment.samples * segment.places(op.output) * (2 * n + m)
    table, weights = (many * n) << segment.shape.log_steps, many * n * m
    rounds = many * (segment.shape.log_steps + n.bit_length() - 1)
    amounts = {"cells": cells, "table": table, "weights": weights, "rounds": rounds}
    multiplications = 2.0 * (cells + weights) + (ROUND[3] + 2) * table
    return segment.work(op, "matrix product", amounts, cells, multiplications)
