"""What every judge of a proof does, of trainings and of evaluations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from .circuit.circuit import Circuit
from .circuit.initial import seeded_weights
from .circuit.weights import digest, read_weights
from .dataset.commitment import DatasetHeader
from .dataset.public_file import GivenDataset, given_dataset, header_of
from .errors import InputError, MalformedProof, StatementMismatch, ZktrainError
from .protocol.bundle import read_circuit
from .protocol.statement import MAX_SECURITY_BITS, MIN_SECURITY_BITS, Statement

Weights = dict[str, NDArray[np.int64]]
T = TypeVar("T")


def staged(stage: str, work: Callable[[], T]) -> T:
    """Errors from inside learn which part of the proof they are about."""
    try:
        return work()
    except ZktrainError as error:
        error.stage = stage if error.stage is None else f"{stage}/{error.stage}"
        raise


def check_dataset(header: DatasetHeader, dataset: str | Path) -> GivenDataset:
    """The dataset that is asked for; raises ``StatementMismatch`` unless the header is its own."""
    given = given_dataset(dataset)
    if header.root != given.root:
        raise StatementMismatch(
            "the proof is about another dataset; a run that was trained without --dataset has a "
            "commitment of its own, the dataset.zkd in its folder",
            stage="dataset",
            expected=given.root.hex()[:16],
            got=header.root.hex()[:16],
        )
    return given


def check_scaling(header: DatasetHeader, like: str | Path) -> None:
    """Raise ``StatementMismatch`` unless inputs became bytes as those of the dataset did whose
    public file is ``like``."""
    wanted = header_of(like, "the training data").scaling
    if header.scaling != wanted:
        raise StatementMismatch(
            "the inputs are scaled otherwise than those of the training data",
            stage="dataset",
            expected=wanted.span,
            got=header.scaling.span,
        )


def certificate_of(given: GivenDataset, path: str | Path | None) -> bytes:
    """The certificate of the dataset, not verified: from its public file, which may be given by
    ``path`` beside its root. Raises ``InputError`` without one, ``StatementMismatch`` for that of
    another dataset."""
    if path is not None:
        beside = given_dataset(path)
        if beside.root != given.root:
            raise StatementMismatch(
                "the certificate is that of another dataset",
                stage="dataset certificate",
                expected=given.root.hex()[:16],
                got=beside.root.hex()[:16],
            )
        given = beside
    if given.certificate is None:
        raise InputError(
            "the proof does not repeat the dataset's certificate: give the public file that "
            "zktrain commit wrote (.zkd) as the dataset, or beside its root as the certificate"
        )
    return given.certificate


def check_bits(statement: Statement, least: int) -> None:
    """Raise ``StatementMismatch`` for a proof that was made for fewer bits, ``InputError`` where
    no proof could have as many, ``TypeError`` for what is no number of bits."""
    if type(least) is not int:
        raise TypeError(f"min_security_bits must be an int, not {type(least).__name__}")
    if not 0 <= least <= MAX_SECURITY_BITS:
        raise InputError(
            f"min_security_bits is {least}; proofs are made for {MIN_SECURITY_BITS} to "
            f"{MAX_SECURITY_BITS} bits"
        )
    if statement.security_bits < least:
        raise StatementMismatch(
            "the proof was made for fewer bits of security than are asked for",
            stage="statement",
            expected=least,
            got=statement.security_bits,
        )


def revealing(statement: Statement) -> tuple[str, ...]:
    """What to warn of where a proof does not hide its dataset."""
    if statement.zero_knowledge:
        return ()
    out = ["this proof does not hide the dataset"]
    if statement.dataset.hiding:
        out.append(
            "the dataset's commitment hides, but not what this proof has revealed: proofs on it "
            "that hide cannot take that back"
        )
    return tuple(out)


def check_fields(mine: Circuit, theirs: Circuit, names: tuple[str, ...], what: str) -> None:
    """Raise ``StatementMismatch`` with the first of these fields that differs."""
    for name in names:
        if getattr(mine, name) != getattr(theirs, name):
            raise StatementMismatch(
                f"the proof is about another {what}: {name} differs",
                stage="circuit",
                expected=mine.id[:16],
                got=theirs.id[:16],
            )


def own_circuit(path: str | Path, data: bytes) -> Circuit:
    """The user's own circuit, read from ``path``; raises ``InputError``."""
    try:
        return Circuit.from_json(data)
    except MalformedProof as error:
        raise InputError(
            f"the circuit {str(path)!r:.200} cannot be used: {error.message}"
        ) from None


def check_circuit(theirs: bytes, path: str | Path) -> None:
    """Raise ``StatementMismatch`` unless the circuit of the proof is the one in ``path``."""
    pinned = read_circuit(path)
    if pinned == theirs:
        return
    mine, other = own_circuit(path, pinned), Circuit.from_json(theirs)
    check_fields(mine, other, tuple(field.name for field in fields(Circuit)), "circuit")
    raise StatementMismatch("the proof is about another circuit", stage="circuit")


def initial_weights(circuit: Circuit, path: str | Path | None) -> Weights:
    """The first weights that the circuit says: from its seed, or the file with its digest. Raises
    ``InputError`` without that file, ``StatementMismatch`` for another one, also where the seed
    says the weights."""
    if circuit.initialisation.kind == "seed":
        seeded = seeded_weights(circuit)
        if path is not None and digest(read_of(circuit, path)) != digest(seeded):
            raise StatementMismatch(
                "the run starts from a seed, and the file of initial weights holds others than "
                "those of the seed",
                stage="initial",
            )
        return seeded
    if path is None:
        raise InputError(
            "this run starts from a weight file: give it with --initial, its digest is "
            f"{circuit.initialisation.value}"
        )
    weights = read_of(circuit, path)
    if digest(weights) != circuit.initialisation.value:
        raise StatementMismatch("the initial weights are not those of the circuit", stage="initial")
    return weights


def read_of(circuit: Circuit, path: str | Path) -> Weights:
    """The weights of a file, which may be any of this network."""
    return read_weights(path, circuit.parameter_shapes(), circuit.fixed_point.weight_bits)


def weights_of(circuit: Circuit, path: str | Path, wanted: str, verb: str) -> Weights:
    """The published weights; raises ``StatementMismatch`` unless their digest is ``wanted``."""
    weights = read_of(circuit, path)
    found = digest(weights)
    if found != wanted:
        raise StatementMismatch(
            f"the weight file does not hold the weights that were {verb}",
            stage="weights",
            expected=wanted[:16],
            got=found[:16],
        )
    return weights
