"""The verb ``prove_eval``: from weights and records to a proof."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import disk
from ._prove import Planned, bundle_of, peak_bytes, unheard
from .checked import checked
from .circuit.circuit import Circuit
from .errors import InputError, StatementMismatch
from .extras import require
from .judging import own_circuit
from .locks import claimed
from .progress import Progress, silent
from .protocol.bundle import MAGICS, Bundle, read_circuit
from .protocol.proof import Padded, evaluated_weights
from .protocol.statement import Statement
from .protocol.tasks import Counts, Evaluation
from .scratch import IN_MEMORY, Scratch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .dataset.readers import Like, Records
    from .prover.dataset.commitment import CommittedDataset
    from .prover.dataset.secret_file import Owned
    from .prover.journal import Journal
    from .prover.memory_plan import Plan
    from .prover.witness import Cells


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
    planned: Planned = unheard,
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
        How many bytes the process may take (None: most of what is left); the proof does not
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
    reading = IN_MEMORY if memory is None else Scratch(Path(out).absolute().parent)
    with claimed(out, busy=busy), reading.settling():
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
            reading,
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
        peak_bytes(),
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
    reading: Scratch,
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
    records = read_dataset(str(data), split, training, reading)
    progress("evaluate", 0, 1)
    found = confusion(compiled, integers, records, 0, len(records.labels), device=device)
    task = Evaluation(compiled, digest(integers), tuple(map(tuple, found.tolist())))
    with kernels_on(device):
        known = _known(out, dataset, dataset_out, zero_knowledge)
        header = header_to_be(
            len(records.labels),
            records.inputs.shape[1],
            records.classes,
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
        with chosen.scratch(out.absolute().parent) as scratch:
            if memory is None:
                records = replace(records, inputs=scratch.taken(records.inputs))
            progress("commit dataset", 0, 1)
            committed = commit_records(records, known.seed, known.openings, chosen.memory, scratch)
            root = committed.header.root.hex()
            if known.root is not None and root != known.root:
                raise StatementMismatch(
                    f"{records.source} is not the dataset with this root",
                    expected=known.root,
                    got=root,
                )
            statement = Statement(task, committed.header, security_bits, zero_knowledge)
            public = evaluated_weights(integers)

            def make(journal: Journal) -> Bundle:
                progress("certify dataset", 0, 1)
                certificate = _certificate(dataset_out or dataset, committed)
                if certificate is None:
                    certificate = certify(committed)
                proof = _prove_evaluation(
                    statement,
                    records,
                    committed,
                    public,
                    device,
                    progress,
                    chosen,
                    journal,
                )
                return bundle_of(statement, certificate, proof)

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
    arrays = evaluation_witness(
        circuit, weights, records, 0, shape.batch, scratch=dataset.scratch, device=device
    )
    given: dict[str, NDArray[Any] | Cells] = {**arrays, **batches}
    witness = RunWitness(statement.graph, shape, given, chosen.memory, dataset.scratch)
    return prove_statement(statement, witness, dataset, public, progress=progress, journal=journal)


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
        plan=chosen,
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


__all__ = ["ProvedEvaluation", "prove_eval"]
