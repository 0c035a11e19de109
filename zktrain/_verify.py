"""The verbs ``verify`` and ``verify_eval``: checking a weight file against a proof, with numpy
alone."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from .checked import Paths, checked
from .circuit.circuit import Circuit
from .circuit.initial import start_violation
from .circuit.weights import digest
from .dataset.commitment import DatasetHeader
from .dataset.public_file import GivenDataset
from .dataset.scaling import stated_scaling
from .errors import InputError, StatementMismatch
from .files import Opened, opened
from .judging import (
    Weights,
    certificate_of,
    check_bits,
    check_circuit,
    check_dataset,
    check_fields,
    check_scaling,
    initial_weights,
    own_circuit,
    read_of,
    revealing,
    staged,
    weights_of,
)
from .progress import Progress, silent
from .protocol import proof as proofs
from .protocol.bundle import Bundle, parse, parse_statement, read_circuit, task_of
from .protocol.certificate import verify_certificate
from .protocol.proof import Padded, evaluated_weights, trained_weights
from .protocol.statement import Statement
from .protocol.tasks import Counts, Evaluation, Training
from .spans import whole

_MOST_WARNINGS = 4
"""Checkpoints that are warned of one by one."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """What was accepted, of a training or of an evaluation."""

    statement: Statement
    security_bits: float
    zero_knowledge: bool
    seconds: float
    proof_bytes: int
    dataset_root: str
    statement_digest: str
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CheckpointVerdict:
    """That the weights with this digest are those after ``step`` is proven if ``checked``, for
    which their ``file`` had to be given; else it is only stated."""

    step: int
    weights_digest: str
    checked: bool
    file: Path | None


@dataclass(frozen=True, slots=True)
class Verdict(Accepted):
    """What was accepted. A rejected proof has no verdict but an exception. ``checkpoints`` are all
    that the proof states, with what is known of each."""

    checkpoints: tuple[CheckpointVerdict, ...]


@dataclass(frozen=True, slots=True)
class EvaluationVerdict(Accepted):
    """What was accepted of an evaluation. ``confusion`` counts records by label (outer) and
    prediction (inner), ``correct`` those on its diagonal; ``accuracy`` is ``correct / records``."""

    records: int
    correct: int
    accuracy: float
    confusion: Counts
    weights_digest: str


@checked
def verify(
    weights: str | Path,
    *,
    proof: str | Path,
    dataset: str | Path,
    circuit: str | Path | None = None,
    initial: str | Path | None = None,
    certificate: str | Path | None = None,
    checkpoints: Paths = (),
    min_security_bits: int = 100,
    progress: Progress = silent,
) -> Verdict:
    """Accept iff ``proof`` proves that training on ``dataset`` ends in exactly the weights of
    the file, and has those of all files of ``checkpoints`` on its way.

    ``dataset`` is the root in hex or a public dataset file. ``circuit`` pins the compiled
    circuit; without it the verdict's statement says which network and recipe were proven.
    ``initial`` is the file of first weights for runs that do not start from a seed. Proofs of
    training do not repeat the dataset's certificate: where ``dataset`` is a root, ``certificate``
    is the public dataset file that holds it. ``checkpoints`` are weight files, in any order; the
    verdict says of which step each is. Of checkpoints whose file is not given nothing is proven.

    Raises
    ------
    InputError
        A file cannot be read or is missing: nothing was judged.
    MalformedProof, Rejected
        The proof is not accepted; the subclass says why.
    """
    started = time.perf_counter()
    with opened(proof, "proof") as file:
        bundle = parse(whole(file))
        header = DatasetHeader.from_json(bundle.dataset_json)
        given = check_dataset(header, dataset)
        if circuit is not None:
            check_circuit(bundle.circuit_json, circuit)
        statement = parse_statement(bundle)
        task = task_of(statement, Training)
        check_bits(statement, min_security_bits)
        kept = _checkpoints(task, checkpoints)
        public = _trained(
            task, weights, initial, {step: found for step, (_, found) in kept.items()}
        )
        _judge(statement, bundle, given, certificate, public, progress)
    return Verdict(
        *_figures(statement, file, started),
        warnings=(
            *_unpinned(circuit, "network and recipe were proven"),
            *revealing(statement),
            *_unchecked([step for step in task.checkpoint_steps if step not in kept]),
        ),
        checkpoints=tuple(
            CheckpointVerdict(
                stated.step,
                stated.weights,
                stated.step in kept,
                kept[stated.step][0] if stated.step in kept else None,
            )
            for stated in task.checkpoints
        ),
    )


@checked
def verify_eval(
    weights: str | Path,
    *,
    proof: str | Path,
    dataset: str | Path,
    circuit: str | Path | None = None,
    like: str | Path | None = None,
    certificate: str | Path | None = None,
    min_security_bits: int = 100,
    progress: Progress = silent,
) -> EvaluationVerdict:
    """Accept iff ``proof`` proves the counts that it states for the weights of the file on all
    records of ``dataset``.

    ``dataset`` is the root in hex or a public dataset file. ``circuit`` pins the network, its
    layers and fixed-point format; without it the verdict's statement says which one was evaluated.
    ``like`` is the public file of the training data: inputs must then have been scaled as theirs
    were. Without it the verdict's statement says how (``statement.dataset.scaling``).
    ``certificate`` as for ``verify``, where the proof does not repeat it.

    Raises
    ------
    InputError
        A file cannot be read or is missing: nothing was judged.
    MalformedProof, Rejected
        The proof is not accepted; the subclass says why.
    """
    started = time.perf_counter()
    with opened(proof, "proof") as file:
        bundle = parse(whole(file))
        header = DatasetHeader.from_json(bundle.dataset_json)
        given = check_dataset(header, dataset)
        if like is not None:
            check_scaling(header, like)
        if circuit is not None:
            _check_network(bundle, circuit)
        statement = parse_statement(bundle)
        task = task_of(statement, Evaluation)
        check_bits(statement, min_security_bits)
        public = evaluated_weights(weights_of(task.circuit, weights, task.weights, "evaluated"))
        _judge(statement, bundle, given, certificate, public, progress)
    scaled = () if like is not None else _scaled_otherwise(statement, weights)
    unpinned = _unpinned(circuit, "network was evaluated")
    return EvaluationVerdict(
        *_figures(statement, file, started),
        warnings=(*scaled, *unpinned, *revealing(statement)),
        records=header.records,
        correct=task.correct,
        accuracy=task.accuracy,
        confusion=task.confusion,
        weights_digest=task.weights,
    )


def _judge(
    statement: Statement,
    bundle: Bundle,
    given: GivenDataset,
    certificate: str | Path | None,
    public: Padded,
    progress: Progress,
) -> None:
    """The dataset's certificate, that of the bundle and one that is given, and the proof; each is
    read when it is checked."""
    certificates = [bundle.certificate] if len(bundle.certificate) else []
    if certificate is not None or not certificates:
        certificates.append(certificate_of(given, certificate))
    progress("dataset certificate", 0, 2)
    for found in certificates:
        check = partial(verify_certificate, statement.dataset, found)
        staged("dataset certificate", check)
    progress("proof", 1, 2)
    staged("proof", partial(proofs.verify, statement, bundle.proof, public))
    progress("done", 2, 2)


def _figures(
    statement: Statement, file: Opened, started: float
) -> tuple[Statement, float, bool, float, int, str, str]:
    return (
        statement,
        statement.union_bits,
        statement.zero_knowledge,
        time.perf_counter() - started,
        file.size,
        statement.dataset.root.hex(),
        statement.digest.hex(),
    )


def _trained(
    task: Training,
    weights: str | Path,
    initial: str | Path | None,
    kept: dict[int, Weights] | None = None,
) -> Padded:
    """The public weights of a training: the file's, those that it starts from, and ``kept`` ones
    of checkpoints by step."""
    last = weights_of(task.circuit, weights, task.final, "proven")
    first, kept = _initial_weights(task, initial), kept or {}
    moving = task.circuit.trained_shapes()
    for name, values in first.items():
        for found in (last, *kept.values()):
            if name not in moving and not np.array_equal(values, found[name]):
                raise StatementMismatch(
                    f"the parameter {name} belongs to a frozen layer, but the weights differ from "
                    "the initial ones",
                    stage="statement",
                )
    readers = {step: found.__getitem__ for step, found in kept.items()}
    return trained_weights(task.circuit, first, last, readers)


def _checkpoints(task: Training, paths: Paths) -> dict[int, tuple[Path, Weights]]:
    """File and weights of every checkpoint that is given, by step. Raises ``StatementMismatch`` for
    a file of none."""
    out: dict[int, tuple[Path, Weights]] = {}
    for path in paths:
        weights = read_of(task.circuit, path)
        found = digest(weights)
        steps = [stated.step for stated in task.checkpoints if stated.weights == found]
        if not steps:
            raise StatementMismatch(
                f"{path} does not hold the weights of any checkpoint that the proof states"
                if task.checkpoints
                else f"{path} is given as a checkpoint, and the proof states none",
                stage="checkpoints",
            )
        out.update(dict.fromkeys(steps, (Path(path), weights)))
    return out


def _unchecked(steps: list[int]) -> tuple[str, ...]:
    """What to say of checkpoints whose files were not given."""
    if len(steps) <= _MOST_WARNINGS:
        return tuple(
            f"checkpoint of step {step}: digest stated, not checked; give --checkpoint FILE"
            for step in steps
        )
    return (
        f"{len(steps)} checkpoints, of steps {steps[0]} to {steps[-1]}: digests stated, not "
        "checked; give --checkpoint FILE for each that matters",
    )


def _initial_weights(task: Training, path: str | Path | None) -> Weights:
    weights = initial_weights(task.circuit, path)
    if problem := start_violation(task.circuit, weights):
        raise StatementMismatch(
            f"no run under weight decay starts from these weights: {problem}", stage="initial"
        )
    if digest(weights) != task.initial:
        raise StatementMismatch(
            "the statement starts from other weights than the circuit says", stage="initial"
        )
    return weights


def _check_network(bundle: Bundle, path: str | Path) -> None:
    mine = own_circuit(path, read_circuit(path))
    theirs = Circuit.from_json(bundle.circuit_json)
    check_fields(mine, theirs, ("layers", "fixed_point"), "network")


def _scaled_otherwise(statement: Statement, weights: str | Path) -> tuple[str, ...]:
    """A warning where the weight file says, which nothing proves, that the training data were
    scaled otherwise."""
    try:
        found = stated_scaling(weights)
    except InputError:
        said = "no range"
    else:
        if found is None:
            return ()
        said = found.span
    here = statement.dataset.scaling.span
    if said == here:
        return ()
    return (
        f"the weight file says that inputs were scaled from {said} in training, and here they "
        f"are from {here}; whoever has the training data's .zkd can have it compared with --like",
    )


def _unpinned(circuit: str | Path | None, what: str) -> tuple[str, ...]:
    if circuit is not None:
        return ()
    return (f"no circuit was pinned: read below which {what}, or pin one with --circuit",)


__all__ = ["CheckpointVerdict", "EvaluationVerdict", "Verdict", "verify", "verify_eval"]
