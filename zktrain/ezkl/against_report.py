"""The comparison with ezkl as a table and a figure; the same JSON gives the same of both."""

from __future__ import annotations

from typing import Any

from ..benchmarking.report import markdown_table
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
    sized = wording.size

    def part(key: str, name: str, shown: Any) -> Any:
        """How a column shows one figure of one step, or of 1,024."""
        return lambda column: _cell(column[0][column[1]][key], name, shown)

    def setup(column: Any, shown: Any) -> str:
        entry, backend = column
        return "none" if backend == "native" else str(shown(entry[backend]["one"]))

    def memory(column: Any) -> str:
        entry, backend = column
        return " / ".join(sized(entry[backend][key]["peak_bytes"]) for key in ("one", "many"))

    def trained(column: Any) -> str:
        times = column[0]["training"]
        return f"{_time(times['float_seconds'])} / {_time(times['integer_seconds'])}"

    def again(column: Any) -> str:
        ratios = column[0]["verify_against_retraining"][column[1]]
        return " / ".join(_ratio(ratios[base]) for base in ("float32", "integers"))

    rows = [
        ("set-up", lambda c: setup(c, lambda b: _time(b["setup_seconds"]))),
        (
            "proving key / verifying key",
            lambda c: setup(
                c, lambda b: f"{sized(b['proving_key_bytes'])} / {sized(b['verifying_key_bytes'])}"
            ),
        ),
        ("prover's memory, one step / 1,024 steps", memory),
    ]
    for label, key in (("one step", "one"), ("1,024 steps", "many")):
        rows.append((f"{label}: prove", part(key, "prove_seconds", _time)))
        rows.append((f"{label}: proof", part(key, "proof_bytes", sized)))
        rows.append((f"{label}: verify", part(key, "verify_seconds", _time)))
    rows.append(("1,024 steps: train, float32 / integers", trained))
    rows.append(("verify / train again, float32 / integers", again))
    return markdown_table(heads, rows, columns)


def _ratio(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _cell(part: dict[str, Any], key: str, shown: Any) -> str:
    return f"{shown(part[key])}{' *' if part['computed'] else ''}"


def figure(result: dict[str, Any]) -> Any:
    """Seconds of 1,024 steps, one panel per recipe: trainings, proofs and verifications."""
    import matplotlib.pyplot as plt

    from ..benchmarking.figures import FLOAT, INTEGER, MUTED, PROVE, VERIFY, machine_line, time_bars

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
        names, values, colors, computed = zip(*bars, strict=True)
        texts = [_time(value) for value in values]
        shown = time_bars(axes, names, values, texts, color=colors, height=0.6, edgecolor="white")
        for bar, part in zip(shown, computed, strict=True):
            bar.set(alpha=0.55 if part else 1.0, hatch="//" if part else None)
        axes.set_xlim(right=max(values) * 60)
        axes.set_title(f"{entry['network'].split()[0]}, batches of {entry['batch_size']}")
        axes.set_xlabel("seconds for 1,024 steps, log scale")
    drawn.text(
        0.01, 0.012,
        f"{machine_line(entries[0]['machine'])}  ·  hatched: that of one step, 1,024 times",
        color=MUTED, fontsize=8,
    )  # fmt: skip
    drawn.tight_layout(rect=(0.005, 0.05, 0.995, 0.995))
    return drawn
