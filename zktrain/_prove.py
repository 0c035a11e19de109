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

from . import disk, files
from .arguments.records import DatasetClaim
from .checked import checked
from .circuit.circuit import Circuit
from .circuit.weights import digest
from .dataset.public_file import parse_public
from .dataset.readers import Records
from .errors import InputError, ZktrainError
from .locks import locked
from .profile import mark, span
from .progress import Progress, silent
from .protocol import closing, segment
from .protocol.bundle import MAGICS, MAX_PROOF_BYTES, Bundle, SegmentProof
from .protocol.certificate import certificate_plan, verify_certificate
from .protocol.segment import HEADER_BYTES, SegmentHeader
from .protocol.statement import Statement, auto_segment_steps
from .prover.boundary_secrets import BoundarySecrets
from .prover.dataset import secret_file
from .prover.dataset.commitment import CommittedDataset, DatasetColumns, columns_of, commit_columns
from .prover.dataset.public_file import encoded
from .prover.memory_plan import AUTOMATIC, fit
from .prover.protocol import closing as prover_closing
from .prover.protocol import segment as prover_segment
from .prover.protocol.certificate import certify
from .prover.protocol.segment import BoundaryWeights
from .prover.witness import SegmentWitness, batch_tensors
from .training.run import Run, run_folder


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


@checked
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
    from .prover.kernels.device import kernels_on, require_device

    started = time.perf_counter()
    clock = _Clock(progress)
    with clock.running(), kernels_on(device):
        clock("load", 0, 1)  # torch, above all
        require_device(device, kernels=True)
        busy = f"{run} is in use: another process trains or proves it; wait for it, or end it"
        with locked(run_folder(run), busy=busy):
            path, data, count, zero_knowledge = _proved(
                run, out, device, zero_knowledge, memory, clock
            )
    scale = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale
    seconds = time.perf_counter() - started
    return Proved(path, seconds, count, len(data), peak, clock.stages, zero_knowledge)


def _proved(
    run: str | Path,
    out: str | Path | None,
    device: str,
    zero_knowledge: bool | None,
    memory: int | None,
    clock: _Clock,
) -> tuple[Path, bytes, int, bool]:
    """The bundle at its place, its bytes, segments, and whether it hides."""
    opened = Run.open(run)
    circuit = opened.circuit
    clock("read", 0, 1)
    path = Path(out) if out is not None else opened.path / "proof.zkt"
    disk.require_writable(path, "proof", *MAGICS)
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
    statement.require_provable()
    automatic = opened.proof.get(AUTOMATIC) is True
    statement = fit(opened, records, statement, automatic, memory, device, clock)
    folder = opened.path / "segments"
    disk.make_folder(folder, private=True)
    disk.sweep(folder, again=True)
    proofs, claims = _segments(opened, records, statement, columns, device, clock, folder)
    clock("commit dataset", 0, 1)
    dataset = commit_columns(header, columns.inputs, columns.labels, seed)
    if dataset.header != header:
        raise InputError(
            f"{opened.path} or its secret file has changed: the dataset no longer has the "
            "root that the run was trained for; train again"
        )
    clock("certify dataset", 0, 1)
    _certify(opened.public_dataset, dataset, secret)
    clock("closing", 0, 1)
    closing_proof = _closing(folder / "closing.bin", statement, proofs, claims, dataset, secret)
    bundle = Bundle(
        statement.to_json(),
        circuit.canonical_json(),
        header.to_json(),
        tuple(proofs),
        closing_proof,
    )
    data = bundle.to_bytes()
    disk.write(path, data)
    return path, data, len(proofs), zero_knowledge


def _certified(data: bytes | None, path: Path, dataset: CommittedDataset) -> bytes | None:
    """The certificate in the bytes of a public file, if it is one of this dataset and good."""
    try:
        header, certificate = parse_public(data or b"", path)
        if header == dataset.header:
            verify_certificate(header, certificate)
            return certificate
    except ZktrainError:
        pass  # made anew
    return None


def _certify(path: Path, dataset: CommittedDataset, secret: Path | None) -> None:
    """Keep the certificate in the run directory if it is good, else put a new one there."""
    if _certified(_kept(path), path, dataset) is not None:
        return
    positions = certificate_plan(dataset.header).positions
    count = secret_file.spending(secret, dataset.header, positions=positions)
    certificate = _certified(disk.waiting(path, MAX_PROOF_BYTES), path, dataset)
    if certificate is None:
        if secret is not None:
            secret_file.require_left(secret, dataset.header, positions=positions)
        certificate = certify(dataset)
    disk.publish(path, encoded(dataset.header, certificate), count)


def _closing(
    path: Path,
    statement: Statement,
    proofs: list[SegmentProof],
    claims: list[DatasetClaim],
    dataset: CommittedDataset,
    secret: Path | None,
) -> bytes:
    """The closing proof kept at ``path`` if it is one of these segments, else a new one, kept."""
    headers = [part.header for part in proofs]

    def good(data: bytes | None) -> bytes | None:
        try:
            closing.verify(statement, headers, claims, data or b"")
        except ZktrainError:
            return None
        return data

    if (kept := good(_kept(path))) is not None:
        return kept
    header, positions = statement.dataset, statement.closing_plan.positions
    found = good(disk.waiting(path, MAX_PROOF_BYTES))
    if found is None:
        if secret is not None:
            secret_file.require_left(secret, header, positions=positions)
        found = prover_closing.prove(statement, headers, claims, dataset.committed)
    count = secret_file.spending(secret, header, positions=positions)
    disk.publish(path, found, count, private=True)
    return found


def _kept(path: Path) -> bytes | None:
    """A file that was written before."""
    try:
        return files.read_bytes(path, "file", MAX_PROOF_BYTES)
    except InputError:
        return None


def _segments(
    run: Run,
    records: Records,
    statement: Statement,
    columns: DatasetColumns,
    device: str,
    clock: _Clock,
    folder: Path,
) -> tuple[list[SegmentProof], list[DatasetClaim]]:
    secrets = BoundarySecrets(
        folder / "secrets.json", statement.digest.hex(), len(statement.segments)
    )
    while True:
        try:
            return _chain(run, records, statement, columns, device, clock, folder, secrets)
        except _Renewed:
            continue  # proofs that open the boundary with its old randomness are made anew


class _Renewed(Exception):
    """A boundary before the segment that was reached has new randomness."""


def _chain(
    run: Run,
    records: Records,
    statement: Statement,
    columns: DatasetColumns,
    device: str,
    clock: _Clock,
    folder: Path,
    secrets: BoundarySecrets,
) -> tuple[list[SegmentProof], list[DatasetClaim]]:
    count = len(statement.segments)
    paths = [folder / f"segment-{index:05d}.bin" for index in range(count)]
    _require_openings(run.dataset_secret, statement, folder, paths)
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
            end = prover_segment.commit_boundary(statement, weights, secrets.random(index + 1))
            if end.committed is None:
                raise TypeError("a boundary inside a run is committed")
            end_root = end.committed.root
        header = SegmentHeader(index, first, steps, root, end_root, previous)
        path = paths[index]
        kept = _verified(_kept(path), statement, header, start, end, fixed)
        if kept is None:
            left = disk.waiting(path, MAX_PROOF_BYTES) or b""
            kept = _verified(left, statement, header, start, end, fixed)
            made = disk.digest(left) if kept is not None else ""
            if secrets.renew_used_up(made, index, index + 1):
                raise _Renewed
            if kept is None:
                _require_openings(run.dataset_secret, statement, folder, paths[index + 1 :], 1)
                kept = _prove_segment(
                    run, records, statement, header, columns, start, end, fixed, device, clock
                )
            _keep(path, header, kept[0], statement, secrets, run.dataset_secret)
        proof, found = kept
        proofs.append(SegmentProof(header, proof))
        claims += found
        start, root, previous = end, end_root, header.digest
    return proofs, claims


def _require_openings(
    secret: Path | None, statement: Statement, folder: Path, later: list[Path], now: int = 0
) -> None:
    """Say before proving that the dataset cannot be opened as often as is still needed: for
    ``now`` segments, for those of which there is no proof, and for the closing proof."""
    if secret is None:
        return
    needed = now + sum(not (path.exists() or disk.is_waiting(path)) for path in later)
    first = files.beginning(folder / "segment-00000.bin", HEADER_BYTES)
    if not now and first and first[-32:] != statement.digest:
        needed = len(later)  # they are of another statement
    closed = folder / "closing.bin"
    done = not needed and (closed.exists() or disk.is_waiting(closed))
    positions = 0 if done else statement.closing_plan.positions
    secret_file.require_left(secret, statement.dataset, positions=positions, segments=needed)


def _keep(
    path: Path,
    header: SegmentHeader,
    proof: bytes,
    statement: Statement,
    secrets: BoundarySecrets,
    dataset_secret: Path | None,
) -> None:
    """Write a proved segment, after what it opens was counted."""

    def count(opened: str) -> None:
        secrets.spend(opened, header.index, header.index + 1)
        secret_file.spending(dataset_secret, statement.dataset, segments=1)(opened)

    disk.publish(path, header.to_bytes() + proof, count, private=True)


def _verified(
    data: bytes | None,
    statement: Statement,
    header: SegmentHeader,
    start: BoundaryWeights,
    end: BoundaryWeights,
    fixed: dict[str, NDArray[np.int64]],
) -> tuple[bytes, list[DatasetClaim]] | None:
    """A segment proved before, if there is one and it verifies."""
    if data is None or data[:HEADER_BYTES] != header.to_bytes():
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
    return prover_segment.prove(
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
