"""Curves drawn from runs that differ in one axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

PER_STEP = ("witness", "commit", "lookups", "relations", "opening")
"""Stages that grow with the number of steps; the others are paid once per run."""
TITLES = {
    "width": "width of the hidden layers",
    "depth": "hidden layers",
    "batch": "samples in a batch",
    "steps": "steps",
}
LEAST_POINTS = 2


@dataclass(frozen=True, slots=True)
class Series:
    """``values`` at the points ``at`` of an axis; figures show them times ``scale`` in ``unit``."""

    label: str
    title: str
    axis: str
    unit: str
    scale: float
    at: tuple[float, ...]
    values: tuple[float, ...]


def fitted_exponent(series: Series) -> tuple[float | None, float]:
    """``(e, f)`` of ``value = f at^e``, by least squares of logarithms; None for one point."""
    if len(series.at) < LEAST_POINTS or min(series.values) <= 0:
        return None, 0.0
    slope, offset = np.polyfit(np.log(series.at), np.log(series.values), 1)
    return float(slope), float(np.exp(offset))


def step_seconds(run: dict[str, Any]) -> float:
    """Seconds of the stages that grow with the steps, for all steps of a run."""
    return float(sum(run["prove"]["stages"].get(stage, 0.0) for stage in PER_STEP))


def finished(result: dict[str, Any], names: Sequence[str]) -> list[dict[str, Any]]:
    """The runs of these names that have figures."""
    known = {run["name"]: run for run in result["runs"] if "error" not in run}
    return [known[name] for name in names if name in known]


def figures(result: dict[str, Any]) -> dict[str, list[Series]]:
    """Curves by name of the figure, for every sweep; two sweeps along the width that differ in
    their number of steps also give the time of one more step."""
    out: dict[str, list[Series]] = {}
    for number, sweep in enumerate(result["sweeps"], 1):
        runs = finished(result, sweep["runs"])
        if len(runs) >= LEAST_POINTS:
            out[f"sweep-{number}-{sweep['axis']}"] = _sweep(sweep["axis"], runs)
    out.update(_marginal(result))
    return out


def _at(axis: str, run: dict[str, Any]) -> float:
    return float(run["setting"][axis])


def _sweep(axis: str, runs: Sequence[dict[str, Any]]) -> list[Series]:
    at = tuple(_at(axis, run) for run in runs)
    totals = axis == "steps"
    title = "Time for all steps" if totals else "Time per step"
    title += f", {_fixed(axis, runs[0])}"
    unit, scale = ("seconds", 1.0) if totals else ("milliseconds per step", 1e3)

    def curve(label: str, values: Sequence[float]) -> Series:
        per = [
            v / (1 if totals else r["setting"]["steps"]) for v, r in zip(values, runs, strict=True)
        ]
        return Series(label, title, TITLES[axis], unit, scale, at, tuple(per))

    return [
        curve("prove", [step_seconds(run) for run in runs]),
        curve("train, integers", [run["train"]["seconds"] for run in runs]),
        curve("train, float32", [run["train"]["float_seconds"] for run in runs]),
    ]


def _fixed(axis: str, run: dict[str, Any]) -> str:
    """What stays the same."""
    setting = run["setting"]
    shown = {
        "width": f"width {setting['width']}",
        "depth": f"{setting['depth']} hidden layer{'s' * (setting['depth'] != 1)}",
        "batch": f"batches of {setting['batch']}",
        "steps": f"{setting['steps']} steps",
    }
    return ", ".join(text for name, text in shown.items() if name != axis)


def _marginal(result: dict[str, Any]) -> dict[str, list[Series]]:
    """Seconds of one more step, from the difference of runs with more and with fewer steps: free of
    what is paid once."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for run in result["runs"]:
        if "error" not in run:
            fixed = {k: v for k, v in run["setting"].items() if k != "steps"}
            groups.setdefault(tuple(sorted(fixed.items(), key=str)), []).append(run)
    points: dict[tuple[Any, ...], list[tuple[float, float, float]]] = {}
    for runs in groups.values():
        ordered = sorted(runs, key=lambda run: run["setting"]["steps"])
        low, high = ordered[0], ordered[-1]
        more = high["setting"]["steps"] - low["setting"]["steps"]
        if not more:
            continue
        others = {k: v for k, v in high["setting"].items() if k not in ("width", "steps")}
        key = tuple(sorted(others.items(), key=str))
        prove = (step_seconds(high) - step_seconds(low)) / more
        train = (high["train"]["seconds"] - low["train"]["seconds"]) / more
        points.setdefault(key, []).append((float(high["setting"]["width"]), prove, train))
    out = {}
    for number, found in enumerate(points.values(), 1):
        found.sort()
        if len(found) <= LEAST_POINTS or min(p for _, p, _ in found) <= 0:
            continue
        at = tuple(w for w, _, _ in found)
        common = ("Time of one more step", TITLES["width"], "milliseconds per step", 1e3, at)
        curves = [Series("prove", *common, tuple(p for _, p, _ in found))]
        if min(t for _, _, t in found) > 0:
            curves.append(Series("train, integers", *common, tuple(t for _, _, t in found)))
        out[f"growth-{number}-width"] = curves
    return out
