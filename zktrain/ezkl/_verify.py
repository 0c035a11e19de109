"""Checking a weight file against a bundle of ezkl proofs, with the data in hand."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from ..checked import checked
from ..circuit.weights import read_weights
from ..dataset.readers import Records, read_dataset
from ..errors import ChainBroken, InputError, MalformedProof, Rejected, StatementMismatch
from ..judging import check_circuit, check_dataset, initial_weights
from ..progress import Progress, silent
from . import bundle as wire
from . import keys as key_store
from . import values
from .bundle import EzklBundle, StepProof, weights_path
from .caveats import CONJECTURED_BITS, caveats
from .keys import Keys
from .native import Native, require_ezkl
from .reference import open_srs
from .stages import Stages
from .statement import EzklStatement
from .values import IntegerWeights


class ProofMismatch(Rejected):
    """ezkl does not accept the proof of a step."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was accepted. ``security_bits`` is conjectured, and 0 with a set-up that is insecure or
    was not checked; ``stages`` are seconds."""

    statement: EzklStatement
    steps: int
    security_bits: float
    zero_knowledge: bool
    seconds: float
    stages: dict[str, float]
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
    data: str | Path,
    srs: str | Path,
    circuit: str | Path | None = None,
    initial: str | Path | None = None,
    unchecked_srs: bool = False,
    insecure_srs: bool = False,
    min_security_bits: int | None = None,
    memory: int | None = None,
    progress: Progress = silent,
) -> Verdict:
    """Accept iff ``proof`` proves, step by step, that training on ``data`` ends in the weights.

    ``data`` are the records, which must have the root ``dataset``. The verifying key is derived
    from the recipe, which takes a set-up the first time. ``insecure_srs`` allows an SRS whose
    secret everybody knows, for tests, and ``unchecked_srs`` one that was not checked: the verdict
    then has 0 bits, and is refused if ``min_security_bits`` asks for more (None: all that there
    is).

    Raises
    ------
    InputError
        A file, the data or the SRS cannot be used, or ezkl failed: nothing was judged.
    MalformedProof, Rejected
        The proof is not accepted; the subclass says why.
    """
    started = time.perf_counter()
    require_ezkl()
    bundle, size = wire.read(proof)
    statement = bundle.statement
    check_dataset(statement.dataset, dataset)
    if circuit is not None:
        check_circuit(statement.circuit.canonical_json(), circuit)
    reference = open_srs(srs, unchecked=unchecked_srs)
    if reference.insecure and not insecure_srs:
        raise InputError(
            f"everybody knows the secret of the SRS {reference.path}, made for tests, and can "
            "forge proofs with it; use one of a ceremony, or give --insecure-srs to see the checks"
        )
    bits = 0 if reference.proves_nothing else CONJECTURED_BITS
    if min_security_bits is not None and min_security_bits > bits:
        raise StatementMismatch(
            "a proof by ezkl has fewer bits of security than are asked for, and none where the SRS "
            "is insecure or was not checked",
            stage="statement",
            expected=min_security_bits,
            got=bits,
        )
    statement.require_setup(reference)
    clock = Stages()
    records = _records(statement, data, progress)
    clock.end("data")
    last = _last_weights(statement, weights, Path(proof))
    first = values.rounded(
        statement.circuit,
        initial_weights(statement.circuit, initial),
        statement.parameters.scale,
    )
    for name, found, stated in (
        ("first", first, statement.initial),
        ("last", last, statement.final),
    ):
        if values.weights_digest(found, statement.parameters.scale) != stated:
            raise StatementMismatch(
                f"the {name} weights are not those that were proven", stage="weights"
            )
    with Native() as native:
        keys = key_store.stated(statement, reference, native, memory=memory, progress=progress)
        clock.end("keys")
        _check_links(bundle, records, first, last, native, progress)
        clock.end("links")
        _check_proofs(bundle.steps, keys, native, progress)
        clock.end("proofs")
    return Verdict(
        statement=statement,
        steps=len(bundle.steps),
        security_bits=float(bits),
        zero_knowledge=False,
        seconds=time.perf_counter() - started,
        stages=clock.seconds,
        proof_bytes=size,
        dataset_root=statement.dataset.root.hex(),
        statement_digest=statement.digest,
        warnings=caveats(statement, reference, pinned=circuit is not None),
    )


def _last_weights(statement: EzklStatement, weights: str | Path, proof: Path) -> IntegerWeights:
    """The weights in ezkl's fixed point. Raises ``InputError``, ``StatementMismatch``."""
    try:
        return read_weights(
            weights, statement.circuit.parameter_shapes(), statement.parameters.scale
        )
    except StatementMismatch as error:
        error.message += (
            f"; what was proven are the weights that zktrain ezkl prove wrote beside the bundle, "
            f"{weights_path(proof).name}"
        )
        raise


def _check_links(
    bundle: EzklBundle,
    records: Records,
    first: IntegerWeights,
    last: IntegerWeights,
    native: Native,
    progress: Progress,
) -> None:
    """Every instance is the hash of what the recipe says, or the one that the step before ended
    with. Raises ``StatementMismatch`` and ``ChainBroken``."""
    statement = bundle.statement
    circuit, scale = statement.circuit, statement.parameters.scale
    count = len(circuit.parameter_shapes())
    before = _hashes(values.flat(first), native)
    after_all = _hashes(values.flat(last), native)
    for index, step in enumerate(bundle.steps):
        progress("batches", index, len(bundle.steps))
        given, (x, y, rate), after = (
            step.instances[:count],
            step.instances[count : count + 3],
            step.instances[count + 3 :],
        )
        if given != before:
            raise ChainBroken(
                "a step starts at other weights than the recipe says"
                if index == 0
                else "a step starts at other weights than the one before it ended",
                stage="links",
                step=index,
            )
        wanted = _hashes(values.batch(circuit, records, index, scale), native)
        for name, found, right in zip(
            ("inputs", "labels", "learning rate"), (x, y, rate), wanted, strict=True
        ):
            if found != right:
                raise StatementMismatch(
                    f"a step was proved with other {name} than dataset, order and recipe say"
                    if name != "learning rate"
                    else "a step was proved with another learning rate than the recipe says",
                    stage="links",
                    step=index,
                )
        before = after
    if before != after_all:
        raise ChainBroken(
            "the last step does not end in the weights of the file",
            stage="links",
            step=len(bundle.steps) - 1,
        )


def _check_proofs(
    steps: tuple[StepProof, ...], keys: Keys, native: Native, progress: Progress
) -> None:
    """ezkl accepts every proof, and none has bytes that it does not read: all have one length, and
    without its last byte the first is refused."""
    for index, step in enumerate(steps):
        progress("proofs", index, len(steps))
        if len(step.proof) != len(steps[0].proof):
            raise MalformedProof(
                "proofs of one circuit have one length", stage="proofs", step=index
            )
        if not keys.accept(step.instances, step.proof, native):
            raise ProofMismatch(
                "the proof of a step does not hold for its weights and batch",
                stage="proofs",
                step=index,
            )
    if keys.accept(steps[0].instances, steps[0].proof[:-1], native):
        raise MalformedProof("bytes follow the end of a proof", stage="proofs", step=0)
    progress("proofs", len(steps), len(steps))


def _hashes(tensors: list[list[int]], native: Native) -> tuple[bytes, ...]:
    return tuple(bytes.fromhex(text) for text in native.call("hashes", tensors=tensors))


def _records(statement: EzklStatement, data: str | Path, progress: Progress) -> Records:
    """The user's data, which must have the root. Raises ``InputError``."""
    from ..extras import require

    require("ezkl", "computing the dataset's root", "numba")
    from ..prover.dataset.commitment import commit_records

    progress("commit dataset", 0, 1)
    records = read_dataset(str(data))
    found = commit_records(records).header.root
    if found != statement.dataset.root:
        raise InputError(
            f"{records.source} has the root {found.hex()[:16]}... and not that of the dataset, "
            f"{statement.dataset.root.hex()[:16]}...; give --data the records that were committed"
        )
    progress("commit dataset", 1, 1)
    return records
