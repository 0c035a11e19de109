"""The verb ``prove_eval``: accuracy and confusion matrix of weights on a committed dataset."""

from __future__ import annotations

import os
import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from . import disk, files
from .checked import checked
from .circuit.circuit import Circuit
from .errors import InputError, MalformedProof, StatementMismatch, ZktrainError
from .extras import require
from .locks import claimed
from .progress import Progress, silent

if TYPE_CHECKING:
    from .arguments.records import DatasetClaim
    from .dataset.readers import Like, Records
    from .protocol.evaluation import Counts, EvaluationStatement
    from .prover.dataset.commitment import CommittedDataset
    from .prover.dataset.secret_file import Owned
    from .training.evaluation import IntegerWeights


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
    segments: int
    zero_knowledge: bool
    seconds: float
    proof_bytes: int
    peak_rss_bytes: int


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
    segment_records: int | None = None,
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
    segment_records
        Records proved together, a power of two; None: as many as one segment takes. The counts of
        every segment are published, not only their sum.
    progress
        Called with the stages ``evaluate``, ``commit dataset``, those of segments, ``closing``.

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
    from .protocol.bundle import MAGICS
    from .prover.kernels.device import require_device

    started = time.perf_counter()
    progress("load", 0, 1)
    require_device(device, kernels=True)
    busy = f"another process is writing {out}; wait for it, or end it"
    with claimed(out, busy=busy):
        disk.require_writable(out, "proof", *MAGICS)
        made = _written(
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
            segment_records,
            progress,
        )
    statement, size, source = made
    scale = 1 if sys.platform == "darwin" else 1024
    return ProvedEvaluation(
        Path(out),
        statement.dataset.records,
        statement.correct,
        statement.accuracy,
        statement.matrix,
        statement.weights,
        statement.dataset.root.hex(),
        None if dataset_out is None else Path(dataset_out),
        source,
        len(statement.segments),
        zero_knowledge,
        time.perf_counter() - started,
        size,
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale,
    )


def _written(
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
    segment_records: int | None,
    progress: Progress,
) -> tuple[EvaluationStatement, int, str]:
    """Statement and size of the proof at ``out``, and where the records come from.

    What the proof opens is counted when it waits, whole and on the disk, for its name.
    """
    from .circuit.evaluation import Evaluation
    from .circuit.weights import digest, read_weights
    from .dataset.readers import read_dataset
    from .protocol.bundle import MAX_PROOF_BYTES
    from .protocol.evaluation import EvaluationStatement, auto_segment_records
    from .protocol.evaluation_bundle import EvaluationBundle
    from .protocol.statement import MAX_SEGMENT_SAMPLES
    from .prover.dataset import secret_file
    from .prover.dataset.commitment import commit_records
    from .prover.kernels.device import kernels_on
    from .prover.protocol import closing as prover_closing
    from .prover.protocol.certificate import certify

    compiled = _circuit(circuit)
    fixed_point = compiled.fixed_point
    integers = read_weights(weights, compiled.parameter_shapes(), fixed_point.weight_bits)
    training = _training_data(weights, like, compiled)
    records = read_dataset(str(data), split, training)
    program = Evaluation(compiled)
    size = segment_records
    if size is None:
        size = auto_segment_records(program, len(records.labels))
    if not 1 <= size <= MAX_SEGMENT_SAMPLES or size & (size - 1):
        raise InputError(
            f"segment_records is {size}; it must be a power of two, at most {MAX_SEGMENT_SAMPLES}"
        )
    progress("evaluate", 0, 1)
    counts = _counts(compiled, integers, records, size, device)
    with kernels_on(device):
        known = _known(out, data, split, dataset, dataset_out, training, zero_knowledge, progress)
        progress("commit dataset", 0, 1)
        committed = commit_records(records, known.seed, known.openings)
        root = committed.header.root.hex()
        if known.root is not None and root != known.root:
            raise StatementMismatch(
                f"{records.source} is not the dataset with this root", expected=known.root, got=root
            )
        statement = EvaluationStatement(
            program,
            committed.header,
            digest(integers),
            size,
            counts,
            security_bits,
            zero_knowledge,
        )
        statement.require_provable()
        opened = {
            "positions": statement.closing_plan.positions,
            "segments": len(statement.segments) if known.secret is not None else 0,
        }
        count = secret_file.spending(known.secret, statement.dataset, **opened)
        found = None
        if out.exists():
            found = files.read_bytes(out, "proof", MAX_PROOF_BYTES)
        for left in (found, disk.waiting(out, MAX_PROOF_BYTES)):
            if left is not None and _is_proof_of(left, statement, integers):
                if left is not found:
                    disk.publish(out, left, count)
                return statement, len(left), records.source
        if known.secret is not None:
            secret_file.require_left(known.secret, statement.dataset, **opened)
        proofs, claims = _segments(statement, integers, records, committed, device, progress)
        progress("certify dataset", 0, 1)
        certificate = _certificate(dataset_out or dataset, committed)
        if certificate is None:
            certificate = certify(committed)
        progress("closing", 0, 1)
        closing_proof = prover_closing.prove(
            statement, list(statement.headers), claims, committed.committed
        )
    bundle = EvaluationBundle(
        statement.to_json(),
        compiled.canonical_json(),
        committed.header.to_json(),
        certificate,
        tuple(proofs),
        closing_proof,
    )
    written = bundle.to_bytes()
    disk.publish(out, written, count)
    return statement, len(written), records.source


def _is_proof_of(data: bytes, statement: EvaluationStatement, weights: IntegerWeights) -> bool:
    """Whether these bytes are what proving would give: an accepted proof of the statement."""
    from .protocol import closing, segment
    from .protocol.certificate import verify_certificate
    from .protocol.evaluation_bundle import parse

    circuit, dataset = statement.circuit.circuit, statement.dataset
    wanted = (statement.to_json(), circuit.canonical_json(), dataset.to_json())
    headers, claims = list(statement.headers), []
    fixed = segment.pad_weights(dict(weights))
    try:
        bundle = parse(data)
        if (bundle.statement_json, bundle.circuit_json, bundle.dataset_json) != wanted:
            return False
        if len(bundle.segments) != len(headers):
            return False
        verify_certificate(dataset, bundle.certificate)
        for header, proof in zip(headers, bundle.segments, strict=True):
            claims += segment.verify(statement, header, proof, {}, {}, fixed=fixed)
        closing.verify(statement, headers, claims, bundle.closing)
    except ZktrainError:
        return False
    return True


def _circuit(path: str | Path) -> Circuit:
    from .protocol.bundle import read_circuit

    try:
        return Circuit.from_json(read_circuit(path))
    except MalformedProof as error:
        raise InputError(
            f"the circuit {str(path)!r:.200} cannot be used: {error.message}; give what zktrain "
            "compile wrote"
        ) from None


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
    data: str | Path,
    split: str,
    dataset: str | Path | None,
    dataset_out: str | Path | None,
    training: Like | None,
    zero_knowledge: bool,
    progress: Progress,
) -> Owned:
    """The commitment to prove on, made and written here if there is none yet."""
    from ._commit import commit_as
    from .prover.dataset.secret_file import Owned, owned

    if dataset is not None and dataset_out is not None:
        raise InputError(
            "--dataset names an existing commitment and --dataset-out makes a new one; give one"
        )
    if dataset_out is not None:
        if os.path.realpath(dataset_out) == os.path.realpath(out):
            raise InputError("--out and --dataset-out are one file; choose two names")
        commit_as(
            training,
            data,
            out=dataset_out,
            split=split,
            public=not zero_knowledge,
            progress=progress,
        )
        return owned(dataset_out)
    if dataset is not None:
        return owned(dataset)
    if zero_knowledge:
        raise InputError(
            "a proof that hides the records needs a commitment that does: give --dataset FILE.zkd, "
            "or --dataset-out FILE.zkd to make one; or prove with --no-zk"
        )
    return Owned()


def _counts(
    circuit: Circuit, weights: IntegerWeights, records: Records, size: int, device: str
) -> tuple[Counts, ...]:
    from .training.evaluation import confusion

    total = len(records.labels)
    matrices = []
    for first in range(0, total, size):
        count = min(size, total - first)
        found = confusion(circuit, weights, records, first, count, device=device)
        matrices.append(tuple(map(tuple, found.tolist())))
    return tuple(matrices)


def _segments(
    statement: EvaluationStatement,
    weights: IntegerWeights,
    records: Records,
    committed: CommittedDataset,
    device: str,
    progress: Progress,
) -> tuple[list[bytes], list[DatasetClaim]]:
    from .protocol import segment
    from .prover.protocol import segment as prover_segment
    from .prover.protocol.segment import BoundaryWeights
    from .prover.witness import SegmentWitness, batch_tensors
    from .training.evaluation import evaluation_witness

    circuit, nothing = statement.circuit.circuit, BoundaryWeights({})
    fixed = segment.pad_weights(dict(weights))
    proofs: list[bytes] = []
    claims: list[DatasetClaim] = []
    for header in statement.headers:
        progress("witness", 0, 1, segment=header.index)
        first, count = statement.segments[header.index]
        shape, order = statement.shape(header.index), statement.order(header.index)
        arrays = evaluation_witness(circuit, weights, records, first, count, device=device)
        arrays |= batch_tensors(shape, records.inputs, records.labels, circuit.classes, order)
        witness = SegmentWitness(statement.circuit.graph(), shape, arrays)
        proof, left = prover_segment.prove(
            statement,
            header,
            witness,
            committed.columns,
            nothing,
            nothing,
            blinding=committed.blinding,
            progress=progress,
            fixed=fixed,
        )
        proofs.append(proof)
        claims += left
    return proofs, claims


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


__all__ = ["ProvedEvaluation", "prove_eval"]
