"""How many claims and scalars a segment has: a dry run of its verifier, which computes nothing.

Challenges of a dry run are all different, so claims at one point are those that any verifier meets
at one point. What is counted here is what the error terms are made of, and what is padded.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from ..arguments import lookup
from ..arguments.claims import Ledger
from ..commitment.hiding import DryChannel, Layout
from ..field.extension import ZERO
from ..operations import Accumulate
from . import relations as relation_proofs
from .relations import Relations


@dataclass(frozen=True, slots=True)
class SegmentClaims:
    """Claims on each tensor and column of multiplicities, on committed weights by ``(side, name)``,
    on the dataset by source, and on the weights of the steps by parameter, the one at the segment's
    end included; ``layout`` of the scalars of lookups and relations."""

    tensors: dict[str, int]
    boundaries: dict[tuple[str, str], int]
    dataset: dict[str, int]
    weights: dict[str, int]
    layout: Layout


def count(relations: Relations, channel: DryChannel | None = None) -> SegmentClaims:
    """What a verifier of the segment meets."""
    channel = channel or DryChannel()
    ledger = Ledger(channel.check)
    for name, point, value in lookup.verify(channel, "lookup", relations.entries):
        ledger.add(name, point, value)
    nowhere = np.zeros((0, 0), dtype=np.int64)
    left = relation_proofs.verify(channel, relations, ledger, lambda *_: ZERO, nowhere)
    names = [tensor.name for tensor in relations.graph.tensors]
    names += [lookup.multiplicity(table) for table in lookup.tables_of(relations.entries)]
    updates = [op for op in relations.graph.operations if isinstance(op, Accumulate)]
    at_end = Counter(name for op in updates for name in (op.weight, op.bias) if name is not None)
    return SegmentClaims(
        {name: len(ledger.of(name)) for name in names},
        dict(Counter((claim.side, claim.name) for claim in left.boundaries)),
        dict(Counter(claim.source for claim in left.dataset)),
        dict(Counter(left.weights) + at_end),
        channel.layout(),
    )
