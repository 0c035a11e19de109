"""One HTML file that needs nothing else: tables, figures, machine, how to repeat."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import Any

from ..cli import wording
from .series import figures as all_series
from .series import fitted_exponent

STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.55 system-ui, sans-serif; color: #1f2933; max-width: 76rem; margin: 2.5rem auto;
  padding: 0 1.2rem; }
h1 { font-size: 1.7rem; margin-bottom: .2rem; } h2 { margin-top: 2.4rem; font-size: 1.2rem; }
p.lead { color: #52606d; margin-top: 0; }
table { border-collapse: collapse; font-size: .86rem; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; }
th, td { padding: .35rem .5rem; text-align: right; border-bottom: 1px solid #e4e7eb;
  white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
th { color: #52606d; font-weight: 600; border-bottom: 2px solid #cbd2d9; }
td.bad { color: #b91c1c; font-weight: 600; } td.wrap { white-space: normal; text-align: left; }
img { max-width: min(100%, 62rem); margin: .6rem 0; }
dt { font-weight: 600; margin-top: .5rem; } dd { margin-left: 1.2rem; color: #3e4c59; }
code, pre { background: #f5f7fa; padding: .1rem .3rem; border-radius: 3px; font-size: .86rem; }
pre { padding: .8rem 1rem; overflow-x: auto; }
"""

ERROR_AIM = 0.3
"""Predictions off by more than this share are marked."""

COLUMNS: tuple[tuple[str, str, Callable[[dict[str, Any]], str]], ...] = (
    ("run", "dataset, hidden layers, b = samples in a batch, s = steps, n = records",
     lambda run: escape(run["name"])),
    ("weights", "trained parameters of the network", lambda run: _parameters(run)),
    ("float32 s", "training in float32 with torch, on the same data in the same order",
     lambda run: _seconds(run["train"]["float_seconds"])),
    ("integer s", "training in exact integers: what is proven, and what somebody with the data "
     "would repeat instead of verifying", lambda run: _seconds(run["train"]["seconds"])),
    ("prove s", "making the proof, from the run directory to the bundle",
     lambda run: _seconds(run["prove"]["seconds"])),
    ("verify s", "checking weights against bundle, in a process that is already running",
     lambda run: _seconds(run["verify"]["seconds"])),
    ("process s", "the same as a command, imports included",
     lambda run: _seconds(run["verify"]["process_seconds"])),
    ("ratio", "(integer + prove) / float32: what a proven training run costs over an ordinary one",
     lambda run: _ratio(run)),
    ("cells", "committed numbers of all steps", lambda run: _millions(run, "cells_per_step")),
    ("lookups", "range checks and table look-ups of all steps",
     lambda run: _millions(run, "lookups_per_step")),
    ("bundle", "size of the proof", lambda run: wording.size(run["prove"]["proof_bytes"])),
    ("memory", "largest resident memory of the prover",
     lambda run: wording.size(run["prove"]["peak_rss_bytes"])),
    ("bits", "security of the proof, all terms proven",
     lambda run: wording.bits(run["soundness_bits"])),
)  # fmt: skip
"""Head, explanation and cell of each column."""


def _parameters(run: dict[str, Any]) -> str:
    return f"{run['parameters']['weights']:,}"


def _ratio(run: dict[str, Any]) -> str:
    return f"{run['ratios']['train and prove / float32']:.1f}"


def _millions(run: dict[str, Any], per_step: str) -> str:
    return f"{run['parameters'][per_step] * run['parameters']['steps'] / 1e6:.2f} M"


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Cells are HTML."""
    head = "".join(f"<th>{escape(name)}</th>" for name in headers)
    body = "".join(
        "<tr>" + "".join(c if c.startswith("<td") else f"<td>{c}</td>" for c in row) + "</tr>"
        for row in rows
    )
    return (
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _seconds(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"


def _runs_table(runs: Sequence[dict[str, Any]]) -> str:
    rows = []
    for run in runs:
        if "error" in run:
            text = escape(f"failed: {run['error']}")
            cell = f'<td class="bad wrap" colspan="{len(COLUMNS) - 1}">{text}</td>'
            rows.append([escape(run["name"]), cell])
        else:
            rows.append([shown(run) for _, _, shown in COLUMNS])
    return _table([name for name, _, _ in COLUMNS], rows)


def _prediction_table(runs: Sequence[dict[str, Any]]) -> str:
    headers = ("run", "prove s", "predicted", "off", "memory", "predicted", "off", "bundle",
               "predicted", "off", "verify s", "predicted", "off")  # fmt: skip
    rows = []
    for run in runs:
        predicted, off = run["predicted"], run["deviation"]
        cells = [escape(run["name"])]
        for key, measured, shown in (
            ("prove_seconds", run["prove"]["seconds"], _seconds),
            ("peak_bytes", run["prove"]["peak_rss_bytes"], wording.size),
            ("proof_bytes", run["prove"]["proof_bytes"], wording.size),
            ("verify_seconds", run["verify"]["seconds"], _seconds),
        ):
            mark = ' class="bad"' if abs(off[key]) > ERROR_AIM else ""
            cells += [shown(measured), shown(predicted[key]), f"<td{mark}>{off[key]:+.0%}</td>"]
        rows.append(cells)
    return _table(headers, rows)


def _stage_table(runs: Sequence[dict[str, Any]]) -> str:
    names = list(dict.fromkeys(stage for run in runs for stage in run["prove"]["stages"]))

    def cell(run: dict[str, Any], name: str) -> str:
        if name not in run["prove"]["stages"]:
            return "-"
        expected = _seconds(run["predicted"]["stages"].get(name, 0.0))
        return f"{_seconds(run['prove']['stages'][name])} <small>({expected})</small>"

    rows = [[escape(run["name"]), *(cell(run, name) for name in names)] for run in runs]
    return _table(["run", *names], rows)


def _cuda_section(runs: Sequence[dict[str, Any]]) -> str:
    rows = []
    for name, cuda in ((run["name"], run["cuda"]) for run in runs if run.get("cuda")):
        train, prove = cuda["train"], cuda["prove"]
        stages = [prove["stages"].get(stage) for stage in ("witness", "lookups")]
        seconds = (train["seconds"], train["float_seconds"], prove["seconds"], *stages)
        rows.append([escape(name), escape(cuda["device"]), *map(_seconds, seconds)])
    if not rows:
        return (
            "<p>No CUDA device was there; nothing was measured on one and nothing is claimed.</p>"
        )
    headers = ("run", "device", "integer s", "float32 s", "prove s", "witness s", "lookups s")
    return _table(headers, rows)


def _image(png: bytes, text: str) -> str:
    data = base64.b64encode(png).decode()
    return f'<img alt="{escape(text)}" src="data:image/png;base64,{data}">'


def _exponents(result: dict[str, Any]) -> str:
    lines = []
    for curve in (curve for curves in all_series(result).values() for curve in curves):
        exponent, _ = fitted_exponent(curve)
        if exponent is not None:
            name, at = escape(f"{curve.title}: {curve.label}"), curve.at
            ends = f"{at[0]:,.0f} to {at[-1]:,.0f}"
            lines.append([name, escape(curve.axis), ends, f"{exponent:.2f}"])
    if not lines:
        return ""
    return "<h3>Fitted exponents</h3>" + _table(("curve", "against", "range", "exponent"), lines)


def markdown_table(
    heads: Sequence[str], rows: Iterable[tuple[str, Callable[[Any], str]]], columns: Sequence[Any]
) -> str:
    """One column for each of ``columns``; rows have a label, and say what a column shows."""
    lines = [["", *heads], ["---"] * (1 + len(heads))]
    lines += [[label, *(shown(column) for column in columns)] for label, shown in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def markdown(result: dict[str, Any]) -> str:
    """A table of the runs that belong to no sweep, one column each, for the README."""
    swept = {name for sweep in result["sweeps"] for name in sweep["runs"]}
    runs = [r for r in result["runs"] if "error" not in r and r["name"] not in swept]
    heads = [f"{r['parameters']['network'].split()[0]}, {r['parameters']['dataset']}" for r in runs]
    rows: tuple[tuple[str, Callable[[dict[str, Any]], str]], ...] = (
        ("parameters", _parameters),
        ("steps x batch", lambda r: f"{r['setting']['steps']:,} x {r['setting']['batch']}"),
        ("accuracy, integers / float32", _accuracies),
        ("train, float32", lambda r: wording.span(r["train"]["float_seconds"])),
        ("train, exact integers", lambda r: wording.span(r["train"]["seconds"])),
        ("prove", lambda r: wording.span(r["prove"]["seconds"])),
        ("(train + prove) / float32", _ratio),
        ("prover's memory", lambda r: wording.size(r["prove"]["peak_rss_bytes"])),
        ("bundle", lambda r: wording.size(r["prove"]["proof_bytes"])),
        ("verify", lambda r: wording.span(r["verify"]["seconds"])),
        ("verify, as a process", lambda r: wording.span(r["verify"]["process_seconds"])),
        ("security, all terms proven", lambda r: f"{wording.bits(r['soundness_bits'])} bits"),
    )
    return markdown_table(heads, rows, runs)


def _accuracies(run: dict[str, Any]) -> str:
    both = run["train"]["test_accuracy"], run["train"]["float_test_accuracy"]
    return " / ".join("-" if one is None else f"{one:.2%}" for one in both)


def html(result: dict[str, Any], images: dict[str, bytes]) -> str:
    """The report; ``images`` are figures as PNG, by caption."""
    runs = result["runs"]
    good = [run for run in runs if "error" not in run]
    machine = result["machine"]
    commit = result["commit"] or "unknown"
    legend = "".join(f"<dt>{escape(n)}</dt><dd>{escape(text)}</dd>" for n, text, _ in COLUMNS)
    pictures = "".join(
        f"<h3>{escape(caption)}</h3>{_image(png, caption)}" for caption, png in images.items()
    )
    machine_rows = [
        [escape(name.replace("_", " ")), f'<td class="wrap">{escape(_shown(name, value))}</td>']
        for name, value in machine.items()
    ]
    synthetic = any(run["setting"]["dataset"] == "synthetic" for run in runs)
    note = (
        "<p>Runs named <code>synthetic</code> use made-up records, for their sizes only.</p>"
        if synthetic
        else ""
    )
    busy = max((run["load_average"] for run in good), default=0.0)
    warning = (
        f"<p>The load of the machine was up to {busy:.1f} on {machine['cores']} cores: figures of "
        "a machine that does other work are too slow.</p>"
        if busy > 1.5 * machine["cores"]
        else ""
    )
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>zktrain: proof cost against model size</title><style>{STYLE}</style></head><body>
<h1>Proof cost against model size</h1>
<p class="lead">zktrain {escape(result["version"])}, commit {escape(commit[:12])}
{"with changes" if commit.endswith("+") else ""}, {machine["threads"]} threads of
{escape(str(machine["cpu"]))}</p>
<p>Each run commits to a dataset, trains a perceptron on it in exact integers, proves that training,
and verifies the proof. Float32 training of the same steps on the same data in the same order is
measured beside it, in the same process. Every run has a process of its own, in which libraries were
loaded and kernels compiled before anything was measured. Of up to three trainings and three
verifications the fastest counts; proofs are made once.</p>
{note}{warning}
<h2>Runs</h2>
{_runs_table(runs)}
<details><summary>What the columns mean</summary><dl>{legend}</dl></details>
<h2>Figures</h2>
{pictures or "<p>No sweep with two finished runs.</p>"}
{_exponents(result)}
<h2>Predicted and measured</h2>
<p>Before a run, zktrain predicts its cost from its sizes and a calibration; here it was
{escape(result["calibration"])}. More than {ERROR_AIM:.0%} off is marked.</p>
{_prediction_table(good)}
<h2>Stages of proving</h2>
<p>Seconds, in brackets those predicted.</p>
{_stage_table(good)}
<h2>On a GPU</h2>
{_cuda_section(good)}
<h2>Machine</h2>
{_table(("", ""), machine_rows)}
<h2>How to repeat</h2>
<pre>{escape(result["command"])}</pre>
<p>Finished runs of the same commit and machine are taken from the folder and not measured again;
another folder, or <code>--again</code>, measures all of them.</p>
</body></html>
"""


def _shown(name: str, value: object) -> str:
    if name == "memory_bytes" and isinstance(value, int):
        return wording.size(value)
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none of interest"
    return "-" if value is None else str(value)
