"""The verbs ``prove`` and ``prove_eval``: from a finished run, or from weights and records, to a
proof."""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import disk, files
from .checked import checked
from .circuit.circuit import Circuit
from .errors import InputError, StatementMismatch
from .extras import require
from .judging import own_circuit
from .locks import claimed, locked
from .profile import Clock, mark
from .progress import Progress, silent
from .protocol.bundle import MAGICS, MAX_PROOF_BYTES, Bundle, read_circuit
from .protocol.certificate import certificate_plan
from .protocol.proof import Padded, evaluated_weights, trained_weights
from .protocol.statement import Statement
from .protocol.tasks import Counts, Evaluation, Training

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .dataset.readers import Like, Records
    from .prover.dataset.commitment import CommittedDataset
    from .prover.dataset.secret_file import Owned
    from .prover.journal import Journal
    from .prover.memory_plan import Plan
    from .prover.witness import Cells
    from .training.run import Run


@dataclass(frozen=True, slots=True)
class Proved:
    """Where the proof is and what it cost: ``stages`` are seconds by stage, ``plan`` a guess."""

    path: Path
    seconds: float
    proof_bytes: int
    peak_rss_bytes: int
    stages: dict[str, float]
    zero_knowledge: bool
    plan: Plan


@dataclass(frozen=True, slots=True)
class ProvedEvaluation:
    """Where the proof is, what it proves and what it cost. ``confusion`` counts records by label
    (outer) and prediction (inner); ``dataset`` is the file of a new commitment, if one was
    written."""

    path: Path
    records: int
    correct: int
    accuracy: float
    confusion: Counts
    weights_digest: str
    dataset_root: str
    dataset: Path | None
    source: str
    zero_knowledge: bool
    seconds: float
    proof_bytes: int
    peak_rss_bytes: int
    plan: Plan


Planned = Callable[["Plan"], None]
"""Told how a proof will be made, before it is."""


def _unheard(plan: Plan) -> None:
    """The default: nobody listens."""


@checked
def prove(
    run: str | Path,
    *,
    out: str | Path | None = None,
    device: str = "cpu",
    zero_knowledge: bool | None = None,
    memory: int | None = None,
    planned: Planned = _unheard,
    progress: Progress = silent,
) -> Proved:
    """Prove a finished training run.

    ``zero_knowledge`` overrides the recipe. ``device`` is that of the steps; on ``cuda`` the
    heavy kernels run there too. The proof does not depend on it. ``memory`` is how many bytes the
    process may take (None: what the machine has left), and ``planned`` is told before the work
    begins what follows from it; the proof does not depend on it. A proof of the run that is at
    ``out`` already is kept.

    Raises :class:`InputError` for an unusable run directory or device or too little memory,
    :class:`RangeOverflow` never for a run that training finished.
    """
    require("prove", "proving", "numba", "torch")
    from .prover.kernels.device import kernels_on, require_device
    from .training.run import run_folder

    started = time.perf_counter()
    clock = Clock(progress)
    with clock.running(), kernels_on(device):
        clock("load", 0, 1)  # torch, above all
        require_device(device, kernels=True)
        busy = f"{run} is in use: another process trains or proves it; wait for it, or end it"
        with locked(run_folder(run), busy=busy):
            path, size, hides, chosen = _proved(
                run, out, device, zero_knowledge, memory, planned, clock
            )
    seconds = time.perf_counter() - started
    return Proved(path, seconds, size, _peak_bytes(), clock.stages, hides, chosen)


def _peak_bytes() -> int:
    """Of this process."""
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


def _proved(
    run: str | Path,
    out: str | Path | None,
    device: str,
    zero_knowledge: bool | None,
    memory: int | None,
    planned: Planned,
    clock: Clock,
) -> tuple[Path, int, bool, Plan]:
    """Where the proof is, its size, whether it hides, and how it was to be made."""
    from .circuit.weights import digest
    from .prover.dataset import secret_file
    from .prover.dataset.commitment import columns_of, commit_columns
    from .prover.memory_plan import plan
    from .prover.protocol.bundle import published, require_provable
    from .training.run import Run

    opened = Run.open(run)
    circuit = opened.circuit
    clock("read", 0, 1)
    path = Path(out) if out is not None else opened.path / "proof.zkt"
    disk.require_writable(path, "proof", *MAGICS)
    header, records = opened.header(), opened.records()
    secret, seed = opened.dataset_secret, None
    if secret is not None:
        seed = secret_file.read_for(secret, header).seed
    if zero_knowledge is None:
        zero_knowledge = bool(opened.proof.get("zero_knowledge", True))
    first, last = opened.boundary(0), opened.boundary(circuit.steps)
    opened.require_checkpoints()
    task = Training(circuit, digest(first), digest(last), opened.checkpoints)
    bits = int(opened.proof.get("security_bits", 100))
    statement = Statement(task, header, bits, zero_knowledge)
    require_provable(statement)
    certified = opened.public_dataset.exists()
    chosen = plan(opened.path, opened.path, statement, memory, certified=certified)
    planned(chosen)
    chosen.begin()
    public = trained_weights(circuit, first, last, _checkpoint_readers(opened))

    def make(journal: Journal) -> Bundle:
        clock("commit dataset", 0, 1)
        dataset = commit_columns(header, columns_of(header, records), seed, chosen.memory)
        if dataset.header != header:
            raise InputError(
                f"{opened.path} or its secret file has changed: the dataset no longer has the "
                "root that the run was trained for; train again"
            )
        clock("certify dataset", 0, 1)
        _certify(opened.public_dataset, dataset, secret, chosen.memory)
        proof = _prove_training(
            opened, records, statement, dataset, public, device, clock, chosen, journal
        )
        return _bundle(statement, b"", proof)

    data = published(path, statement, public, secret, make)
    return path, len(data), zero_knowledge, chosen


def _checkpoint_readers(run: Run) -> dict[int, Callable[[str], NDArray[np.int64]]]:
    """The weights after some steps, each parameter read when it is needed."""

    def reader(step: int) -> Callable[[str], NDArray[np.int64]]:
        return lambda name: run.checkpoint(step, (name,))[name]

    return {kept.step: reader(kept.step) for kept in run.checkpoints}


def _bundle(statement: Statement, certificate: bytes, proof: bytes) -> Bundle:
    return Bundle(
        statement.to_json(),
        statement.circuit.canonical_json(),
        statement.dataset.to_json(),
        certificate,
        proof,
    )


def _certify(
    path: Path, dataset: CommittedDataset, secret: Path | None, memory: int | None
) -> None:
    """Keep the certificate in the run directory if it is good, else put a new one there."""
    from .prover.dataset import secret_file
    from .prover.dataset.public_file import encoded
    from .prover.protocol.bundle import certificate_in
    from .prover.protocol.certificate import certify

    found = files.read_bytes(path, "file", MAX_PROOF_BYTES) if path.exists() else None
    if certificate_in(found, path, dataset) is not None:
        return
    positions = certificate_plan(dataset.header).commitments[0].queries
    count = secret_file.spending(secret, dataset.header, positions)
    certificate = certificate_in(disk.waiting(path, MAX_PROOF_BYTES), path, dataset)
    if certificate is None:
        if secret is not None:
            secret_file.require_left(secret, dataset.header, positions)
        certificate = certify(dataset, memory=memory)
    disk.publish(path, encoded(dataset.header, certificate), count)


def _prove_training(
    run: Run,
    records: Records,
    statement: Statement,
    dataset: CommittedDataset,
    public: Padded,
    device: str,
    clock: Clock,
    chosen: Plan,
    journal: Journal,
) -> bytes:
    from .prover.protocol.proof import prove as prove_statement
    from .prover.witness import RunWitness, batch_tensors
    from .training.witness import run_witness

    circuit, shape = statement.circuit, statement.shape
    order = statement.task.order(statement.dataset)
    batches = batch_tensors(records.inputs, records.labels, circuit.classes, order)
    with chosen.scratch(run.path) as scratch:
        clock("witness", 0, shape.steps)
        mark("steps")
        arrays, _ = run_witness(
            circuit,
            records,
            run.boundary(0),
            0,
            shape.steps,
            1 << shape.log_steps,
            scratch=scratch,
            device=device,
            progress=clock,
        )
        given: dict[str, NDArray[Any] | Cells] = {**arrays, **batches}
        witness = RunWitness(statement.graph, shape, given, chosen.memory, scratch)
        return prove_statement(statement, witness, dataset, public, progress=clock, journal=journal)


@checked
def prove_eval(
    weights: str | Path,
    *,
    circuit: str | Path,
    data: str | Path,
    split: str = "test",
    dataset: str | Path | None = None,
    dataset_out: str | Path | None = None,
    like: str | Path | None = None,
    out: str | Path = "eval.zkt",
    device: str = "cpu",
    zero_knowledge: bool = True,
    security_bits: int = 100,
    memory: int | None = None,
    planned: Planned = _unheard,
    progress: Progress = silent,
) -> ProvedEvaluation:
    """Prove which class the network of ``circuit`` with the weights of a file predicts how often
    for which label, over all records of ``data``.

    Parameters
    ----------
    weights
        The file, as ``zktrain train`` writes it.
    circuit
        A compiled circuit: its network is evaluated; loss, steps and learning rates do not matter.
    data, split
        As for ``commit``.
    dataset
        An existing commitment to the same records: its public file, with the secret file beside it
        if it hides, or a root that everybody can recompute.
    dataset_out
        Where to write a new commitment instead, which hides unless ``zero_knowledge`` is off.
    like
        The public file of the training data: ``data`` are scaled as they are. Without it, as the
        weight file says that they are. Data that state another scaling are refused.
    out
        Where to write the proof.
    device
        ``cpu`` or ``cuda``; the proof does not depend on it.
    zero_knowledge
        Hide everything but the published counts.
    security_bits
        80 to 120.
    memory
        How many bytes the process may take (None: what the machine has left); the proof does not
        depend on it.
    planned
        Told before the proof begins what follows from ``memory``.
    progress
        Called with the stages ``evaluate``, ``commit dataset`` and those of the proof.

    Raises
    ------
    InputError
        A file or an argument cannot be used.
    StatementMismatch
        The weights are those of another network, or ``data`` are not the committed records.
    RangeOverflow
        A value of the network leaves 16 bits on these records; names layer, record and value.
    RecipeError
        These sizes cannot be proved.
    """
    require("prove", "proving an evaluation", "numba", "torch")
    from .prover.kernels.device import require_device

    started = time.perf_counter()
    progress("load", 0, 1)
    require_device(device, kernels=True)
    busy = f"another process is writing {out}; wait for it, or end it"
    with claimed(out, busy=busy):
        disk.require_writable(out, "proof", *MAGICS)
        statement, task, size, source, chosen = _evaluated(
            Path(out),
            weights,
            circuit,
            data,
            split,
            dataset,
            dataset_out,
            like,
            device,
            zero_knowledge,
            security_bits,
            memory,
            planned,
            progress,
        )
    return ProvedEvaluation(
        Path(out),
        task.records,
        task.correct,
        task.accuracy,
        task.confusion,
        task.weights,
        statement.dataset.root.hex(),
        None if dataset_out is None else Path(dataset_out),
        source,
        zero_knowledge,
        time.perf_counter() - started,
        size,
        _peak_bytes(),
        chosen,
    )


def _evaluated(
    out: Path,
    weights: str | Path,
    circuit: str | Path,
    data: str | Path,
    split: str,
    dataset: str | Path | None,
    dataset_out: str | Path | None,
    like: str | Path | None,
    device: str,
    zero_knowledge: bool,
    security_bits: int,
    memory: int | None,
    planned: Planned,
    progress: Progress,
) -> tuple[Statement, Evaluation, int, str, Plan]:
    """Statement and size of the proof at ``out``, where the records come from, and how the proof
    was to be made."""
    from .circuit.weights import digest, read_weights
    from .cost.estimate import header_to_be
    from .dataset.readers import read_dataset
    from .prover.dataset.commitment import DEFAULT_OPENINGS, commit_records
    from .prover.kernels.device import kernels_on
    from .prover.memory_plan import plan
    from .prover.protocol.bundle import published, require_provable
    from .prover.protocol.certificate import certify
    from .training.evaluation import confusion

    compiled = own_circuit(circuit, read_circuit(circuit))
    fixed_point = compiled.fixed_point
    integers = read_weights(weights, compiled.parameter_shapes(), fixed_point.weight_bits)
    training = _training_data(weights, like, compiled)
    records = read_dataset(str(data), split, training)
    progress("evaluate", 0, 1)
    found = confusion(compiled, integers, records, 0, len(records.labels), device=device)
    task = Evaluation(compiled, digest(integers), tuple(map(tuple, found.tolist())))
    with kernels_on(device):
        known = _known(out, dataset, dataset_out, zero_knowledge)
        header = header_to_be(
            len(records.labels),
            compiled.features,
            compiled.classes,
            hiding=zero_knowledge if isinstance(known, Path) else known.openings > 0,
            openings=DEFAULT_OPENINGS if isinstance(known, Path) else known.openings,
        )
        statement = Statement(task, header, security_bits, zero_knowledge)
        require_provable(statement)
        certified = dataset is not None and Path(dataset).is_file()
        chosen = plan(out, out.absolute().parent, statement, memory, certified=certified)
        planned(chosen)
        chosen.begin()
        if isinstance(known, Path):
            known = _made(known, data, split, training, zero_knowledge, chosen, progress)
        progress("commit dataset", 0, 1)
        committed = commit_records(records, known.seed, known.openings, chosen.memory)
        root = committed.header.root.hex()
        if known.root is not None and root != known.root:
            raise StatementMismatch(
                f"{records.source} is not the dataset with this root", expected=known.root, got=root
            )
        statement = Statement(task, committed.header, security_bits, zero_knowledge)
        public = evaluated_weights(integers)

        def make(journal: Journal) -> Bundle:
            progress("certify dataset", 0, 1)
            certificate = _certificate(dataset_out or dataset, committed)
            if certificate is None:
                certificate = certify(committed, memory=chosen.memory)
            proof = _prove_evaluation(
                statement,
                records,
                committed,
                public,
                device,
                progress,
                chosen,
                out.absolute().parent,
                journal,
            )
            return _bundle(statement, certificate, proof)

        written = published(out, statement, public, known.secret, make)
    return statement, task, len(written), records.source, chosen


def _prove_evaluation(
    statement: Statement,
    records: Records,
    dataset: CommittedDataset,
    public: Padded,
    device: str,
    progress: Progress,
    chosen: Plan,
    folder: Path,
    journal: Journal,
) -> bytes:
    from .prover.protocol.proof import prove as prove_statement
    from .prover.witness import RunWitness, batch_tensors
    from .training.evaluation import evaluation_witness

    circuit, shape = statement.circuit, statement.shape
    progress("witness", 0, 1)
    shapes = circuit.parameter_shapes()
    weights = {
        name: values[tuple(map(slice, shapes[name]))] for name, values in public["fixed"].items()
    }
    order = statement.task.order(statement.dataset)
    batches = batch_tensors(records.inputs, records.labels, circuit.classes, order)
    with chosen.scratch(folder) as scratch:
        arrays = evaluation_witness(
            circuit, weights, records, 0, shape.batch, scratch=scratch, device=device
        )
        given: dict[str, NDArray[Any] | Cells] = {**arrays, **batches}
        witness = RunWitness(statement.graph, shape, given, chosen.memory, scratch)
        return prove_statement(
            statement, witness, dataset, public, progress=progress, journal=journal
        )


def _training_data(weights: str | Path, like: str | Path | None, circuit: Circuit) -> Like | None:
    """What is known of the data that the weights were trained on."""
    from .dataset.public_file import header_of
    from .dataset.readers import Like
    from .dataset.scaling import stated_scaling

    if like is not None:
        return Like(header_of(like, "the training data").scaling, circuit.classes)
    scaling = stated_scaling(weights)
    return None if scaling is None else Like(scaling, circuit.classes)


def _known(
    out: Path,
    dataset: str | Path | None,
    dataset_out: str | Path | None,
    zero_knowledge: bool,
) -> Owned | Path:
    """The commitment to prove on, or where to write a new one."""
    from .prover.dataset.secret_file import Owned, owned

    if dataset is not None and dataset_out is not None:
        raise InputError(
            "--dataset names an existing commitment and --dataset-out makes a new one; give one"
        )
    if dataset_out is not None:
        if os.path.realpath(dataset_out) == os.path.realpath(out):
            raise InputError("--out and --dataset-out are one file; choose two names")
        return Path(dataset_out)
    if dataset is not None:
        return owned(dataset)
    if zero_knowledge:
        raise InputError(
            "a proof that hides the records needs a commitment that does: give --dataset FILE.zkd, "
            "or --dataset-out FILE.zkd to make one; or prove with --no-zk"
        )
    return Owned()


def _made(
    out: Path,
    data: str | Path,
    split: str,
    training: Like | None,
    zero_knowledge: bool,
    chosen: Plan,
    progress: Progress,
) -> Owned:
    """A new commitment, in its files."""
    from ._commit import commit_as
    from .prover.dataset.secret_file import owned

    commit_as(
        training,
        data,
        out=out,
        split=split,
        public=not zero_knowledge,
        memory=chosen.memory,
        progress=progress,
    )
    return owned(out)


def _certificate(path: str | Path | None, committed: CommittedDataset) -> bytes | None:
    """That of the public file, if there is one."""
    from .dataset.public_file import read_public
    from .protocol.certificate import verify_certificate

    if path is None or not Path(path).is_file():
        return None
    header, certificate = read_public(path)
    if header != committed.header:
        raise InputError(f"{path} has changed meanwhile; prove again")
    verify_certificate(header, certificate)
    return certificate


__all__ = ["Proved", "ProvedEvaluation", "prove", "prove_eval"]
