"""Making a dataset's certificate."""

from __future__ import annotations

from ...commitment.hiding import verifier_channel
from ...dataset.commitment import MULTIPLICITY, lookups, query_bits
from ...profile import mark
from ...protocol.certificate import (
    certificate_layout,
    challenger_of,
    check_messages,
    label_sums,
    located,
    work_bits,
)
from ...transcript.challenger import Trace
from ..arguments import lookup
from ..commitment import opening
from ..commitment.hiding import prover_channel
from ..dataset.commitment import CommittedDataset, lookup_values
from ..randomness import Randomness


def certify(
    dataset: CommittedDataset,
    *,
    trace: Trace | None = None,
    random: Randomness | None = None,
) -> bytes:
    """The proof that the dataset is well formed; of one that hides, it is the first opening.
    Lookups take the memory of the commitment; the bytes do not depend on it."""
    header = dataset.header
    layout = certificate_layout(header)
    mark("pads")
    channel = prover_channel(challenger_of(header, trace), layout, query_bits(), random)
    channel.send_work("work", work_bits(header))  # P -> V
    mark("columns")
    values = lookup_values(header, dataset.columns, dataset.scratch)
    counts = {MULTIPLICITY: dataset.committed.tensors[MULTIPLICITY][:512]}
    entries = lookups(header)
    found = lookup.prove(channel, "lookup", entries, values, counts, dataset.committed.memory)
    del values
    claims = located(header, found)
    record = tuple(channel.challenger.elements("labels/record", header.log_records))  # V -> P
    claims.append(label_sums(header, record))
    opening.prove(channel, "opening", [dataset.committed], claims, query_bits(), random)
    if channel.hiding:
        mark("hiding: replay")
        replay = verifier_channel(
            challenger_of(header, None), channel.proof(), layout, query_bits()
        )
        check_messages(replay, header)
        mark("hiding: proof")
        channel.close(replay)
        mark(None)
    return channel.proof()
