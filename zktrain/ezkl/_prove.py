"""From a finished run to a bundle of one ezkl proof per step."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .. import disk, files
from ..checked import checked
from ..circuit.circuit import Circuit
from ..dataset.readers import Records
from ..errors import InputError, MalformedProof
from ..locks import claimed, locked
from ..progress import Progress, silent
from ..protocol.bundle import MAGICS
from ..training.run import Run, run_folder
from ..training.weight_file import write_weights
from ..wire import Reader
from . import keys as key_store
from . import values
from .bundle import EzklBundle, StepProof, weights_path
from .calibrate import Trajectory, calibrate, trajectory
from .keys import Keys
from .memory import require_memory
from .native import Native, require_ezkl
from .parameters import DEFAULT_SCALE, SCALES, Parameters
from .reference import Srs, open_srs
from .stages import Stages
from .statement import MAX_STEPS, EzklStatement
from .step import require_supported

MAX_STEP_BYTES = 1 << 21
WEIGHTS_FORMAT = "zktrain-ezkl-weights-1"


@dataclass(frozen=True, slots=True)
class Proved:
    """Where the bundle and its weights are, and what they cost; ``stages`` are seconds by stage.

    ``largest_difference`` is between a weight of ezkl's fixed point and that of the run's exact
    integers. ``peak_rss_bytes`` is the most of a process that ran ezkl, ``peaks`` by stage.
    """

    path: Path
    weights: Path
    seconds: float
    steps: int
    proof_bytes: int
    peak_rss_bytes: int
    peaks: dict[str, int]
    logrows: int
    proving_key_bytes: int
    verifying_key_bytes: int
    stages: dict[str, float]
    parameters: Parameters
    verifying_key: str
    largest_difference: float
    insecure_srs: bool


@checked
def prove(
    run: str | Path,
    *,
    srs: str | Path,
    out: str | Path | None = None,
    scale: int = DEFAULT_SCALE,
    unchecked_srs: bool = False,
    memory: int | None = None,
    progress: Progress = silent,
) -> Proved:
    """Prove every step of a finished run with ezkl; steps proved before are kept.

    The run is done again in ezkl's fixed point of ``scale`` bits, from the run's first weights in
    its order at its rates. The weights that come out are written beside the bundle: they are what
    is proven, not those of the run.

    Raises
    ------
    InputError
        The run, the SRS or the machine cannot be used, or ezkl failed; the same call goes on.
    RecipeError
        The recipe is none that this backend proves.
    RangeOverflow
        A value leaves ezkl's fixed point.
    """
    require_ezkl()
    if not SCALES[0] <= scale <= SCALES[1]:
        raise InputError(f"the scale is {scale}; it must be from {SCALES[0]} to {SCALES[1]}")
    path = Path(out) if out is not None else Path(run) / "proof-ezkl.zkt"
    busy = f"{run} is in use: another process trains or proves it; wait for it, or end it"
    taken = f"another process is writing {path}; wait for it, or end it"
    with locked(run_folder(run), busy=busy), claimed(path, busy=taken):
        disk.require_writable(path, "proof", *MAGICS)
        return _proved(Run.open(run), path, srs, scale, unchecked_srs, memory, progress)


def _proved(
    opened: Run,
    path: Path,
    srs: str | Path,
    scale: int,
    unchecked_srs: bool,
    memory: int | None,
    progress: Progress,
) -> Proved:
    """``prove`` of a run that nobody else changes meanwhile."""
    started = time.perf_counter()
    circuit = opened.circuit
    require_supported(circuit)
    header, records = opened.header(), opened.records()
    if circuit.steps > MAX_STEPS:
        raise InputError(f"the run has {circuit.steps:,} steps; ezkl proves at most {MAX_STEPS:,}")
    if header.hiding:
        raise InputError(
            f"the dataset of {opened.path} has a commitment that hides, and who verifies a proof "
            "by ezkl computes the root again from the data: commit with --public (or set "
            "proof.zero_knowledge = false) and train again"
        )
    reference = open_srs(srs, unchecked=unchecked_srs)
    stages = Stages()
    folder = opened.path / "ezkl"
    with Native() as native:
        _require_room(circuit, scale, reference, native, memory)
        first = values.rounded(circuit, opened.boundary(0), scale)
        found = trajectory(circuit, records, first, scale, native, progress)
        parameters = calibrate(found, scale)
        stages.end("calibrate")
        keys = key_store.derive(
            circuit, parameters, reference, native, proving=True, memory=memory, progress=progress
        )
        require_memory(keys.logrows, memory, proving=True)
        reference.require_rows(keys.logrows)
        stages.end("set up")
        peaks = {"set up": native.peak}
        statement = EzklStatement(
            circuit,
            header,
            values.weights_digest(found.weights[0], scale),
            values.weights_digest(found.weights[-1], scale),
            parameters,
            reference.setup,
            keys.verifying_digest,
        )
        kept = folder / statement.digest[:16]
        disk.make_folder(kept, private=True)
        native.stop()  # a fresh process for proofs: its memory is theirs
        native.peak = 0
        proofs = [
            _step(statement, records, found, index, keys, reference.path, native, kept, progress)
            for index in range(circuit.steps)
        ]
        stages.end("prove")
        peaks["prove"] = native.peak
        sizes = [path.stat().st_size for path in (keys.proving, keys.verifying)]
    data = EzklBundle(statement, tuple(proofs)).to_bytes()
    weights = weights_path(path)
    metadata = {"format": WEIGHTS_FORMAT, "circuit_id": circuit.id, "scale": str(scale)}
    write_weights(weights, found.weights[-1], scale, metadata)
    disk.write(path, data)
    return Proved(
        path=path,
        weights=weights,
        seconds=time.perf_counter() - started,
        steps=circuit.steps,
        proof_bytes=len(data),
        peak_rss_bytes=max(peaks.values()),
        peaks=peaks,
        logrows=keys.logrows,
        proving_key_bytes=sizes[0],
        verifying_key_bytes=sizes[1],
        stages=stages.seconds,
        parameters=parameters,
        verifying_key=keys.verifying_digest,
        largest_difference=_difference(circuit, opened, found, scale),
        insecure_srs=reference.insecure,
    )


def _require_room(
    circuit: Circuit, scale: int, srs: Srs, native: Native, memory: int | None
) -> None:
    """Raise ``InputError`` where SRS or memory are too small for any run of the circuit, before
    the run is done again; how large tables are follows from that, and may take more rows."""
    folder = native.folder / "rows"
    disk.make_folder(folder, private=True)
    logrows = key_store.rows_of(circuit, Parameters(scale, 1), native, folder)
    srs.require_rows(logrows)
    require_memory(logrows, memory, proving=True)


def _step(
    statement: EzklStatement,
    records: Records,
    run: Trajectory,
    index: int,
    keys: Keys,
    srs: Path,
    native: Native,
    kept: Path,
    progress: Progress,
) -> StepProof:
    """The proof of one step, kept in ``kept`` or made now."""
    circuit, scale = statement.circuit, statement.parameters.scale
    progress("prove", index, circuit.steps)
    path = kept / f"step-{index:05d}.bin"
    instances = tuple(bytes.fromhex(text) for text in run.instances[index])
    old = _kept_step(path, instances, keys, native)
    if old is not None:
        return old
    inputs = [*values.flat(run.weights[index]), *values.batch(circuit, records, index, scale)]
    again = native.call(
        "forward", circuit=keys.circuit, inputs=inputs, scale=scale, folder=native.folder
    )
    if tuple(again["instances"]) != run.instances[index]:
        raise InputError(f"ezkl gives step {index} other weights the second time; report this")
    proof = native.call(
        "prove",
        circuit=keys.circuit,
        pk=keys.proving,
        srs=srs,
        folder=native.folder,
        logrows=keys.logrows,
    )
    made = StepProof(instances, bytes.fromhex(proof))
    if not keys.accept(made.instances, made.proof, native):
        raise InputError(f"ezkl made a proof of step {index} that does not verify; report this")
    disk.write(path, made.to_bytes())
    progress("prove", index + 1, circuit.steps)
    return made


def _kept_step(
    path: Path, instances: tuple[bytes, ...], keys: Keys, native: Native
) -> StepProof | None:
    """A step proved before, if it is there and verifies."""
    try:
        reader = Reader(files.read_bytes(path, "proved step", MAX_STEP_BYTES), "step")
        step = StepProof.take(reader, len(instances), path.name)
        reader.finish()
    except (InputError, MalformedProof):
        return None
    good = step.instances == instances and keys.accept(step.instances, step.proof, native)
    return step if good else None


def _difference(circuit: Circuit, run: Run, found: Trajectory, scale: int) -> float:
    """The largest distance of a final weight from that of the exact run."""
    exact, shift = run.boundary(circuit.steps), circuit.fixed_point.weight_bits - scale
    return max(
        float(np.abs(exact[name] - (values << np.int64(shift))).max())
        / 2.0**circuit.fixed_point.weight_bits
        for name, values in found.weights[-1].items()
    )
