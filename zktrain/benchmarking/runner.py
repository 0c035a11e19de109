"""Runs a plan, each setting in a process of its own, and keeps every result once it is there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .. import __version__, disk, files, machine
from ..cost import calibration
from ..errors import InputError
from ..locks import locked
from ..progress import Progress, silent
from .settings import Plan, Setting, Sweep

FORMAT = "zktrain-benchmark-2"
RESULT = "bench.json"
_MAX_BYTES = 1 << 26
MEASURED = ("zktrain", ":!zktrain/cost/calibration.json")
"""Files that a measurement depends on; prices of predictions do not matter."""
_ROOT = Path(__file__).resolve().parents[2]


def commit() -> str | None:
    """The commit that is measured, ``+`` behind it if files differ; ``None`` outside git."""
    try:
        head = _git("rev-parse", "HEAD")
        return head + ("+" if _git("status", "--porcelain", "--", *MEASURED) else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(_ROOT), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def header(command: str) -> dict[str, Any]:
    """What figures depend on besides the settings."""
    return {
        "format": FORMAT,
        "kind": "bench",
        "command": command,
        "version": __version__,
        "commit": commit(),
        "machine": machine.describe(),
        "calibration": calibration.load().remark(),
    }


def run_plan(plan: Plan, folder: Path, command: str, progress: Progress = silent) -> dict[str, Any]:
    """Run what ``folder`` does not have yet from the same code on the same machine; the whole
    result, also written to ``folder/bench.json`` after each run.

    A run that fails has ``error`` instead of figures. Raises :class:`InputError`.
    """
    disk.make_folder(folder / "runs")
    busy = f"another process is measuring into {folder}; wait for it, or end it"
    with locked(folder / "runs", busy=busy):
        top = header(command)
        runs: list[dict[str, Any]] = []
        settings = plan.settings
        for number, setting in enumerate(settings):
            progress(setting.name, number, len(settings))
            runs.append(_known(folder, setting, top) or run_setting(setting, folder, top, progress))
            result = {**top, "sweeps": [_sweep(sweep) for sweep in plan.sweeps], "runs": runs}
            write(folder / RESULT, result)
    progress("done", len(settings), len(settings))
    return result


def _sweep(sweep: Sweep) -> dict[str, Any]:
    return {
        "axis": sweep.axis,
        "values": list(sweep.values),
        "runs": [setting.name for setting in sweep.settings],
    }


def path_of(folder: Path, setting: Setting) -> Path:
    return folder / "runs" / f"{setting.name}.json"


def _known(folder: Path, setting: Setting, top: dict[str, Any]) -> dict[str, Any] | None:
    """A finished run of the same setting, commit and machine."""
    try:
        kept: dict[str, Any] = json.loads(
            files.read_bytes(path_of(folder, setting), "result", _MAX_BYTES)
        )
    except (InputError, ValueError):
        return None
    same = (
        isinstance(kept, dict)
        and "error" not in kept
        and kept.get("setting") == json.loads(json.dumps(setting.to_json()))
        and kept.get("commit") == top["commit"]
        and kept.get("machine") == top["machine"]
    )
    return kept if same else None


def run_setting(
    setting: Setting, folder: Path, top: dict[str, Any], progress: Progress
) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        wanted, out = Path(name) / "setting.json", Path(name) / "out.json"
        wanted.write_text(json.dumps(setting.to_json()))
        command = [sys.executable, "-m", "zktrain.benchmarking.worker", str(wanted), str(out)]
        environment = {**os.environ, "PYTHONPATH": _python_path()}
        problems = Path(name) / "stderr"
        with (
            problems.open("w") as stderr,
            subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=stderr, text=True, env=environment
            ) as process,
        ):
            try:
                for stage, done, total in _reports(process):
                    progress(f"  {stage}", done, total)
                process.wait()
            except BaseException:
                process.kill()
                raise
        if out.is_file():
            result: dict[str, Any] = json.loads(out.read_text())
        else:
            last = (problems.read_text().strip().splitlines() or ["no reason was given"])[-1]
            error = f"the process ended with code {process.returncode}: {last}"
            result = {"name": setting.name, "setting": setting.to_json(), "error": error}
    result["commit"] = top["commit"]
    result.setdefault("machine", top["machine"])
    write(path_of(folder, setting), result)
    return result


def _python_path() -> str:
    """So that a process of its own imports this package, wherever it was imported from."""
    known = os.environ.get("PYTHONPATH")
    return os.pathsep.join([str(_ROOT), *([known] if known else [])])


def _reports(process: subprocess.Popen[str]) -> Iterator[tuple[str, int, int]]:
    for line in process.stdout or ():
        parts = line.rstrip("\n").split("\t")
        if len(parts) == 3 and parts[1].isdigit() and parts[2].isdigit():
            yield parts[0], int(parts[1]), int(parts[2])


def write(path: Path, result: dict[str, Any]) -> None:
    disk.write(path, (compact(result) + "\n").encode())


def compact(value: Any, depth: int = 0) -> str:
    """JSON with one line per entry; lists without objects are on one line."""
    if isinstance(value, list) and _holds_objects(value):
        parts, ends = [compact(part, depth + 1) for part in value], "[]"
    elif isinstance(value, dict) and value:
        parts = [f"{json.dumps(key)}: {compact(part, depth + 1)}" for key, part in value.items()]
        ends = "{}"
    else:
        return json.dumps(value)
    lead = "\n" + " " * (depth + 1)
    return ends[0] + ",".join(lead + part for part in parts) + "\n" + " " * depth + ends[1]


def _holds_objects(values: list[Any]) -> bool:
    return any(isinstance(v, dict) or (isinstance(v, list) and _holds_objects(v)) for v in values)
