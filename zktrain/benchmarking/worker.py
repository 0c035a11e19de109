"""One run in a process of its own: ``python -m zktrain.benchmarking.worker SETTING.json OUT.json``.

Lines ``stage TAB done TAB total`` on standard output tell how far it is. Kernels are compiled and
libraries loaded before anything is measured. Freed memory is kept, as the commands keep it.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from .. import disk, machine
from .._prove import Proved, prove
from .._train import TrainedRun, train
from .._verify import verify
from ..circuit.circuit import Circuit
from ..cli import wording
from ..cost.estimate import Estimate, estimate
from ..errors import ZktrainError
from ..memory import keep_freed_memory
from ..profile import Node, Recorder
from ..protocol.bundle import statement_of
from ..protocol.statement import Statement
from ..training import trainer
from ..training.run import Run
from .inputs import write_inputs
from .processes import command
from .settings import Setting

VERIFICATIONS = TRAININGS = 3
"""The fastest of so many counts."""
REPEATED_BELOW = 5.0
"""What takes more seconds is not repeated."""
MOST_LOSSES = 1024
WARM_UP = Setting("synthetic", width=32, batch=32, steps=64, features=64, records=512)


def report(stage: str, done: int, total: int, **_: float) -> None:
    """Tell the parent process."""
    print(f"{stage}\t{done}\t{total}", flush=True)


def warm_up(device: str = "cpu") -> None:
    """Prove a few steps once, of no particular setting."""
    report("compile kernels", 0, 1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        given, run = write_inputs(WARM_UP, folder), folder / "run"
        train(given.recipe, data=given.data, out=run, compare_float=True, device=device)
        proved = prove(run, device=device)
        verify(run / "weights.safetensors", proof=proved.path, dataset=run / "dataset.zkd")


def measure(setting: Setting, folder: Path, device: str = "cpu") -> dict[str, Any]:
    """Commit, train in integers and in float32, prove and verify, each timed."""
    report("read data", 0, 1)
    given = write_inputs(setting, folder)
    public, run = folder / "dataset.zkd", folder / "run"
    committed = _commit(given.data, public, hiding=setting.zero_knowledge)
    trained = train(
        given.recipe, data=given.data, out=run, test=given.held_out, device=device,
        compare_float=True, dataset=public, progress=report,
    )  # fmt: skip
    trained = _fastest(trained, device)
    with Recorder(memory=True) as recorder:
        proved = prove(run, device=device, progress=report)
    statement = statement_of(proved.path)
    report("verify", 0, 1)
    check = partial(verify, trained.weights, proof=proved.path, dataset=public)
    seconds = _repeated(lambda: check().seconds)
    words = (trained.weights, "--proof", proved.path, "--dataset", public)
    process = _repeated(lambda: command("verify", *words).seconds)
    predicted = estimate(statement, certified=True)
    return {
        "name": setting.name,
        "setting": setting.to_json(),
        "parameters": _parameters(statement, Path(setting.dataset).name),
        "soundness_bits": statement.union_bits,
        "zero_knowledge": proved.zero_knowledge,
        "load_average": round(os.getloadavg()[0], 2),
        "commit_dataset": {"seconds": committed},
        "train": _trained(trained),
        "prove": _proved(proved, recorder.root),
        "verify": {"seconds": seconds, "process_seconds": process},
        "predicted": predicted.to_json(),
        "ratios": ratios(trained, proved, seconds),
        "deviation": deviation(predicted, proved, recorder.root, seconds),
    }


def _fastest(trained: TrainedRun, device: str) -> TrainedRun:
    """The same run with the fastest times of both trainings, where they are short enough to be
    repeated."""
    opened = Run.open(trained.path)
    records, start = opened.records(), opened.boundary(0)
    integers, floats = [trained.seconds], [trained.float_seconds or float("inf")]
    for _ in range(TRAININGS - 1):
        if integers[-1] < REPEATED_BELOW:
            again = trainer.train(opened.circuit, records, start, device=device)
            integers.append(again.seconds)
        if floats[-1] < REPEATED_BELOW:
            other = trainer.train_float32(opened.circuit, records, start, device=device)
            floats.append(other.seconds)
    return replace(trained, seconds=min(integers), float_seconds=min(floats))


def _commit(data: str, public: Path, *, hiding: bool) -> float:
    """Seconds of committing, in a process of its own: its memory must not count for the prover."""
    report("commit dataset", 0, 1)
    clear = () if hiding else ("--public",)
    return float(command("commit", data, "--out", public, *clear).printed["seconds"])


def _repeated(once: Callable[[], float]) -> float:
    """The fastest of several times, of what is short enough to be repeated."""
    seconds = [once()]
    while len(seconds) < VERIFICATIONS and sum(seconds) < REPEATED_BELOW:
        seconds.append(once())
    return min(seconds)


def _parameters(statement: Statement, dataset: str) -> dict[str, Any]:
    circuit: Circuit = statement.circuit
    return {
        "network": wording.network(circuit),
        "weights": circuit.parameters,
        "loss": circuit.loss,
        "learning_rate": circuit.effective_learning_rate,
        "batch_size": circuit.batch_size,
        "steps": circuit.steps,
        "cells_per_step": circuit.cells_per_step,
        "lookups_per_step": circuit.lookups_per_step,
        "no_wrap_bound_bits": circuit.no_wrap_bound_bits,
        "dataset": dataset,
        "records": statement.dataset.records,
    }


def _trained(trained: TrainedRun) -> dict[str, Any]:
    return {
        "seconds": trained.seconds,
        "float_seconds": trained.float_seconds,
        "test_accuracy": trained.test_accuracy,
        "float_test_accuracy": trained.float_test_accuracy,
        "losses": _some(trained.losses),
        "float_losses": _some(trained.float_losses),
    }


def _some(losses: tuple[tuple[int, float], ...]) -> list[list[float]]:
    stride = -(-len(losses) // MOST_LOSSES) if losses else 1
    return [[step, round(loss, 5)] for step, loss in losses[::stride]]


def _proved(proved: Proved, root: Node) -> dict[str, Any]:
    return {
        "seconds": proved.seconds,
        "stages": proved.stages,
        "proof_bytes": proved.proof_bytes,
        "peak_rss_bytes": root.peak_bytes or proved.peak_rss_bytes,
        "profile": root.to_json(),
    }


def ratios(trained: TrainedRun, proved: Proved, verify_seconds: float) -> dict[str, float]:
    """What the figures are compared by."""
    base = trained.float_seconds or float("nan")
    return {
        "train and prove / float32": (trained.seconds + proved.seconds) / base,
        "integers / float32": trained.seconds / base,
        "verify / integers": verify_seconds / trained.seconds,
    }


def deviation(
    predicted: Estimate, proved: Proved, root: Node, verify_seconds: float
) -> dict[str, float]:
    """Predicted over measured, less 1."""
    peak = root.peak_bytes or proved.peak_rss_bytes
    pairs = {
        "prove_seconds": (predicted.seconds, proved.seconds),
        "peak_bytes": (predicted.peak_bytes, peak),
        "proof_bytes": (predicted.proof_bytes, proved.proof_bytes),
        "verify_seconds": (predicted.verify_seconds, verify_seconds),
    }
    return {name: round(a / b - 1, 4) for name, (a, b) in pairs.items()}


def on_cuda(setting: Setting, folder: Path) -> dict[str, Any] | None:
    """The same on a CUDA device, where there is one; None otherwise: nothing is claimed."""
    import torch

    if not torch.cuda.is_available():
        return None
    warm_up("cuda")
    measured = measure(setting, folder, "cuda")
    return {
        "device": torch.cuda.get_device_name(0),
        **{part: measured[part] for part in ("train", "prove", "verify", "ratios")},
    }


def main(arguments: list[str]) -> int:
    """Exit code 0 with a result, 1 with ``error`` in it."""
    setting = Setting(**json.loads(Path(arguments[0]).read_text()))
    keep_freed_memory()
    try:
        warm_up()
        with tempfile.TemporaryDirectory() as name:
            result = measure(setting, Path(name))
        with tempfile.TemporaryDirectory() as name:
            result["cuda"] = on_cuda(setting, Path(name))
        code = 0
    except ZktrainError as error:
        result = {"name": setting.name, "setting": setting.to_json(), "error": str(error)}
        code = 1
    result["machine"] = machine.describe()
    disk.write(Path(arguments[1]), json.dumps(result).encode())
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
