"""Checking a weight file against a proof, with numpy alone."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from .checked import checked
from .circuit.initial import start_violation
from .circuit.weights import digest
from .dataset.commitment import DatasetHeader
from .errors import StatementMismatch
from .files import Opened, opened
from .judging import (
    Weights,
    certificate_of,
    check_bits,
    check_circuit,
    check_dataset,
    initial_weights,
    revealing,
    staged,
    weights_of,
)
from .progress import Progress, silent
from .protocol import closing, segment
from .protocol.bundle import check_chain, parse, parse_statement
from .protocol.certificate import verify_certificate
from .protocol.statement import Statement
from .spans import whole


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was accepted. A rejected proof has no verdict but an exception."""

    statement: Statement
    segments: int
    security_bits: float
    zero_knowledge: bool
    seconds: float
    proof_bytes: int
    dataset_root: str
    statement_digest: str
    warnings: tuple[str, ...]


@checked
def verify(
    weights: str | Path,
    *,
    proof: str | Path,
    dataset: str | Path,
    circuit: str | Path | None = None,
    initial: str | Path | None = None,
    certificate: str | Path | None = None,
    min_security_bits: int = 100,
    progress: Progress = silent,
) -> Verdict:
    """Accept iff ``proof`` proves that training on ``dataset`` ends in exactly the weights of
    the file.

    ``dataset`` is the root in hex or a public dataset file. ``circuit`` pins the compiled
    circuit; without it the verdict's statement says which network and recipe were proven.
    ``initial`` is the file of first weights for runs that do not start from a seed. Bundles do not
    repeat the dataset's certificate: where ``dataset`` is a root, ``certificate`` is the public
    dataset file that holds it.

    Raises
    ------
    InputError
        A file cannot be read or is missing: nothing was judged.
    MalformedProof, Rejected
        The proof is not accepted; the subclass says why.
    """
    with opened(proof, "proof") as file:
        return _verify(
            weights, file, dataset, circuit, initial, certificate, min_security_bits, progress
        )


def _verify(
    weights: str | Path,
    file: Opened,
    dataset: str | Path,
    circuit: str | Path | None,
    initial: str | Path | None,
    certificate: str | Path | None,
    min_security_bits: int,
    progress: Progress,
) -> Verdict:
    """Each proof is read when it is checked."""
    started = time.perf_counter()
    bundle = parse(whole(file))
    header = DatasetHeader.from_json(bundle.dataset_json)
    given = check_dataset(header, dataset)
    if circuit is not None:
        check_circuit(bundle.circuit_json, circuit)
    statement = parse_statement(bundle)
    check_bits(statement, min_security_bits)
    last = weights_of(statement.circuit, weights, statement.final, "proven")
    first = _initial_weights(statement, initial)
    headers = [s.header for s in bundle.segments]
    check_chain(statement, headers)
    certified = certificate_of(given, certificate)

    total = len(headers) + 2
    progress("dataset certificate", 0, total)
    staged("dataset certificate", None, partial(verify_certificate, header, certified))
    claims = []
    start, fixed = segment.split_weights(statement.circuit, first)
    end, last_fixed = segment.split_weights(statement.circuit, last)
    for name, values in fixed.items():
        if not np.array_equal(values, last_fixed[name]):
            raise StatementMismatch(
                f"the parameter {name} belongs to a frozen layer, but the weights differ from the "
                "initial ones",
                stage="statement",
            )
    for number, part in enumerate(bundle.segments):
        progress("segment", number + 1, total)
        check = partial(
            segment.verify,
            statement,
            part.header,
            part.proof,
            start if number == 0 else None,
            end if number + 1 == len(headers) else None,
            fixed=fixed,
        )
        claims += staged("segment", number, check)
    progress("closing", total - 1, total)
    check_closing = partial(closing.verify, statement, headers, claims, bundle.closing)
    staged("closing", None, check_closing)
    progress("done", total, total)
    return Verdict(
        statement=statement,
        segments=len(headers),
        security_bits=statement.union_bits,
        zero_knowledge=statement.zero_knowledge,
        seconds=time.perf_counter() - started,
        proof_bytes=file.size,
        dataset_root=header.root.hex(),
        statement_digest=statement.digest.hex(),
        warnings=_warnings(statement, pinned=circuit is not None),
    )


def _initial_weights(statement: Statement, path: str | Path | None) -> Weights:
    circuit = statement.circuit
    weights = initial_weights(circuit, path)
    if problem := start_violation(circuit, weights):
        raise StatementMismatch(
            f"no run under weight decay starts from these weights: {problem}", stage="initial"
        )
    if digest(weights) != statement.initial:
        raise StatementMismatch(
            "the statement starts from other weights than the circuit says", stage="initial"
        )
    return weights


def _warnings(statement: Statement, *, pinned: bool) -> tuple[str, ...]:
    out = []
    if not pinned:
        out.append(
            "no circuit was pinned: read below which network and recipe were proven, "
            "or pin one with --circuit"
        )
    return (*out, *revealing(statement))


__all__ = ["Verdict", "verify"]
