"""The wire format of a proof of an evaluation.

    magic "ZKTEVAL" and the version byte
    statement, circuit, dataset header, dataset certificate    each: u64 length, bytes
    u32 number of segments; each: u64 length, proof
    closing proof: u64 length, bytes

Integers are little-endian. Nothing may follow. Headers of segments follow from the statement.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from ..circuit.canonical import MAX_BYTES as MAX_CIRCUIT_BYTES
from ..circuit.circuit import Circuit
from ..dataset.commitment import DatasetHeader
from ..errors import MalformedProof
from ..files import beginning
from ..spans import Bytes
from ..wire import MAX_TEXT_BYTES, Reader, refuse_version
from .bundle import EVALUATION_MAGIC, MAGIC, refuse_ezkl
from .evaluation import MAX_STATEMENT_BYTES, EvaluationStatement
from .statement import MAX_SEGMENTS


@dataclass(frozen=True, slots=True)
class EvaluationBundle:
    """Canonical, but nothing in it is checked against anything else yet."""

    statement_json: bytes
    circuit_json: bytes
    dataset_json: bytes
    certificate: Bytes
    segments: tuple[Bytes, ...]
    closing: Bytes

    def to_bytes(self) -> bytes:
        parts = [EVALUATION_MAGIC]
        sections = (self.statement_json, self.circuit_json, self.dataset_json, self.certificate)
        for section in sections:
            parts += [struct.pack("<Q", len(section)), bytes(section)]
        parts.append(struct.pack("<I", len(self.segments)))
        for section in (*self.segments, self.closing):
            parts += [struct.pack("<Q", len(section)), bytes(section)]
        return b"".join(parts)


def is_evaluation(path: str | Path) -> bool:
    """Whether the file calls itself a proof of an evaluation; False for one that cannot be
    read."""
    return beginning(path, 7) == EVALUATION_MAGIC[:7]


def parse(data: Bytes) -> EvaluationBundle:
    """Proofs of a file are not read yet. Raises :class:`MalformedProof`; :class:`InputError` for
    a proof of another backend."""
    reader = Reader(data, "proof")
    magic = reader.take(len(EVALUATION_MAGIC), "magic")
    if magic[:7] == MAGIC[:7]:
        raise MalformedProof(
            "this is a proof of training, not of an evaluation: use zktrain verify", stage="bundle"
        )
    refuse_ezkl(magic)
    if magic[:7] != EVALUATION_MAGIC[:7]:
        raise MalformedProof("this is not a zktrain proof of an evaluation", stage="bundle")
    if magic != EVALUATION_MAGIC:
        refuse_version("proof", magic[7])
    statement = reader.section("statement", MAX_STATEMENT_BYTES)
    circuit = reader.section("circuit", MAX_CIRCUIT_BYTES)
    dataset = reader.section("dataset header", MAX_TEXT_BYTES)
    certificate = reader.proof("dataset certificate")
    count = reader.count(MAX_SEGMENTS)
    segments = []
    for index in range(count):
        segments.append(reader.proof(f"proof of segment {index}"))
    closing = reader.proof("closing proof")
    reader.finish()
    return EvaluationBundle(statement, circuit, dataset, certificate, tuple(segments), closing)


def parse_statement(bundle: EvaluationBundle) -> EvaluationStatement:
    """Circuit, dataset header and statement, each strictly; raises :class:`MalformedProof`."""
    circuit = Circuit.from_json(bundle.circuit_json)
    dataset = DatasetHeader.from_json(bundle.dataset_json)
    statement = EvaluationStatement.from_json(bundle.statement_json, circuit, dataset)
    if len(bundle.segments) != len(statement.segments):
        raise MalformedProof(
            "the number of segments is not that of the statement",
            stage="bundle",
            expected=len(statement.segments),
            got=len(bundle.segments),
        )
    return statement
