"""Making the closing proof."""

from __future__ import annotations

from ...arguments.records import DatasetClaim
from ...commitment.hiding import verifier_channel
from ...profile import mark
from ...protocol.closing import challenger_of, check_messages, opening_claims
from ...protocol.segment import SegmentHeader
from ...protocol.statement import Provable
from ...transcript.challenger import Trace
from ..commitment import opening
from ..commitment.commit import Committed
from ..commitment.hiding import prover_channel
from ..randomness import Randomness


def prove(
    statement: Provable,
    headers: list[SegmentHeader],
    claims: list[DatasetClaim],
    committed: Committed,
    *,
    trace: Trace | None = None,
    random: Randomness | None = None,
) -> bytes:
    """One opening of the dataset's commitment."""
    bits, layout = statement.query_bits, statement.closing_layout()
    challenger = challenger_of(statement, headers, claims, trace)
    mark("pads")
    channel = prover_channel(challenger, layout, bits, random)
    left = opening_claims(statement.dataset, claims)
    opening.prove(channel, "opening", [committed], left, bits, random)
    if channel.hiding:
        mark("hiding: replay")
        again = challenger_of(statement, headers, claims, None)
        replay = verifier_channel(again, channel.proof(), layout, bits)
        check_messages(replay, statement, claims)
        mark("hiding: proof")
        channel.close(replay)
        mark(None)
    return channel.proof()
