"""Public linear maps over the axes of a sample: claims on the output become claims on the source.

``out(z, b, t) = sum_s M(z, s) source(s, z', b, t)``, where ``s`` runs over the axes that the map
acts on and ``z'`` are the coordinates of those it leaves alone. All claims on one output in one
sumcheck over ``s``, with powers of ``gamma``; the verifier evaluates every ``M`` itself, axis by
axis. Error ``(#claims + 2 variables) / |E|``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..arguments import sumcheck
from ..arguments.claims import Ledger
from ..arguments.tensors import Coordinates, Shape, Tensor, coordinates, log_cells, log_width
from ..errors import SumcheckMismatch
from ..field import extension as ext
from ..field import goldilocks as gl
from ..field import multilinear as ml
from ..field.extension import ONE, Ext, ExtVec, Point
from ..field.forms import Scalar, combine
from ..transcript.channel import VerifierChannel
from .maps import Before, Map, Reorder, Steps, Window


@dataclass(frozen=True, slots=True)
class UnitMap:
    """``output[t, b, :] = M source[t, b, :]`` with a public matrix over all axes of one sample."""

    output: str
    source: str
    map: Map

    def inputs(self) -> set[str]:
        """See ``Operation``."""
        return {self.source}

    def outputs(self) -> set[str]:
        """See ``Operation``."""
        return {self.output}


if TYPE_CHECKING:
    from ..prover.arguments.claims import Witness
    from ..prover.transcript.channel import ProverChannel


@dataclass(frozen=True, slots=True)
class _Parts:
    """Where the summed variables of the source are: from ``low`` to ``high`` within a cell."""

    low: int
    high: int


def _parts(op: UnitMap, source: Tensor) -> _Parts:
    unit = log_width(source.width)
    match op.map:
        case Window():
            return _Parts(unit, log_cells(source))
        case Reorder():
            return _Parts(0, log_cells(source))
        case Before():
            taps = sum(log_width(size) for size in source.taps)
            return _Parts(unit, unit + taps) if source.taps else _Parts(0, unit)


def variables(op: UnitMap, source: Tensor) -> int:
    """Rounds of the sumcheck."""
    parts = _parts(op, source)
    return parts.high - parts.low


def _source_cell(op: UnitMap, source: Tensor, output: Tensor, cell: Point, s: Point) -> Point:
    """The source's coordinates, from those of the output and the summed ones."""
    places = coordinates(output, cell)
    match op.map:
        case Window():
            return places.unit + s
        case Reorder():
            return s
        case Before():
            parts = _parts(op, source)
            return cell[: parts.low] + s + cell[parts.high :]


def prove(
    channel: ProverChannel,
    op: UnitMap,
    source: Tensor,
    output: Tensor,
    shape: Shape,
    ledger: Ledger,
    witness: Witness,
) -> None:
    from ..prover.arguments import sumcheck as prover_sumcheck

    label = f"map/{op.output}"
    claims = ledger.of(op.output)
    gamma = channel.challenger.element(f"{label}/gamma")  # V -> P
    if not claims:
        return
    tensor = witness.tensor(op.source)
    terms = []
    for power, (point, _) in zip(ext.powers(gamma, len(claims)), claims, strict=True):
        cell, b, t = shape.split(point)
        at = _source_cell(op, source, output, cell, ())
        table = _contract(tensor, op, source, at, b, t)
        terms.append((_selector(op, source, output, cell, power), table))
    machine = prover_sumcheck.ProductMachine(terms)
    s = prover_sumcheck.prove(channel, label, machine)
    values = [value for _, value in machine.finals()]
    channel.send(f"{label}/values", values)  # P -> V
    _add(op, source, output, shape, ledger, claims, s, values)


def _add(
    op: UnitMap,
    source: Tensor,
    output: Tensor,
    shape: Shape,
    ledger: Ledger,
    claims: list[tuple[Point, Scalar]],
    s: Point,
    values: list[Ext] | list[Scalar],
) -> None:
    for (point, _), value in zip(claims, values, strict=True):
        cell, b, t = shape.split(point)
        ledger.add(op.source, _source_cell(op, source, output, cell, s) + b + t, value)


def _contract(
    tensor: NDArray[Any], op: UnitMap, source: Tensor, at: Point, b: Point, t: Point
) -> ExtVec:
    """The source with all variables bound but the summed ones; ``at`` are the others of its
    cell."""
    from ..prover.kernels import field as kf

    parts = _parts(op, source)
    low, high = at[: parts.low], at[parts.low :] + b + t
    summed = 1 << (parts.high - parts.low)
    rows = tensor.reshape(1 << len(high), -1)
    cells = kf.contract_first(rows, kf.eq_table(high)).reshape(2, summed, 1 << len(low))
    return np.ascontiguousarray(ext.total(ext.mul(cells, kf.eq_table(low)[:, None, :])))


def verify(
    channel: VerifierChannel,
    op: UnitMap,
    source: Tensor,
    output: Tensor,
    shape: Shape,
    ledger: Ledger,
) -> None:
    label = f"map/{op.output}"
    claims = ledger.of(op.output)
    gamma = channel.challenger.element(f"{label}/gamma")  # V -> P
    if not claims:
        return
    weights = ext.powers(gamma, len(claims))
    target = combine(weights, [value for _, value in claims])
    rounds = variables(op, source)
    reduced, s = sumcheck.verify(channel, label, target, rounds, 2)
    values = channel.receive(f"{label}/values", len(claims))  # P -> V

    def total() -> Scalar:
        matrices = [
            power * _evaluate(op, source, output, shape.split(point)[0], s)
            for power, (point, _) in zip(weights, claims, strict=True)
        ]
        return combine(matrices, values)

    channel.check(
        lambda: total() - reduced,
        SumcheckMismatch(f"the map '{op.output}' does not match", stage="map"),
    )
    _add(op, source, output, shape, ledger, claims, s, values)


# The matrices, once as tables for the prover and once at a point for the verifier.


def _selector(op: UnitMap, source: Tensor, output: Tensor, cell: Point, factor: Ext) -> ExtVec:
    """``factor M(cell, s)`` for all ``s``."""
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
            flat, image = _orders(source, output)
            values = _cells(output, places, flat, image)
            table[:, flat if not source.grid else image] = ext.scale(values, factor)
            return table
        case Before():
            position = _position(output, places)
            order = _row_major(source.taps or (source.width,))
            later = np.zeros((2, 1 << len(position)), dtype=np.uint64)
            taken = ml.eq_table(position, factor)[:, order]
            later[:, order] = np.stack([gl.sums_after(row) for row in taken])
            return later


def _evaluate(op: UnitMap, source: Tensor, output: Tensor, cell: Point, s: Point) -> Ext:
    """``M(cell, s)``."""
    places = coordinates(output, cell)
    match op.map:
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
            flat, image = _orders(source, output)
            here = _cells(output, places, flat, image)
            there = _cells(source, coordinates(source, s), flat, image)
            return ext.dot(here, there)
        case Before():
            order = _row_major(source.taps or (source.width,))
            taken = ml.eq_table(_position(output, places))[:, order]
            after = np.stack([gl.sums_after(row) for row in taken])
            return ext.dot(after, ml.eq_table(s)[:, order])


def _window(steps: Steps, i: Point, o: Point, k: Point | None) -> Ext:
    """``sum eq(i) eq(o) eq(k)`` over the relation; all taps where ``k`` is None."""
    at_i, at_o, at_k = steps.relation()
    product = ext.mul(ml.eq_table(i)[:, at_i], ml.eq_table(o)[:, at_o])
    if k is None:
        return ext.scalar(ext.total(product))
    return ext.dot(product, ml.eq_table(k)[:, at_k])


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


def _orders(source: Tensor, output: Tensor) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places of all real cells in the row, and in the padded image."""
    row, image = (output, source) if source.grid else (source, output)
    height, width = image.grid
    unit, y, x = (axis.reshape(-1) for axis in np.indices((image.width, height, width)))
    padded_x, padded_unit = 1 << log_width(width), 1 << log_width(image.width)
    flat = np.arange(row.width, dtype=np.int64)
    return flat, ((y * padded_x + x) * padded_unit + unit).astype(np.int64)


def _cells(
    tensor: Tensor, places: Coordinates, flat: NDArray[np.int64], image: NDArray[np.int64]
) -> ExtVec:
    """``eq(cell, .)`` of all real cells of the row or of the image, in the row's order."""
    cell = places.unit
    for axis in reversed(places.grid):
        cell = cell + axis
    return ml.eq_table(cell)[:, image if tensor.grid else flat]


def _position(tensor: Tensor, places: Coordinates) -> Point:
    """Coordinates of the taps, lowest first, or of the unit where there are none."""
    if not tensor.taps:
        return places.unit
    return tuple(x for axis in reversed(places.taps) for x in axis)


def _row_major(sizes: tuple[int, ...]) -> NDArray[np.int64]:
    """Padded positions of the real cells of these axes, in row-major order."""
    padded = np.arange(1 << sum(log_width(n) for n in sizes), dtype=np.int64)
    grid = padded.reshape([1 << log_width(n) for n in sizes])
    return grid[tuple(slice(n) for n in sizes)].reshape(-1)
