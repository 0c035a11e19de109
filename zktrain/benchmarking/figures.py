"""Figures of measured runs; the same JSON gives the same figure. Needs matplotlib."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from .. import disk
from .series import TITLES, Series, fitted_exponent

INK, MUTED, GRID = "#1f2933", "#7b8794", "#e4e7eb"
INTEGER, FLOAT, PROVE, VERIFY = "#2563eb", "#f59e0b", "#1e3a8a", "#0d9488"
STAGES = ("#1e3a8a", "#2563eb", "#60a5fa", "#0d9488", "#5eead4", "#f59e0b", "#fcd34d", "#9f1239")

DATASETS = {"fashion": "Fashion-MNIST", "digits": "handwritten digits"}

STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 12,
    "xtick.color": INK,
    "ytick.color": INK,
    "svg.hashsalt": "zktrain",
}


def save(draw: Callable[[], Figure], out: Path) -> None:
    """Draw to a file, whole or not at all."""
    disk.make_folder(out.parent)
    disk.write(out, rendered(draw, out.suffix.lstrip(".")))


def rendered(draw: Callable[[], Figure], kind: str) -> bytes:
    """The bytes of a figure as ``png`` or ``svg``."""
    with plt.rc_context(STYLE):
        figure = draw()
        buffer = io.BytesIO()
        metadata = {"Software": None} if kind == "png" else {"Date": None, "Creator": None}
        figure.savefig(buffer, format=kind, dpi=160, metadata=metadata)
        plt.close(figure)
    return buffer.getvalue()


def machine_line(machine: dict[str, Any]) -> str:
    """Cores and processor in a few words."""
    flags = machine.get("flags") or []
    return f"{machine['cores']} cores, {machine['cpu']}" + (
        f" ({', '.join(flags)})" if flags else ""
    )


def pipeline(run: dict[str, Any]) -> Figure:
    """Left the losses of both trainings, right the seconds of every verb."""
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(11, 4.3), gridspec_kw={"width_ratios": [1.25, 1]}
    )
    parameters = run["parameters"]
    network = parameters["network"].split(",")[0].replace(" perceptron with ReLU", "")
    dataset = DATASETS.get(parameters["dataset"], parameters["dataset"])
    figure.suptitle(
        f"{network} on {dataset}: {parameters['steps']:,} steps of SGD, "
        f"batches of {parameters['batch_size']}, every step proven",
        x=0.02,
        ha="left",
        fontsize=13,
        fontweight="bold",
    )
    _losses(left, run["train"])
    _seconds(right, run)
    figure.text(
        0.02,
        0.02,
        f"{machine_line(run['machine'])}  ·  proof "
        f"{run['prove']['proof_bytes'] / 1e6:.2f} MB  ·  prover memory "
        f"{run['prove']['peak_rss_bytes'] / 1e9:.1f} GB  ·  "
        f"{np.floor(run['soundness_bits'] * 10) / 10:.1f} bits of soundness"
        + ("" if run["zero_knowledge"] else "  ·  not hiding"),
        color=MUTED,
        fontsize=8.5,
    )
    figure.tight_layout(rect=(0.005, 0.055, 0.995, 0.985), w_pad=3)
    return figure


def _losses(axes: Axes, train: dict[str, Any]) -> None:
    curves = [
        ("float32 SGD", train["float_losses"], train["float_test_accuracy"], FLOAT, "-", 4.0),
        ("exact integers", train["losses"], train["test_accuracy"], INTEGER, "-", 1.6),
    ]
    top = 0.0
    for name, losses, accuracy, color, dash, thickness in curves:
        if not losses:
            continue
        steps, values = np.array(losses, dtype=float).T
        label = name if accuracy is None else f"{name}: {accuracy:.2%} on held-out data"
        if color == INTEGER:
            axes.plot(steps, values, color=color, alpha=0.16, linewidth=0.7)
        smooth = _smoothed(values)
        top = max(top, float(smooth.max()))
        axes.plot(steps, smooth, dash, color=color, linewidth=thickness, label=label)
    axes.set_title("Training loss")
    axes.set_xlabel("step")
    axes.set_ylim(0, top * 1.06)
    axes.set_xlim(left=0)
    _grid(axes)
    axes.legend(frameon=False, loc="best")


def _smoothed(values: np.ndarray) -> np.ndarray:
    """Mean over a window centred at each step, shorter at both ends."""
    half = max(1, len(values) // 64)
    sums = np.concatenate(([0.0], np.cumsum(values)))
    index = np.arange(len(values))
    low, high = np.maximum(index - half, 0), np.minimum(index + half + 1, len(values))
    smooth: np.ndarray = (sums[high] - sums[low]) / (high - low)
    return smooth


def _seconds(axes: Axes, run: dict[str, Any]) -> None:
    train = run["train"]
    bars = [
        ("train, float32", train["float_seconds"], FLOAT),
        ("train, integers", train["seconds"], INTEGER),
        ("prove", run["prove"]["seconds"], PROVE),
        ("verify", run["verify"]["process_seconds"], VERIFY),
    ]
    bars = [bar for bar in bars if bar[1] is not None]
    names, seconds, colors = zip(*bars, strict=True)
    texts = [f"{value:.1f} s" if value >= 10 else f"{value:.2g} s" for value in seconds]
    time_bars(axes, names, seconds, texts, color=colors, height=0.58)
    axes.xaxis.set_major_formatter(FuncFormatter(_plain))
    axes.set_xlim(right=max(seconds) * 5)
    axes.spines["left"].set_visible(False)
    axes.set_title("Time for all steps")
    axes.set_xlabel("seconds, log scale; verify as a process")


def time_bars(
    axes: Axes,
    names: Sequence[str],
    seconds: Sequence[float],
    texts: Sequence[str],
    **look: Any,
) -> BarContainer:
    """Horizontal bars on a logarithmic axis, the first on top, each with its text."""
    places = np.arange(len(seconds))[::-1]
    drawn = axes.barh(places, seconds, **look)
    axes.bar_label(drawn, texts, padding=5, fontweight="bold")
    axes.set_xscale("log")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(10 ** np.floor(np.log10(min(seconds) * 0.6)))
    axes.set_yticks(places, names)
    axes.tick_params(axis="y", length=0)
    _grid(axes, axis="x")
    return drawn


def _grid(axes: Axes, **which: Any) -> None:
    axes.grid(color=GRID, linewidth=0.8, **which)
    axes.set_axisbelow(True)


def _plain(value: float, _: object = None) -> str:
    return f"{value:g}"


def growth(series: Sequence[Series], machine: dict[str, Any]) -> Figure:
    """Curves on one axis, log-log, each with its fitted exponent."""
    figure, axes = plt.subplots(figsize=(6.6, 4.8))
    first, last = series[0], series[-1]
    for curve, color, mark in zip(series, (PROVE, INTEGER, FLOAT, VERIFY), "osD^", strict=False):
        values, scaled = np.array(curve.at, dtype=float), np.array(curve.values) * curve.scale
        exponent, factor = fitted_exponent(curve)
        label = curve.label if exponent is None else f"{curve.label}: exponent {exponent:.2f}"
        axes.plot(values, scaled, mark, color=color, markersize=6, label=label)
        if exponent is not None:
            fine = np.geomspace(values[0], values[-1], 32)
            axes.plot(fine, curve.scale * factor * fine**exponent, color=color, linewidth=1.6)
        else:
            axes.plot(values, scaled, color=color, linewidth=1.6)
        below = curve is last and curve is not first
        for place, value in zip(values, scaled, strict=True):
            axes.annotate(
                f"{value:.3g}",
                (place, value),
                (0, -7 if below else 7),
                textcoords="offset points",
                ha="center",
                va="top" if below else "bottom",
                fontsize=8.5,
                color=color,
            )
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(first.at, [f"{int(v):,}" for v in first.at])
    axes.minorticks_off()
    axes.yaxis.set_major_formatter(FuncFormatter(_plain))
    ends = [np.array(curve.values) * curve.scale for curve in series]
    if first.axis == TITLES["width"]:
        ends.append(_guide(axes, first))
    axes.set_ylim(min(e.min() for e in ends) / 2.5, max(e.max() for e in ends) * 2.5)
    axes.set_xlim(first.at[0] * 0.75, first.at[-1] * 1.35)
    axes.set_xlabel(first.axis)
    axes.set_ylabel(first.unit)
    axes.set_title(first.title)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, loc="lower left", bbox_to_anchor=(0.09, 0.04),
                  ncols=2, fontsize=9)  # fmt: skip
    _grid(axes)
    figure.text(0.02, 0.015, machine_line(machine), color=MUTED, fontsize=8)
    figure.tight_layout(rect=(0.005, 0.15, 0.995, 0.995))
    return figure


def _guide(axes: Axes, curve: Series) -> np.ndarray:
    """What would be proportional to the axis, from the curve's first point on."""
    values = np.array(curve.at, dtype=float)
    guide: np.ndarray = curve.values[0] * curve.scale * values / values[0]
    axes.plot(values, guide, "--", color=MUTED, linewidth=0.9, label="proportional to the width")
    return guide


def stages(runs: Sequence[dict[str, Any]]) -> Figure:
    """Seconds of every stage of proving, one bar per run, with what was predicted."""
    names = list(dict.fromkeys(stage for run in runs for stage in run["prove"]["stages"]))
    totals = {n: sum(run["prove"]["stages"].get(n, 0.0) for run in runs) for n in names}
    names = sorted(names, key=lambda n: -totals[n])[: len(STAGES)]
    figure, axes = plt.subplots(figsize=(9.6, 1.5 + 0.42 * len(runs)))
    places = np.arange(len(runs))[::-1]
    whole = np.array([run["prove"]["seconds"] for run in runs])
    left = np.zeros(len(runs))
    for name, color in zip(names, STAGES, strict=False):
        share = [run["prove"]["stages"].get(name, 0.0) for run in runs] / whole * 100
        axes.barh(places, share, left=left, color=color, height=0.62, label=name)
        left += share
    axes.set_yticks(places, [run["name"] for run in runs], fontsize=8.5)
    axes.tick_params(axis="y", length=0)
    for place, seconds in zip(places, whole, strict=True):
        axes.annotate(f"{seconds:.1f} s", (101, place), va="center", fontweight="bold", fontsize=9)
    axes.set_xlim(0, 110)
    axes.set_xticks([0, 25, 50, 75, 100], ["0 %", "25 %", "50 %", "75 %", "100 %"])
    axes.spines["left"].set_visible(False)
    axes.set_title("Where proving spends its time")
    axes.legend(
        frameon=False,
        ncols=4,
        loc="upper center",
        bbox_to_anchor=(0.45, -0.4 / (0.3 + 0.42 * len(runs))),
        fontsize=8.5,
    )
    figure.tight_layout()
    return figure
