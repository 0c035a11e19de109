"""The statement of a bundle and everything that both sides derive from it."""

from __future__ import annotations

import hashlib
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from functools import cache, cached_property, lru_cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..arguments import lookup
from ..arguments.records import RecordAxis
from ..arguments.tensors import Shape, log_width
from ..arguments.time_filter import PlainSteps, TimeFilter
from ..circuit.bounds import MAX_SEGMENT_LOG as MAX_SEGMENT_LOG
from ..circuit.bounds import MAX_SEGMENT_SAMPLES as MAX_SEGMENT_SAMPLES
from ..circuit.bounds import MAX_SEGMENTS as MAX_SEGMENTS
from ..circuit.circuit import Circuit
from ..circuit.order import batch_indices, permuted
from ..commitment import opening
from ..commitment.hiding import Layout
from ..commitment.packing import Packing, pack, total_log
from ..commitment.parameters import (
    HIDING_LANE_LOG_MIN,
    LANE_LOG_MIN,
    ROW_LOG,
    SCHEME,
    Plan,
    carried_tail_for,
)
from ..dataset.commitment import DatasetHeader
from ..errors import MalformedProof, RecipeError
from ..operations.base import StepGraph
from ..operations.lookup import entries_of
from ..optimizers.base import Rule
from ..tables import TABLES
from ..wire import VERSION
from . import dry, soundness
from .certificate import certificate_terms
from .dry import SegmentClaims

FORMAT = f"zktrain-statement-{VERSION}"
PROTOCOL = {
    False: f"zktrain proof v{VERSION}",
    True: f"zktrain hiding proof v{VERSION}",
}
"""Protocol string without and with zero knowledge."""
QUERY_TERMS = 6
"""Terms of an opening that need about the same bits: those of its levels, pads, lookup keys."""
BOUNDARY_OPENINGS = 4
"""Openings that the randomness of a segment's own commitments allows: a boundary is opened by two
segments, and again by each that is proved anew."""
MIN_SECURITY_BITS, MAX_SECURITY_BITS = 80, 120
AUTO_SEGMENT_LOG = 26
MAX_SEGMENT_EPOCHS = 1 << 14
MAX_PERMUTED = 1 << 34
"""Records of all permutations of a run together. Each is drawn once, however a run is cut, so this
bounds what the order costs a verifier."""


def _largest(first: int, last: int, good: Callable[[int], bool]) -> int | None:
    """The largest number of ``first..last`` that is good, if those up to one are; None if none."""
    found = None
    while first <= last:
        middle = (first + last) // 2
        if good(middle):
            found, first = middle, middle + 1
        else:
            last = middle - 1
    return found


def segment_tensors(circuit: Program, shape: Shape) -> list[tuple[str, int, int]]:
    """``(name, log size, used cells)`` of everything a segment commits to."""
    out = []
    for tensor in circuit.graph().tensors:
        if tensor.committed:
            size = shape.log_size(tensor)
            per_step = 1 << (size - shape.log_steps)
            out.append((tensor.name, size, shape.steps * per_step))
    for table in lookup.tables_of(lookup_entries(circuit, shape)):
        size = TABLES[table].log_size
        out.append((lookup.multiplicity(table), size, 1 << size))
    return out


def lookup_entries(circuit: Program, shape: Shape) -> list[lookup.Entry]:
    """The lookups of a segment, in the order of the graph."""
    return entries_of(circuit.graph(), shape)


@lru_cache(maxsize=64)
def _claims(
    circuit: Program, shape: Shape, sides: tuple[str, ...], records: RecordAxis
) -> SegmentClaims:
    return dry.count(circuit.graph(), shape, sides, records)


def _most_samples(records: int) -> int:
    """What one segment may draw: the verifier's work before it has checked anything."""
    return min(MAX_SEGMENT_SAMPLES, MAX_SEGMENT_EPOCHS * records)


def auto_segment_steps(circuit: Circuit, records: int) -> int:
    """The largest power of two whose segment has at most ``2^26`` cells, at most the run's
    length, and within what a segment may draw; what the circuit says where it restarts."""
    if circuit.optimizer.segment_steps is not None:
        return circuit.optimizer.segment_steps
    steps = 1
    while steps < circuit.steps:
        shape = Shape(2 * steps, circuit.batch_size)
        cells_log = total_log(segment_tensors(circuit, shape))
        if cells_log > AUTO_SEGMENT_LOG or shape.steps * shape.batch > _most_samples(records):
            break
        steps *= 2
    return steps


class Program(Hashable, Protocol):
    """What a segment proves, besides data and weights: a graph with its parameters."""

    def graph(self) -> StepGraph:
        """Of one step."""
        ...

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape by parameter name."""
        ...

    def trained_shapes(self) -> dict[str, tuple[int, ...]]:
        """Of those, the ones that steps change."""
        ...


class Provable(ABC):
    """What segments and closing proof need of a statement, derived from its sizes: packings, padded
    scalars, work, error terms."""

    circuit: Program
    dataset: DatasetHeader
    security_bits: int
    zero_knowledge: bool

    @property
    @abstractmethod
    def protocol(self) -> str:
        """Protocol string; the kind of proof follows it."""

    @property
    @abstractmethod
    def digest(self) -> bytes:
        """SHA-256 of everything that is stated."""

    @property
    @abstractmethod
    def segments(self) -> tuple[tuple[int, int], ...]:
        """Where every segment begins, and how long it is."""

    @abstractmethod
    def shape(self, segment: int) -> Shape:
        """Steps and samples of a segment."""

    @abstractmethod
    def order(self, segment: int) -> NDArray[np.int64]:
        """Records of every step of the segment, ``(steps, batch)``."""

    def time_filters(self, segment: int) -> Callable[[str], TimeFilter]:
        """How the weights of the segment's steps depend on its first ones and on its gradients, by
        the weight of the layer; where nothing is trained they stay."""
        still = PlainSteps(np.zeros(1 << self.shape(segment).log_steps, dtype=np.uint64))
        return lambda _: still

    @abstractmethod
    def committed_sides(self, segment: int) -> tuple[str, ...]:
        """Ends of the segment with committed weights."""

    def counts(self, segment: int) -> NDArray[np.int64] | None:
        """The public counts of the segment, where its graph has any."""
        return None

    def problem(self) -> str | None:
        """Why this cannot be proved, or None."""
        return self.misfit() or self.weakness()

    @abstractmethod
    def misfit(self) -> str | None:
        """Why no proof can be about this, whatever its target; or None."""

    def weakness(self) -> str | None:
        """The target that the sizes miss, or None; only asked of what has no misfit."""
        if self.union_bits >= self.security_bits:
            return None
        return (
            f"these sizes reach {self.union_bits:.1f} bits of security, "
            f"{self.security_bits} are asked"
        )

    @abstractmethod
    def _with_bits(self, bits: int) -> Provable:
        """The same with another target."""

    def remedies(self) -> list[str]:
        """Which number to lower, and how far, where the target is missed."""
        bits = _largest(
            MIN_SECURITY_BITS,
            self.security_bits - 1,
            lambda bits: self._with_bits(bits).weakness() is None,
        )
        return [] if bits is None else [f"set security_bits to at most {bits}"]

    def require_provable(self) -> None:
        """Raises :class:`RecipeError` with the problem, and with what helps if bits are missing."""
        problem = self.misfit()
        if problem is None and (problem := self.weakness()):
            problem = ": ".join([problem, *filter(None, [", or ".join(self.remedies())])])
        if problem is not None:
            raise RecipeError(problem)

    @cached_property
    def lane_log(self) -> int:
        """One lane length for all segments and boundaries."""
        least = HIDING_LANE_LOG_MIN if self.zero_knowledge else LANE_LOG_MIN
        return max(least, total_log(segment_tensors(self.circuit, self.shape(0))) - ROW_LOG)

    @cached_property
    def tail(self) -> int:
        """Random coefficients per lane of all segments and boundaries."""
        if not self.zero_knowledge:
            return 0
        bits = self.query_bits - SCHEME.work_bits
        return carried_tail_for(self.lane_log, bits, BOUNDARY_OPENINGS, SCHEME.rate_log)

    def packing(self, segment: int) -> Packing:
        return self._pack(segment_tensors(self.circuit, self.shape(segment)))

    def boundary_packing(self) -> Packing:
        """Weights between two segments, but those that no step changes."""
        tensors = []
        for name, dims in self.circuit.trained_shapes().items():
            size = sum(log_width(n) for n in dims)
            tensors.append((name, size, 1 << size))
        return self._pack(tensors)

    def _pack(self, tensors: list[tuple[str, int, int]]) -> Packing:
        return pack(tensors, self.lane_log, self.tail, SCHEME.rate_log)

    def packings(self, segment: int) -> list[Packing]:
        """All commitments that a segment opens: its own, then those of its committed boundaries."""
        inner = len(self.committed_sides(segment))
        return [self.packing(segment)] + [self.boundary_packing()] * inner

    def kind(self, segment: int) -> tuple[int, tuple[str, ...]]:
        """Segments of one kind have the same sizes: number of steps, and committed ends."""
        return self.segments[segment][1], self.committed_sides(segment)

    def layout(self, segment: int) -> Layout | None:
        """The padded scalars of a segment's proof; None: nothing is hidden."""
        if not self.zero_knowledge:
            return None
        return self.claims(segment).layout.more(self.opening_plan(segment).scalars(True))

    def claims(self, segment: int) -> SegmentClaims:
        """How many claims a verifier of the segment meets."""
        shape, sides = self.shape(segment), self.committed_sides(segment)
        return _claims(self.circuit, shape, sides, self.dataset.record_axis)

    def opening_plan(self, segment: int) -> Plan:
        """The levels of a segment's opening."""
        packings, hiding = self.packings(segment), self.zero_knowledge
        return opening.level_plan(packings, self.query_bits, hiding=hiding)

    @property
    def closing_plan(self) -> Plan:
        """The levels of the closing proof's opening."""
        packings, hiding = [self.dataset.packing()], self.zero_knowledge
        return opening.level_plan(packings, self.query_bits, hiding=hiding)

    def closing_layout(self) -> Layout | None:
        """The padded scalars of the closing proof."""
        if not self.zero_knowledge:
            return None
        return Layout(self.closing_plan.scalars(True))

    @cached_property
    def query_bits(self) -> float:
        """Security of each query term, by their number, rounded up to a quarter of a bit: all of
        them together keep the target with a bit to spare."""
        terms = QUERY_TERMS * (len(self.segments) + 1)
        quarters = math.ceil(4 * math.log2(terms))
        return self.security_bits + soundness.MARGIN_BITS + quarters / 4

    def work_bits(self, segment: int) -> int:
        leaves = lookup.leaf_count(lookup_entries(self.circuit, self.shape(segment)))
        return soundness.lookup_work_bits(leaves, self.query_bits)

    @cached_property
    def soundness_terms(self) -> list[soundness.Term]:
        """Every error term of the bundle."""
        terms: list[soundness.Term] = []
        alike: dict[tuple[int, tuple[str, ...]], list[soundness.Term]] = {}
        closing = 0
        for segment in range(len(self.segments)):
            kind = self.kind(segment)
            if kind not in alike:
                alike[kind] = self._segment_terms(segment)
            closing += sum(self.claims(segment).dataset.values())
            part = f"segment {segment}"
            terms += [soundness.Term(part, t.name, t.bits, t.basis) for t in alike[kind]]
        header = self.dataset
        terms += soundness.opening_terms("closing", self.closing_plan, closing)
        terms += soundness.hidden_terms("closing", self.closing_layout(), self.query_bits)
        terms += certificate_terms(header)
        terms.append(soundness.hash_term())
        return terms

    def _segment_terms(self, segment: int) -> list[soundness.Term]:
        part = f"segment {segment}"
        shape, claims = self.shape(segment), self.claims(segment)
        leaves = lookup.leaf_count(lookup_entries(self.circuit, shape))
        terms = soundness.lookup_terms(part, leaves, self.work_bits(segment))
        terms += soundness.reduction_terms(part, claims.errors)
        committed = [name for name, _, _ in segment_tensors(self.circuit, shape)]
        opened = sum(claims.tensors[name] for name in committed) + sum(claims.boundaries.values())
        terms += soundness.opening_terms(part, self.opening_plan(segment), opened)
        return terms + soundness.hidden_terms(part, self.layout(segment), self.query_bits)

    @cached_property
    def union_bits(self) -> float:
        return soundness.union([t for t in self.soundness_terms if t.basis == "proven"])


@dataclass(frozen=True)
class Statement(Provable):
    """What a bundle claims: training ``circuit`` on the dataset from the weights with digest
    ``initial`` ends in the weights with digest ``final``."""

    circuit: Circuit
    dataset: DatasetHeader
    initial: str
    final: str
    segment_steps: int
    security_bits: int
    zero_knowledge: bool = False

    def to_json(self) -> bytes:
        fields: dict[str, Any] = {
            "format": FORMAT,
            "circuit": self.circuit.id,
            "dataset": self.dataset.root.hex(),
            "initial": self.initial,
            "final": self.final,
            "segment_steps": self.segment_steps,
            "security_bits": self.security_bits,
            "zero_knowledge": self.zero_knowledge,
        }
        return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()

    @staticmethod
    def from_json(data: bytes, circuit: Circuit, dataset: DatasetHeader) -> Statement:
        """Strict; raises :class:`MalformedProof`."""
        try:
            if len(data) > 4096:
                raise ValueError("too long")
            fields = json.loads(data)
            statement = Statement(
                circuit,
                dataset,
                fields["initial"],
                fields["final"],
                fields["segment_steps"],
                fields["security_bits"],
                fields["zero_knowledge"],
            )
            numbers = (statement.segment_steps, statement.security_bits)
            if (
                any(type(n) is not int for n in numbers)
                or type(statement.zero_knowledge) is not bool
            ):
                raise ValueError("wrong type")
            for text in (statement.initial, statement.final):
                if bytes.fromhex(text).hex() != text or len(text) != 64:
                    raise ValueError("not a digest")
            canonical = statement.to_json() == data
        except (ValueError, KeyError, TypeError, RecursionError):
            raise MalformedProof("the statement is not valid", stage="statement") from None
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
        k = self.segment_steps
        if not 1 <= k <= 1 << 24 or k & (k - 1):
            return f"segment_steps is {k}; it must be a power of two"
        if not MIN_SECURITY_BITS <= self.security_bits <= MAX_SECURITY_BITS:
            return (
                f"security_bits is {self.security_bits}; it must be from {MIN_SECURITY_BITS} to "
                f"{MAX_SECURITY_BITS}"
            )
        if self.dataset.features != self.circuit.features:
            return (
                f"the dataset has {self.dataset.features} inputs per record, "
                f"the network takes {self.circuit.features}"
            )
        if self.dataset.classes != self.circuit.classes:
            return (
                f"the dataset has {self.dataset.classes} classes, "
                f"the network {self.circuit.classes}"
            )
        if self.zero_knowledge and not self.dataset.hiding:
            return (
                "the dataset's commitment does not hide it, so the proof cannot: set "
                "zero_knowledge = false (or prove with --no-zk), or commit without --public"
            )
        if problem := self.circuit.optimizer.cut_violation(k):
            return problem
        fewer = self.circuit.optimizer.fewer_steps
        if self.circuit.drop_last and self.dataset.records < self.circuit.batch_size:
            return (
                f"an epoch of {self.dataset.records} records has no whole batch of "
                f'{self.circuit.batch_size}; lower batch_size, or set last_batch = "wrap"'
            )
        if -(-self.circuit.steps // k) > MAX_SEGMENTS:
            return (
                f"{self.circuit.steps} steps in segments of {k} are more than "
                f"{MAX_SEGMENTS} segments"
            )
        circuit, records = self.circuit, self.dataset.records
        drawn = permuted(records, circuit.batch_size, circuit.steps, drop_last=circuit.drop_last)
        if drawn > MAX_PERMUTED:
            return (
                f"the order of the run permutes {drawn} records, more than {MAX_PERMUTED}; train "
                "fewer epochs"
            )
        shape = Shape(min(k, self.circuit.steps), self.circuit.batch_size)
        if total_log(segment_tensors(self.circuit, shape)) > MAX_SEGMENT_LOG:
            return f"a segment of {k} steps has more than 2^{MAX_SEGMENT_LOG} cells; {fewer}"
        most = _most_samples(self.dataset.records)
        if shape.steps * shape.batch > most:
            return f"a segment of {k} steps draws more than {most} samples; {fewer}"
        return None

    def _with_bits(self, bits: int) -> Statement:
        return replace(self, security_bits=bits)

    def remedies(self) -> list[str]:
        def reached(segments: int) -> bool:
            shorter = replace(self.circuit, steps=segments * self.segment_steps)
            return replace(self, circuit=shorter).weakness() is None

        segments = _largest(1, len(self.segments) - 1, reached)
        if segments is None:
            return super().remedies()
        steps = segments * self.segment_steps
        return [*super().remedies(), f"train at most {steps} steps of {self.circuit.batch_size}"]

    @property
    def digest(self) -> bytes:
        prefix = f"zktrain statement v{VERSION}\0".encode()
        return hashlib.sha256(prefix + self.to_json()).digest()

    @cached_property
    def segments(self) -> tuple[tuple[int, int], ...]:
        """First step and number of steps of every segment."""
        k, total = self.segment_steps, self.circuit.steps
        return tuple((first, min(k, total - first)) for first in range(0, total, k))

    def shape(self, segment: int) -> Shape:
        return Shape(self.segments[segment][1], self.circuit.batch_size)

    def committed_sides(self, segment: int) -> tuple[str, ...]:
        """Ends of the segment with committed weights: the run's first and last ones are public."""
        first, last = segment == 0, segment + 1 == len(self.segments)
        return ("start",) * (not first) + ("end",) * (not last)

    @property
    def protocol(self) -> str:
        return PROTOCOL[self.zero_knowledge]

    def order(self, segment: int) -> NDArray[np.int64]:
        """The batches of the public order."""
        first, steps = self.segments[segment]
        circuit = self.circuit
        return batch_indices(
            circuit.order_seed,
            self.dataset.records,
            circuit.batch_size,
            first,
            steps,
            drop_last=circuit.drop_last,
        )

    def time_filters(self, segment: int) -> Callable[[str], TimeFilter]:
        first, steps = self.segments[segment]
        log_steps, circuit = self.shape(segment).log_steps, self.circuit

        @cache
        def known(rule: Rule) -> TimeFilter:
            return rule.time_filter(circuit, first, steps, log_steps)

        return lambda weight: known(circuit.optimizer.of(circuit, weight))
