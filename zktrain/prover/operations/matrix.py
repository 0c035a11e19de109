"""Prover of matrix products with weights that change at every step.

``W_t(., r_j) = W_0(., r_j) - sum_{tau<t} m_tau sum_b A[tau, b, .] E(tau, b, r_j)`` (or what the
time filter has in the place of ``m_tau``) for all ``t`` in ``O(K B (n_in + n_out))``.
"""

from __future__ import annotations

import numpy as np

from ...arguments.tensors import Shape
from ...cost.parts import ROUND, Work
from ...field import extension as ext
from ...field.extension import Ext, ExtVec, Point
from ...operations import Accumulate, Affine, AffineTransposed
from ...operations.base import Context, StepGraph
from ..arguments import pairs, sumcheck, time_filter
from ..kernels import field as kf
from ..ranges import Range
from ..transcript.channel import ProverChannel
from .base import Sizes

CONTRACTED = 128
"""Bytes for every place of a sample while a factor is contracted."""


def update_of(graph: StepGraph, weight: str) -> Accumulate | None:
    """What changes the weights; None: nothing does."""
    for op in graph.operations:
        if isinstance(op, Accumulate) and op.weight == weight:
            return op
    return None


class PerStep:
    """Vectors over the real steps, ``(2, K n)``, added up range by range; then zeros for one padded
    step, if there are any."""

    def __init__(self, shape: Shape, width: int) -> None:
        self._cells = np.zeros((2, _rows(shape), width), dtype=np.uint64)

    def add(self, at: Range, found: ExtVec) -> None:
        """``(2, at.steps n)``, what the samples of a range make up."""
        part = self._cells[:, at.step : at.step + at.steps]
        new = found.reshape(part.shape)
        part[...] = ext.add(part, new) if at.sample else new

    @property
    def vector(self) -> ExtVec:
        """Shape ``(2, K n)`` or ``(2, (K + 1) n)``."""
        return self._cells.reshape(2, -1)


def _rows(shape: Shape) -> int:
    """The real steps and the first padded one, after which weights do not change."""
    return min(shape.steps + 1, 1 << shape.log_steps)


def samples_of(at: Range, table: ExtVec, places: int) -> ExtVec:
    """A vector over the samples of a batch, ``2^places`` places each, for all samples of a
    range."""
    part = table[:, at.sample << places : (at.sample + at.samples) << places]
    return np.ascontiguousarray(np.tile(part, at.steps))


def history(context: Context, weight: str, first: ExtVec, gradients: ExtVec | None) -> ExtVec:
    """Weights of the steps of ``PerStep``; without gradients they stay the first ones."""
    if gradients is None:
        return np.ascontiguousarray(np.tile(first, _rows(context.shape)))
    return time_filter.history(context.time_filters(weight), first, gradients)


def prove(
    channel: ProverChannel, label: str, shape: Shape, source: ExtVec, history: ExtVec, t: Point
) -> tuple[tuple[Point, Point], Ext, Ext]:
    """``sum_{t,i} eq(t, .) source(., i) history(., i)`` with vectors over the steps of ``PerStep``,
    the source summed over its samples: point (units, steps), source and weight there."""
    width = source.shape[1] // _rows(shape)
    units = (width - 1).bit_length()
    machine = pairs.PairMachine(
        [[pairs.StepWeight(kf.eq_table(t))]],
        [pairs.Block(0, source.shape[1], lambda: [(source, history)])],
        units,
        shape.log_steps,
        tails=[np.ascontiguousarray(history[:, -width:])],
    )
    rho = sumcheck.prove(channel, label, machine)
    _, value, found = machine.finals()[0]
    channel.send(f"{label}/factors", [value, found])  # P -> V
    return (rho[:units], rho[units:]), value, found


def work(op: Affine | AffineTransposed, sizes: Sizes) -> Work:
    """Of all products with one matrix."""
    many = sizes.claims.tensors[op.output]
    n, m = sizes.units(op.source), sizes.units(op.output)
    cells = many * sizes.samples * sizes.places(op.output) * (2 * n + m)
    table, weights = (many * n) << sizes.shape.log_steps, many * n * m
    rounds = many * (sizes.shape.log_steps + n.bit_length() - 1)
    amounts = {"cells": cells, "table": table, "weights": weights, "rounds": rounds}
    multiplications = 2.0 * (cells + weights) + (ROUND[3] + 2) * table
    return sizes.work(op, "matrix product", amounts, cells, multiplications)
