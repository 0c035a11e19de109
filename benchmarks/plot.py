"""Draw the figures of the documentation from benchmark results.

    python benchmarks/plot.py RESULT.json --out FIGURE.png

The same JSON gives the same figure; ``kind`` in it says which one.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

INK, MUTED, GRID = "#1f2933", "#7b8794", "#e4e7eb"
INTEGER, FLOAT, PROVE, VERIFY = "#2563eb", "#f59e0b", "#1e3a8a", "#0d9488"

DATASETS = {"fashion-mnist": "Fashion-MNIST", "digits": "handwritten digits"}

STYLE = {
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


def draw(result: dict[str, Any], out: Path) -> None:
    """Draw ``result`` to ``out``."""
    with plt.rc_context(STYLE):
        figure = {"pipeline": pipeline, "width": width}[result["kind"]](result)
        out.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(out, dpi=160, metadata={"Software": None})
        plt.close(figure)


def pipeline(result: dict[str, Any]) -> Figure:
    """Left the losses of both trainings, right the seconds of every verb."""
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(11, 4.3), gridspec_kw={"width_ratios": [1.25, 1]}
    )
    parameters = result["parameters"]
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
    _losses(left, result["train"])
    _seconds(right, result)
    machine = result["machine"]
    figure.text(
        0.02,
        0.02,
        f"{machine['cores']} cores, {machine['cpu']}  ·  proof "
        f"{result['prove']['proof_bytes'] / 1e6:.2f} MB  ·  prover memory "
        f"{result['prove']['peak_rss_bytes'] / 1e9:.1f} GB  ·  "
        f"{np.floor(result['soundness_bits'] * 10) / 10:.1f} bits of soundness"
        + ("" if result["zero_knowledge"] else "  ·  not hiding"),
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
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.legend(frameon=False, loc="upper right")


def _smoothed(values: np.ndarray) -> np.ndarray:
    """Mean over a window centred at each step, shorter at both ends."""
    half = max(1, len(values) // 64)
    sums = np.concatenate(([0.0], np.cumsum(values)))
    index = np.arange(len(values))
    low, high = np.maximum(index - half, 0), np.minimum(index + half + 1, len(values))
    smooth: np.ndarray = (sums[high] - sums[low]) / (high - low)
    return smooth


def _seconds(axes: Axes, result: dict[str, Any]) -> None:
    train = result["train"]
    bars = [
        ("train, float32", train["float_seconds"], FLOAT),
        ("train, integers", train["seconds"], INTEGER),
        ("prove", result["prove"]["process_seconds"], PROVE),
        ("verify", result["verify"]["process_seconds"], VERIFY),
    ]
    bars = [bar for bar in bars if bar[1] is not None]
    names, seconds, colors = zip(*bars, strict=True)
    places = np.arange(len(bars))[::-1]
    axes.barh(places, seconds, color=colors, height=0.58)
    for place, value in zip(places, seconds, strict=True):
        text = f"{value:.1f} s" if value >= 10 else f"{value:.2f} s"
        axes.annotate(
            text, (value, place), (5, 0), textcoords="offset points", va="center", fontweight="bold"
        )
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    low, high = min(seconds), max(seconds)
    axes.set_xlim(10 ** np.floor(np.log10(low * 0.6)), high * 5)
    axes.set_yticks(places, names)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_title("Time for all steps")
    axes.set_xlabel("seconds, log scale; prove and verify as processes")
    axes.grid(axis="x", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)


def width(result: dict[str, Any]) -> Figure:
    """Proving time per step against the hidden width, beside slopes 1 and 2."""
    figure, axes = plt.subplots(figsize=(6.4, 4.4))
    rows = result["rows"]
    widths = np.array([row["width"] for row in rows], dtype=float)
    proving = np.array([row["prove_seconds_per_step"] for row in rows]) * 1e3
    for power, text in ((1, "proportional to H"), (2, "proportional to H²")):
        guide = proving[0] * (widths / widths[0]) ** power
        axes.plot(widths, guide, "--", color=MUTED, linewidth=1)
        axes.annotate(
            text,
            (widths[-1], guide[-1]),
            (-4, 6),
            textcoords="offset points",
            color=MUTED,
            ha="right",
            va="bottom",
            fontsize=9,
        )
    axes.plot(widths, proving, "o-", color=PROVE, linewidth=2, markersize=6, label="prove")
    for place, value in zip(widths, proving, strict=True):
        axes.annotate(
            f"{value:.1f} ms",
            (place, value),
            (0, -9),
            textcoords="offset points",
            va="top",
            ha="center",
            fontweight="bold",
        )
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(widths, [f"{int(w):,}" for w in widths])
    axes.minorticks_off()
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    highest = max(proving.max(), proving[0] * (widths[-1] / widths[0]) ** 2)
    axes.set_ylim(proving.min() * 0.5, highest * 1.8)
    axes.set_xlim(widths[0] * 0.75, widths[-1] * 1.35)
    axes.set_xlabel(f"width H of {result['parameters']['network']}")
    axes.set_ylabel("milliseconds per step")
    axes.set_title("Proving time per step, batches of 64")
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    machine = result["machine"]
    figure.text(0.02, 0.02, f"{machine['cores']} cores, {machine['cpu']}", color=MUTED, fontsize=8)
    figure.tight_layout(rect=(0.005, 0.045, 0.995, 0.995))
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("result", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    draw(json.loads(options.result.read_text()), options.out)
    print(f"{options.out} written")


if __name__ == "__main__":
    main()
