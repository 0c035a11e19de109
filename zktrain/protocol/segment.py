"""One segment: the proof that its steps lead from the weights at its start to those at its end.

Order of messages: header; commitment to all committed tensors and multiplicities; proof of work;
lookups; then every operation of the step graph, from the assertions back to committed tensors;
opening of the segment's and its boundaries' commitments. What remains are claims on the dataset,
which the closing proof opens.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..arguments import lookup
from ..arguments.claims import Ledger
from ..arguments.records import DatasetClaim
from ..arguments.tensors import log_width
from ..arguments.time_filter import TimeFilter
from ..circuit.circuit import Circuit
from ..commitment import opening
from ..commitment.hiding import verifier_channel
from ..commitment.packing import Claim, claim_on
from ..errors import MalformedProof
from ..field import multilinear as ml
from ..field.extension import Ext, Point
from ..operations.base import BoundaryClaim, Context, Ends, StepGraph
from ..operations.lookup import entries_of
from ..spans import Bytes
from ..transcript.challenger import Challenger, Trace
from ..transcript.channel import VerifierChannel
from . import walk
from .parameters import parameter_digest
from .statement import Provable

_HEADER = struct.Struct("<III32s32s32s")
HEADER_BYTES = _HEADER.size


@dataclass(frozen=True, slots=True)
class SegmentHeader:
    """``start`` and ``end`` are Merkle roots of committed boundary weights; the run's first and
    last ones are the digests of the public weights. ``previous`` is the digest of the header
    before, first of all the statement's."""

    index: int
    first_step: int
    steps: int
    start: bytes
    end: bytes
    previous: bytes

    def to_bytes(self) -> bytes:
        return _HEADER.pack(
            self.index, self.first_step, self.steps, self.start, self.end, self.previous
        )

    @staticmethod
    def from_bytes(data: bytes) -> SegmentHeader:
        if len(data) != HEADER_BYTES:
            raise MalformedProof("a segment header has the wrong length", stage="bundle")
        return SegmentHeader(*_HEADER.unpack(data))

    @property
    def digest(self) -> bytes:
        return hashlib.sha256(b"zktrain segment header v1\0" + self.to_bytes()).digest()


def pad_weights(weights_: dict[str, NDArray[np.int64]]) -> dict[str, NDArray[np.int64]]:
    """Every axis to a power of two, with zeros."""
    out = {}
    for name, tensor in weights_.items():
        dims = tuple(1 << log_width(n) for n in tensor.shape)
        padded = np.zeros(dims, dtype=np.int64)
        padded[tuple(slice(n) for n in tensor.shape)] = tensor
        out[name] = padded
    return out


def split_weights(
    circuit: Circuit, weights_: dict[str, NDArray[np.int64]]
) -> tuple[dict[str, NDArray[np.int64]], dict[str, NDArray[np.int64]]]:
    """Padded weights that steps change, and those of frozen layers."""
    moving = circuit.trained_shapes()
    padded = pad_weights(weights_)
    return (
        {name: values for name, values in padded.items() if name in moving},
        {name: values for name, values in padded.items() if name not in moving},
    )


def time_filters_of(statement: Provable, segment: int) -> Callable[[str], TimeFilter]:
    return statement.time_filters(segment)


def challenger_of(statement: Provable, header: SegmentHeader, trace: Trace | None) -> Challenger:
    challenger = Challenger(f"{statement.protocol} segment", trace)
    challenger.absorb("parameters", parameter_digest(statement.zero_knowledge))
    challenger.absorb("statement", statement.digest)
    challenger.absorb("header", header.to_bytes())
    return challenger


def segment_order(statement: Provable, segment: int) -> NDArray[np.int64]:
    return statement.order(segment)


def committed_sides(statement: Provable, segment: int) -> dict[str, int]:
    """Ends of the segment whose weights are committed, with the number of their commitment."""
    return {side: number for number, side in enumerate(statement.committed_sides(segment), 1)}


def context_of(statement: Provable, segment: int, ledger: Ledger, ends: Ends) -> Context:
    """What both sides know; the order is :func:`segment_order`'s."""
    shape = statement.shape(segment)
    return Context(
        statement.circuit.graph(),
        shape,
        ledger,
        time_filters_of(statement, segment),
        statement.dataset.record_axis,
        segment_order(statement, segment),
        statement.counts(segment),
        ends,
    )


def opening_claims(
    graph: StepGraph,
    ledger: Ledger,
    counts: list[str],
    boundaries: list[BoundaryClaim],
    sides: dict[str, int],
) -> list[Claim]:
    names = [tensor.name for tensor in graph.tensors if tensor.committed] + counts
    claims = [claim_on(0, name, point, value) for name in names for point, value in ledger.of(name)]
    return claims + [claim_on(sides[b.side], b.name, b.point, b.value) for b in boundaries]


def verify(
    statement: Provable,
    header: SegmentHeader,
    proof: Bytes,
    start: dict[str, NDArray[np.int64]] | None,
    end: dict[str, NDArray[np.int64]] | None,
    *,
    trace: Trace | None = None,
    sizes: dict[str, int] | None = None,
    fixed: dict[str, NDArray[np.int64]] | None = None,
) -> list[DatasetClaim]:
    """Check the proof of one segment whose header was checked by the caller.

    ``start`` and ``end`` are the padded public weights of the run's first and last boundary,
    None where the boundary is committed; ``fixed`` those that no step changes. Returns the claims
    on the dataset that the caller still has to check.
    """
    channel = verifier_of(statement, header, proof, trace)
    public = {
        side: weights
        for side, weights in (("start", start), ("end", end), ("fixed", fixed))
        if weights is not None
    }
    claims = check_messages(channel, statement, header, public)
    channel.close()
    channel.finish()
    if sizes is not None:
        sizes.update(channel.sizes)
    return claims


def verifier_of(
    statement: Provable, header: SegmentHeader, proof: Bytes, trace: Trace | None
) -> VerifierChannel:
    return verifier_channel(
        challenger_of(statement, header, trace),
        proof,
        statement.layout(header.index),
        statement.query_bits,
    )


def check_messages(
    channel: VerifierChannel,
    statement: Provable,
    header: SegmentHeader,
    public: dict[str, dict[str, NDArray[np.int64]]],
) -> list[DatasetClaim]:
    """All messages but those about pads; ``public`` weights by side."""
    segment = header.index
    root = channel.receive_digest("commitment")  # P -> V
    channel.receive_work("work", statement.work_bits(segment))  # P -> V
    graph, ledger = statement.circuit.graph(), Ledger(channel.check)
    entries = entries_of(graph, statement.shape(segment))
    ledger.add_all(lookup.verify(channel, "lookup", entries))

    tables: dict[tuple[str, str], ml.IntegerTable] = {}

    def public_value(side: str, name: str, point: Point) -> Ext:
        if side not in public:
            raise ValueError(f"the {side} weights of segment {segment} are public, but not given")
        if (side, name) not in tables:
            tables[side, name] = ml.IntegerTable(public[side][name])
        return tables[side, name].evaluate(point)

    sides = committed_sides(statement, segment)
    ends = walk.ends(channel, tuple(sides), public_value)
    context = context_of(statement, segment, ledger, ends)
    walk.verify(channel, context)

    counts = [lookup.multiplicity(name) for name in lookup.tables_of(entries)]
    claims = opening_claims(graph, ledger, counts, ends.claims(), sides)
    roots = [root] + [{"start": header.start, "end": header.end}[side] for side in sides]
    packings = statement.packings(segment)
    opening.verify(channel, "opening", roots, packings, claims, statement.query_bits)
    return context.dataset
