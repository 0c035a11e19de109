"""The provers of the operations, in files of the same names: ``prove`` mirrors ``verify``.

Where an operation defines a virtual tensor, ``values`` computes its padded cells. ``work`` counts
in advance what ``prove`` does.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Protocol, cast

from numpy.typing import NDArray

from ...cost.parts import Work
from ...operations import OPERATIONS
from ...operations.base import Context, Operation
from ..transcript.channel import ProverChannel
from .base import Given, Sizes, Tensors


class Twin(Protocol):
    """A module of this folder; ``op`` is of its operation's class."""

    def prove(self, op: Any, channel: ProverChannel, context: Context, given: Given) -> None:
        """Send what ``verify`` receives."""
        ...

    def values(self, op: Any, tensors: Tensors) -> NDArray[Any]:
        """The padded integers of the output in a range."""
        ...

    def work(self, op: Any, sizes: Sizes) -> Work:
        """What ``prove`` does."""
        ...


TWINS: dict[type[Operation], Twin] = {
    kind: cast(Twin, import_module(f".{kind.__module__.rpartition('.')[2]}", __name__))
    for kind in OPERATIONS
}


def twin(op: Operation) -> Twin:
    """The prover of an operation."""
    return TWINS[type(op)]
