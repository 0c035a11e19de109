"""What a proof says of itself, unverified."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .arguments import lookup
from .checked import checked
from .commitment import opening
from .files import opened
from .protocol.bundle import parse, parse_statement
from .protocol.statement import Statement
from .spans import whole


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a proof of training or of an evaluation says of itself, unverified; ``sections`` are
    bytes of the file, ``parts`` those of the section ``proof`` by kind of message."""

    statement: Statement
    proof_bytes: int
    sections: dict[str, int]
    parts: dict[str, int]


@checked
def inspect(path: str | Path) -> Inspection:
    """Parse a proof without verifying it."""
    with opened(path, "proof") as file:
        size, bundle = file.size, parse(whole(file))
    statement = parse_statement(bundle)
    sections = {
        "statement": len(bundle.statement_json),
        "circuit": len(bundle.circuit_json),
        "dataset header": len(bundle.dataset_json),
        "dataset certificate": len(bundle.certificate),
        "proof": len(bundle.proof),
    }
    return Inspection(statement, size, sections, _parts(statement, len(bundle.proof)))


def _parts(statement: Statement, size: int) -> dict[str, int]:
    """Merkle paths and relations share the remainder, because the number of siblings depends on
    the opened positions."""
    parts = {"lookups": lookup.proof_bytes(statement.entries)}
    parts |= opening.proof_sizes(statement.packings, statement.opening_plan)
    if steps := statement.task.checkpoint_steps:
        parts["checkpoints"] = 16 * len(steps) * len(statement.circuit.trained_shapes())
    if statement.layout is not None:
        parts["pads of hidden scalars"] = statement.layout.proof_bytes(statement.query_bits)
    return {**parts, "relations and Merkle paths": size - sum(parts.values())}


__all__ = ["Inspection", "inspect"]
