"""What every operation is, and one training step as a graph of them.

To a matrix product the places of the grid are samples, the taps are units.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ..arguments.tensors import Tensor


class Operation(Protocol):
    """One relation between tensors of a step; ``operations`` lists them all."""

    def inputs(self) -> set[str]:
        """Tensors and weights that it makes claims on."""
        ...

    def outputs(self) -> set[str]:
        """Tensors and weights whose claims it consumes."""
        ...


@dataclass(frozen=True, slots=True)
class StepGraph:
    """One training step as tensors and operations, in the order of execution; ``logits`` are the
    network's output."""

    tensors: tuple[Tensor, ...]
    operations: tuple[Operation, ...]
    logits: str = ""

    def tensor(self, name: str) -> Tensor:
        for tensor in self.tensors:
            if tensor.name == name:
                return tensor
        raise KeyError(name)
