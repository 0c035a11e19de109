"""The wire format of a bundle: everything a verifier needs besides the weights and the dataset's
root.

    magic "ZKTRAIN" and the version byte
    statement, circuit, dataset header    each: u64 length, bytes
    u32 number of segments; each: header (108 bytes), u64 length, proof
    closing proof: u64 length, bytes

Integers are little-endian. Nothing may follow. Lengths are checked against the bytes that are
there. The dataset's certificate is in the dataset's own file, which is published once for all that
is trained on it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from ..circuit.canonical import MAX_BYTES as MAX_CIRCUIT_BYTES
from ..circuit.circuit import Circuit
from ..dataset.commitment import DatasetHeader
from ..errors import ChainBroken, InputError, MalformedProof
from ..files import opened, read_bytes
from ..spans import Bytes, whole
from ..wire import MAX_TEXT_BYTES, VERSION, Reader, refuse_version
from .segment import HEADER_BYTES, SegmentHeader
from .statement import MAX_SEGMENTS, Statement

MAGIC = b"ZKTRAIN" + bytes([VERSION])
EVALUATION_MAGIC = b"ZKTEVAL" + bytes([VERSION])
EZKL_MAGIC = b"ZKTEZKL\x01"
MAGICS = (MAGIC, EVALUATION_MAGIC[:7], EZKL_MAGIC[:7])
MAX_PROOF_BYTES = 1 << 31
"""Of what a prover keeps."""


@dataclass(frozen=True, slots=True)
class SegmentProof:
    header: SegmentHeader
    proof: Bytes


@dataclass(frozen=True, slots=True)
class Bundle:
    """A parsed bundle: canonical, but nothing in it is checked against anything else yet."""

    statement_json: bytes
    circuit_json: bytes
    dataset_json: bytes
    segments: tuple[SegmentProof, ...]
    closing: Bytes

    def to_bytes(self) -> bytes:
        parts = [MAGIC]
        for section in (self.statement_json, self.circuit_json, self.dataset_json):
            parts += [struct.pack("<Q", len(section)), section]
        parts.append(struct.pack("<I", len(self.segments)))
        for segment in self.segments:
            parts += [
                segment.header.to_bytes(),
                struct.pack("<Q", len(segment.proof)),
                bytes(segment.proof),
            ]
        parts += [struct.pack("<Q", len(self.closing)), bytes(self.closing)]
        return b"".join(parts)


def read_circuit(path: str | Path) -> bytes:
    """The text of a circuit file; :class:`InputError` when there is none or it is too long."""
    return read_bytes(path, "circuit", MAX_CIRCUIT_BYTES)


def refuse_ezkl(magic: bytes) -> None:
    """Raises :class:`InputError` for a proof by ezkl: nothing here can judge it."""
    if magic[:7] == EZKL_MAGIC[:7]:
        raise InputError(
            "this is a proof by ezkl: use zktrain ezkl verify or zktrain ezkl inspect, in Python "
            "zktrain.ezkl.verify or zktrain.ezkl.inspect"
        )


def parse(data: Bytes) -> Bundle:
    """Proofs of a file are not read yet. Raises :class:`MalformedProof`; :class:`InputError` for
    a proof of another backend."""
    reader = Reader(data, "bundle")
    magic = reader.take(len(MAGIC), "magic")
    if magic[:7] == EVALUATION_MAGIC[:7]:
        raise MalformedProof(
            "this is a proof of an evaluation, not of training: use zktrain verify-eval",
            stage="bundle",
        )
    refuse_ezkl(magic)
    if magic[:7] != MAGIC[:7]:
        raise MalformedProof("this is not a zktrain bundle", stage="bundle")
    if magic != MAGIC:
        refuse_version("bundle", magic[7])
    statement = reader.section("statement", MAX_TEXT_BYTES)
    circuit = reader.section("circuit", MAX_CIRCUIT_BYTES)
    dataset = reader.section("dataset header", MAX_TEXT_BYTES)
    count = reader.count(MAX_SEGMENTS)
    segments = []
    for index in range(count):
        header = SegmentHeader.from_bytes(reader.take(HEADER_BYTES, f"header of segment {index}"))
        segments.append(SegmentProof(header, reader.proof(f"proof of segment {index}")))
    closing = reader.proof("closing proof")
    reader.finish()
    return Bundle(statement, circuit, dataset, tuple(segments), closing)


def parse_statement(bundle: Bundle) -> Statement:
    """Circuit, dataset header and statement, each strictly; raises :class:`MalformedProof`."""
    circuit = Circuit.from_json(bundle.circuit_json)
    dataset = DatasetHeader.from_json(bundle.dataset_json)
    return Statement.from_json(bundle.statement_json, circuit, dataset)


def statement_of(path: str | Path) -> Statement:
    """The statement of a bundle that is read for nothing else."""
    with opened(path, "bundle") as file:
        return parse_statement(parse(whole(file)))


def check_chain(statement: Statement, headers: list[SegmentHeader]) -> None:
    """The headers are exactly the segments of the run, in order, each bound to the one before.

    Raises :class:`ChainBroken`. The Merkle roots inside are checked by the segments' proofs.
    """
    if len(headers) != len(statement.segments):
        raise ChainBroken(
            "the number of segments is not that of the run",
            expected=len(statement.segments),
            got=len(headers),
        )
    previous, start = statement.digest, bytes.fromhex(statement.initial)
    for index, (header, (first, steps)) in enumerate(zip(headers, statement.segments, strict=True)):
        if header.index != index:
            raise ChainBroken(
                "a segment is out of order", segment=index, expected=index, got=header.index
            )
        if (header.first_step, header.steps) != (first, steps):
            raise ChainBroken(
                "a segment covers other steps",
                segment=index,
                expected=f"{steps} steps from {first}",
                got=f"{header.steps} steps from {header.first_step}",
            )
        if header.previous != previous:
            raise ChainBroken(
                "a segment follows another segment or statement than the one before it",
                segment=index,
                expected=previous.hex()[:16],
                got=header.previous.hex()[:16],
            )
        if header.start != start:
            raise ChainBroken(
                "a segment starts at other weights than the last one ended", segment=index
            )
        previous, start = header.digest, header.end
    if start != bytes.fromhex(statement.final):
        raise ChainBroken("the last segment does not end in the weights of the statement")
