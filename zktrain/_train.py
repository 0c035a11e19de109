"""The verb ``train``: exact integer training into a run directory that can be proved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from . import disk, files
from ._compile import statement_to_be
from .checked import checked
from .dataset.readers import Like, Records, read_dataset, read_test_split
from .errors import StatementMismatch
from .extras import require
from .locks import locked
from .progress import Progress, silent
from .prover.randomness import new_secret

if TYPE_CHECKING:
    from .circuit.compile import Compiled
    from .circuit.recipe import Recipe
    from .dataset.commitment import DatasetHeader
    from .protocol.tasks import Checkpoint
    from .prover.dataset.secret_file import Owned
    from .training.run import Run
    from .training.trainer import FloatTrained

OWN_SECRET = "dataset.zkd.secret"
INITIAL_WEIGHTS = "initial.safetensors"
WEIGHTS_FORMAT = "zktrain-weights-1"
FEW_STEPS = 10
"""Published weights that are fewer steps apart are warned of."""
_LOSSES = ("losses", "float_losses")
_SAID = ("changes", "warnings", "kept")
"""Of a result, what is not kept."""

_Weights = Mapping[str, npt.NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class TrainedRun:
    """A finished training run.

    ``seconds`` and ``float_seconds`` are the times of the training steps alone, accuracies are
    shares of the held-out records, and ``losses`` holds ``(step, mean loss of its batch)``. What
    belongs to the float32 comparison is ``None`` or empty unless it was asked for. ``changes``
    are sentences about what is trained otherwise than recipe and network file say, ``warnings``
    about what may not be meant. ``checkpoints`` have the digests of the weights after earlier
    steps, which are beside ``weights`` (``checkpoint-000256.safetensors``). ``kept``: the run was
    there already, finished by the same command, and nothing was trained.
    """

    path: Path
    weights: Path
    weights_digest: str
    dataset_root: str
    circuit_id: str
    statement_digest: str
    steps: int
    seconds: float
    losses: tuple[tuple[int, float], ...]
    test_accuracy: float | None
    test_source: str | None
    float_seconds: float | None
    float_losses: tuple[tuple[int, float], ...]
    float_test_accuracy: float | None
    changes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    kept: bool = False
    checkpoints: tuple[Checkpoint, ...] = ()


@checked
def train(
    recipe: str | Path,
    *,
    data: str | Path,
    out: str | Path,
    device: str = "cpu",
    test: str | Path | None = None,
    compare_float: bool = False,
    dataset: str | Path | None = None,
    progress: Progress = silent,
) -> TrainedRun:
    """Train the recipe on ``data`` in exact integers; the same bits on every device.

    Parameters
    ----------
    recipe
        The TOML file.
    data
        The training records, as ``zktrain.commit`` takes them.
    out
        The run directory: new, empty, or of an interrupted run, which begins again. If the same
        command has finished there, its result is given.
    device
        A torch device, such as ``cpu`` or ``cuda``.
    test
        Held-out records; by default those that come with ``data``, if any do. Inputs are scaled
        as those of ``data`` are.
    compare_float
        Also train in float32 from the same start, in the same order, at the same rates.
    dataset
        The public file of an existing commitment to ``data``, with its secret file beside it if it
        hides, or a root that everybody can recompute. A public file is copied into the run
        directory, so that proving need not certify the dataset again; the secret stays where it
        is. Without it the run makes a commitment of its own, which hides if the recipe says so.
    progress
        Called with the stages ``commit dataset``, ``train`` and ``train float32``, the last
        two with ``loss``.

    Raises
    ------
    InputError
        A file cannot be read or written, ``out`` is something else or in use, or the records do
        not fit the network.
    RecipeError
        The recipe cannot be trained, or what it trains could not be proved.
    RangeOverflow
        A value left its fixed-point range; names step, layer, value and remedy.
    StatementMismatch
        ``data`` has another root than ``dataset``.
    """
    require("prove", "training", "torch", "onnx", "numba")
    from .circuit.compile import compile_recipe, initial_weights
    from .circuit.weights import digest
    from .prover.dataset.secret_file import owned
    from .prover.kernels.device import require_device
    from .training import trainer

    require_device(device)
    compiled = compile_recipe(recipe)
    circuit = compiled.circuit
    known = _commitment_to_be(compiled) if dataset is None else owned(dataset)
    records = read_dataset(str(data))
    like = Like(records.scaling, records.classes)
    if test is None:
        held_out = read_test_split(str(data), like)
    else:
        held_out = read_dataset(str(test), "test", like)
    _require_provable(compiled, records, known)

    weights_0 = initial_weights(compiled)
    steps = compiled.recipe.checkpoint_steps(len(records.labels))
    header = _committed(records, known, progress)
    disk.make_folder(out, private=True)
    busy = f"{out} is in use: another process trains or proves it; wait for it, or end it"
    with locked(out, busy=busy):
        done = _finished(out, compiled, records, known, dataset, held_out, compare_float)
        if done is not None:
            return done
        run = _create_run(out, compiled, records, header, weights_0, dataset, known)
        described = _metadata(run, header)
        checkpoints: list[Checkpoint] = []

        def keep(step: int, weights: _Weights) -> None:
            if step in run.boundaries:
                run.write_boundary(step, weights)
            else:
                metadata = {**described, "step": str(step)}
                checkpoints.append(run.write_checkpoint(step, weights, metadata))

        trained = trainer.train(
            circuit,
            records,
            weights_0,
            device=device,
            boundaries=(*run.boundaries, *steps),
            on_boundary=keep,
            progress=progress,
            test=held_out,
        )
        compared: FloatTrained | None = None
        if compare_float:
            compared = trainer.train_float32(
                circuit, records, weights_0, held_out, device=device, progress=progress
            )
        final = digest(trained.weights)
        result = TrainedRun(
            path=run.path,
            weights=run.weights_path,
            weights_digest=final,
            dataset_root=run.dataset_root,
            circuit_id=circuit.id,
            statement_digest=statement_to_be(
                compiled,
                header,
                digest(weights_0),
                final,
                {kept.step: kept.weights for kept in checkpoints},
            ).digest.hex(),
            steps=circuit.steps,
            seconds=trained.seconds,
            losses=tuple(trained.losses),
            test_accuracy=trained.test_accuracy,
            test_source=None if held_out is None else held_out.source,
            float_seconds=None if compared is None else compared.seconds,
            float_losses=() if compared is None else tuple(compared.losses),
            float_test_accuracy=None if compared is None else compared.test_accuracy,
            changes=compiled.changes,
            warnings=_warnings(compiled, records, dataset, run),
            checkpoints=tuple(checkpoints),
        )
        described["statement_digest"] = result.statement_digest
        run.finish(trained.weights, _results(result), described)
    return result


def _finished(
    out: str | Path,
    compiled: Compiled,
    records: Records,
    known: Owned,
    dataset: str | Path | None,
    held_out: Records | None,
    compare_float: bool,
) -> TrainedRun | None:
    """The result of the same command, if it has finished in ``out``."""
    from .errors import InputError
    from .training.run import Run, keyed_digest

    try:
        run = Run.open(out)
        digest = keyed_digest(records, run.seed())
    except InputError:
        return None
    options, kept = compiled.recipe.proof, run.results or {}
    secret = _secret_name(known)
    same = (
        run.circuit.id == compiled.circuit.id
        and run.dataset["digest"] == digest
        and run.dataset["secret"] == secret
        and (run.header().classes, run.header().scaling) == (records.classes, records.scaling)
        and (dataset is None or run.dataset_root == known.root)
        and run.proof.get("security_bits") == options.security_bits
        and run.proof.get("zero_knowledge") == options.zero_knowledge
        and kept.get("test_source") == (None if held_out is None else held_out.source)
        and (kept.get("float_seconds") is not None or not compare_float)
        and tuple(found.step for found in run.checkpoints)
        == compiled.recipe.checkpoint_steps(len(records.labels))
    )
    if not same:
        return None
    figures: dict[str, Any] = {
        name: tuple(map(tuple, value)) if name in _LOSSES else value
        for name, value in kept.items()
        if name != "checkpoints"
    }
    try:
        return TrainedRun(
            path=run.path,
            weights=run.weights_path,
            dataset_root=run.dataset_root,
            circuit_id=run.circuit.id,
            changes=compiled.changes,
            warnings=_warnings(compiled, records, dataset, run),
            kept=True,
            checkpoints=run.checkpoints,
            **figures,
        )
    except TypeError:  # of another version
        return None


def _warnings(
    compiled: Compiled, records: Records, dataset: str | Path | None, run: Run
) -> tuple[str, ...]:
    """What may not be meant, of the recipe, of the records, of their commitment."""
    found = (*compiled.warnings, *records.warnings)
    found += _about_checkpoints(compiled.recipe, len(records.labels))
    if dataset is not None:
        return found
    return (
        *found,
        "without --dataset the run has a commitment of its own, which zktrain prove writes to "
        f"{run.public_dataset}; its proof is about that one and no other",
    )


def _about_checkpoints(recipe: Recipe, records: int) -> tuple[str, ...]:
    """What may not be meant of the checkpoints."""
    steps = recipe.checkpoint_steps(records)
    if not steps:
        none = "no epoch ends before the last step, so there are no checkpoints"
        return (none,) if recipe.checkpoints else ()
    apart = min(after - before for before, after in pairwise((0, *steps, recipe.steps)))
    if apart >= FEW_STEPS:
        return ()
    return (
        f"published weights are {apart} step{'s' * (apart > 1)} apart: their difference is the "
        "sum of the gradients of so many batches, which tells much of the records in them",
    )


def _secret_name(known: Owned) -> str:
    """What a run directory says of where the secret is; empty if nothing hides."""
    if known.seed is None:
        return ""
    return OWN_SECRET if known.secret is None else str(known.secret.resolve())


def _commitment_to_be(compiled: Compiled) -> Owned:
    """A new commitment, hiding if the proof is to."""
    from .prover.dataset.commitment import DEFAULT_OPENINGS
    from .prover.dataset.secret_file import Owned

    if not compiled.recipe.proof.zero_knowledge:
        return Owned()
    return Owned(seed=new_secret(), openings=DEFAULT_OPENINGS)


def _require_provable(compiled: Compiled, records: Records, known: Owned) -> None:
    """Say before training what proving would refuse: it depends on sizes alone."""
    from .dataset.commitment import DatasetHeader
    from .prover.protocol.bundle import require_provable

    count, features = records.inputs.shape
    header = DatasetHeader(count, features, records.classes, bytes(32), known.openings)
    require_provable(statement_to_be(compiled, header))


def _committed(records: Records, known: Owned, progress: Progress) -> DatasetHeader:
    from .prover.dataset.commitment import commit_records

    header = known.known_header(records)
    if header is not None:
        return header
    progress("commit dataset", 0, 1)
    header = commit_records(records, known.seed, known.openings).header
    progress("commit dataset", 1, 1)
    root = header.root.hex()
    if known.root is not None and root != known.root:
        raise StatementMismatch(
            f"{records.source} is not the committed dataset", expected=known.root, got=root
        )
    return header


def _create_run(
    out: str | Path,
    compiled: Compiled,
    records: Records,
    header: DatasetHeader,
    weights_0: _Weights,
    dataset: str | Path | None,
    known: Owned,
) -> Run:
    """The run directory with all that is known before training."""
    from .dataset.public_file import MAX_FILE_BYTES
    from .prover.dataset import secret_file
    from .training.run import Run
    from .training.weight_file import write_weights

    circuit, options = compiled.circuit, compiled.recipe.proof
    secret = _secret_name(known)
    run = Run.create(
        out,
        circuit,
        records,
        header=header,
        dataset_secret=secret,
        seed=known.seed,
        proof={
            "security_bits": options.security_bits,
            "zero_knowledge": options.zero_knowledge,
        },
        boundaries=(0, circuit.steps),
    )
    public, initial = run.public_dataset, run.path / INITIAL_WEIGHTS
    if secret == OWN_SECRET and known.seed is not None:
        own = secret_file.Secret(
            header.root.hex(), records.digest, known.seed.hex(), header.openings, 0
        )
        secret_file.create(run.path / OWN_SECRET, own)
    if dataset is not None and Path(dataset).is_file():
        disk.write(public, files.read_bytes(dataset, "dataset file", MAX_FILE_BYTES))
    if circuit.initialisation.kind == "file":
        metadata = {"format": WEIGHTS_FORMAT, "circuit_id": circuit.id}
        write_weights(initial, weights_0, circuit.fixed_point.weight_bits, metadata)
    return run


def _metadata(run: Run, header: DatasetHeader) -> dict[str, str]:
    """What weight files say about themselves; nothing that verifying relies on."""
    from .training.weight_file import scaling_metadata

    return {
        "format": WEIGHTS_FORMAT,
        "circuit_id": run.circuit.id,
        "dataset_root": run.dataset_root,
        **scaling_metadata(header.scaling),
    }


def _results(result: TrainedRun) -> dict[str, Any]:
    """What ``run.json`` keeps of the outcome."""
    kept = asdict(result)
    for name in ("path", "weights", "dataset_root", "circuit_id", *_SAID):
        del kept[name]
    return {**kept, "checkpoints": [[one.step, one.weights] for one in result.checkpoints]}
