"""The statement of a proof and everything that both sides derive from it."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

from ..arguments import lookup
from ..arguments.tensors import Shape
from ..circuit.bounds import MAX_CELLS_LOG, MAX_SAMPLES
from ..circuit.circuit import Circuit
from ..commitment import opening
from ..commitment.hiding import Layout
from ..commitment.packing import Packing, pack, total_log
from ..commitment.parameters import SCHEME, Plan, carried_tail_for, lane_log_for
from ..dataset.commitment import DatasetHeader
from ..errors import MalformedProof
from ..operations.base import StepGraph
from ..operations.lookup import entries_of
from ..tables import TABLES
from ..wire import VERSION
from . import dry, soundness
from .certificate import certificate_terms
from .dry import Claims
from .tasks import TASKS, Evaluation, Training

FORMAT = f"zktrain-statement-{VERSION}"
QUERY_TERMS = 8
"""Terms that need about the same bits: those of the levels of the opening, pads, lookup keys."""
MIN_SECURITY_BITS, MAX_SECURITY_BITS = 80, 120
MAX_STATEMENT_BYTES = 1 << 22
"""More than any confusion matrix takes."""


@dataclass(frozen=True)
class Statement:
    """What a proof claims: ``task`` on ``dataset``, for ``security_bits``. With ``zero_knowledge``
    it shows nothing else."""

    task: Training | Evaluation
    dataset: DatasetHeader
    security_bits: int
    zero_knowledge: bool = False

    def to_json(self) -> bytes:
        """The canonical text."""
        fields: dict[str, Any] = {
            "format": FORMAT,
            "task": self.task.KIND,
            "circuit": self.circuit.id,
            "dataset": self.dataset.root.hex(),
            "security_bits": self.security_bits,
            "zero_knowledge": self.zero_knowledge,
            **self.task.stated(),
        }
        return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()

    @staticmethod
    def from_json(data: bytes, circuit: Circuit, dataset: DatasetHeader) -> Statement:
        """Strict; raises :class:`MalformedProof`."""
        try:
            if len(data) > MAX_STATEMENT_BYTES:
                raise ValueError("too long")
            fields = json.loads(data)
            kind = next(kind for kind in TASKS if fields["task"] == kind.KIND)
            statement = Statement(
                kind.read(fields, circuit),
                dataset,
                fields["security_bits"],
                fields["zero_knowledge"],
            )
            if type(statement.security_bits) is not int:
                raise ValueError("wrong type")
            if type(statement.zero_knowledge) is not bool:
                raise ValueError("wrong type")
            canonical = statement.to_json() == data
        except (ValueError, KeyError, TypeError, StopIteration, RecursionError):
            raise MalformedProof("the statement is not valid", stage="statement") from None
        if not canonical:
            raise MalformedProof(
                "the statement is not canonical, or names another circuit or dataset",
                stage="statement",
            )
        if problem := statement.problem():
            raise MalformedProof(problem, stage="statement")
        return statement

    @property
    def circuit(self) -> Circuit:
        """Of the task."""
        return self.task.circuit

    @property
    def protocol(self) -> str:
        """What every challenger begins with."""
        hiding = "hiding " if self.zero_knowledge else ""
        return f"zktrain {hiding}{self.task.KIND} v{VERSION}"

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 of all that is stated."""
        prefix = f"zktrain statement v{VERSION}\0".encode()
        return hashlib.sha256(prefix + self.to_json()).digest()

    @cached_property
    def graph(self) -> StepGraph:
        """The operations of one step."""
        return self.task.graph()

    @cached_property
    def shape(self) -> Shape:
        """Steps, and samples in each."""
        return self.task.shape(self.dataset)

    def problem(self) -> str | None:
        """Why this cannot be proved, or None."""
        return self.misfit() or self.weakness()

    def misfit(self) -> str | None:
        """Why no proof can be about this, whatever its target; or None."""
        circuit, dataset = self.circuit, self.dataset
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
                "the dataset's commitment does not hide it, so the proof cannot: set "
                "zero_knowledge = false (or prove with --no-zk), or commit without --public"
            )
        if problem := self.task.misfit(dataset):
            return problem
        samples = self.shape.steps * self.shape.batch
        if samples > MAX_SAMPLES or total_log(self.tensors) > MAX_CELLS_LOG:
            return (
                f"{samples} samples with 2^{total_log(self.tensors)} cells are more than one proof "
                f"takes, {MAX_SAMPLES} and 2^{MAX_CELLS_LOG}; train fewer steps, or a smaller "
                "network, or evaluate fewer records"
            )
        return None

    def weakness(self) -> str | None:
        """The target that the sizes miss, or None; only asked of what has no misfit."""
        if self.union_bits >= self.security_bits:
            return None
        return (
            f"these sizes reach {self.union_bits:.1f} bits of security, "
            f"{self.security_bits} are asked"
        )

    @cached_property
    def tensors(self) -> list[tuple[str, int, int]]:
        """``(name, log size, used cells)`` of everything that is committed."""
        out = []
        shape = self.shape
        for tensor in self.graph.tensors:
            if tensor.committed:
                out.append((tensor.name, shape.log_size(tensor), shape.used(tensor)))
        for table in self.tables:
            size = TABLES[table].log_size
            out.append((lookup.multiplicity(table), size, 1 << size))
        return out

    @cached_property
    def tables(self) -> list[str]:
        """Tables in use."""
        return lookup.tables_of(entries_of(self.graph, self.shape))

    @cached_property
    def entries(self) -> list[lookup.Entry]:
        """All lookups, in the order of the graph."""
        return entries_of(self.graph, self.shape, self.lane_log)

    @cached_property
    def lane_log(self) -> int:
        """log2 of the cells of a lane."""
        return lane_log_for(total_log(self.tensors), self.zero_knowledge, SCHEME.lanes_log)

    @cached_property
    def packing(self) -> Packing:
        """Of the commitment that the proof makes."""
        tail = 0
        if self.zero_knowledge:
            bits = self.query_bits - SCHEME.work_bits
            tail = carried_tail_for(self.lane_log, bits, 1, SCHEME.rate_log)
        return pack(self.tensors, self.lane_log, tail, SCHEME.rate_log)

    @cached_property
    def packings(self) -> list[Packing]:
        """All that the proof opens: its own commitment, and the dataset's."""
        return [self.packing, self.dataset.packing()]

    @cached_property
    def claims(self) -> Claims:
        """How many claims a verifier meets."""
        known = self.graph, self.shape, self.dataset.log_records
        return _claims(*known, self.task.checkpoint_steps)

    @cached_property
    def opening_plan(self) -> Plan:
        """The levels of the opening."""
        return opening.level_plan(self.packings, self.query_bits, hiding=self.zero_knowledge)

    @cached_property
    def dataset_positions(self) -> int:
        """Code word positions of the dataset's commitment that the proof opens."""
        return self.opening_plan.commitments[1].queries

    @cached_property
    def layout(self) -> Layout | None:
        """The padded scalars; None: nothing is hidden."""
        if not self.zero_knowledge:
            return None
        return self.claims.layout.more(self.opening_plan.scalars(True))

    @cached_property
    def query_bits(self) -> float:
        """Security of each query term, rounded up to a quarter of a bit: all of them together keep
        the target with a bit to spare."""
        quarters = math.ceil(4 * math.log2(QUERY_TERMS))
        return self.security_bits + soundness.MARGIN_BITS + quarters / 4

    @cached_property
    def work_bits(self) -> int:
        """Proof of work before the lookup keys."""
        return soundness.lookup_work_bits(lookup.leaf_count(self.entries), self.query_bits)

    @cached_property
    def soundness_terms(self) -> list[soundness.Term]:
        """Every error term."""
        part, claims = self.task.KIND, self.claims
        terms = soundness.lookup_terms(part, lookup.leaf_count(self.entries), self.work_bits)
        terms += soundness.reduction_terms(part, claims.errors)
        opened = sum(claims.tensors[name] for name, _, _ in self.tensors)
        opened += sum(claims.dataset.values())
        terms += soundness.opening_terms(part, self.opening_plan, opened)
        terms += soundness.hidden_terms(part, self.layout, self.query_bits)
        terms += certificate_terms(self.dataset)
        terms.append(soundness.hash_term())
        return terms

    @cached_property
    def union_bits(self) -> float:
        """Security of the whole proof in bits."""
        return soundness.union([t for t in self.soundness_terms if t.basis == "proven"])

    def with_bits(self, bits: int) -> Statement:
        """The same with another target."""
        return replace(self, security_bits=bits)


@lru_cache(maxsize=16)
def _claims(
    graph: StepGraph, shape: Shape, log_records: int, checkpoints: tuple[int, ...]
) -> Claims:
    return dry.count(graph, shape, log_records, checkpoints)
