"""The comparison with ezkl as a table and a figure; the same JSON gives the same of both."""

from __future__ import annotations

from typing import Any

from ..cli import wording


def _time(value: float) -> str:
    if value >= 7200:
        return f"{value / 3600:.1f} h"
    return f"{value * 1000:.2g} ms" if value < 0.0995 else wording.span(value)


def markdown(result: dict[str, Any]) -> str:
    """One table: a column per backend and recipe, rows per step and per 1,024 steps."""
    columns = [
        (entry, backend) for entry in result["recipes"].values() for backend in ("native", "ezkl")
    ]
    heads = [f"{entry['network'].split()[0]}, {backend}" for entry, backend in columns]
    rows = [["", *heads], ["---"] * (1 + len(heads))]

    def row(label: str, shown: Any) -> None:
        rows.append([label, *(shown(entry, entry[backend], backend) for entry, backend in columns)])

    row("set-up", lambda _, b, n: "none" if n == "native" else _time(b["one"]["setup_seconds"]))
    row(
        "proving key / verifying key",
        lambda _, b, n: (
            "none"
            if n == "native"
            else f"{wording.size(b['one']['proving_key_bytes'])} / "
            f"{wording.size(b['one']['verifying_key_bytes'])}"
        ),
    )
    row(
        "prover's memory, one step / 1,024 steps",
        lambda _, b, n: " / ".join(wording.size(b[key]["peak_bytes"]) for key in ("one", "many")),
    )
    for label, key in (("one step", "one"), ("1,024 steps", "many")):
        row(f"{label}: prove", lambda _, b, n, key=key: _cell(b[key], "prove_seconds", _time))
        row(
            f"{label}: proof",
            lambda _, b, n, key=key: _cell(b[key], "proof_bytes", wording.size),
        )
        row(f"{label}: verify", lambda _, b, n, key=key: _cell(b[key], "verify_seconds", _time))
    row(
        "1,024 steps: train, float32 / integers",
        lambda e, b, n: (
            f"{_time(e['training']['float_seconds'])} / {_time(e['training']['integer_seconds'])}"
        ),
    )
    row(
        "verify / train again, float32 / integers",
        lambda e, b, n: " / ".join(
            _ratio(e["verify_against_retraining"][n][base]) for base in ("float32", "integers")
        ),
    )
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def _ratio(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _cell(part: dict[str, Any], key: str, shown: Any) -> str:
    return f"{shown(part[key])}{' *' if part['computed'] else ''}"


def figure(result: dict[str, Any]) -> Any:
    """Seconds of 1,024 steps, one panel per recipe: trainings, proofs and verifications."""
    import matplotlib.pyplot as plt
    import numpy as np
    from matplotlib.ticker import NullLocator

    from ..benchmarking.figures import FLOAT, GRID, INTEGER, MUTED, PROVE, VERIFY, machine_line

    entries = list(result["recipes"].values())
    drawn, panels = plt.subplots(
        1, len(entries), figsize=(5.6 * len(entries) + 0.6, 4.4), squeeze=False, sharey=True
    )
    for axes, entry in zip(panels[0], entries, strict=True):
        ours, theirs = entry["native"]["many"], entry["ezkl"]["many"]
        bars = [
            ("train, float32", entry["training"]["float_seconds"], FLOAT, False),
            ("train, integers", entry["training"]["integer_seconds"], INTEGER, False),
            ("prove, native", ours["prove_seconds"], PROVE, False),
            ("prove, ezkl", theirs["prove_seconds"], PROVE, True),
            ("verify, native", ours["verify_seconds"], VERIFY, False),
            ("verify, ezkl", theirs["verify_seconds"], VERIFY, True),
        ]
        places = np.arange(len(bars))[::-1]
        for place, (_, value, color, computed) in zip(places, bars, strict=True):
            axes.barh(
                place, value, color=color, height=0.6, alpha=0.55 if computed else 1.0,
                hatch="//" if computed else None, edgecolor="white",
            )  # fmt: skip
            axes.annotate(
                _time(value), (value, place), (5, 0), textcoords="offset points", va="center",
                fontweight="bold",
            )  # fmt: skip
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(NullLocator())
        values = [bar[1] for bar in bars]
        axes.set_xlim(10 ** np.floor(np.log10(min(values) * 0.6)), max(values) * 60)
        axes.set_yticks(places, [bar[0] for bar in bars])
        axes.tick_params(axis="y", length=0)
        axes.set_title(f"{entry['network'].split()[0]}, batches of {entry['batch_size']}")
        axes.set_xlabel("seconds for 1,024 steps, log scale")
        axes.grid(axis="x", color=GRID, linewidth=0.8)
        axes.set_axisbelow(True)
    drawn.text(
        0.01, 0.012,
        f"{machine_line(entries[0]['machine'])}  ·  hatched: that of one step, 1,024 times",
        color=MUTED, fontsize=8,
    )  # fmt: skip
    drawn.tight_layout(rect=(0.005, 0.05, 0.995, 0.995))
    return drawn
