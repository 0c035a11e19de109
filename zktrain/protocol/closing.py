"""The closing proof: all segments' claims on the dataset, opened once."""

from __future__ import annotations

from ..commitment import opening
from ..commitment.commit import Committed
from ..dataset.commitment import opening_claims
from ..operations.batch import DatasetClaim
from ..profile import mark
from ..prover.randomness import Randomness
from ..transcript.challenger import Challenger, Trace
from ..transcript.channel import VerifierChannel
from ..transcript.hiding import prover_channel, verifier_channel
from ..transcript.spans import Bytes
from .parameters import parameter_digest
from .segment import SegmentHeader
from .statement import Provable


def _challenger(
    statement: Provable,
    headers: list[SegmentHeader],
    claims: list[DatasetClaim],
    trace: Trace | None,
) -> Challenger:
    challenger = Challenger(f"{statement.protocol} closing", trace)
    challenger.absorb("parameters", parameter_digest(statement.zero_knowledge))
    challenger.absorb("statement", statement.digest)
    challenger.absorb("segments", b"".join(header.digest for header in headers))
    for claim in claims:
        cells = [cell for x in (*claim.point, claim.value) for cell in (x.a, x.b)]
        data = b"".join(cell.to_bytes(8, "little") for cell in cells)
        challenger.absorb(f"claim/{claim.source}", data)
    return challenger


def _check(channel: VerifierChannel, statement: Provable, claims: list[DatasetClaim]) -> None:
    """All messages but those about pads."""
    dataset = statement.dataset
    opening.verify(
        channel,
        "opening",
        [dataset.merkle_root],
        [dataset.packing()],
        opening_claims(dataset, claims),
        statement.query_bits,
    )


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
    challenger = _challenger(statement, headers, claims, trace)
    mark("pads")
    channel = prover_channel(challenger, layout, bits, random)
    left = opening_claims(statement.dataset, claims)
    opening.prove(channel, "opening", [committed], left, bits, random)
    if channel.hiding:
        mark("hiding: replay")
        again = _challenger(statement, headers, claims, None)
        replay = verifier_channel(again, channel.proof(), layout, bits)
        _check(replay, statement, claims)
        mark("hiding: proof")
        channel.close(replay)
        mark(None)
    return channel.proof()


def verify(
    statement: Provable,
    headers: list[SegmentHeader],
    claims: list[DatasetClaim],
    proof: Bytes,
    *,
    trace: Trace | None = None,
) -> None:
    """Raises unless every claim holds for the dataset of the statement."""
    challenger = _challenger(statement, headers, claims, trace)
    layout = statement.closing_layout()
    channel = verifier_channel(challenger, proof, layout, statement.query_bits)
    _check(channel, statement, claims)
    channel.close()
    channel.finish()
