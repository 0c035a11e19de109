"""The wire format of a proof: everything a verifier needs besides the weights and the dataset's
root.

    magic "ZKTRAIN" and the version byte
    statement, circuit, dataset header, dataset certificate, proof    each: u64 length, bytes

Integers are little-endian. Nothing may follow. Lengths are checked against the bytes that are
there. The certificate may be empty: then it is in the dataset's own file, which is published once
for all that is proved on it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ..circuit.canonical import MAX_BYTES as MAX_CIRCUIT_BYTES
from ..circuit.circuit import Circuit
from ..dataset.commitment import DatasetHeader
from ..errors import InputError, MalformedProof
from ..files import opened, read_bytes
from ..spans import Bytes, whole
from ..wire import MAX_TEXT_BYTES, VERSION, Reader, refuse_version
from .statement import MAX_STATEMENT_BYTES, Statement
from .tasks import Evaluation, Training

MAGIC = b"ZKTRAIN" + bytes([VERSION])
EZKL_MAGIC = b"ZKTEZKL\x01"
MAGICS = (MAGIC[:7], EZKL_MAGIC[:7])
MAX_PROOF_BYTES = 1 << 31
"""Of what a prover keeps."""
T = TypeVar("T", Training, Evaluation)


@dataclass(frozen=True, slots=True)
class Bundle:
    """Canonical, but nothing in it is checked against anything else yet."""

    statement_json: bytes
    circuit_json: bytes
    dataset_json: bytes
    certificate: Bytes
    proof: Bytes

    def to_bytes(self) -> bytes:
        """As it is written."""
        parts = [MAGIC]
        texts = (self.statement_json, self.circuit_json, self.dataset_json)
        for section in (*texts, self.certificate, self.proof):
            parts += [struct.pack("<Q", len(section)), bytes(section)]
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
    """The proof of a file is not read yet. Raises :class:`MalformedProof`; :class:`InputError` for
    a proof of another backend."""
    reader = Reader(data, "proof")
    magic = reader.take(len(MAGIC), "magic")
    refuse_ezkl(magic)
    if magic[:7] != MAGIC[:7]:
        raise MalformedProof("this is not a zktrain proof", stage="bundle")
    if magic != MAGIC:
        refuse_version("proof", magic[7])
    statement = reader.section("statement", MAX_STATEMENT_BYTES)
    circuit = reader.section("circuit", MAX_CIRCUIT_BYTES)
    dataset = reader.section("dataset header", MAX_TEXT_BYTES)
    certificate = reader.proof("dataset certificate")
    proof = reader.proof("proof")
    reader.finish()
    return Bundle(statement, circuit, dataset, certificate, proof)


def parse_statement(bundle: Bundle) -> Statement:
    """Circuit, dataset header and statement, each strictly; raises :class:`MalformedProof`."""
    circuit = Circuit.from_json(bundle.circuit_json)
    dataset = DatasetHeader.from_json(bundle.dataset_json)
    return Statement.from_json(bundle.statement_json, circuit, dataset)


def task_of(statement: Statement, kind: type[T]) -> T:
    """The task, of this kind; raises :class:`MalformedProof` for a proof of another kind."""
    task = statement.task
    if isinstance(task, kind):
        return task
    if isinstance(task, Training):
        raise MalformedProof(
            "this is a proof of training, not of an evaluation: use zktrain verify", stage="bundle"
        )
    raise MalformedProof(
        "this is a proof of an evaluation, not of training: use zktrain verify-eval",
        stage="bundle",
    )


def statement_of(path: str | Path) -> Statement:
    """The statement of a proof that is read for nothing else."""
    with opened(path, "proof") as file:
        return parse_statement(parse(whole(file)))
