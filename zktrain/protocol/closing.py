"""The closing proof: all segments' claims on the dataset, opened once."""

from __future__ import annotations

from ..arguments.records import DatasetClaim
from ..commitment import opening
from ..commitment.hiding import verifier_channel
from ..commitment.packing import Claim, Term
from ..dataset.commitment import DatasetHeader, blinding
from ..spans import Bytes
from ..transcript.challenger import Challenger, Trace
from ..transcript.channel import VerifierChannel
from .parameters import parameter_digest
from .segment import SegmentHeader
from .statement import Provable


def challenger_of(
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


def check_messages(
    channel: VerifierChannel, statement: Provable, claims: list[DatasetClaim]
) -> None:
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


def verify(
    statement: Provable,
    headers: list[SegmentHeader],
    claims: list[DatasetClaim],
    proof: Bytes,
    *,
    trace: Trace | None = None,
) -> None:
    """Raises unless every claim holds for the dataset of the statement."""
    challenger = challenger_of(statement, headers, claims, trace)
    layout = statement.closing_layout()
    channel = verifier_channel(challenger, proof, layout, statement.query_bits)
    check_messages(channel, statement, claims)
    channel.close()
    channel.finish()


def opening_claims(header: DatasetHeader, claims: list[DatasetClaim]) -> list[Claim]:
    """Claims that segments leave on the dataset, for the closing proof: each on real and, where
    there are any, on blinding records."""
    axis = header.record_axis
    out = []
    for left in claims:
        record, unit = left.point[: axis.variables], left.point[axis.variables :]
        (point, factor), hidden = axis.parts(record)
        terms = [Term(0, left.source, point + unit, factor)]
        if hidden is not None:
            terms.append(Term(0, blinding(left.source), hidden[0] + unit, hidden[1]))
        out.append(Claim(tuple(terms), left.value))
    return out
