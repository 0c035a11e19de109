"""What a proof can be about: that a network was trained, or how it answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from ..arguments.tensors import Shape
from ..arguments.time_filter import PlainSteps, TimeFilter
from ..circuit.bounds import MAX_CHECKPOINTS, MAX_SAMPLES
from ..circuit.circuit import Circuit
from ..circuit.evaluation import evaluation_graph
from ..circuit.order import batches, permuted
from ..dataset.commitment import DatasetHeader
from ..operations.base import StepGraph
from ..optimizers.base import Rule

MAX_PERMUTED = 1 << 28
"""Records of all permutations of a run together: what the order costs a verifier."""
MAX_EPOCHS = 1 << 16
"""Permutations of a run: what small datasets cost a verifier."""
MAX_COUNTS = 1 << 20
"""Numbers in a confusion matrix."""

Counts = tuple[tuple[int, ...], ...]
"""Records by label (outer) and prediction (inner)."""
Weights = dict[str, NDArray[np.int64]]


class Task(Protocol):
    """One kind of claim about a circuit, a dataset and public weights."""

    KIND: ClassVar[str]
    """Its name in the text of a statement."""

    @property
    def circuit(self) -> Circuit:
        """Whose network it is about."""
        ...

    @classmethod
    def read(cls, fields: dict[str, Any], circuit: Circuit) -> Self:
        """From the text of a statement; ``ValueError``, ``KeyError`` or ``TypeError`` for what no
        task states."""
        ...

    def stated(self) -> dict[str, Any]:
        """What ``read`` reads."""
        ...

    def misfit(self, dataset: DatasetHeader) -> str | None:
        """Why it cannot be claimed of this dataset, or None."""
        ...

    def graph(self) -> StepGraph:
        """The operations of one step."""
        ...

    def shape(self, dataset: DatasetHeader) -> Shape:
        """Steps, and samples in each."""
        ...

    def order(self, dataset: DatasetHeader) -> Iterable[NDArray[np.int64]]:
        """The records of every step, in pieces ``(steps, batch)``."""
        ...

    def time_filters(self, log_steps: int) -> Callable[[str], TimeFilter]:
        """How the weights of the steps depend on the first ones and on the gradients, by the weight
        of the layer, in ``2^log_steps`` padded steps."""
        ...

    def counts(self) -> NDArray[np.int64] | None:
        """The public counts, where the graph has any."""
        ...

    @property
    def checkpoint_steps(self) -> tuple[int, ...]:
        """The steps after which weights are published beside the last ones."""
        ...


def _read_digest(text: Any) -> str:
    if not isinstance(text, str) or len(text) != 64 or bytes.fromhex(text).hex() != text:
        raise ValueError("not a digest")
    return text


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """After so many steps a training has the weights with digest ``weights``."""

    step: int
    weights: str

    @classmethod
    def read(cls, value: Any) -> Checkpoint:
        """Of the text of a statement; errors as of ``Task.read``."""
        step, text = value
        if type(step) is not int:
            raise ValueError("not a step")
        return cls(step, _read_digest(text))


@dataclass(frozen=True)
class Training:
    """Training ``circuit`` from the weights with digest ``initial`` ends in the weights with digest
    ``final``, and has those of the ``checkpoints`` on its way.

    A proof binds a checkpoint only for who compares its file: see ``protocol.proof``."""

    circuit: Circuit
    initial: str
    final: str
    checkpoints: tuple[Checkpoint, ...] = ()

    KIND: ClassVar[str] = "training"

    @classmethod
    def read(cls, fields: dict[str, Any], circuit: Circuit) -> Training:
        """See ``Task``."""
        checkpoints = tuple(map(Checkpoint.read, fields.get("checkpoints", ())))
        ends = _read_digest(fields["initial"]), _read_digest(fields["final"])
        return cls(circuit, *ends, checkpoints)

    def stated(self) -> dict[str, Any]:
        """See ``Task``; without checkpoints nothing is said of them."""
        fields: dict[str, Any] = {"initial": self.initial, "final": self.final}
        if self.checkpoints:
            fields["checkpoints"] = [[kept.step, kept.weights] for kept in self.checkpoints]
        return fields

    def misfit(self, dataset: DatasetHeader) -> str | None:
        """See ``Task``."""
        circuit, records = self.circuit, dataset.records
        if circuit.drop_last and records < circuit.batch_size:
            return (
                f"an epoch of {records} records has no whole batch of "
                f'{circuit.batch_size}; lower batch_size, or set last_batch = "wrap"'
            )
        drawn = permuted(records, circuit.batch_size, circuit.steps, drop_last=circuit.drop_last)
        if drawn > min(MAX_PERMUTED, MAX_EPOCHS * records):
            return (
                f"the order of the run permutes {drawn} records, more than {MAX_PERMUTED} or than "
                f"those of {MAX_EPOCHS} epochs; train fewer epochs"
            )
        return self._checkpoint_problem()

    def _checkpoint_problem(self) -> str | None:
        steps, last = self.checkpoint_steps, self.circuit.steps
        if len(steps) > MAX_CHECKPOINTS:
            return f"a run has at most {MAX_CHECKPOINTS} checkpoints, not {len(steps)}; keep fewer"
        if not all(before < after for before, after in pairwise((0, *steps, last))):
            return f"the steps of checkpoints must increase, after 0 and before the last, {last}"
        return None

    def graph(self) -> StepGraph:
        """See ``Task``."""
        return self.circuit.graph()

    def shape(self, dataset: DatasetHeader) -> Shape:
        """See ``Task``."""
        return Shape(self.circuit.steps, self.circuit.batch_size)

    def order(self, dataset: DatasetHeader) -> Iterable[NDArray[np.int64]]:
        """The batches of the public order."""
        circuit = self.circuit
        return batches(
            circuit.order_seed,
            dataset.records,
            circuit.batch_size,
            0,
            circuit.steps,
            drop_last=circuit.drop_last,
        )

    def time_filters(self, log_steps: int) -> Callable[[str], TimeFilter]:
        """See ``Task``."""
        circuit = self.circuit

        @cache
        def known(rule: Rule) -> TimeFilter:
            return rule.time_filter(circuit, 0, circuit.steps, log_steps)

        return lambda weight: known(circuit.optimizer.of(circuit, weight))

    def counts(self) -> None:
        """There are none."""
        return

    @property
    def checkpoint_steps(self) -> tuple[int, ...]:
        """See ``Task``."""
        return tuple(kept.step for kept in self.checkpoints)


@dataclass(frozen=True)
class Evaluation:
    """On all records of the dataset, in file order, the network of ``circuit`` with the weights
    whose digest is ``weights`` has this ``confusion`` matrix. Nothing else of the circuit
    matters."""

    circuit: Circuit
    weights: str
    confusion: Counts

    KIND: ClassVar[str] = "evaluation"

    @classmethod
    def read(cls, fields: dict[str, Any], circuit: Circuit) -> Evaluation:
        """See ``Task``."""
        matrix = tuple(map(tuple, fields["confusion"]))
        if any(type(count) is not int for row in matrix for count in row):
            raise ValueError("wrong type")
        return cls(circuit, _read_digest(fields["weights"]), matrix)

    def stated(self) -> dict[str, Any]:
        """See ``Task``."""
        return {"weights": self.weights, "confusion": self.confusion}

    def misfit(self, dataset: DatasetHeader) -> str | None:
        """See ``Task``."""
        classes, records, matrix = self.circuit.classes, dataset.records, self.confusion
        if classes**2 > MAX_COUNTS:
            return f"a network of {classes} classes has too many counts to publish"
        if records > MAX_SAMPLES:
            return f"an evaluation is of at most {MAX_SAMPLES} records; use fewer"
        if len(matrix) != classes or any(len(row) != classes for row in matrix):
            return f"the confusion matrix is not {classes} by {classes}"
        if any(not 0 <= count <= records for row in matrix for count in row):
            return f"a count is not from 0 to {records}"
        if sum(map(sum, matrix)) != records:
            return f"the counts do not add up to the {records} records of the dataset"
        return None

    def graph(self) -> StepGraph:
        """See ``Task``."""
        return evaluation_graph(self.circuit)

    def shape(self, dataset: DatasetHeader) -> Shape:
        """One step whose batch are all records."""
        return Shape(1, dataset.records)

    def order(self, dataset: DatasetHeader) -> Iterable[NDArray[np.int64]]:
        """File order."""
        return [np.arange(dataset.records, dtype=np.int64).reshape(1, -1)]

    def time_filters(self, log_steps: int) -> Callable[[str], TimeFilter]:
        """Nothing is trained: weights stay."""
        still = PlainSteps(np.zeros(1 << log_steps, dtype=np.uint64))
        return lambda _: still

    def counts(self) -> NDArray[np.int64]:
        """The confusion matrix."""
        return np.array(self.confusion, dtype=np.int64)

    @property
    def checkpoint_steps(self) -> tuple[()]:
        """There are none."""
        return ()

    @property
    def records(self) -> int:
        """How many were counted."""
        return sum(map(sum, self.confusion))

    @property
    def correct(self) -> int:
        """Records whose label is the prediction."""
        return sum(row[k] for k, row in enumerate(self.confusion))

    @property
    def accuracy(self) -> float:
        """Their share."""
        return self.correct / self.records


TASKS: tuple[type[Training] | type[Evaluation], ...] = (Training, Evaluation)
