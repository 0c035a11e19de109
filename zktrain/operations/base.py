"""What every operation is, one training step as a graph of them, and what their proofs share.

To a matrix product the places of the grid are samples, the taps are units.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ..arguments.claims import Ledger, WeightLedger
from ..arguments.records import DatasetClaim
from ..arguments.tensors import Shape, Tensor
from ..arguments.time_filter import PlainSteps, TimeFilter
from ..field.extension import Ext, Point
from ..field.forms import Scalar
from ..transcript.channel import VerifierChannel
from .reach import Bounds, Reaches
from .selection import Selections

if TYPE_CHECKING:
    from .reverse import Error, Reverse


class Operation(Protocol):
    """One relation between tensors of a step; ``operations`` lists them all."""

    def inputs(self) -> tuple[str, ...]:
        """Tensors and weights that it makes claims on."""
        ...

    def outputs(self) -> tuple[str, ...]:
        """Tensors and weights whose claims it consumes; what it is called by comes first."""
        ...

    def reach(self, bounds: Bounds) -> Reaches:
        """How large its outputs can be, from its inputs; of one without outputs, how large what it
        names can be."""
        ...

    def verify(self, channel: VerifierChannel, context: Context) -> None:
        """Reduce all claims on the outputs to claims on the inputs."""
        ...


@runtime_checkable
class Defining(Operation, Protocol):
    """An operation that gives the values of a tensor."""

    @property
    def output(self) -> str:
        """The tensor."""
        ...

    def reverse(self, back: Reverse, error: Error) -> None:
        """Give its inputs that need one their errors, from that of its output."""
        ...


@runtime_checkable
class Applied(Protocol):
    """An operation that is the same on arrays and on torch's tensors."""

    def apply(self, tensors: Mapping[str, Tensor], value: Callable[[str], Any]) -> Any:
        """Cells of the output, from those of the inputs: ``(..., *axes)``, without padding."""
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

    def claim_order(self) -> list[Operation]:
        """Operations so that all claims on an output exist before its operation is reached; without
        lookups, which are proved before.

        Claims flow from outputs to inputs; a weight is the output of its ``Accumulate`` or
        ``Fixed``.
        """
        waiting = [op for op in self.operations if op.inputs() or op.outputs()]
        consumers = Counter(name for op in waiting for name in op.inputs())
        done: list[Operation] = []
        while waiting:
            for place, op in enumerate(waiting):
                if not any(consumers[name] for name in op.outputs()):
                    done.append(op)
                    consumers.subtract(op.inputs())
                    del waiting[place]
                    break
            else:
                raise ValueError("the step graph has a cycle of claims")
        return done


def name_of(op: Operation) -> str:
    """What a profile calls an operation: its kind and what it defines."""
    return f"{type(op).__name__.lower()} {(*op.outputs(), *op.inputs())[0]}"


def _not_given(step: int, name: str, point: Point) -> None:
    return None


class Ends:
    """Public weights at both ends (``start``, ``end``) and those that no step changes (``fixed``),
    each evaluated once; ``checkpoint`` are those after a step, as a parameter's extension, None
    where they are not given."""

    def __init__(
        self,
        values: Callable[[str, str, Point], Scalar],
        checkpoint: Callable[[int, str, Point], Ext | None] = _not_given,
    ) -> None:
        self._values = values
        self._known: dict[tuple[str, str, Point], Scalar] = {}
        self.checkpoint = checkpoint

    def value(self, side: str, name: str, point: Point) -> Scalar:
        """Of the parameter's extension."""
        key = (side, name, point)
        if key not in self._known:
            self._known[key] = self._values(side, name, point)
        return self._known[key]


def _unknown(side: str, name: str, point: Point) -> Scalar:
    raise ValueError(f"the {side} weights are not given")


def _no_steps() -> PlainSteps:
    return PlainSteps(np.zeros(0, dtype=np.uint64))


def _no_records() -> Selections:
    return Selections(tuple, Shape(0, 0))


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """A run of steps as both sides know it, and its open claims: on tensors in the ``ledger``, on
    ``weights`` of the steps, on the ``dataset``; ``ends`` has the public weights.

    ``time_filters`` say how the updates of a weight (by its name) and of its bias add up, ``order``
    has the records of every step, out of ``2^log_records``, ``counts`` is the public matrix of a
    ``Tally``, ``checkpoints`` are the steps after which weights are published, increasing, none of
    them the last.
    """

    graph: StepGraph
    shape: Shape
    ledger: Ledger
    time_filters: Callable[[str], TimeFilter] = field(default_factory=lambda: lambda _: _no_steps())
    log_records: int = 0
    order: Selections = field(default_factory=_no_records)
    counts: NDArray[np.int64] | None = None
    ends: Ends = field(default_factory=lambda: Ends(_unknown))
    weights: WeightLedger = field(default_factory=WeightLedger)
    dataset: list[DatasetClaim] = field(default_factory=list)
    checkpoints: tuple[int, ...] = ()

    def tensor(self, name: str) -> Tensor:
        """Of the graph."""
        return self.graph.tensor(name)
