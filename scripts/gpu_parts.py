"""The parts of ``gpu_check.py``, each run in a process of its own:

    python scripts/gpu_parts.py NAME FOLDER SECONDS cuda|cpu [tiny]

Works in FOLDER, which has ``notes.json`` afterwards: the part's figures, as far as it came.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).resolve().parent.parent
SEED = bytes(range(32))
_MEMORY = 8 << 30
"""For a proof: machines may have little memory free before they are asked for it."""

Json = dict[str, Any]
Note = Callable[..., None]
"""Keeps figures, named by keyword, in case the part does not come to its end."""
Case = TypeVar("Case")


class Wrong(Exception):
    """What was to be equal is not."""


@dataclass(frozen=True)
class Sizes:
    """What the parts run on ``device`` and compare with the CPU."""

    device: str
    tiny: bool
    seconds: float = 600.0
    """After which the part is ended."""

    def in_time(self, cases: Iterable[Case], note: Note) -> Iterator[Case]:
        """The first of them, and others as long as there is time; the names of the rest are
        noted."""
        started, left = time.perf_counter(), list(cases)
        while left:
            yield left.pop(0)
            if left and time.perf_counter() - started > self.seconds / 2:
                note(left_out=[str(case) for case in left])
                return


def device(sizes: Sizes, folder: Path, note: Note) -> None:
    """Versions of the card's software; a kernel is compiled and run, integers are multiplied."""
    import numpy as np
    import torch

    note(torch_cuda=torch.version.cuda, cuda_home=os.environ.get("CUDA_HOME"))
    if sizes.device == "cuda":
        note(
            torch_name=torch.cuda.get_device_name(0),
            capability=list(torch.cuda.get_device_capability(0)),
            memory_bytes=torch.cuda.get_device_properties(0).total_memory,
        )
    generator = np.random.default_rng(1)
    left, right = (generator.integers(-(2**21), 2**21, (257, 257)) for _ in range(2))
    found = [torch.from_numpy(m).to(sizes.device, torch.float64) for m in (left, right)]
    product = (found[0] @ found[1]).cpu().numpy().astype(np.int64)
    note(exact_product=bool((product == left @ right).all()))
    if not (product == left @ right).all():
        raise Wrong("a product of integers in float64 is not exact on the device")

    from zktrain.field.extension import Ext
    from zktrain.prover.kernels.device import has_cuda, require_device, twin
    from zktrain.prover.kernels.field import fold

    if sizes.device == "cuda" and not has_cuda():
        from numba.cuda.cudadrv import libs

        libs.test()  # prints what numba looks for, and where
    require_device(sizes.device, kernels=True)
    table = generator.integers(0, 2**63, (2, 1000), dtype=np.uint64)
    if has_cuda():
        from numba import cuda

        note(numba_runtime=list(cuda.runtime.get_version()))
        started = time.perf_counter()
        ours = twin(fold)(table, Ext(3, 5))
        note(first_kernel_seconds=round(time.perf_counter() - started, 2))
        if not np.array_equal(ours, fold(table, Ext(3, 5))):
            raise Wrong("the first kernel is not right")


def kernels(sizes: Sizes, folder: Path, note: Note) -> None:
    """All checks of ``tests/kernels/cuda_twins.py``, with their seconds in turn."""
    tests = ROOT / "tests"
    path = [str(tests / "field"), str(tests), *filter(None, [os.environ.get("PYTHONPATH")])]
    simulated = sizes.device != "cuda"
    done = subprocess.Popen(
        [sys.executable, tests / "kernels" / "cuda_twins.py", *(["folds"] if sizes.tiny else [])],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(path),
            "NUMBA_ENABLE_CUDASIM": str(int(simulated)),
        },
        stdout=subprocess.PIPE,
        text=True,
    )
    checks: list[list[Any]] = []
    for line in done.stdout or ():
        name, found = line.split()
        checks.append([name, found if found == "failed" else float(found)])
        note(checks=checks, simulated=simulated)
    if done.wait() or not checks:
        raise Wrong("some kernels are not right, or did not run: see the output")


def train(sizes: Sizes, folder: Path, note: Note) -> None:
    """Perceptron, LeNet-5 and momentum: integers after some hundred steps, twice on the device."""
    import zktrain

    data = images(folder, sizes)
    runs: Json = {}
    cases = {"fashion-mlp-1024x1024": 200, "fashion-lenet5": 200, "fashion-mlp-128-momentum": 200}
    for name, steps in sizes.in_time(cases.items(), note):
        recipe = recipe_of(name, folder, 3 if sizes.tiny else steps, 8 if sizes.tiny else 64)
        found: Json = {}
        weights = {}
        for at, where in enumerate(("cpu", sizes.device, sizes.device)):
            out = folder / f"{name}-{at}"
            with failing_apart(found):
                done = zktrain.train(recipe, data=data, out=out, device=where)
                weights[at] = done.weights_digest
                found[("cpu_seconds", "device_seconds", "device_seconds_again")[at]] = round(
                    done.seconds, 3
                )
        found["same_bits"] = len(weights) == 3 and len(set(weights.values())) == 1
        if not found["same_bits"] and sizes.device == "cuda":
            with failing_apart(found), uncaptured():
                done = zktrain.train(recipe, data=data, out=folder / f"{name}-3", device="cuda")
                found["same_bits_without_graph"] = done.weights_digest == weights.get(0)
        runs[name] = {"steps": 3 if sizes.tiny else steps, **found}
        note(runs=runs)
    if not all(run["same_bits"] for run in runs.values()):
        raise Wrong("weights are not the CPU's, or a run failed")


def prove(sizes: Sizes, folder: Path, note: Note) -> None:
    """The same run, copied, proved on both with one seed; the device's proof is verified."""
    import zktrain
    from zktrain.benchmarking.worker import warm_up

    seeded()
    started = time.perf_counter()
    for where in {"cpu", sizes.device}:
        warm_up(where)
    note(warm_up_seconds=round(time.perf_counter() - started, 1))
    calls = counted_twins()
    data = images(folder, sizes)
    runs: Json = {}
    cases = {"fashion-mlp-128": (64, True), "fashion-lenet5": (8, True)}
    cases |= {"fashion-mlp-1024x1024": (8, False)}
    for name, (steps, hides) in sizes.in_time(list(cases.items())[: 1 if sizes.tiny else 3], note):
        recipe = recipe_of(name, folder, 2 if sizes.tiny else steps, 8 if sizes.tiny else 64)
        found: Json = {"zero_knowledge": hides}
        calls.clear()
        with failing_apart(found):
            zktrain.train(recipe, data=data, out=folder / name)
            proofs = {}
            for where in ("cpu", "device"):
                run = Path(shutil.copytree(folder / name, folder / f"{name}-{where}"))
                on = sizes.device if where == "device" else "cpu"
                done = zktrain.prove(run, device=on, zero_knowledge=hides, memory=_MEMORY)
                files = (done.path.read_bytes(), (run / "dataset.zkd").read_bytes())
                proofs[where] = [hashlib.sha256(file).hexdigest() for file in files]
                found[f"{where}_seconds"] = round(done.seconds, 3)
                found[f"{where}_stages"] = rounded(done.stages)
            found |= {"proof_bytes": done.proof_bytes, "twins": dict(calls)}
            found["same_bytes"] = proofs["cpu"][0] == proofs["device"][0]
            found["same_certificate"] = proofs["cpu"][1] == proofs["device"][1]
            zktrain.verify(
                run / "weights.safetensors", proof=done.path, dataset=run / "dataset.zkd"
            )
            found["verified"] = True
        runs[name] = found
        note(runs=runs)
    wanted = ("same_bytes", "same_certificate", "verified")
    if not all(run.get(name) for run in runs.values() for name in wanted):
        raise Wrong("a proof has other bytes than the CPU's, or was not made")
    if sizes.device == "cuda" and not all(run["twins"] for run in runs.values()):
        raise Wrong("no kernel ran on the device")


def bench(sizes: Sizes, folder: Path, note: Note) -> None:
    """What ``zktrain bench`` measures, without its drawings."""
    from zktrain.benchmarking.runner import run_plan
    from zktrain.benchmarking.settings import Plan, Setting

    settings = [
        Setting("synthetic", width=128, steps=64, records=4096),
        Setting("synthetic", width=1024, depth=2, steps=16, records=4096),
    ]
    if sizes.tiny:
        settings = [Setting("synthetic", 4, 1, 4, 4, records=32, features=8, classes=3)]
    runs: Json = {}
    for setting in sizes.in_time(settings, note):
        run = run_plan(Plan((setting,)), folder / "bench", "scripts/gpu_check.sh")["runs"][0]
        if "error" in run:
            runs[setting.name] = {"error": run["error"]}
        else:
            places = {"cpu": run, "cuda": run["cuda"]}
            runs[setting.name] = {name: stages_of(place) for name, place in places.items()}
        note(runs=runs)
    if any("error" in run or (sizes.device == "cuda" and not run["cuda"]) for run in runs.values()):
        raise Wrong("a run has no figures")


PARTS: dict[str, Callable[[Sizes, Path, Note], None]] = {
    "device": device,
    "kernels": kernels,
    "train": train,
    "prove": prove,
    "bench": bench,
}


# what parts share


@contextmanager
def failing_apart(found: Json) -> Iterator[None]:
    """What goes wrong is kept there; the next one is tried all the same."""
    try:
        yield
    except Exception as error:
        traceback.print_exc()
        found["error"] = f"{type(error).__name__}: {error}"[:500]


@contextmanager
def uncaptured() -> Iterator[None]:
    """Steps are run operation by operation, not as one graph."""
    from zktrain.training.graph import Repeated

    captured = Repeated.__call__
    Repeated.__call__ = lambda self: self._program()
    try:
        yield
    finally:
        Repeated.__call__ = captured


def seeded() -> None:
    """Proofs and certificates of this process, which nobody publishes, have known randomness."""
    from zktrain.prover import journal
    from zktrain.prover.protocol import certificate
    from zktrain.prover.randomness import expand

    certify = certificate.certify

    def certified(*dataset: Any, **given: Any) -> bytes:
        return certify(*dataset, **given, random=expand(SEED, "certificate"))

    journal.new_secret = lambda: SEED
    certificate.certify = certified


def counted_twins() -> dict[str, int]:
    """How often each kernel will have run on the device."""
    from zktrain.prover.kernels import device

    calls: dict[str, int] = {}
    find = device.twin

    def counting(function: Callable[..., Any]) -> Callable[..., Any]:
        found = find(function)
        name = f"{found.__module__.rpartition('.')[2]}.{found.__name__}"
        calls[name] = calls.get(name, 0) + 1
        return found

    device.twin = counting
    return calls


def stages_of(measured: Json | None) -> Json | None:
    """Seconds of one run of ``bench``; None where there was no device."""
    if measured is None:
        return None
    return {
        "train_seconds": round(measured["train"]["seconds"], 4),
        "float_train_seconds": round(measured["train"]["float_seconds"], 4),
        "prove_seconds": round(measured["prove"]["seconds"], 3),
        "stages": rounded(measured["prove"]["stages"]),
        "verify_seconds": round(measured["verify"]["seconds"], 4),
    }


def rounded(seconds: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 3) for name, value in seconds.items()}


def images(folder: Path, sizes: Sizes) -> Path:
    """Records of 28 x 28 bytes: scikit-learn's digits in a frame, or bytes of a fixed stream."""
    import numpy as np

    path = folder / "records.npz"
    try:
        if sizes.tiny:
            raise ImportError
        from sklearn.datasets import load_digits

        digits = load_digits()
        inputs = np.kron(digits.images, np.ones((3, 3))) * 15
        inputs = np.pad(inputs, ((0, 0), (2, 2), (2, 2))).astype(np.uint8).reshape(-1, 784)
        labels = digits.target.astype(np.uint16)
    except ImportError:
        from zktrain.benchmarking.inputs import synthetic

        inputs, labels = synthetic(40 if sizes.tiny else 2048, 784, 10)
    np.savez(path, inputs=inputs, labels=labels, classes=10)
    return path


def recipe_of(name: str, folder: Path, steps: int, batch: int) -> Path:
    """One of ``circuits/`` with other steps, and rates that no schedule changes."""
    text = (ROOT / "circuits" / f"{name}.toml").read_text()
    found = re.search(r'onnx = "(.*)"', text)
    if found is None:
        raise Wrong(f"{name} names no network")
    shutil.copyfile(ROOT / "circuits" / found[1], folder / Path(found[1]).name)
    changes = {
        r'onnx = ".*"': f'onnx = "{Path(found[1]).name}"',
        r"learning_rate = \[\[0, (.*?)\].*": r"learning_rate = \1",
        r"steps = .*": f"steps = {steps}",
        r"batch_size = .*": f"batch_size = {batch}",
    }
    for old, new in changes.items():
        text = re.sub(old, new, text)
    path = folder / f"{name}.toml"
    path.write_text(text)
    return path


def main(words: list[str]) -> int:
    """The exit code: 0 where the part passed."""
    name, folder, notes = words[0], Path(words[1]), {}

    def note(**figures: Any) -> None:
        notes.update(figures)
        waiting = folder / "notes.part"
        waiting.write_text(json.dumps(notes))
        waiting.replace(folder / "notes.json")

    try:
        sizes = Sizes(words[3], "tiny" in words[4:], float(words[2]))
        PARTS[name](sizes, folder, note)
    except Exception as error:
        traceback.print_exc()
        note(error=f"{type(error).__name__}: {error}"[:500])
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
