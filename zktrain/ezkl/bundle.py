"""The wire format of a training transcript proved by ezkl.

    magic "ZKTEZKL" and the version byte 1
    statement, circuit, dataset header       each: u64 length, bytes
    u32 number of steps; each: its instances, 32 bytes each, u64 length, proof

Integers are little-endian, so are instances, which are below r. How many a step has follows from
the circuit. Nothing may follow.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from ..checked import checked
from ..circuit.canonical import MAX_BYTES as MAX_CIRCUIT_BYTES
from ..circuit.circuit import Circuit
from ..dataset.commitment import DatasetHeader
from ..errors import ChainBroken, InputError, MalformedProof, RecipeError
from ..files import opened
from ..protocol.bundle import EZKL_MAGIC, MAGIC
from ..spans import Bytes, whole
from ..wire import MAX_TEXT_BYTES, Reader
from .field import ELEMENT_BYTES
from .srs.curve import R
from .statement import MAX_STEPS, EzklStatement
from .step import require_supported

MAX_PROOF_BYTES = 1 << 20


def weights_path(bundle: Path) -> Path:
    """Where the weights of a bundle are written."""
    return bundle.with_suffix(".weights.safetensors")


@dataclass(frozen=True, slots=True)
class StepProof:
    """``instances``: hashes of the parameters before, of x, y and rate, of the parameters after."""

    instances: tuple[bytes, ...]
    proof: bytes

    def to_bytes(self) -> bytes:
        return b"".join(self.instances) + struct.pack("<Q", len(self.proof)) + self.proof

    @staticmethod
    def take(reader: Reader, instances: int, name: str) -> StepProof:
        """Read one step. Raises ``MalformedProof``."""
        found = tuple(reader.take(ELEMENT_BYTES, f"instances of {name}") for _ in range(instances))
        if any(int.from_bytes(value, "little") >= R for value in found):
            raise MalformedProof(f"an instance of {name} is not below r", stage="bundle")
        proof = reader.section(f"proof of {name}", MAX_PROOF_BYTES)
        return StepProof(found, proof)


@dataclass(frozen=True, slots=True)
class EzklBundle:
    """Canonical, but nothing in it is checked against anything else yet."""

    statement: EzklStatement
    steps: tuple[StepProof, ...]

    def to_bytes(self) -> bytes:
        statement = self.statement
        parts = [EZKL_MAGIC]
        sections = (
            statement.to_json(),
            statement.circuit.canonical_json(),
            statement.dataset.to_json(),
        )
        for section in sections:
            parts += [struct.pack("<Q", len(section)), section]
        parts.append(struct.pack("<I", len(self.steps)))
        parts += [step.to_bytes() for step in self.steps]
        return b"".join(parts)


def parse(data: Bytes) -> EzklBundle:
    """Raises ``MalformedProof``, ``ChainBroken``, and ``InputError`` for one of another backend."""
    reader = Reader(data, "bundle")
    magic = reader.take(len(EZKL_MAGIC), "magic")
    if magic[:7] == MAGIC[:7]:
        raise InputError(
            "this is a proof by the native backend: use zktrain verify, verify-eval or inspect"
        )
    if magic[:7] != EZKL_MAGIC[:7]:
        raise MalformedProof("this is not a bundle of proofs by ezkl", stage="bundle")
    if magic != EZKL_MAGIC:
        raise MalformedProof(
            "the bundle has another version of the format", stage="bundle", expected=1, got=magic[7]
        )
    text = reader.section("statement", MAX_TEXT_BYTES)
    circuit_text = reader.section("circuit", MAX_CIRCUIT_BYTES)
    dataset_text = reader.section("dataset header", MAX_TEXT_BYTES)
    circuit = Circuit.from_json(circuit_text)
    statement = EzklStatement.from_json(text, circuit, DatasetHeader.from_json(dataset_text))
    _require_provable(statement)
    (count,) = struct.unpack("<I", reader.take(4, "number of steps"))
    if count != circuit.steps:
        raise ChainBroken(
            "the number of steps is not that of the recipe",
            stage="bundle",
            expected=circuit.steps,
            got=count,
        )
    steps = tuple(
        StepProof.take(reader, statement.instances, f"step {index}") for index in range(count)
    )
    reader.finish()
    return EzklBundle(statement, steps)


def _require_provable(statement: EzklStatement) -> None:
    """Refuse what no honest prover writes before any work depends on it."""
    circuit, dataset = statement.circuit, statement.dataset
    problem = None
    try:
        require_supported(circuit)
    except RecipeError as error:
        problem = error.message
    if circuit.steps > MAX_STEPS:
        problem = f"more than {MAX_STEPS:,} steps"
    if (dataset.features, dataset.classes) != (circuit.features, circuit.classes):
        problem = "dataset and network have other sizes"
    if dataset.hiding:
        problem = "the dataset's commitment hides, and verifying needs one that can be recomputed"
    if problem is not None:
        raise MalformedProof(f"no such bundle is made: {problem}", stage="statement")


def read(path: str | Path) -> tuple[EzklBundle, int]:
    """A bundle and its size. Raises ``InputError``, ``MalformedProof``, ``ChainBroken``."""
    with opened(path, "proof") as file:
        return parse(whole(file)), file.size


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a bundle says of itself, unverified; ``steps`` are bytes of proofs."""

    statement: EzklStatement
    proof_bytes: int
    steps: tuple[int, ...]


@checked
def inspect(path: str | Path) -> Inspection:
    """Parse a bundle without verifying it."""
    bundle, size = read(path)
    return Inspection(bundle.statement, size, tuple(len(step.proof) for step in bundle.steps))
