"""The statement of an evaluation: which counts of labels and predictions the weights have on the
records of a committed dataset."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arguments.tensors import Shape
from ..circuit.circuit import Circuit
from ..circuit.evaluation import Evaluation
from ..commitment.packing import Packing, total_log
from ..dataset.commitment import DatasetHeader
from ..errors import MalformedProof
from ..wire import VERSION
from .segment import SegmentHeader
from .statement import (
    AUTO_SEGMENT_LOG,
    MAX_SECURITY_BITS,
    MAX_SEGMENT_LOG,
    MAX_SEGMENT_SAMPLES,
    MAX_SEGMENTS,
    MIN_SECURITY_BITS,
    Provable,
    segment_tensors,
)

FORMAT = f"zktrain-evaluation-{VERSION}"
PROTOCOL = {
    False: f"zktrain evaluation v{VERSION}",
    True: f"zktrain hiding evaluation v{VERSION}",
}
"""Protocol string without and with zero knowledge."""
_STATEMENT = f"zktrain evaluation statement v{VERSION}\0".encode()
MAX_COUNTS = 1 << 20
"""Numbers in all matrices of a statement together."""
MAX_STATEMENT_BYTES = 1 << 22
"""More than so many counts that add up to the records of a dataset ever take."""

Counts = tuple[tuple[int, ...], ...]
"""Records by label (outer) and prediction (inner)."""


def auto_segment_records(program: Evaluation, records: int) -> int:
    """The smallest power of two that holds all records, or the largest one whose segment has at
    most ``2^26`` cells."""
    size = 1
    while size < min(records, MAX_SEGMENT_SAMPLES):
        if total_log(segment_tensors(program, Shape(1, 2 * size))) > AUTO_SEGMENT_LOG:
            break
        size *= 2
    return size


@dataclass(frozen=True)
class EvaluationStatement(Provable):
    """What a proof of an evaluation claims: on the dataset's records, in file order and in segments
    of ``segment_records``, the network of ``circuit`` with the weights whose digest is ``weights``
    has these ``confusion`` matrices, one for every segment."""

    circuit: Evaluation
    dataset: DatasetHeader
    weights: str
    segment_records: int
    confusion: tuple[Counts, ...]
    security_bits: int
    zero_knowledge: bool = False

    def to_json(self) -> bytes:
        fields: dict[str, Any] = {
            "format": FORMAT,
            "circuit": self.circuit.circuit.id,
            "dataset": self.dataset.root.hex(),
            "weights": self.weights,
            "segment_records": self.segment_records,
            "confusion": self.confusion,
            "security_bits": self.security_bits,
            "zero_knowledge": self.zero_knowledge,
        }
        return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()

    @staticmethod
    def from_json(data: bytes, circuit: Circuit, dataset: DatasetHeader) -> EvaluationStatement:
        """Strict; raises :class:`MalformedProof`."""
        try:
            if len(data) > MAX_STATEMENT_BYTES:
                raise ValueError("too long")
            fields = json.loads(data)
            statement = EvaluationStatement(
                Evaluation(circuit),
                dataset,
                fields["weights"],
                fields["segment_records"],
                tuple(tuple(map(tuple, matrix)) for matrix in fields["confusion"]),
                fields["security_bits"],
                fields["zero_knowledge"],
            )
            numbers = [statement.segment_records, statement.security_bits]
            numbers += [n for matrix in statement.confusion for row in matrix for n in row]
            if any(type(n) is not int for n in numbers):
                raise ValueError("wrong type")
            if type(statement.zero_knowledge) is not bool:
                raise ValueError("wrong type")
            text = statement.weights
            if len(text) != 64 or bytes.fromhex(text).hex() != text:
                raise ValueError("not a digest")
            canonical = statement.to_json() == data
        except (ValueError, KeyError, TypeError, RecursionError):
            raise MalformedProof(
                "the statement of the evaluation is not valid", stage="statement"
            ) from None
        if not canonical:
            raise MalformedProof(
                "the statement is not canonical, or names another circuit or dataset",
                stage="statement",
            )
        problem = statement.problem()
        if problem is not None:
            raise MalformedProof(problem, stage="statement")
        return statement

    def misfit(self) -> str | None:
        size, circuit, dataset = self.segment_records, self.circuit.circuit, self.dataset
        if not 1 <= size <= MAX_SEGMENT_SAMPLES or size & (size - 1):
            return (
                f"segment_records is {size}; it must be a power of two, at most "
                f"{MAX_SEGMENT_SAMPLES}"
            )
        if not MIN_SECURITY_BITS <= self.security_bits <= MAX_SECURITY_BITS:
            return (
                f"security_bits is {self.security_bits}; it must be from {MIN_SECURITY_BITS} to "
                f"{MAX_SECURITY_BITS}"
            )
        if dataset.features != circuit.features:
            return (
                f"the dataset has {dataset.features} inputs per record, "
                f"the network takes {circuit.features}"
            )
        if dataset.classes != circuit.classes:
            return f"the dataset has {dataset.classes} classes, the network {circuit.classes}"
        if self.zero_knowledge and not dataset.hiding:
            return (
                "the dataset's commitment does not hide it, so the proof cannot: prove with "
                "--no-zk, or commit without --public"
            )
        count = -(-dataset.records // size)
        if count > MAX_SEGMENTS or count * circuit.classes**2 > MAX_COUNTS:
            return (
                f"{count} segments with {circuit.classes} classes have too many counts to "
                f"publish: use segments of more records, or fewer records"
            )
        if total_log(segment_tensors(self.circuit, self.shape(0))) > MAX_SEGMENT_LOG:
            return (
                f"a segment of {size} records has more than 2^{MAX_SEGMENT_LOG} cells; "
                "use fewer records"
            )
        return self._miscount()

    def _miscount(self) -> str | None:
        classes = self.circuit.circuit.classes
        if len(self.confusion) != len(self.segments):
            return f"there are {len(self.segments)} segments, but {len(self.confusion)} matrices"
        for number, (matrix, (_, records)) in enumerate(
            zip(self.confusion, self.segments, strict=True)
        ):
            if len(matrix) != classes or any(len(row) != classes for row in matrix):
                return f"the confusion matrix of segment {number} is not {classes} by {classes}"
            if any(not 0 <= n <= records for row in matrix for n in row):
                return f"a count of segment {number} is not from 0 to {records}"
            if sum(map(sum, matrix)) != records:
                return f"the counts of segment {number} do not add up to its {records} records"
        return None

    def _with_bits(self, bits: int) -> EvaluationStatement:
        return replace(self, security_bits=bits)

    @property
    def protocol(self) -> str:
        return PROTOCOL[self.zero_knowledge]

    @cached_property
    def digest(self) -> bytes:
        return hashlib.sha256(_STATEMENT + self.to_json()).digest()

    @cached_property
    def segments(self) -> tuple[tuple[int, int], ...]:
        """First record and number of records of every segment."""
        size, total = self.segment_records, self.dataset.records
        return tuple((first, min(size, total - first)) for first in range(0, total, size))

    def shape(self, segment: int) -> Shape:
        """One step whose batch are the records of the segment."""
        return Shape(1, self.segments[segment][1])

    def packing(self, segment: int) -> Packing:
        """Only the real records of a tensor are encoded, as far as lanes allow."""
        shape, graph = self.shape(segment), self.circuit.graph()
        committed = {tensor.name for tensor in graph.tensors}
        tensors = [
            (name, size, shape.batch << (size - shape.log_batch) if name in committed else used)
            for name, size, used in segment_tensors(self.circuit, shape)
        ]
        return self._pack(tensors)

    def order(self, segment: int) -> NDArray[np.int64]:
        """File order."""
        first, records = self.segments[segment]
        return np.arange(first, first + records, dtype=np.int64).reshape(1, records)

    def committed_sides(self, segment: int) -> tuple[str, ...]:
        """The weights are public."""
        return ()

    def counts(self, segment: int) -> NDArray[np.int64]:
        return np.array(self.confusion[segment], dtype=np.int64)

    @cached_property
    def headers(self) -> tuple[SegmentHeader, ...]:
        """What the segments' proofs absorb. All of it follows from the statement."""
        weights = bytes.fromhex(self.weights)
        out: list[SegmentHeader] = []
        for number, (first, records) in enumerate(self.segments):
            previous = out[-1].digest if out else self.digest
            out.append(SegmentHeader(number, first, records, weights, weights, previous))
        return tuple(out)

    @property
    def matrix(self) -> Counts:
        """The sum over all segments."""
        return total(self.confusion)

    @property
    def correct(self) -> int:
        """Records whose label is the prediction."""
        return sum(row[k] for matrix in self.confusion for k, row in enumerate(matrix))

    @property
    def accuracy(self) -> float:
        """Their share."""
        return self.correct / self.dataset.records


def total(matrices: Sequence[Counts]) -> Counts:
    """The sum of several matrices of one size."""
    return tuple(tuple(map(sum, zip(*rows, strict=True))) for rows in zip(*matrices, strict=True))
