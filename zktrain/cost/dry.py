"""How many claims and scalars a segment has: a dry run of its verifier, which computes nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..arguments import lookup
from ..arguments.claims import Ledger
from ..arguments.time_filter import PlainSteps
from ..channel import VerifierChannel
from ..circuit.operations import Accumulate, Affine, AffineTransposed, StepGraph
from ..errors import ZktrainError
from ..field.extension import ZERO, Ext
from ..field.forms import Scalar
from ..hiding import DryChannel
from ..transcript import relations as relation_proofs
from ..transcript.relations import Relations
from ..transcript.statement import Statement, lookup_entries


class CountingChannel(DryChannel):
    """Counts all scalars, those in clear too."""

    def __init__(self, *, hides: bool) -> None:
        super().__init__()
        self.scalars = 0
        self._hides = hides

    def receive_clear(self, label: str, count: int) -> list[Ext]:
        self.scalars += count
        return [ZERO] * count

    def check_nonzero(self, label: str, left: Scalar, right: Scalar, error: ZktrainError) -> None:
        if self._hides:
            super().check_nonzero(label, left, right, error)
        else:
            VerifierChannel.check_nonzero(self, label, ZERO + Ext(1), Ext(1), error)


@dataclass(frozen=True, slots=True)
class SegmentClaims:
    """Claims on each tensor, on committed weights by ``(side, name)``, on the dataset by source,
    and on the weights of the steps by parameter; ``scalars`` of lookups and relations."""

    tensors: dict[str, int]
    boundaries: dict[tuple[str, str], int]
    dataset: dict[str, int]
    weights: dict[str, int]
    scalars: int


def segment_claims(statement: Statement, segment: int) -> SegmentClaims:
    """What a verifier of the segment meets."""
    steps, sides = statement.kind(segment)
    return _claims(statement, segment, steps, sides)


@lru_cache(maxsize=64)
def _claims(
    statement: Statement, segment: int, steps: int, sides: tuple[str, ...]
) -> SegmentClaims:
    shape, graph = statement.shape(segment), statement.circuit.graph()
    relations = Relations(
        graph,
        shape,
        lookup_entries(statement.circuit, shape),
        PlainSteps(np.zeros(0, dtype=np.uint64)),
        statement.dataset.record_axis,
        sides,
    )
    channel = CountingChannel(hides=statement.zero_knowledge)
    ledger = Ledger(channel.check)
    for name, point, value in lookup.verify(channel, "lookup", relations.entries):
        ledger.add(name, point, value)
    nowhere = np.zeros((0, 0), dtype=np.int64)
    left = relation_proofs.verify(channel, relations, ledger, lambda *_: ZERO, nowhere)
    names = {tensor.name for tensor in graph.tensors}
    names |= {lookup.multiplicity(table) for table in lookup.tables_of(relations.entries)}
    tensors = {name: len(ledger.of(name)) for name in sorted(names)}
    return SegmentClaims(
        tensors,
        dict(Counter((claim.side, claim.name) for claim in left.boundaries)),
        dict(Counter(claim.source for claim in left.dataset)),
        _weight_claims(graph, tensors),
        channel.scalars,
    )


def _weight_claims(graph: StepGraph, tensors: dict[str, int]) -> dict[str, int]:
    """Claims that an update meets: of matrix products, and one on the last weights."""
    out: dict[str, int] = {}
    for op in graph.operations:
        if isinstance(op, Accumulate):
            for name in (op.weight, op.bias):
                if name is not None:
                    out[name] = out.get(name, 0) + 1
        elif isinstance(op, (Affine, AffineTransposed)):
            bias = op.bias if isinstance(op, Affine) else None
            for name in (op.weight, bias):
                if name is not None:
                    out[name] = out.get(name, 0) + tensors[op.output]
    return out
