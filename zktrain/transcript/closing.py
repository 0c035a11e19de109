"""The closing proof: all segments' claims on the dataset, opened once."""

from __future__ import annotations

from ..arguments.batches import DatasetClaim
from ..challenger import Challenger, Trace
from ..channel import ProverChannel, VerifierChannel
from ..commitment import opening
from ..commitment.commit import Committed
from ..dataset.commitment import opening_claims, query_bits
from ..parameters import parameter_digest
from .segment import SegmentHeader
from .statement import PROTOCOL, Statement


def _challenger(
    statement: Statement,
    headers: list[SegmentHeader],
    claims: list[DatasetClaim],
    trace: Trace | None,
) -> Challenger:
    challenger = Challenger(f"{PROTOCOL} closing", trace)
    challenger.absorb("parameters", parameter_digest())
    challenger.absorb("statement", statement.digest)
    challenger.absorb("segments", b"".join(header.digest for header in headers))
    for claim in claims:
        cells = [cell for x in (*claim.point, claim.value) for cell in (x.a, x.b)]
        data = b"".join(cell.to_bytes(8, "little") for cell in cells)
        challenger.absorb(f"claim/{claim.source}", data)
    return challenger


def _bits(statement: Statement) -> float:
    return max(statement.query_bits, query_bits())


def prove(
    statement: Statement,
    headers: list[SegmentHeader],
    claims: list[DatasetClaim],
    committed: Committed,
    *,
    trace: Trace | None = None,
) -> bytes:
    channel = ProverChannel(_challenger(statement, headers, claims, trace))
    opening.prove(channel, "opening", [committed], opening_claims(claims), _bits(statement))
    return channel.proof()


def verify(
    statement: Statement,
    headers: list[SegmentHeader],
    claims: list[DatasetClaim],
    proof: bytes,
    *,
    trace: Trace | None = None,
) -> None:
    """Raises unless every claim holds for the dataset of the statement."""
    channel = VerifierChannel(_challenger(statement, headers, claims, trace), proof)
    dataset = statement.dataset
    opening.verify(
        channel,
        "opening",
        [dataset.merkle_root],
        [dataset.packing()],
        opening_claims(claims),
        _bits(statement),
    )
    channel.finish()
