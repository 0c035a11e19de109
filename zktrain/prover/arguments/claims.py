"""What provers know of the tensors that claims are about."""

from __future__ import annotations

from typing import Any, Protocol

from numpy.typing import NDArray

from ...field.extension import Ext, Point
from ..operands import Operand


class Witness(Protocol):
    """The prover's integer tensors, padded, committed or computed from committed ones."""

    def tensor(self, name: str) -> NDArray[Any]:
        """Shape ``(2^log_steps, 2^log_batch[, 2^log_width])``."""
        ...

    def operand(self, name: str) -> Operand:
        """The tensor as a factor of a matrix product, in memory or not."""
        ...

    def evaluate(self, name: str, point: Point) -> Ext: ...
