"""Making the proof of a statement."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...arguments import lookup
from ...arguments.claims import Ledger
from ...field.extension import Ext, Point
from ...operations.base import Ends
from ...profile import mark
from ...progress import Progress, silent
from ...protocol.proof import (
    Padded,
    challenger_of,
    check_messages,
    context_of,
    opening_claims,
    side_of,
    verifier_of,
)
from ...protocol.statement import Statement
from ...transcript.challenger import Trace
from ..arguments import lookup as prover_lookup
from ..commitment import opening
from ..commitment.commit import commit
from ..commitment.hiding import prover_channel
from ..dataset.commitment import CommittedDataset
from ..journal import Differs, Journal, stage
from ..kernels import field as kf
from ..operations.base import Given
from ..randomness import Randomness, system
from ..witness import RunWitness
from ..workers import ALONE, Workers
from . import walk


def prove(
    statement: Statement,
    witness: RunWitness,
    dataset: CommittedDataset,
    public: Padded,
    *,
    progress: Progress = silent,
    trace: Trace | None = None,
    counts: dict[str, NDArray[np.int64]] | None = None,
    random: Randomness | None = None,
    journal: Journal | None = None,
    workers: Workers = ALONE,
) -> bytes:
    """The proof's bytes, whoever the ``workers`` are. Stages that the ``journal`` has are not made
    again; the randomness is its own, or ``random``, or that of the operating system. ``counts``
    replaces the multiplicities (for tests)."""
    given = (statement, witness, dataset, public, progress, trace, counts, random, journal, workers)
    try:
        return _prove(*given)
    except Differs:
        if journal is None:
            raise
        journal.renew()
        return _prove(*given)


def _prove(
    statement: Statement,
    witness: RunWitness,
    dataset: CommittedDataset,
    public: Padded,
    progress: Progress,
    trace: Trace | None,
    counts: dict[str, NDArray[np.int64]] | None,
    random: Randomness | None,
    journal: Journal | None,
    workers: Workers,
) -> bytes:
    random = journal.randomness() if journal else random or system()
    progress("commit", 0, 1)
    mark("pads")
    challenger = challenger_of(statement, trace)
    channel = prover_channel(challenger, statement.layout, statement.query_bits, random)
    mark("columns")
    values = [_lookup_values(witness, entry) for entry in statement.entries]
    if counts is None:
        counts = prover_lookup.count_lookups(statement.entries, values)
    tensors: dict[str, Any] = {
        t.name: witness.tensor(t.name) for t in statement.graph.tensors if t.committed
    }
    given = {**tensors, **counts}
    committed = commit(statement.packing, given, random, witness.memory, witness.scratch, workers)

    def commitment() -> None:
        channel.send_digest("commitment", committed.root)  # P -> V
        channel.send_work("work", statement.work_bits)  # P -> V

    stage(journal, channel, commitment)

    progress("lookups", 0, 1)
    ledger = Ledger()
    entries = statement.entries
    stage(
        journal,
        channel,
        lambda: ledger.add_all(
            prover_lookup.prove(channel, "lookup", entries, values, counts, witness.memory)
        ),
        lambda reader: ledger.add_all(lookup.verify(reader, "lookup", entries)),
    )
    values.clear()

    progress("relations", 0, 1)

    def public_value(side: str, name: str, point: Point) -> Ext:
        return kf.evaluate(public[side][name].reshape(-1), point)

    def checkpoint(step: int, name: str, point: Point) -> Ext:
        return public_value(side_of(step), name, point)

    context = context_of(statement, ledger, Ends(public_value, checkpoint))
    first = {**public.get("start", {}), **public["fixed"]}
    walk.prove(channel, context, Given(witness, first, dataset.columns), journal)

    progress("opening", 0, 1)
    claims = opening_claims(statement, context)
    commitments = [committed, dataset.committed]
    opening.prove(channel, "opening", commitments, claims, statement.query_bits, random)
    if channel.hiding:
        mark("hiding: replay")
        replay = verifier_of(statement, channel.proof(), None)
        check_messages(replay, statement, public)
        mark("hiding: proof")
        channel.close(replay)
        mark(None)
    return channel.proof()


def _lookup_values(witness: RunWitness, entry: lookup.Entry) -> prover_lookup.Values:
    columns = [witness.tensor(name).reshape(-1) for name in entry.columns]
    if entry.indicator is not None:
        columns.append(witness.real(entry.columns[0]))
    return prover_lookup.Values(tuple(columns))
