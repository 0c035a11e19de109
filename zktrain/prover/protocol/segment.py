"""Proving one segment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...arguments import lookup
from ...arguments.claims import Ledger
from ...arguments.records import DatasetClaim
from ...arguments.tensors import Shape
from ...operations.lookup import entries_of
from ...profile import mark
from ...progress import Progress, silent
from ...protocol.segment import (
    SegmentHeader,
    challenger_of,
    check_messages,
    committed_sides,
    context_of,
    opening_claims,
    split_weights,
    verifier_of,
)
from ...protocol.statement import Provable, Statement
from ...transcript.challenger import Trace
from ..arguments import lookup as prover_lookup
from ..commitment import opening
from ..commitment.commit import Committed, commit
from ..commitment.hiding import prover_channel
from ..operations.base import Given
from ..randomness import Randomness, system
from ..witness import SegmentWitness
from . import walk


@dataclass(frozen=True, slots=True)
class BoundaryWeights:
    """Integer weights at one boundary, padded to powers of two; ``committed`` inside a run."""

    padded: dict[str, NDArray[np.int64]]
    committed: Committed | None = None


def commit_boundary(
    statement: Statement,
    weights_: dict[str, NDArray[np.int64]],
    random: Randomness | None = None,
) -> BoundaryWeights:
    """Commit to weights between two segments, but those of frozen layers."""
    padded, _ = split_weights(statement.circuit, weights_)
    packing = statement.boundary_packing()
    return BoundaryWeights(padded, commit(packing, dict(padded), random or system()))


def prove(
    statement: Provable,
    header: SegmentHeader,
    witness: SegmentWitness,
    columns: dict[str, NDArray[Any]],
    start: BoundaryWeights,
    end: BoundaryWeights,
    *,
    blinding: dict[str, NDArray[np.int64]] | None = None,
    progress: Progress = silent,
    trace: Trace | None = None,
    counts: dict[str, NDArray[np.int64]] | None = None,
    random: Randomness | None = None,
    fixed: dict[str, NDArray[np.int64]] | None = None,
) -> tuple[bytes, list[DatasetClaim]]:
    """Proof bytes of segment ``header.index``, and its claims on the dataset ``columns`` (with
    ``blinding`` records, where the dataset hides). ``fixed`` are padded weights that no step
    changes; ``start`` and ``end`` do not have them.

    ``counts`` replaces the multiplicities and ``random`` the operating system's randomness (both
    for tests).
    """
    segment = header.index
    graph, shape = statement.circuit.graph(), statement.shape(segment)
    random = random or system()
    progress("commit", 0, 1, segment=segment)
    mark("pads")
    channel = prover_channel(
        challenger_of(statement, header, trace),
        statement.layout(segment),
        statement.query_bits,
        random,
    )
    mark("columns")
    entries = entries_of(graph, shape)
    values = [_lookup_values(witness, shape, entry) for entry in entries]
    if counts is None:
        counts = prover_lookup.count_lookups(entries, values)
    tensors: dict[str, Any] = {t.name: witness.tensor(t.name) for t in graph.tensors if t.committed}
    committed = commit(statement.packing(segment), {**tensors, **counts}, random)
    channel.send_digest("commitment", committed.root)  # P -> V
    channel.send_work("work", statement.work_bits(segment))  # P -> V

    progress("lookups", 0, 1, segment=segment)
    ledger = Ledger()
    ledger.add_all(prover_lookup.prove(channel, "lookup", entries, values, counts))
    del values

    progress("relations", 0, 1, segment=segment)
    both = {"start": start, "end": end}
    sides = committed_sides(statement, segment)
    padded = {side: boundary.padded for side, boundary in both.items()}
    ends = walk.ends(channel, tuple(sides), padded)
    context = context_of(statement, segment, ledger, ends)
    first = {**start.padded, **(fixed or {})}
    walk.prove(channel, context, Given(witness, first, columns, blinding))

    progress("opening", 0, 1, segment=segment)
    claims = opening_claims(graph, ledger, list(counts), ends.claims(), sides)
    commitments = [committed]
    commitments += [both[side].committed for side in sides]  # type: ignore[misc]
    opening.prove(channel, "opening", commitments, claims, statement.query_bits, random)
    if channel.hiding:
        mark("hiding: replay")
        replay = verifier_of(statement, header, channel.proof(), None)
        public = {s: b.padded for s, b in both.items() if s not in sides} | {"fixed": fixed or {}}
        check_messages(replay, statement, header, public)
        mark("hiding: proof")
        channel.close(replay)
        mark(None)
    return channel.proof(), context.dataset


def _lookup_values(
    witness: SegmentWitness, shape: Shape, entry: lookup.Entry
) -> prover_lookup.Values:
    columns = [witness.tensor(name).reshape(-1) for name in entry.columns]
    if entry.indicator is not None:
        tensor = witness.tensor(entry.columns[0])
        real = np.zeros(tensor.shape, dtype=np.uint8)
        real[shape.real(witness.graph.tensor(entry.columns[0]))] = 1
        columns.append(real.reshape(-1))
    return prover_lookup.Values(tuple(columns))
