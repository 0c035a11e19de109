"""The check of a machine with a GPU, rehearsed without one: all of its parts, and what it does with
a part that fails, takes too long, or finds something wrong."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import zktrain
from zktrain.benchmarking import worker
from zktrain.prover import journal as journals
from zktrain.prover.kernels import device as devices
from zktrain.prover.kernels.device import has_cuda
from zktrain.prover.kernels.field import fold
from zktrain.prover.protocol import certificate as certificates
from zktrain.training.graph import Repeated

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module("gpu_check")


@pytest.fixture
def parts(scripts: ModuleType) -> ModuleType:
    return importlib.import_module("gpu_parts")


def checked(scripts: ModuleType, folder: Path, *words: str) -> tuple[int, dict[str, Any]]:
    code = scripts.main(["--out", str(folder), *words])
    return code, json.loads((folder / scripts.RESULT).read_text())


def verdicts(result: dict[str, Any]) -> dict[str, str]:
    return {part["name"]: part["verdict"] for part in result["parts"]}


def test_the_command_explains_itself(scripts: ModuleType, tmp_path: Path) -> None:
    """From any folder."""
    done = subprocess.run(
        [ROOT / "scripts" / "gpu_check.sh", "--help"],
        env={**os.environ, "PYTHON": sys.executable}, cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0 and all(f"    {name}" in done.stdout for name in scripts.LIMITS)


@pytest.mark.skipif(has_cuda(), reason="there is a CUDA device")
def test_without_a_device_nothing_is_measured(
    scripts: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, result = checked(scripts, tmp_path, "--commit", "abc")
    assert code == 0 and "no CUDA device" in capsys.readouterr().out
    assert result["verdict"] == "not measured" and result["commit"] == "abc"
    assert verdicts(result) == dict.fromkeys(scripts.LIMITS, "not measured")
    assert result["format"] == scripts.FORMAT and len(result["source_sha256"]) == 64


def rehearsed(
    scripts: ModuleType, folder: Path, names: str, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """Figures by part, with the compiled kernels that are there already."""
    made = scripts.environment

    def environment(*given: Any) -> dict[str, str]:
        known = os.environ.get("NUMBA_CACHE_DIR", "")
        return {**made(*given), "NUMBA_CACHE_DIR": known}

    monkeypatch.setattr(scripts, "environment", environment)
    words = ("--device", "cpu", "--tiny", "--parts", names)
    code, result = checked(scripts, folder, *words)
    assert code == 0 and result["verdict"] == "passed", result
    return {part["name"]: part["figures"] for part in result["parts"]}


def test_a_rehearsal_of_the_first_parts(
    scripts: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = rehearsed(scripts, tmp_path, "device,kernels", monkeypatch)
    assert found["device"]["exact_product"]
    assert [name for name, _ in found["kernels"]["checks"]] == ["folds"]
    assert found["kernels"]["simulated"]


@pytest.mark.slow("trains, proves and measures")
def test_a_rehearsal_of_whole_runs(
    scripts: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = rehearsed(scripts, tmp_path, "train,prove,bench", monkeypatch)
    trained, proved, measured = (found[name]["runs"] for name in ("train", "prove", "bench"))
    assert len(trained) == 3 and all(run["same_bits"] for run in trained.values())
    (run,) = proved.values()
    assert run["same_bytes"] and run["same_certificate"] and run["verified"]
    assert set(run["cpu_stages"]) == set(run["device_stages"]) >= {"witness", "lookups"}
    (run,) = measured.values()
    assert run["cuda"] is None and run["cpu"]["stages"]["opening"] > 0


@pytest.mark.parametrize("captured", [True, False])
def test_training_without_graphs_tells_more_where_it_differs(
    parts: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, captured: bool
) -> None:
    def train(recipe: Path, *, device: str, **given: Any) -> SimpleNamespace:
        wrong = device == "cuda" and (captured or Repeated.__call__ is plain)
        return SimpleNamespace(weights_digest=f"wrong {wrong}", seconds=0.5)

    plain = Repeated.__call__
    monkeypatch.setattr(Repeated, "__call__", plain)  # put back afterwards
    monkeypatch.setattr(zktrain, "train", train)
    notes = Notes()
    with pytest.raises(parts.Wrong):
        parts.train(parts.Sizes("cuda", True), tmp_path, notes)
    assert [run["same_bits_without_graph"] for run in notes["runs"].values()] == [not captured] * 3
    assert Repeated.__call__ is plain


def pretended(scripts: ModuleType, folder: Path, body: str, monkeypatch: Any) -> None:
    """In the place of the Python that runs a part: a program with ``name`` and ``folder``."""
    path = folder / "python"
    path.write_text(
        f"#!{sys.executable}\nimport os, sys, time\nname, folder = sys.argv[2:4]\n"
        f"def note(text):\n    open(folder + '/notes.json', 'w').write(text)\n{body}\n"
    )
    path.chmod(0o700)
    monkeypatch.setattr(scripts, "with_wheels", lambda wheels, folder: str(path))


def test_a_part_that_fails_does_not_stop_the_others(
    scripts: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = 'note(\'{"seen": 1}\')\nprint("why")\nsys.exit(name == "train")'
    pretended(scripts, tmp_path, body, monkeypatch)
    code, result = checked(scripts, tmp_path, "--device", "cpu")
    expected = {**dict.fromkeys(scripts.LIMITS, "passed"), "train": "failed"}
    assert code == 1 and result["verdict"] == "failed" and verdicts(result) == expected
    failed = next(part for part in result["parts"] if part["name"] == "train")
    assert failed["figures"] == {"seen": 1} and "why" in failed["output"]


def test_a_part_that_takes_too_long_ends_with_all_its_processes(
    scripts: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = (
        "if name == 'device':\n"
        "    child = os.fork()\n"
        "    if child: note('{\"child\": %d}' % child)\n"
        "    time.sleep(100)"
    )
    pretended(scripts, tmp_path, body, monkeypatch)
    monkeypatch.setitem(scripts.LIMITS, "device", 2)
    code, result = checked(scripts, tmp_path, "--device", "cpu", "--parts", "device,train")
    assert code == 1 and verdicts(result) == {"device": "out of time", "train": "passed"}
    state = Path(f"/proc/{result['parts'][0]['figures']['child']}/stat")
    assert not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z"


def test_what_a_part_leaves_over_is_for_the_next(
    scripts: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And all together have a limit."""
    pretended(scripts, tmp_path, "time.sleep(30 * (name == 'kernels'))", monkeypatch)
    for name, limit in {"device": 3.0, "kernels": 0.5, "train": 0.5}.items():
        monkeypatch.setitem(scripts.LIMITS, name, limit)
    names = "device,kernels,train"
    code, result = checked(scripts, tmp_path, "--device", "cpu", "--parts", names)
    assert code == 1
    expected = {"device": "passed", "kernels": "out of time", "train": "not measured"}
    assert verdicts(result) == expected
    assert 0.5 < result["parts"][1]["limit"] <= 3.5 and result["seconds"] < 10


def test_numpy_has_what_numba_cuda_wants(
    scripts: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "numpy.py").write_text("vstack = 7\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    env = scripts.environment(tmp_path, scripts.arguments([]))
    words = [sys.executable, "-c", "import numpy; print(numpy.row_stack)"]
    assert subprocess.run(words, env=env, capture_output=True, text=True).stdout == "7\n"


def test_eight_minutes_are_the_most(scripts: ModuleType) -> None:
    assert sum(scripts.LIMITS.values()) <= 480


def test_what_is_missing_comes_from_wheels(
    scripts: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside all that this Python has, which may be a virtual environment itself."""
    wheels = tmp_path / "wheels"
    monkeypatch.setattr(scripts, "NEEDED", {"numpy": "numpy", "gpu_probe": "gpu-probe"})
    with pytest.raises(scripts.Wrong, match=r"gpu-probe are missing; give --wheels"):
        scripts.with_wheels(wheels, tmp_path)
    wheels.mkdir()
    info = "gpu_probe-1.dist-info"
    with zipfile.ZipFile(wheels / "gpu_probe-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("gpu_probe.py", "found = 17\n")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: gpu-probe\nVersion: 1\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        names = ["gpu_probe.py", f"{info}/METADATA", f"{info}/WHEEL", f"{info}/RECORD"]
        wheel.writestr(f"{info}/RECORD", "".join(f"{name},,\n" for name in names))
    python = scripts.with_wheels(wheels, tmp_path)
    code = "import gpu_probe, numpy, numba, torch; print(gpu_probe.found)"
    done = scripts.subprocess.run([python, "-c", code], capture_output=True, text=True)
    assert done.stdout == "17\n", done.stderr
    monkeypatch.setattr(scripts, "NEEDED", {"numpy": "numpy"})
    assert scripts.with_wheels(wheels, tmp_path) == sys.executable


class Notes(dict[str, Any]):
    def __call__(self, **figures: Any) -> None:
        self.update(figures)


@pytest.mark.parametrize("odd", [None, 0, 1, 2])
def test_other_weights_are_noticed(
    parts: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, odd: int | None
) -> None:
    made: list[str] = []

    def train(recipe: Path, *, data: Path, out: Path, device: str) -> SimpleNamespace:
        made.append(device)
        if len(made) - 1 == odd:
            return SimpleNamespace(weights_digest="other", seconds=0.5)
        return SimpleNamespace(weights_digest="one", seconds=0.5)

    monkeypatch.setattr(zktrain, "train", train)
    notes = Notes()
    if odd is None:
        parts.train(parts.Sizes("cuda", True), tmp_path, notes)
    else:
        with pytest.raises(parts.Wrong, match="weights are not the CPU's"):
            parts.train(parts.Sizes("cuda", True), tmp_path, notes)
    again = ["cuda"] if odd is not None else []  # without graphs
    assert made == [*("cpu", "cuda", "cuda"), *again, *("cpu", "cuda", "cuda") * 2]
    same = [run["same_bits"] for run in notes["runs"].values()]
    assert same == [odd is None, True, True]


@pytest.mark.parametrize("odd", [None, "proof.zkt", "dataset.zkd", "verdict", "kernels"])
def test_other_proofs_are_noticed(
    parts: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, odd: str | None
) -> None:
    def train(recipe: Path, *, data: Path, out: Path) -> None:
        out.mkdir()

    def prove(run: Path, *, device: str, **given: Any) -> SimpleNamespace:
        for name in ("proof.zkt", "dataset.zkd"):
            (run / name).write_text(device if name == odd else "bytes")
        if device == "cuda" and odd != "kernels":
            devices.twin(fold)
        stages = {"opening": 0.25}
        return SimpleNamespace(path=run / "proof.zkt", seconds=0.5, stages=stages, proof_bytes=5)

    def verify(weights: Path, **given: Any) -> None:
        if odd == "verdict":
            raise zktrain.Rejected("no")

    monkeypatch.setattr(worker, "warm_up", lambda device: None)
    for name, stub in {"train": train, "prove": prove, "verify": verify}.items():
        monkeypatch.setattr(zktrain, name, stub)
    for module, name in ((devices, "twin"), (certificates, "certify"), (journals, "new_secret")):
        monkeypatch.setattr(module, name, getattr(module, name))  # put back afterwards
    notes = Notes()
    if odd is None:
        parts.prove(parts.Sizes("cuda", True), tmp_path, notes)
        (run,) = notes["runs"].values()
        assert run["twins"] == {"field.fold": 1} and run["device_stages"] == {"opening": 0.25}
    else:
        reason = "no kernel ran" if odd == "kernels" else "other bytes than the CPU's"
        with pytest.raises(parts.Wrong, match=reason):
            parts.prove(parts.Sizes("cuda", True), tmp_path, notes)


def test_a_network_that_fails_does_not_stop_the_next(
    parts: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(recipe: Path, **given: Any) -> SimpleNamespace:
        if "lenet" in recipe.name:
            raise RuntimeError("no such operation")
        return SimpleNamespace(weights_digest="one", seconds=0.5)

    monkeypatch.setattr(zktrain, "train", train)
    notes = Notes()
    with pytest.raises(parts.Wrong, match="a run failed"):
        parts.train(parts.Sizes("cuda", True), tmp_path, notes)
    assert [run["same_bits"] for run in notes["runs"].values()] == [True, False, True]
    assert notes["runs"]["fashion-lenet5"]["error"] == "RuntimeError: no such operation"


def test_a_kernel_that_is_not_right_is_noticed(
    parts: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "ROOT", tmp_path)
    program = tmp_path / "tests" / "kernels" / "cuda_twins.py"
    program.parent.mkdir(parents=True)
    program.write_text("print('folds', 0.5)\nprint('layers', 'failed')\nraise SystemExit(1)\n")
    notes = Notes()
    with pytest.raises(parts.Wrong, match="some kernels are not right"):
        parts.kernels(parts.Sizes("cuda", False), tmp_path, notes)
    assert notes["checks"] == [["folds", 0.5], ["layers", "failed"]] and not notes["simulated"]
    program.write_text("")
    with pytest.raises(parts.Wrong, match="did not run"):
        parts.kernels(parts.Sizes("cuda", False), tmp_path, Notes())


def test_what_no_longer_fits_in_the_time_is_left_out(
    parts: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(recipe: Path, **given: Any) -> SimpleNamespace:
        return SimpleNamespace(weights_digest="one", seconds=0.5)

    monkeypatch.setattr(zktrain, "train", train)
    notes = Notes()
    parts.train(parts.Sizes("cuda", True, 0.0), tmp_path, notes)
    assert list(notes["runs"]) == ["fashion-mlp-1024x1024"] and len(notes["left_out"]) == 2


def test_digits_fill_an_image(parts: ModuleType, tmp_path: Path) -> None:
    from zktrain.dataset.readers import read_dataset

    records = read_dataset(str(parts.images(tmp_path, parts.Sizes("cuda", False))))
    assert records.inputs.shape[1] == 784 and records.classes == 10
    assert records.inputs.max() == 240 and len(records.labels) > 1000
