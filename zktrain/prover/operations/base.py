"""What the provers of operations share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ...arguments.tensors import Shape, Tensor, log_grid, log_units
from ...cost.parts import Work
from ...dataset.commitment import DatasetHeader
from ...field.extension import Ext, Point
from ...operations.base import Operation, StepGraph, name_of
from ...protocol.dry import SegmentClaims
from ..operands import Operand


class Witness(Protocol):
    """The prover's integer tensors, padded, committed or computed from committed ones."""

    @property
    def graph(self) -> StepGraph:
        """What the tensors are."""
        ...

    @property
    def shape(self) -> Shape:
        """Steps and samples."""
        ...

    def tensor(self, name: str) -> NDArray[Any]:
        """Shape ``(2^log_steps, 2^log_batch[, 2^log_width])``."""
        ...

    def operand(self, name: str) -> Operand:
        """The tensor as a factor of a matrix product, in memory or not."""
        ...

    def evaluate(self, name: str, point: Point) -> Ext:
        """The tensor's extension."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """What only the prover knows: the tensors, the padded first weights of the segment (those that
    no step changes included), the dataset's committed columns ``(2^units, 2^records)`` and its
    blinding records ``(units, 2^blinding_log)`` by source."""

    witness: Witness
    weights: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    blinding: Mapping[str, NDArray[np.int64]] | None = None


def smallest(cells: NDArray[Any]) -> NDArray[Any]:
    """In the smallest signed type that holds all cells."""
    low, high = int(cells.min()), int(cells.max())
    for candidate in (np.int8, np.int16, np.int32):
        limits = np.iinfo(candidate)
        if limits.min <= low and high <= limits.max:
            return cells.astype(candidate)
    return cells.astype(np.int64)


_EVERY = (slice(None), slice(None))
"""Padded steps and samples too."""


def real(witness: Witness, tensor: Tensor) -> NDArray[Any]:
    """The cells ``(2^log_steps, 2^log_batch, *axes)``."""
    cells: NDArray[Any] = witness.tensor(tensor.name)[_EVERY + witness.shape.real(tensor)[2:]]
    return cells


def padded(witness: Witness, tensor: Tensor, cells: NDArray[Any]) -> NDArray[Any]:
    """All axes padded."""
    out = np.zeros(witness.shape.dims(tensor), dtype=cells.dtype)
    out[_EVERY + witness.shape.real(tensor)[2:]] = cells
    return smallest(out)


@dataclass(frozen=True, slots=True)
class Segment:
    """What is known of a segment before it is proved: sizes, and how many claims there will be."""

    graph: StepGraph
    shape: Shape
    claims: SegmentClaims
    header: DatasetHeader

    @property
    def samples(self) -> int:
        """Of all steps, padded."""
        return 1 << (self.shape.log_batch + self.shape.log_steps)

    def units(self, name: str) -> int:
        """Of a sample at one place, taps included, padded."""
        return 1 << log_units(self.graph.tensor(name))

    def places(self, name: str) -> int:
        """Of the grid, padded."""
        return 1 << log_grid(self.graph.tensor(name))

    def cells(self, name: str) -> int:
        """Of a tensor, padded."""
        return 1 << self.shape.log_size(self.graph.tensor(name))

    def work(
        self,
        op: Operation,
        kind: str,
        amounts: Mapping[str, float],
        cells: int = 0,
        multiplications: float = 0.0,
        **more: Any,
    ) -> Work:
        """Of an operation that goes through ``cells`` cells of 16 bits."""
        place = ("relations", name_of(op))
        return Work(place, kind, amounts, multiplications, 2.0 * cells, **more)


def no_work(op: Operation, segment: Segment) -> Work:
    """Of an operation that goes through nothing."""
    return segment.work(op, "linear", {"calls": 1})
