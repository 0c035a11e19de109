"""Public linear maps over the axes of a sample: claims on the output become claims on the source.

``out(z, b, t) = sum_s M(z, s) source(s, z', b, t)``, where ``s`` runs over the axes that the map
acts on and ``z'`` are the coordinates of those it leaves alone. All claims on one output in one
sumcheck over ``s``, with powers of ``gamma``; the verifier evaluates every ``M`` itself, axis by
axis. Error ``(#claims + 2 variables) / |E|``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..arguments import sumcheck
from ..arguments.tensors import (
    Coordinates,
    Tensor,
    coordinates,
    log_cells,
    log_width,
)
from ..errors import SumcheckMismatch
from ..field import extension as ext
from ..field import goldilocks as gl
from ..field import multilinear as ml
from ..field.extension import ONE, Ext, ExtVec, Point
from ..field.forms import Scalar, combine
from ..transcript.channel import VerifierChannel
from .base import Context
from .maps import Before, Map, Reorder, Steps, Window, transposed
from .reach import Bounds, Reach, Reaches, whole

if TYPE_CHECKING:
    from .reverse import Error, Reverse


@dataclass(frozen=True, slots=True)
class UnitMap:
    """``output[t, b, :] = M source[t, b, :]`` with a public matrix over all axes of one sample."""

    output: str
    source: str
    map: Map

    @property
    def label(self) -> str:
        """Of its messages."""
        return f"map/{self.output}"

    def inputs(self) -> tuple[str, ...]:
        return (self.source,)

    def outputs(self) -> tuple[str, ...]:
        return (self.output,)

    def reach(self, bounds: Bounds) -> Reaches:
        """Cells moved, or some of them added up."""
        source, output = (bounds.tensors[name] for name in (self.source, self.output))
        reach = bounds.known[self.source]
        match self.map:
            case Reorder():
                cells = reach.units * prod(source.grid)
                reach = replace(reach, units=min(max(1, output.width), cells))
            case Before():
                here = prod(source.taps) if source.taps else max(1, source.width)
                count = min(reach.taps if source.taps else reach.units, here - 1)
                reach = whole(output, count * min(reach.low, 0), count * max(reach.high, 0))
            case Window():
                reach = _windows(self.map, source, output, reach)
        return {self.output: reach}

    def summed(self, source: Tensor) -> slice:
        """Which variables of the source's cell the sumcheck is over."""
        unit = log_width(source.width)
        match self.map:
            case Window():
                return slice(unit, log_cells(source))
            case Reorder():
                return slice(0, log_cells(source))
            case Before():
                taps = sum(log_width(size) for size in source.taps)
                return slice(unit, unit + taps) if source.taps else slice(0, unit)

    def source_cell(self, context: Context, cell: Point, s: Point) -> Point:
        """The source's coordinates, from those of the output and the summed ones."""
        source, output = context.tensor(self.source), context.tensor(self.output)
        match self.map:
            case Window():
                return coordinates(output, cell).unit + s
            case Reorder():
                return s
            case Before():
                summed = self.summed(source)
                return cell[: summed.start] + s + cell[summed.stop :]

    def reverse(self, back: Reverse, error: Error) -> None:
        """The transposed map."""
        source = back.build.tensors[self.source]
        result = back.like(source, back.name(source, error), error)
        back.build.define(UnitMap(result, error.name, transposed(self.map)))
        back.give(self.source, replace(error, name=result))

    def verify(self, channel: VerifierChannel, context: Context) -> None:
        shape, claims = context.shape, context.ledger.of(self.output)
        weights = channel.challenger.powers(f"{self.label}/gamma", len(claims))  # V -> P
        if not claims:
            return
        target = combine(weights, [value for _, value in claims])
        source, output = context.tensor(self.source), context.tensor(self.output)
        summed = self.summed(source)
        rounds = summed.stop - summed.start
        reduced, s = sumcheck.verify(channel, self.label, target, rounds, 2)
        values = channel.receive(f"{self.label}/values", len(claims))  # P -> V

        def total() -> Scalar:
            matrices = [
                power * _evaluate(self.map, source, output, shape.split(point)[0], s)
                for power, (point, _) in zip(weights, claims, strict=True)
            ]
            return combine(matrices, values)

        channel.check(
            lambda: total() - reduced,
            SumcheckMismatch(f"the map '{self.output}' does not match", stage="map"),
        )
        self.add(context, s, values)

    def add(self, context: Context, s: Point, values: Sequence[Scalar]) -> None:
        """The claims that remain, one for each on the output."""
        for (point, _), value in zip(context.ledger.of(self.output), values, strict=True):
            cell, b, t = context.shape.split(point)
            context.ledger.add(self.source, self.source_cell(context, cell, s) + b + t, value)


def _windows(map_: Window, source: Tensor, output: Tensor, reach: Reach) -> Reach:
    """Where one of both tensors has taps cells are moved to or from them, and places outside give
    0; where cells of several taps (or windows) meet in one place they are added up."""
    axes = (map_.vertical, map_.horizontal)
    counts = [steps.overlaps() if map_.transposed else steps.seen() for steps in axes]
    fewest, most = prod(low for low, _ in counts), prod(high for _, high in counts)
    low, high, taps = reach.low, reach.high, 1
    if output.taps:
        taps = min(most, prod(output.taps))
    else:
        low, high = min(fewest * low, most * low), max(fewest * high, most * high)
    if source.taps or (output.taps and fewest < prod(output.taps)):  # a cell may be 0 or not
        low, high = min(low, 0), max(high, 0)
    return Reach(low, high, reach.units, taps)


def _evaluate(map_: Map, source: Tensor, output: Tensor, cell: Point, s: Point) -> Ext:
    """``M(cell, s)``."""
    places = coordinates(output, cell)
    match map_:
        case Window(vertical, horizontal, transposed):
            own = coordinates(source, places.unit + s)
            both = ONE
            for axis, steps in enumerate((vertical, horizontal)):
                ends = (own.grid[axis], places.grid[axis])
                i, o = reversed(ends) if transposed else ends
                taps = own.taps or places.taps
                both = both * _window(steps, i, o, taps[axis] if taps else None)
            return both
        case Reorder():
            flat, image = orders(source, output)
            here = cells(output, places, flat, image)
            there = cells(source, coordinates(source, s), flat, image)
            return ext.dot(here, there)
        case Before():
            order = row_major(source.taps or (source.width,))
            taken = ml.eq_table(position(output, places))[:, order]
            after = np.stack([gl.sums_after(row) for row in taken])
            return ext.dot(after, ml.eq_table(s)[:, order])


def _window(steps: Steps, i: Point, o: Point, k: Point | None) -> Ext:
    """``sum eq(i) eq(o) eq(k)`` over the relation; all taps where ``k`` is None."""
    at_i, at_o, at_k = steps.relation()
    product = ext.mul(ml.eq_table(i)[:, at_i], ml.eq_table(o)[:, at_o])
    if k is None:
        return ext.scalar(ext.total(product))
    return ext.dot(product, ml.eq_table(k)[:, at_k])


def orders(source: Tensor, output: Tensor) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places of all real cells in the row, and in the padded image."""
    row, image = (output, source) if source.grid else (source, output)
    height, width = image.grid
    unit, y, x = (axis.reshape(-1) for axis in np.indices((image.width, height, width)))
    padded_x, padded_unit = 1 << log_width(width), 1 << log_width(image.width)
    flat = np.arange(row.width, dtype=np.int64)
    return flat, ((y * padded_x + x) * padded_unit + unit).astype(np.int64)


def cells(
    tensor: Tensor, places: Coordinates, flat: NDArray[np.int64], image: NDArray[np.int64]
) -> ExtVec:
    """``eq(cell, .)`` of all real cells of the row or of the image, in the row's order."""
    cell = places.unit
    for axis in reversed(places.grid):
        cell = cell + axis
    return ml.eq_table(cell)[:, image if tensor.grid else flat]


def position(tensor: Tensor, places: Coordinates) -> Point:
    """Coordinates of the taps, lowest first, or of the unit where there are none."""
    if not tensor.taps:
        return places.unit
    return tuple(x for axis in reversed(places.taps) for x in axis)


def row_major(sizes: tuple[int, ...]) -> NDArray[np.int64]:
    """Padded positions of the real cells of these axes, in row-major order."""
    padded = np.arange(1 << sum(log_width(n) for n in sizes), dtype=np.int64)
    grid = padded.reshape([1 << log_width(n) for n in sizes])
    return grid[tuple(slice(n) for n in sizes)].reshape(-1)
