"""From a finished run to a bundle."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .arguments.batches import DatasetClaim
from .circuit.circuit import Circuit
from .dataset import secret_file
from .dataset.commitment import (
    CommittedDataset,
    DatasetColumns,
    certificate_plan,
    certify,
    columns_of,
    commit_columns,
    verify_certificate,
)
from .dataset.public_file import read_public, write_public
from .dataset.readers import Records
from .errors import InputError, ZktrainError
from .fitting import AUTOMATIC, fit
from .locks import locked
from .profile import mark, span
from .progress import Progress, silent
from .training.run import Run
from .training.weights import digest, write_atomically
from .transcript import closing, segment
from .transcript.boundary_secrets import BoundarySecrets
from .transcript.bundle import Bundle, SegmentProof
from .transcript.segment import HEADER_BYTES, BoundaryWeights, SegmentHeader
from .transcript.statement import Statement, auto_segment_steps, newest
from .transcript.witness import SegmentWitness, batch_tensors


@dataclass(frozen=True, slots=True)
class Proved:
    """Where the bundle is and what it cost; ``stages`` are seconds by stage."""

    path: Path
    seconds: float
    segments: int
    proof_bytes: int
    peak_rss_bytes: int
    stages: dict[str, float]
    zero_knowledge: bool


@dataclass(slots=True)
class _Clock:
    """Forwards progress and adds up the seconds between one stage and the next."""

    progress: Progress
    stages: dict[str, float] = field(default_factory=dict)
    _stage: str | None = None
    _since: float = 0.0
    _span: AbstractContextManager[None] | None = None

    def __call__(self, stage: str, done: int, total: int, **figures: float) -> None:
        self._enter(stage)
        self.progress(stage, done, total, **figures)

    def _enter(self, stage: str | None) -> None:
        now = time.perf_counter()
        if stage == self._stage:
            return
        if self._span is not None:
            self._span.__exit__(None, None, None)
        self._span = None
        if stage is not None:
            self._span = span(stage)
            self._span.__enter__()
        if self._stage is not None:
            self.stages[self._stage] = self.stages.get(self._stage, 0.0) + now - self._since
        self._stage, self._since = stage, now

    @contextmanager
    def running(self) -> Iterator[None]:
        try:
            yield
        finally:
            self._enter(None)


def segment_steps(options: dict[str, Any], circuit: Circuit, records: int) -> int:
    """The recipe's segment length, or the automatic one."""
    wanted = options.get("segment_steps")
    return wanted if isinstance(wanted, int) else auto_segment_steps(circuit, records)


def prove(
    run: str | Path,
    *,
    out: str | Path | None = None,
    device: str = "cpu",
    zero_knowledge: bool | None = None,
    memory: int | None = None,
    progress: Progress = silent,
) -> Proved:
    """Prove a finished training run; segments already proved in ``run/segments`` are kept.

    ``zero_knowledge`` overrides the recipe. ``device`` is that of the steps; on ``cuda`` the
    heavy kernels run there too. The proof does not depend on it. ``memory`` is how many bytes the
    process may take (None: what the machine has left); where the recipe leaves the length of
    segments open, a run that does not fit is cut in shorter ones.

    Raises :class:`InputError` for an unusable run directory or device or too little memory,
    :class:`RangeOverflow` never for a run that training finished.
    """
    from .kernels.device import kernels_on, require_device

    started = time.perf_counter()
    clock = _Clock(progress)
    with clock.running(), kernels_on(device):
        clock("load", 0, 1)  # torch, above all
        require_device(device, kernels=True)
        opened = Run.open(run)
        circuit = opened.circuit
        clock("read", 0, 1)
        header, records = opened.header(), opened.records()
        secret, seed = opened.dataset_secret, None
        if secret is not None:
            seed = secret_file.read_for(secret, header).seed
        columns = columns_of(header, records, seed)
        if zero_knowledge is None:
            zero_knowledge = bool(opened.proof.get("zero_knowledge", True))
        statement = Statement(
            circuit,
            header,
            digest(opened.boundary(0)),
            digest(opened.boundary(circuit.steps)),
            segment_steps(opened.proof, circuit, header.records),
            int(opened.proof.get("security_bits", 100)),
            zero_knowledge,
        )
        statement = newest(statement)
        statement.require_provable()
        automatic = opened.proof.get(AUTOMATIC) is True
        statement = fit(opened, records, statement, automatic, memory, device, clock)
        folder = opened.path / "segments"
        folder.mkdir(exist_ok=True)
        busy = f"another process is proving {opened.path}; wait for it, or end it"
        with locked(folder, busy=busy):
            proofs, claims = _segments(opened, records, statement, columns, device, clock, folder)
        clock("commit dataset", 0, 1)
        dataset = commit_columns(header, columns.inputs, columns.labels, seed)
        if dataset.header != header:
            raise InputError(
                f"{opened.path} or its secret file has changed: the dataset no longer has the "
                "root that the run was trained for; train again"
            )
        clock("certify dataset", 0, 1)
        certificate = _certificate(opened.public_dataset, dataset, secret)
        clock("closing", 0, 1)
        if secret is not None:
            secret_file.spend(secret, header, positions=statement.closing_plan.positions)
        headers = [part.header for part in proofs]
        closing_proof = closing.prove(statement, headers, claims, dataset.committed)
        bundle = Bundle(
            statement.to_json(),
            circuit.canonical_json(),
            header.to_json(),
            tuple(proofs),
            closing_proof,
            certificate if statement.version == 1 else None,
        )
        path = Path(out) if out is not None else opened.path / "proof.zkt"
        data = bundle.to_bytes()
        write_atomically(path, data)
    scale = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale
    seconds = time.perf_counter() - started
    return Proved(path, seconds, len(proofs), len(data), peak, clock.stages, zero_knowledge)


def _certificate(path: Path, dataset: CommittedDataset, secret: Path | None) -> bytes:
    """The certificate kept in the run directory if it is good, else a new one, kept there."""
    if path.exists():
        try:
            header, certificate = read_public(path)
            if header == dataset.header:
                verify_certificate(header, certificate)
                return certificate
        except ZktrainError:
            pass  # made anew below
    if secret is not None:
        positions = certificate_plan(dataset.header).positions
        secret_file.spend(secret, dataset.header, positions=positions)
    certificate = certify(dataset)
    write_public(path, dataset.header, certificate)
    return certificate


def _segments(
    run: Run,
    records: Records,
    statement: Statement,
    columns: DatasetColumns,
    device: str,
    clock: _Clock,
    folder: Path,
) -> tuple[list[SegmentProof], list[DatasetClaim]]:
    count = len(statement.segments)
    secrets = BoundarySecrets(folder / "secrets.json", statement.digest.hex(), count)
    proofs: list[SegmentProof] = []
    claims: list[DatasetClaim] = []
    moving, fixed = segment.split_weights(statement.circuit, run.boundary(0))
    start = BoundaryWeights(moving)
    root, previous = bytes.fromhex(statement.initial), statement.digest
    for index, (first, steps) in enumerate(statement.segments):
        clock("boundaries", index, count, segment=index)
        weights = run.boundary(first + steps)
        if index + 1 == count:
            end, end_root = (
                BoundaryWeights(segment.split_weights(statement.circuit, weights)[0]),
                bytes.fromhex(statement.final),
            )
        else:
            end = segment.commit_boundary(statement, weights, secrets.random(index + 1))
            if end.committed is None:
                raise TypeError("a boundary inside a run is committed")
            end_root = end.committed.root
        header = SegmentHeader(index, first, steps, root, end_root, previous)
        path = folder / f"segment-{index:05d}.bin"
        kept = _kept_segment(path, statement, header, start, end, fixed)
        if kept is None:
            secrets.spend(index, index + 1)
            if run.dataset_secret is not None:
                secret_file.spend(run.dataset_secret, statement.dataset, segments=1)
            proof, found = _prove_segment(
                run, records, statement, header, columns, start, end, fixed, device, clock
            )
            write_atomically(path, header.to_bytes() + proof)
        else:
            proof, found = kept
        proofs.append(SegmentProof(header, proof))
        claims += found
        start, root, previous = end, end_root, header.digest
    return proofs, claims


def _kept_segment(
    path: Path,
    statement: Statement,
    header: SegmentHeader,
    start: BoundaryWeights,
    end: BoundaryWeights,
    fixed: dict[str, NDArray[np.int64]],
) -> tuple[bytes, list[DatasetClaim]] | None:
    """A segment proved before, if it is there and verifies."""
    if not path.exists():
        return None
    data = path.read_bytes()
    if data[:HEADER_BYTES] != header.to_bytes():
        return None
    try:
        claims = segment.verify(
            statement,
            header,
            data[HEADER_BYTES:],
            start.padded if start.committed is None else None,
            end.padded if end.committed is None else None,
            fixed=fixed,
        )
    except ZktrainError:
        return None
    return data[HEADER_BYTES:], claims


def _prove_segment(
    run: Run,
    records: Records,
    statement: Statement,
    header: SegmentHeader,
    columns: DatasetColumns,
    start: BoundaryWeights,
    end: BoundaryWeights,
    fixed: dict[str, NDArray[np.int64]],
    device: str,
    clock: _Clock,
) -> tuple[bytes, list[DatasetClaim]]:
    circuit, shape = statement.circuit, statement.shape(header.index)
    clock("witness", 0, header.steps, segment=header.index)
    from .training.witness import segment_witness

    mark("steps")
    arrays, _ = segment_witness(
        circuit,
        records,
        run.boundary(header.first_step),
        header.first_step,
        header.steps,
        1 << shape.log_steps,
        device=device,
        progress=clock,
    )
    mark("batches")
    order = statement.order(header.index)
    batches = batch_tensors(shape, records.inputs, records.labels, circuit.classes, order)
    witness = SegmentWitness(circuit.graph(), shape, {**arrays, **batches})
    return segment.prove(
        statement,
        header,
        witness,
        columns.by_source,
        start,
        end,
        blinding=columns.blinding,
        progress=clock,
        fixed=fixed,
    )


__all__ = ["Proved", "prove"]
