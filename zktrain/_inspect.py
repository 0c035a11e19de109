"""What bundles say of themselves, unverified."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .arguments import lookup
from .checked import checked
from .commitment import opening
from .files import opened
from .protocol import bundle as training_bundle
from .protocol import evaluation_bundle
from .protocol.evaluation import EvaluationStatement
from .protocol.segment import HEADER_BYTES
from .protocol.statement import Statement, lookup_entries
from .spans import whole


@dataclass(frozen=True, slots=True)
class SegmentSummary:
    """One line of ``zktrain inspect``; ``parts`` are bytes by kind of message."""

    index: int
    first_step: int
    steps: int
    start: str
    end: str
    previous: str
    proof_bytes: int
    parts: dict[str, int]


def _fixed_parts(statement: Statement, index: int) -> dict[str, int]:
    """Bytes of one segment's proof by kind, of those kinds whose size the statement fixes."""
    entries = lookup_entries(statement.circuit, statement.shape(index))
    parts = {"lookups": lookup.proof_bytes(entries)}
    parts |= opening.proof_sizes(statement.packings(index), statement.opening_plan(index))
    layout = statement.layout(index)
    if layout is not None:
        parts["pads of hidden scalars"] = layout.proof_bytes(statement.query_bits)
    return parts


def _all_parts(statement: Statement, sizes: list[int]) -> Iterator[dict[str, int]]:
    """Bytes by kind of each segment's proof; Merkle paths and relations share the remainder,
    because the number of siblings depends on the opened positions."""
    alike: dict[tuple[int, tuple[str, ...]], dict[str, int]] = {}
    for index, size in enumerate(sizes):
        kind = statement.kind(index)
        if kind not in alike:
            alike[kind] = _fixed_parts(statement, index)
        fixed = alike[kind]
        yield {**fixed, "relations and Merkle paths": size - sum(fixed.values())}


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a bundle says of itself, unverified."""

    statement: Statement
    proof_bytes: int
    segments: tuple[SegmentSummary, ...]
    sections: dict[str, int]


@checked
def inspect_bundle(path: str | Path) -> Inspection:
    """Parse a bundle without verifying it."""
    with opened(path, "bundle") as file:
        size, bundle = file.size, training_bundle.parse(whole(file))
    statement = training_bundle.parse_statement(bundle)
    segments = bundle.segments[: len(statement.segments)]
    parts = _all_parts(statement, [len(s.proof) for s in segments])
    summaries = tuple(
        SegmentSummary(
            s.header.index,
            s.header.first_step,
            s.header.steps,
            s.header.start.hex(),
            s.header.end.hex(),
            s.header.previous.hex(),
            len(s.proof),
            of_kind,
        )
        for s, of_kind in zip(segments, parts, strict=True)
    )
    sections = {
        "statement": len(bundle.statement_json),
        "circuit": len(bundle.circuit_json),
        "dataset header": len(bundle.dataset_json),
        "segments": sum(len(s.proof) + HEADER_BYTES for s in bundle.segments),
        "closing": len(bundle.closing),
    }
    return Inspection(statement, size, summaries, sections)


@dataclass(frozen=True, slots=True)
class EvaluationInspection:
    """What a proof of an evaluation says of itself, unverified; ``sections`` are bytes."""

    statement: EvaluationStatement
    proof_bytes: int
    sections: dict[str, int]


@checked
def inspect_evaluation(path: str | Path) -> EvaluationInspection:
    """Parse a proof of an evaluation without verifying it."""
    with opened(path, "proof") as file:
        size, bundle = file.size, evaluation_bundle.parse(whole(file))
    sections = {
        "statement": len(bundle.statement_json),
        "circuit": len(bundle.circuit_json),
        "dataset header": len(bundle.dataset_json),
        "dataset certificate": len(bundle.certificate),
        "segments": sum(map(len, bundle.segments)),
        "closing": len(bundle.closing),
    }
    return EvaluationInspection(evaluation_bundle.parse_statement(bundle), size, sections)
