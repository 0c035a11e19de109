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
from ..transcript.channel import ProverChannel
from .base import Given, Segment, Witness, padded, real


def prove(op: UnitMap, channel: ProverChannel, context: Context, given: Given) -> None:
    claims = context.ledger.of(op.output)
    weights = channel.challenger.powers(f"{op.label}/gamma", len(claims))  # V -> P
    if not claims:
        return
    tensor = given.witness.tensor(op.source)
    terms = []
    for power, (point, _) in zip(weights, claims, strict=True):
        cell = context.shape.split(point)[0]
        table = _contract(tensor, op, context, point)
        terms.append((_selector(op, context, cell, power), table))
    machine = sumcheck.ProductMachine(terms)
    s = sumcheck.prove(channel, op.label, machine)
    values = [value for _, value in machine.finals()]
    channel.send(f"{op.label}/values", values)  # P -> V
    op.add(context, s, values)


def _contract(tensor: NDArray[Any], op: UnitMap, context: Context, point: Point) -> ExtVec:
    """The source with all variables bound but the summed ones."""
    cell, b, t = context.shape.split(point)
    summed = op.summed(context.tensor(op.source))
    at = op.source_cell(context, cell, ())
    low, high = at[: summed.start], at[summed.start :] + b + t
    rows = tensor.reshape(1 << len(high), -1)
    found = kf.contract_first(rows, kf.eq_table(high)).reshape(2, -1, 1 << len(low))
    return np.ascontiguousarray(ext.total(ext.mul(found, kf.eq_table(low)[:, None, :])))


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


def values(op: UnitMap, witness: Witness) -> NDArray[Any]:
    source, output = witness.graph.tensor(op.source), witness.graph.tensor(op.output)
    return padded(witness, output, apply_map(op.map, real(witness, source), source, output))


def work(op: UnitMap, segment: Segment) -> Work:
    many, summed = segment.claims.tensors[op.output], op.summed(segment.graph.tensor(op.source))
    rounds = summed.stop - summed.start
    cells, table = many * segment.cells(op.source), many << rounds
    amounts = {"cells": cells, "table": table, "weights": 0, "rounds": many * rounds}
    multiplications = 2.0 * cells + ROUND[2] * table
    return segment.work(op, "matrix product", amounts, cells, multiplications, reads=op.inputs())
