"""The verb ``verify_eval``: checking accuracy and confusion matrix of a weight file against a
proof, with numpy alone."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from .checked import checked
from .circuit.circuit import Circuit
from .dataset.commitment import DatasetHeader
from .dataset.scaling import stated_scaling
from .errors import InputError
from .files import Opened, opened
from .judging import (
    check_bits,
    check_dataset,
    check_fields,
    check_scaling,
    own_circuit,
    revealing,
    staged,
    weights_of,
)
from .progress import Progress, silent
from .protocol import closing, segment
from .protocol.bundle import read_circuit
from .protocol.certificate import verify_certificate
from .protocol.evaluation import Counts, EvaluationStatement
from .protocol.evaluation_bundle import EvaluationBundle, parse, parse_statement
from .spans import whole


@dataclass(frozen=True, slots=True)
class EvaluationVerdict:
    """What was accepted. A rejected proof has no verdict but an exception.

    ``confusion`` counts records by label (outer) and prediction (inner), ``correct`` those on its
    diagonal; ``accuracy`` is ``correct / records``.
    """

    statement: EvaluationStatement
    records: int
    correct: int
    accuracy: float
    confusion: Counts
    weights_digest: str
    dataset_root: str
    segments: int
    security_bits: float
    zero_knowledge: bool
    seconds: float
    proof_bytes: int
    statement_digest: str
    warnings: tuple[str, ...]


@checked
def verify_eval(
    weights: str | Path,
    *,
    proof: str | Path,
    dataset: str | Path,
    circuit: str | Path | None = None,
    like: str | Path | None = None,
    min_security_bits: int = 100,
    progress: Progress = silent,
) -> EvaluationVerdict:
    """Accept iff ``proof`` proves the counts that it states for the weights of the file on all
    records of ``dataset``.

    ``dataset`` is the root in hex or a public dataset file. ``circuit`` pins the network, its
    layers and fixed-point format; without it the verdict's statement says which one was evaluated.
    ``like`` is the public file of the training data: inputs must then have been scaled as theirs
    were. Without it the verdict's statement says how (``statement.dataset.scaling``).

    Raises
    ------
    InputError
        A file cannot be read or is missing: nothing was judged.
    MalformedProof, Rejected
        The proof is not accepted; the subclass says why.
    """
    with opened(proof, "proof") as file:
        return _verify(weights, file, dataset, circuit, like, min_security_bits, progress)


def _verify(
    weights: str | Path,
    file: Opened,
    dataset: str | Path,
    circuit: str | Path | None,
    like: str | Path | None,
    min_security_bits: int,
    progress: Progress,
) -> EvaluationVerdict:
    """Each proof is read when it is checked."""
    started = time.perf_counter()
    bundle = parse(whole(file))
    header = DatasetHeader.from_json(bundle.dataset_json)
    check_dataset(header, dataset)
    if like is not None:
        check_scaling(header, like)
    if circuit is not None:
        _check_network(bundle, circuit)
    statement = parse_statement(bundle)
    check_bits(statement, min_security_bits)
    network = statement.circuit.circuit
    fixed = segment.pad_weights(weights_of(network, weights, statement.weights, "evaluated"))

    total = len(statement.segments) + 2
    progress("dataset certificate", 0, total)
    staged("dataset certificate", None, partial(verify_certificate, header, bundle.certificate))
    claims = []
    for part, found in zip(statement.headers, bundle.segments, strict=True):
        progress("segment", part.index + 1, total)
        check = partial(segment.verify, statement, part, found, {}, {}, fixed=fixed)
        claims += staged("segment", part.index, check)
    progress("closing", total - 1, total)
    headers = list(statement.headers)
    staged("closing", None, partial(closing.verify, statement, headers, claims, bundle.closing))
    progress("done", total, total)
    return EvaluationVerdict(
        statement=statement,
        records=header.records,
        correct=statement.correct,
        accuracy=statement.accuracy,
        confusion=statement.matrix,
        weights_digest=statement.weights,
        dataset_root=header.root.hex(),
        segments=len(headers),
        security_bits=statement.union_bits,
        zero_knowledge=statement.zero_knowledge,
        seconds=time.perf_counter() - started,
        proof_bytes=file.size,
        statement_digest=statement.digest.hex(),
        warnings=_warnings(
            statement,
            pinned=circuit is not None,
            said=None if like is not None else _said(weights),
        ),
    )


def _check_network(bundle: EvaluationBundle, path: str | Path) -> None:
    mine = own_circuit(path, read_circuit(path))
    theirs = Circuit.from_json(bundle.circuit_json)
    check_fields(mine, theirs, ("layers", "fixed_point"), "network")


def _said(weights: str | Path) -> str | None:
    """What the weight file says of the training data's scaling, which nothing proves."""
    try:
        found = stated_scaling(weights)
    except InputError:
        return "no range"
    return None if found is None else found.span


def _warnings(statement: EvaluationStatement, *, pinned: bool, said: str | None) -> tuple[str, ...]:
    out = []
    scaling = statement.dataset.scaling
    if said is not None and said != scaling.span:
        out.append(
            f"the weight file says that inputs were scaled from {said} in training, and here they "
            f"are from {scaling.span}; whoever has the training data's .zkd can have it compared "
            "with --like"
        )
    if not pinned:
        out.append(
            "no circuit was pinned: read below which network was evaluated, or pin one with "
            "--circuit"
        )
    return (*out, *revealing(statement))


__all__ = ["EvaluationVerdict", "verify_eval"]
