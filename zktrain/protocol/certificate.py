"""The certificate of a dataset: inputs in 0..255, labels one-hot, padding zero."""

from __future__ import annotations

from functools import lru_cache

from ..arguments import lookup
from ..commitment import opening
from ..commitment.hiding import DryChannel, Layout, verifier_channel
from ..commitment.packing import Claim, claim_on
from ..commitment.parameters import Plan
from ..dataset.commitment import MULTIPLICITY, DatasetHeader, lookups, parts_of, query_bits
from ..field import multilinear as ml
from ..field.extension import HALF, ONE, ZERO, Point
from ..spans import Bytes
from ..transcript.challenger import Challenger, Trace
from ..transcript.channel import VerifierChannel
from ..wire import VERSION
from . import soundness
from .parameters import parameter_digest

PROTOCOL = {
    False: f"zktrain dataset certificate v{VERSION}",
    True: f"zktrain hiding certificate v{VERSION}",
}


def located(header: DatasetHeader, claims: list[lookup.ColumnClaim]) -> list[Claim]:
    """Claims on parts as claims on whole sources."""
    parts = {part.name: part for part in parts_of(header)}
    out = []
    for name, point, value in claims:
        if name == MULTIPLICITY:
            out.append(claim_on(0, name, point, value))
            continue
        part = parts[name]
        total = header.log_features if part.source == "inputs" else header.log_classes
        prefix = ml.bits(part.first >> part.log_rows, total - part.log_rows)
        whole = point + tuple(ONE if bit else ZERO for bit in prefix)
        out.append(claim_on(0, part.source, whole, value))
    return out


def label_sums(header: DatasetHeader, record: Point) -> Claim:
    """``2^n labels(record, 1/2, ..., 1/2) = LT_N(record)``."""
    value = ml.less_than(record, header.records)
    for _ in range(header.log_classes):
        value = value * HALF
    return claim_on(0, "labels", record + (HALF,) * header.log_classes, value)


def certificate_plan(header: DatasetHeader) -> Plan:
    """The levels of the certificate's opening."""
    return opening.level_plan([header.packing()], query_bits(), hiding=header.hiding)


def work_bits(header: DatasetHeader) -> int:
    """Proof of work before the lookup keys."""
    return soundness.lookup_work_bits(lookup.leaf_count(lookups(header)), query_bits())


def certificate_terms(header: DatasetHeader) -> list[soundness.Term]:
    """Every error term of the certificate."""
    part = "dataset certificate"
    terms = soundness.lookup_terms(part, lookup.leaf_count(lookups(header)), work_bits(header))
    terms.append(soundness.sumcheck_term(part, "label sums", header.log_records))
    terms += soundness.opening_terms(part, certificate_plan(header), dry_run(header)[1])
    return terms + soundness.hidden_terms(part, certificate_layout(header), query_bits())


@lru_cache(maxsize=16)
def certificate_layout(header: DatasetHeader) -> Layout | None:
    """The padded scalars of the certificate; None: nothing is hidden."""
    if not header.hiding:
        return None
    return dry_run(header)[0].more(certificate_plan(header).scalars(True))


@lru_cache(maxsize=16)
def dry_run(header: DatasetHeader) -> tuple[Layout, int]:
    """The padded scalars of the certificate's lookups, and how many claims it opens: on columns,
    and on the sums of labels."""
    channel = DryChannel()
    claims = lookup.verify(channel, "lookup", lookups(header))
    return channel.layout(), len(claims) + 1


def challenger_of(header: DatasetHeader, trace: Trace | None) -> Challenger:
    challenger = Challenger(PROTOCOL[header.hiding], trace)
    challenger.absorb("parameters", parameter_digest(header.hiding))
    challenger.absorb("header", header.to_json())
    return challenger


def verify_certificate(header: DatasetHeader, proof: Bytes, *, trace: Trace | None = None) -> None:
    """Raises unless the committed dataset is well formed."""
    challenger = challenger_of(header, trace)
    channel = verifier_channel(challenger, proof, certificate_layout(header), query_bits())
    check_messages(channel, header)
    channel.close()
    channel.finish()


def check_messages(channel: VerifierChannel, header: DatasetHeader) -> None:
    """All messages but those about pads."""
    channel.receive_work("work", work_bits(header))  # P -> V
    claims = located(header, lookup.verify(channel, "lookup", lookups(header)))
    record = tuple(channel.challenger.elements("labels/record", header.log_records))  # V -> P
    claims.append(label_sums(header, record))
    opening.verify(
        channel, "opening", [header.merkle_root], [header.packing()], claims, query_bits()
    )
