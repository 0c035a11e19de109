"""What the provers of operations share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ...arguments.tensors import Shape
from ...field.extension import Ext, Point
from ...operations.base import StepGraph
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
