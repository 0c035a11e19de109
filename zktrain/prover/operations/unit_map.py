"""Prover of ``operations.unit_map``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...arguments.tensors import Coordinates, Tensor, coordinates, log_cells, log_width
from ...cost.parts import ROUND, Work
from ...field import extension as ext
from ...field import goldilocks as gl
from ...field import multilinear as ml
from ...field.extension import ONE, Ext, ExtVec, Point
from ...operations import UnitMap
from ...operations.base import Context
from ...operations.map_arrays import apply_map
from ...operations.maps import Before, Reorder, Steps, Window
from ...operations.unit_map import cells, orders, position, row_major
from ..arguments import sumcheck
from ..kernels import field as kf
from ..kernels.field import outer
from ..transcript.channel import ProverChannel
from .base import Given, Sizes, Tensors, padded, real


def prove(op: UnitMap, channel: ProverChannel, context: Context, given: Given) -> None:
    claims = context.ledger.of(op.output)
    weights = channel.challenger.powers(f"{op.label}/gamma", len(claims))  # V -> P
    if not claims:
        return
    tables = _contracted(op, context, given, [point for point, _ in claims])
    terms = []
    for power, (point, _), table in zip(weights, claims, tables, strict=True):
        cell = context.shape.split(point)[0]
        terms.append((_selector(op, context, cell, power), table))
    machine = sumcheck.ProductMachine(terms)
    s = sumcheck.prove(channel, op.label, machine)
    values = [value for _, value in machine.finals()]
    channel.send(f"{op.label}/values", values)  # P -> V
    op.add(context, s, values)


def _contracted(op: UnitMap, context: Context, given: Given, points: list[Point]) -> list[ExtVec]:
    """The source with all variables bound but the summed ones, for every point."""
    shape, source = context.shape, context.tensor(op.source)
    summed = op.summed(source)
    rows = 1 << (log_cells(source) - summed.stop)
    lows, samples, steps = [], [], []
    for point in points:
        cell, b, t = shape.split(point)
        at = op.source_cell(context, cell, ())
        lows.append(kf.eq_table(at[: summed.start]))
        samples.append(kf.eq_table(at[summed.start :] + b))
        steps.append(kf.eq_table(t))
    totals = [np.zeros((2, 1 << summed.stop), dtype=np.uint64) for _ in points]
    for here in given.witness.ranges((op.source,), CONTRACTED * rows):
        cells = given.witness.view(here).tensor(op.source).reshape(-1, 1 << summed.stop)
        part = slice(here.sample * rows, (here.sample + here.samples) * rows)
        for low, high, total in zip(samples, steps, totals, strict=True):
            weight = outer(high[:, here.step : here.step + here.steps], low[:, part])
            total[...] = ext.add(total, kf.contract_first(cells, weight))
    out = []
    for low, total in zip(lows, totals, strict=True):
        found = total.reshape(2, -1, low.shape[1])
        out.append(np.ascontiguousarray(ext.total(ext.mul(found, low[:, None, :]))))
    return out


CONTRACTED = 96
"""Bytes for every row of a sample that is contracted."""


def _selector(op: UnitMap, context: Context, cell: Point, factor: Ext) -> ExtVec:
    """``factor M(cell, s)`` for all ``s``."""
    source, output = context.tensor(op.source), context.tensor(op.output)
    places = coordinates(output, cell)
    match op.map:
        case Window(vertical, horizontal, transposed):
            y = _axis_table(vertical, 0, transposed, source, output, places, factor)
            x = _axis_table(horizontal, 1, transposed, source, output, places, ONE)
            # (2, y, x, ky, kx), where the source has taps
            table = ext.mul(y[:, :, None, :, None], x[:, None, :, None, :])
            return np.ascontiguousarray(table.reshape(2, -1))
        case Reorder():
            table = np.zeros((2, 1 << log_cells(source)), dtype=np.uint64)
            flat, image = orders(source, output)
            values = cells(output, places, flat, image)
            table[:, flat if not source.grid else image] = ext.scale(values, factor)
            return table
        case Before():
            at = position(output, places)
            order = row_major(source.taps or (source.width,))
            later = np.zeros((2, 1 << len(at)), dtype=np.uint64)
            taken = ml.eq_table(at, factor)[:, order]
            later[:, order] = np.stack([gl.sums_after(row) for row in taken])
            return later


def _axis_table(
    steps: Steps,
    axis: int,
    transposed: bool,
    source: Tensor,
    output: Tensor,
    places: Coordinates,
    factor: Ext,
) -> ExtVec:
    """One axis of a window's matrix at the output's coordinates: ``(2, places, taps)`` of the
    source, one tap where it has none."""
    at_i, at_o, at_k = steps.relation()
    theirs, ours = (at_i, at_o) if transposed else (at_o, at_i)
    values = ml.eq_table(places.grid[axis], factor)[:, theirs]
    taps = 1
    index = ours
    if source.taps:
        taps = 1 << log_width(source.taps[axis])
        index = ours * taps + at_k
    elif output.taps:
        values = ext.mul(values, ml.eq_table(places.taps[axis])[:, at_k])
    table = np.zeros((2, taps << log_width(source.grid[axis])), dtype=np.uint64)
    _add_at(table, index, values)
    return table.reshape(2, -1, taps)


def _add_at(table: ExtVec, index: NDArray[np.int64], values: ExtVec) -> None:
    """``table[index] += values``; an index may occur several times."""
    order = np.argsort(index, kind="stable")
    sorted_index = index[order]
    starts = np.flatnonzero(np.r_[True, sorted_index[1:] != sorted_index[:-1]])
    counts = np.diff(np.r_[starts, sorted_index.size])
    for turn in range(int(counts.max(initial=0))):
        more = counts > turn
        at = starts[more]
        place = sorted_index[at]
        table[:, place] = gl.add(table[:, place], values[:, order[at + turn]])


def values(op: UnitMap, tensors: Tensors) -> NDArray[Any]:
    source, output = tensors.described(op.source), tensors.described(op.output)
    found = apply_map(op.map, real(tensors, op.source), source, output)
    return padded(tensors, op.output, found)


def work(op: UnitMap, sizes: Sizes) -> Work:
    many, summed = sizes.claims.tensors[op.output], op.summed(sizes.graph.tensor(op.source))
    rounds = summed.stop - summed.start
    cells, table = many * sizes.cells(op.source), many << rounds
    amounts = {"cells": cells, "table": table, "weights": 0, "rounds": many * rounds}
    multiplications = 2.0 * cells + ROUND[2] * table
    return sizes.work(op, "matrix product", amounts, cells, multiplications, reads=op.inputs())
