"""What the relations of a run take: memory, and how often their tables are built.

Derived from shapes. ``RunWitness`` and the provers of the operations keep to it: half of the
memory is for what is kept between passes, the other half for a range.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..arguments.tensors import Shape, log_cells, log_grid, log_units
from ..operations import (
    Accumulate,
    Affine,
    AffineTransposed,
    Batch,
    Linear,
    Operation,
    Product,
    Tally,
    UnitMap,
)
from ..operations.base import StepGraph, name_of
from .arguments.pairs import KEPT, kept_from
from .operations.batch import AT_ONCE
from .operations.matrix import CONTRACTED, update_of
from .operations.product import TABLES
from .operations.unit_map import CONTRACTED as ROW
from .ranges import cut
from .witness import Gathered, RunWitness

E = 16
"""Bytes of an element."""


@dataclass(frozen=True, slots=True)
class Need:
    """Of one relation. ``resident`` bytes are there at once, whatever the memory; ``streamed`` are
    those of tables that need not be, of which ``kept`` stay after the last of ``passes`` over the
    witness; ``at_once`` are those of a range, ``least`` of the shortest one."""

    relation: str
    resident: int
    streamed: int
    kept: int
    passes: int
    at_once: int
    least: int

    @property
    def peak(self) -> int:
        """Bytes beside the witness."""
        return self.resident + max(self.kept, 0) + self.at_once


def needs(graph: StepGraph, shape: Shape, memory: int | None, log_records: int) -> list[Need]:
    """Of all relations that send messages, in the order of the proof; ``memory`` as
    ``RunWitness`` has it."""
    plan = _Plan(_without_cells(graph, shape, memory), log_records)
    found = (plan.need(op) for op in graph.claim_order())
    return [need for need in found if need is not None]


def values(graph: StepGraph, shape: Shape, memory: int | None) -> int:
    """Bytes of the tensors that are computed once and kept beside all that relations take, if
    there is room for all of them."""
    witness = _without_cells(graph, shape, memory)
    return witness.all_values if witness.keeps else 0


def _without_cells(graph: StepGraph, shape: Shape, memory: int | None) -> RunWitness:
    nothing = np.zeros(0, dtype=np.int64)
    given = {t.name: nothing for t in graph.tensors if t.hint is not None}
    batches = [op.output for op in graph.operations if isinstance(op, Batch)]
    rows = dict.fromkeys(batches, Gathered(nothing, nothing, 1))
    return RunWitness(graph, shape, {**given, **rows}, memory)


@dataclass(frozen=True, slots=True)
class _Plan:
    witness: RunWitness
    log_records: int

    def need(self, op: Operation) -> Need | None:
        shape, described = self.witness.shape, self.witness.described
        rows = min(shape.steps + 1, 1 << shape.log_steps)
        match op:
            case Product():
                cells = log_cells(described(op.output))
                # integers until two variables are bound
                return self._pairs(op, op.inputs(), TABLES << cells, cells, 1, KEPT // 4)
            case Accumulate():
                places = log_grid(described(op.error))
                groups = sum(1 + self._uses(name) for name in op.outputs())
                return self._pairs(
                    op, op.inputs(), CONTRACTED << places, places, groups, KEPT * groups
                )
            case Affine() | AffineTransposed():
                places = log_grid(described(op.output))
                update = update_of(self.witness.graph, op.weight)
                names = (op.source,) if update is None else (op.source, *update.inputs())
                tables = (3 if update is None else 4) * E * rows << log_units(described(op.source))
                return self._ranged(op, names, CONTRACTED << places, tables)
            case UnitMap():
                source = described(op.source)
                stop = op.summed(source).stop
                contracted = ROW << (log_cells(source) - stop)
                return self._ranged(op, (op.source,), contracted, 3 * E << stop)
            case Linear():
                return self._ranged(op, op.inputs(), 0, 0)
            case Tally():
                size = 3 * E << (shape.log_batch + shape.log_steps)
                return self._ranged(op, op.inputs(), 0, size)
            case Batch():
                size = (3 * E << self.log_records) + 3 * E * AT_ONCE
                return Need(name_of(op), size, 0, 0, 1, 0, 0)
            case _:
                return None

    def _uses(self, parameter: str) -> int:
        """Claims on it, without the one at the end: one of each product that reads it."""
        readers = 0
        for op in self.witness.graph.operations:
            match op:
                case Affine():
                    readers += parameter in (op.weight, op.bias)
                case AffineTransposed():
                    readers += parameter == op.weight
                case _:
                    pass
        return readers

    def _pairs(
        self,
        op: Operation,
        names: tuple[str, ...],
        tables: int,
        cells: int,
        groups: int,
        whole: int,
    ) -> Need:
        """A ``PairMachine`` over ``2^cells`` cells of every sample, ``whole`` bytes for each."""
        shape, memory = self.witness.shape, self.witness.memory
        at_once, least, samples = self._range(names, tables)
        inner = shape.log_batch + cells
        shared = inner if samples >= 1 << shape.log_batch else samples.bit_length() - 1 + cells
        live = shape.steps << inner
        parts = isinstance(op, Product) and samples < shape.steps << shape.log_batch
        bound = kept_from(groups, live, shared, memory, integers=parts)
        return Need(
            name_of(op),
            4 * E * groups << shape.log_steps,
            whole * live,
            KEPT * groups * live >> max(2, bound),
            bound // 2 + 1,
            at_once,
            least,
        )

    def _ranged(self, op: Operation, names: tuple[str, ...], tables: int, resident: int) -> Need:
        """What is contracted range by range, once for every claim."""
        at_once, least, _ = self._range(names, tables)
        return Need(name_of(op), resident, 0, 0, 1, at_once, least)

    def _range(self, names: tuple[str, ...], tables: int) -> tuple[int, int, int]:
        """Bytes of the longest range and of one sample, and the range's samples."""
        witness, shape = self.witness, self.witness.shape
        one = tables + (0 if witness.keeps else witness.needs(names))
        samples = next(witness.cut(names, tables)).count  # the first one is the longest
        least = next(cut(shape, 1)).count * one
        return samples * one, least, samples
