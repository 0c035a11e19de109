"""Lookups: cells are rows of a public table. ``arguments.lookup`` proves all of a run at once,
before all other operations."""

from __future__ import annotations

from dataclasses import dataclass

from ..arguments.lookup import Entry, live_cells
from ..arguments.tensors import Shape
from ..tables import TABLES
from ..transcript.channel import VerifierChannel
from .base import Context, StepGraph
from .reach import Bounds, Reaches, whole


@dataclass(frozen=True, slots=True)
class Lookup:
    """``(columns + offsets)`` is a row of ``table``, for every cell, padded ones included.

    Where the last column of a table is the indicator ``I``, it is not listed in ``columns``.
    """

    table: str
    columns: tuple[str, ...]
    offset: int = 0

    def inputs(self) -> tuple[str, ...]:
        return ()

    def outputs(self) -> tuple[str, ...]:
        return ()

    def reach(self, bounds: Bounds) -> Reaches:
        """It forces every column into the range of the table's; the offset is added to the
        first."""
        out = {}
        ranges = TABLES[self.table].ranges()
        for place, (name, (low, high)) in enumerate(zip(self.columns, ranges, strict=True)):
            shift = 0 if place else self.offset
            out[name] = whole(bounds.tensors[name], low - shift, high - shift)
        return out

    def verify(self, channel: VerifierChannel, context: Context) -> None:
        """Nothing is left: all lookups are proved at once, before."""


def entries_of(graph: StepGraph, shape: Shape, lane_log: int | None = None) -> list[Entry]:
    """The lookups of a run, in the order of the graph; of cells that the lanes of a commitment
    hold, where their length is given."""
    entries = []
    for op in graph.operations:
        if isinstance(op, Lookup):
            first = graph.tensor(op.columns[0])
            indicator = None
            if TABLES[op.table].indicator:
                indicator = lambda point, first=first: shape.indicator(first, point)  # noqa: E731
            size = shape.log_size(first)
            live = None if lane_log is None else live_cells(size, shape.used(first), lane_log)
            entries.append(Entry(op.table, op.columns, size, op.offset, indicator, live))
    return entries
