"""The verb ``bench``: whole runs, measured and reported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import disk, files
from .checked import checked
from .extras import require
from .progress import Progress, silent

if TYPE_CHECKING:
    from .benchmarking.settings import Plan
    from .cost.calibration import Calibration

REPORT, FIGURES = "report.html", "figures"
_MAX_BYTES = 1 << 28


@dataclass(frozen=True, slots=True)
class Benchmarked:
    """What was measured (``result``, also in ``path``), and where report and figures are."""

    path: Path
    report: Path
    figures: tuple[Path, ...]
    result: dict[str, Any]

    @property
    def failed(self) -> list[str]:
        """Names of the runs without figures."""
        return [run["name"] for run in self.result["runs"] if "error" in run]


@checked
def bench(
    plan: Plan | str = "quick",
    *,
    out: str | Path = "bench",
    command: str = "zktrain.bench",
    again: bool = False,
    progress: Progress = silent,
) -> Benchmarked:
    """Run a plan (or the suite of that name), each run in a process of its own.

    Parameters
    ----------
    plan
        ``zktrain.benchmarking.settings`` has plans, sweeps and settings.
    out
        The folder for results, figures and report. Runs that it has from the same code and machine
        are not measured again, so an interrupted call goes on.
    command
        How to repeat it, for the report.
    again
        Measure everything anew.
    progress
        Called with the name of every run, and with its stages indented.

    Raises
    ------
    InputError
        The folder cannot be written, or a library is missing.
    """
    require("prove", "measuring", "torch", "onnx", "numba")
    require("demo", "reporting", "matplotlib")
    from .benchmarking.runner import RESULT, run_plan
    from .benchmarking.settings import Setting, suite

    folder = Path(out)
    wanted = suite(plan, Setting()) if isinstance(plan, str) else plan
    if again:
        for setting in wanted.settings:
            disk.remove(folder / "runs" / f"{setting.name}.json")
    result = run_plan(wanted, folder, command, progress)
    figures = draw(result, folder)
    return Benchmarked(folder / RESULT, folder / REPORT, tuple(figures), result)


def draw(result: dict[str, Any], folder: Path) -> list[Path]:
    """Figures and report of a result, in ``folder``; the same result gives the same files."""
    from .benchmarking import figures, report, series

    images: dict[str, bytes] = {}
    paths = []
    drawings = {
        name: (curves[0].title, partial(figures.growth, curves, result["machine"]))
        for name, curves in series.figures(result).items()
    }
    good = [run for run in result["runs"] if "error" not in run]
    if good:
        longest = max(good, key=lambda run: run["setting"]["steps"])
        caption = f"Training and its proof: {longest['name']}"
        drawings = {"run": (caption, partial(figures.pipeline, longest)), **drawings}
        drawings["stages"] = ("Stages of all runs", partial(figures.stages, good))
    for name, (caption, drawing) in drawings.items():
        path = folder / FIGURES / f"{name}.png"
        figures.save(drawing, path)
        paths.append(path)
        images[caption if caption not in images else f"{caption} ({name})"] = files.read_bytes(
            path, "figure", _MAX_BYTES
        )
    disk.write(folder / REPORT, report.html(result, images).encode())
    return paths


def calibrate(*, progress: Progress = silent) -> tuple[Calibration, Path]:
    """Measure small runs on this machine, under a minute on two cores, and keep what they say about
    the seconds per unit of work; returns it and its path. Raises ``InputError``."""
    require("prove", "calibrating", "torch", "onnx", "numba")
    from .benchmarking.calibrate import calibrate as measure
    from .cost.calibration import save

    calibration = measure(progress)
    return calibration, save(calibration)


def command_line(arguments: Sequence[str]) -> str:
    """A command with the names of files only."""
    import shlex

    shown = [Path(part).name if "/" in part else part for part in arguments]
    return shlex.join(["zktrain", *shown])
