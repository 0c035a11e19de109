"""The verb ``bench``: whole runs, measured and reported."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import files
from .checked import checked
from .errors import InputError
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
            files.remove(folder / "runs" / f"{setting.name}.json")
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
    files.write(folder / REPORT, report.html(result, images).encode())
    return paths


def against_ezkl(
    recipe: str | Path,
    data: str,
    srs: str | Path,
    *,
    out: str | Path = "bench",
    scale: int | None = None,
    command: str = "zktrain.bench.against_ezkl",
    progress: Progress = silent,
) -> dict[str, Any]:
    """Measure a recipe with both backends, into ``out/ezkl.json``, which keeps one entry for each
    recipe, and ``out/figures/ezkl.png``; the whole result.

    Raises ``InputError`` where a library is missing or a command fails.
    """
    require("prove", "measuring", "torch", "onnx", "numba")
    require("ezkl", "measuring ezkl", "ezkl")
    require("demo", "reporting", "matplotlib")
    from .benchmarking import against
    from .benchmarking.runner import compact, header

    folder, path = Path(out), Path(out) / against.RESULT
    try:
        files.make_folder(folder)
        known = json.loads(files.read_bytes(path, "result", _MAX_BYTES)) if path.exists() else {}
        kept = known["recipes"] if known.get("format") == against.FORMAT else {}
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise InputError(f"{path} cannot be added to ({error}); choose another --out") from None
    top = {**header(command), "format": against.FORMAT, "kind": "against ezkl"}
    entry = against.measure(Path(recipe), data, Path(srs), scale=scale, progress=progress)
    entry["commit"] = top["commit"]
    result = {**top, "recipes": {**kept, Path(recipe).stem: entry}}
    files.write(path, (compact(result) + "\n").encode())
    draw_against(result, folder)
    return result


def draw_against(result: dict[str, Any], folder: Path) -> list[Path]:
    """The figure of a comparison with ezkl, in ``folder``."""
    from .benchmarking import against_report, figures

    path = folder / FIGURES / "ezkl.png"
    figures.save(partial(against_report.figure, result), path)
    return [path]


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
