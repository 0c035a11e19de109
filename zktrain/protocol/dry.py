"""How many claims and scalars a proof has: a dry run of its verifier, which computes nothing.

Challenges of a dry run are all different, so claims at one point are those that any verifier meets
at one point. What is counted here is what the error terms are made of, and what is padded.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from ..arguments import lookup
from ..arguments.claims import Ledger
from ..arguments.tensors import Shape
from ..commitment.hiding import DryChannel, Layout
from ..field.extension import ZERO
from ..operations.base import Context, Ends, StepGraph
from ..operations.lookup import entries_of
from . import walk


@dataclass(frozen=True, slots=True)
class Claims:
    """Claims on each tensor and column of multiplicities, on the dataset by source, and on the
    weights of the steps by parameter, the one at the end included. ``layout`` of the scalars of
    lookups and relations, and their number by whether the proof hides, those in clear included.
    ``errors`` are the degrees of all challenges of the relations, by the first part of their
    labels."""

    tensors: dict[str, int]
    dataset: dict[str, int]
    weights: dict[str, int]
    layout: Layout
    scalars: dict[bool, int]
    errors: dict[str, int]


def count(
    graph: StepGraph, shape: Shape, log_records: int, checkpoints: tuple[int, ...] = ()
) -> Claims:
    """What a verifier meets; ``checkpoints`` are the steps after which weights are published."""
    channel = DryChannel()
    ends = Ends(lambda *_: ZERO)
    context = Context(
        graph,
        shape,
        Ledger(channel.check),
        log_records=log_records,
        ends=ends,
        checkpoints=checkpoints,
    )
    entries = entries_of(graph, shape)
    context.ledger.add_all(lookup.verify(channel, "lookup", entries))
    channel.errors.clear()
    walk.verify(channel, context)
    names = [tensor.name for tensor in graph.tensors]
    names += [lookup.multiplicity(table) for table in lookup.tables_of(entries)]
    return Claims(
        {name: len(context.ledger.of(name)) for name in names},
        dict(Counter(claim.source for claim in context.dataset)),
        context.weights.counts(),
        channel.layout(),
        {True: channel.scalars, False: channel.scalars - 2 * channel.inverses},
        dict(channel.errors),
    )
