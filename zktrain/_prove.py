"""The verb ``prove``: from a finished run to a proof."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import disk, files
from .checked import checked
from .errors import InputError
from .extras import require
from .locks import locked
from .profile import Clock, mark
from .progress import Progress, silent
from .protocol.bundle import MAGICS, MAX_PROOF_BYTES, Bundle
from .protocol.certificate import certificate_plan
from .protocol.proof import Padded, trained_weights
from .protocol.statement import Statement
from .protocol.tasks import Training

if TYPE_CHECKING:
    import numpy as np
    from distributed import Client
    from numpy.typing import NDArray

    from .dataset.readers import Records
    from .prover.dataset.commitment import CommittedDataset
    from .prover.journal import Journal
    from .prover.memory_plan import Plan
    from .prover.witness import Cells
    from .prover.workers import Workers
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


Planned = Callable[["Plan"], None]
"""Told how a proof will be made, before it is."""


def unheard(plan: Plan) -> None:
    """The default: nobody listens."""


@checked
def prove(
    run: str | Path,
    *,
    out: str | Path | None = None,
    device: str = "cpu",
    zero_knowledge: bool | None = None,
    memory: int | None = None,
    workers: int | str | Client | None = None,
    planned: Planned = unheard,
    progress: Progress = silent,
) -> Proved:
    """Prove a finished training run.

    ``zero_knowledge`` overrides the recipe. ``device`` is that of the steps; on ``cuda`` the
    heavy kernels run there too. The proof does not depend on it. ``memory`` is how many bytes the
    process may take (None: most of what is left), and ``planned`` is told before the work
    begins what follows from it; the proof does not depend on it. ``workers`` are so many processes
    of this machine, or those of a Dask cluster at an address or of a client, who get what is
    committed to; the proof does not depend on them. A proof of the run that is at ``out`` already
    is kept.

    Raises :class:`InputError` for an unusable run directory, device or cluster, or too little
    memory, :class:`RangeOverflow` never for a run that training finished.
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
                run, out, device, zero_knowledge, memory, workers, planned, clock
            )
    seconds = time.perf_counter() - started
    return Proved(path, seconds, size, peak_bytes(), clock.stages, hides, chosen)


def peak_bytes() -> int:
    """Of this process."""
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


def _proved(
    run: str | Path,
    out: str | Path | None,
    device: str,
    zero_knowledge: bool | None,
    memory: int | None,
    workers: int | str | Client | None,
    planned: Planned,
    clock: Clock,
) -> tuple[Path, int, bool, Plan]:
    """Where the proof is, its size, whether it hides, and how it was to be made."""
    from .circuit.weights import digest
    from .prover.cluster import workers_of
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
    header = opened.header()
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

    with chosen.scratch(opened.path) as scratch:
        records = opened.records(scratch)

        def make(journal: Journal) -> Bundle:
            if workers is not None:
                clock("workers", 0, 1)
            with workers_of(workers) as many:
                return made(journal, many)

        def made(journal: Journal, many: Workers) -> Bundle:
            clock("commit dataset", 0, 1)
            columns = columns_of(header, records, scratch)
            dataset = commit_columns(header, columns, seed, chosen.memory, scratch)
            if dataset.header != header:
                raise InputError(
                    f"{opened.path} or its secret file has changed: the dataset no longer has the "
                    "root that the run was trained for; train again"
                )
            clock("certify dataset", 0, 1)
            _certify(opened.public_dataset, dataset, secret)
            proof = _prove_training(
                opened, records, statement, dataset, public, device, clock, chosen, journal, many
            )
            return bundle_of(statement, b"", proof)

        data = published(path, statement, public, secret, make)
    return path, len(data), zero_knowledge, chosen


def _checkpoint_readers(run: Run) -> dict[int, Callable[[str], NDArray[np.int64]]]:
    """The weights after some steps, each parameter read when it is needed."""

    def reader(step: int) -> Callable[[str], NDArray[np.int64]]:
        return lambda name: run.checkpoint(step, (name,))[name]

    return {kept.step: reader(kept.step) for kept in run.checkpoints}


def bundle_of(statement: Statement, certificate: bytes, proof: bytes) -> Bundle:
    return Bundle(
        statement.to_json(),
        statement.circuit.canonical_json(),
        statement.dataset.to_json(),
        certificate,
        proof,
    )


def _certify(path: Path, dataset: CommittedDataset, secret: Path | None) -> None:
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
        certificate = certify(dataset)
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
    workers: Workers,
) -> bytes:
    from .prover.protocol.proof import prove as prove_statement
    from .prover.witness import RunWitness, batch_tensors
    from .training.witness import run_witness

    circuit, shape = statement.circuit, statement.shape
    clock("witness", 0, shape.steps)
    mark("steps")
    arrays, _ = run_witness(
        circuit,
        records,
        run.boundary(0),
        0,
        shape.steps,
        1 << shape.log_steps,
        scratch=dataset.scratch,
        device=device,
        progress=clock,
    )
    mark("batches")
    order = statement.task.order(statement.dataset)
    batches = batch_tensors(records.inputs, records.labels, circuit.classes, order)
    given: dict[str, NDArray[Any] | Cells] = {**arrays, **batches}
    witness = RunWitness(statement.graph, shape, given, chosen.memory, dataset.scratch)
    return prove_statement(
        statement, witness, dataset, public, progress=clock, journal=journal, workers=workers
    )


__all__ = ["Proved", "prove"]
