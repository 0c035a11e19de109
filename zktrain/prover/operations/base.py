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
from ...protocol.dry import Claims
from ..operands import Operand
from ..ranges import Range


class Tensors(Protocol):
    """The prover's integer tensors of a range, padded: committed, or computed from such."""

    @property
    def at(self) -> Range:
        """The range."""
        ...

    @property
    def shape(self) -> Shape:
        """Steps and samples of the run."""
        ...

    def described(self, name: str) -> Tensor:
        """The tensor as the graph has it."""
        ...

    def tensor(self, name: str) -> NDArray[Any]:
        """Shape ``at.dims``."""
        ...

    def operand(self, name: str) -> Operand:
        """The tensor as a factor of a matrix product, in memory or not."""
        ...


class Witness(Protocol):
    """The prover's tensors of a run, range by range; cells beyond its steps are 0."""

    @property
    def memory(self) -> int | None:
        """Bytes that proofs may take besides; messages do not depend on it."""
        ...

    def ranges(self, names: tuple[str, ...], tables: int = 0) -> list[Range]:
        """Cut so that these tensors fit, and ``tables`` bytes per sample besides."""
        ...

    def view(self, at: Range) -> Tensors:
        """The tensors of one range."""
        ...

    def evaluate(self, name: str, point: Point) -> Ext:
        """The tensor's extension."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """What only the prover knows: the tensors, the padded first weights (those that no step changes
    included), and the dataset's committed columns ``(2^units, 2^records)`` by source."""

    witness: Witness
    weights: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)


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


def real(tensors: Tensors, name: str) -> NDArray[Any]:
    """The cells of the range, ``(steps, 2^log_batch, *axes)``."""
    axes = tuple(map(slice, tensors.described(name).axes))
    cells: NDArray[Any] = tensors.tensor(name)[_EVERY + axes]
    return cells


def padded(tensors: Tensors, name: str, cells: NDArray[Any]) -> NDArray[Any]:
    """All axes padded."""
    tensor = tensors.described(name)
    out = np.zeros(tensors.at.dims(tensor), dtype=cells.dtype)
    out[_EVERY + tuple(map(slice, tensor.axes))] = cells
    return smallest(out)


@dataclass(frozen=True, slots=True)
class Sizes:
    """What is known before anything is proved, and how many claims there will be."""

    graph: StepGraph
    shape: Shape
    claims: Claims
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


def no_work(op: Operation, sizes: Sizes) -> Work:
    """Of an operation that goes through nothing."""
    return sizes.work(op, "linear", {"calls": 1})
