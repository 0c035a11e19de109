"""What the commands print for people: 80 columns, and plain where there is no terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from . import stated, wording
from .stated import result_fields

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console
    from rich.text import Text

    from .._bench import Benchmarked
    from .._commit import DatasetCommitment
    from .._compile import CompiledRecipe
    from .._inspect import Inspection
    from .._prove import Proved
    from .._train import TrainedRun
    from .._verify import Verdict
    from ..cost.calibration import Calibration
    from ..protocol.statement import Statement
    from ..prover.memory_plan import Plan

_WIDTH = 80
_LABEL = 14


def console(*, stderr: bool = False) -> Console:
    """Markup on, no highlighting, and long digests are never broken."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, soft_wrap=True)


def show_rows(out: Console, pairs: Iterable[tuple[str, str]]) -> None:
    from rich.markup import escape

    for label, value in pairs:
        lines = [value] if len(value) <= 64 else _wrapped(value, _WIDTH - _LABEL - 2)
        for number, line in enumerate(lines):
            shown = label if number == 0 else ""
            out.print(f" [dim]{shown:<{_LABEL}}[/] {escape(line)}")


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_on_hyphens=False, break_long_words=False)


def _bullets(out: Console, items: Iterable[str]) -> None:
    from rich.markup import escape

    for item in items:
        for number, line in enumerate(_wrapped(item, _WIDTH - 4)):
            out.print(f"{' - ' if number == 0 else '   '}{escape(line)}")


def show_table(
    out: Console,
    headers: Sequence[str],
    rows: Iterable[Sequence[str | Text]],
    *,
    left: int = 1,
    ruled: bool = False,
) -> None:
    """The first ``left`` columns to the left, the others to the right; ``ruled``: with a line
    below the head where there is no terminal, too."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD if ruled or out.is_terminal else None, pad_edge=False)
    for number, header in enumerate(headers):
        side: Literal["left", "right"] = "right" if number >= left else "left"
        table.add_column(header, justify=side, no_wrap=number > 0, overflow="fold")
    for row in rows:
        table.add_row(*(escape(cell) if isinstance(cell, str) else cell for cell in row))
    out.print(table, soft_wrap=False)


def changes(out: Console, said: Sequence[str], warnings: Iterable[str]) -> None:
    """What is trained otherwise than asked for."""
    rest = [change for change in said if change not in warnings]
    if rest:
        out.print("[bold]Changed[/] what is trained otherwise than recipe and network say")
        _bullets(out, rest)
    notes(out, warnings)


def notes(out: Console, warnings: Iterable[str]) -> None:
    """What may not be meant."""
    for warning in warnings:
        for line in _wrapped(f"Note: {warning}", _WIDTH):
            out.print(line, markup=False, style="yellow")


def committed(result: DatasetCommitment, *, checked: bool) -> None:
    from ..dataset.scaling import Scaling

    out = console()
    rows = [
        ("root", result.root),
        ("source", result.source),
        ("inputs", Scaling(result.low, result.high).text),
        ("sizes", wording.dataset_text(result)),
        ("seconds", wording.span(result.seconds)),
    ]
    if result.path is not None:
        rows.insert(1, ("public file", str(result.path)))
    if result.secret is not None:
        rows.insert(2, ("secret file", f"{result.secret} (keep it; not for others)"))
    if result.openings:
        often = f"yes; can be proved on {wording.several(result.openings, 'time')}"
        rows.append(("hides data", often))
    else:
        rows.append(("hides data", "no: everybody with the data can recompute the root"))
    if checked:
        out.print("[bold green]The dataset has this root.[/]")
    show_rows(out, rows)
    if result.kept:
        notes(out, ["this commitment was there already; nothing was written"])
    notes(out, result.warnings)


def compiled_fields(result: CompiledRecipe) -> dict[str, Any]:
    """A compiled recipe as a JSON object."""
    circuit = result.circuit
    names = ("parameters", "cells_per_step", "lookups_per_step", "effective_learning_rate")
    return {
        **{name: getattr(circuit, name) for name in (*names, "layer_rates", "no_wrap_bound_bits")},
        **circuit.optimizer.fields(),
        **result_fields(result, left_out=("circuit",), circuit_id=result.circuit_id),
    }


def compiled(result: CompiledRecipe) -> None:
    out, circuit = console(), result.circuit
    bound = circuit.no_wrap_bound_bits
    rows = [
        ("circuit", result.circuit_id),
        ("network", wording.network(circuit)),
        ("training", wording.training(circuit)),
        ("learning rate", f"{wording.learning_rate(circuit)} (the one that is really used)"),
        (
            "each step",
            f"{circuit.cells_per_step:,} committed cells, {circuit.lookups_per_step:,} lookups",
        ),
        (
            "no-wrap bound",
            f"2^{bound}: "
            + (
                "field arithmetic is that of plain integers"
                if bound < wording.PLAIN_INTEGER_BITS
                else "not guaranteed for every dataset; training checks at run time"
            ),
        ),
    ]
    if result.path is not None:
        rows.insert(1, ("file", str(result.path)))
    show_rows(out, rows)
    changes(out, result.changes, result.warnings)


def trained(result: TrainedRun) -> None:
    out = console()
    rows = [
        ("weights", str(result.weights)),
        ("digest", result.weights_digest),
        ("dataset root", result.dataset_root),
        ("training", f"{result.steps:,} steps in {wording.span(result.seconds)}"),
    ]
    if result.checkpoints:
        steps = stated.shortened([f"{kept.step:,}" for kept in result.checkpoints])
        rows.insert(1, ("checkpoints", f"after steps {steps}, beside the weights"))
    if result.test_accuracy is not None:
        rows.append(("accuracy", f"{result.test_accuracy:.2%} on {result.test_source}"))
    if result.float_seconds is not None:
        accuracy = result.float_test_accuracy
        shown = "" if accuracy is None else f"{accuracy:.2%}, "
        took = f"{result.steps:,} steps in {wording.span(result.float_seconds)}"
        rows.append(("float32 SGD", f"{shown}{took}"))
    show_rows(out, rows)
    if result.kept:
        notes(out, ["the same command had finished here; nothing was trained"])
    changes(out, result.changes, result.warnings)
    out.print(f"Next: zktrain prove {result.path}", markup=False)


def planned(plan: Plan) -> None:
    """Before a proof or a commitment is made."""
    where = "all in memory"
    if plan.files:
        where = f"in files of {wording.size(plan.disk_bytes)} without a name"
    elif plan.memory is not None:
        where = "in memory; what follows from it is computed range by range"
    limit = "" if plan.limit is None else f", of {wording.size(plan.limit)}"
    rows = [("witness" if plan.relations else "records", where)]
    if plan.relations:
        passes = f"{plan.passes}, for {wording.several(plan.relations, 'relation')}"
        rows.append(("passes over it", passes))
    rows += [
        ("expected time", wording.span(plan.seconds)),
        ("expected peak", wording.size(plan.peak_bytes) + limit),
    ]
    show_rows(console(), rows)


def proved(result: Proved, dataset: Path, weights: Path) -> None:
    out = console()
    show_rows(
        out,
        [
            ("proof", str(result.path)),
            ("size", wording.size(result.proof_bytes)),
            ("hides data", wording.yes(result.zero_knowledge)),
            ("time", wording.span(result.seconds)),
            ("stages", wording.stage_line(result.stages)),
            ("peak memory", wording.size(result.peak_rss_bytes)),
        ],
    )
    command = f"zktrain verify {weights} --proof {result.path} --dataset {dataset}"
    out.print(f"Next: {command}", markup=False)


def benchmarked(result: Benchmarked) -> None:
    out = console()
    rows = [
        (
            run["name"],
            f"{run['train']['float_seconds']:.2f}",
            f"{run['train']['seconds']:.2f}",
            f"{run['prove']['seconds']:.2f}",
            f"{run['deviation']['prove_seconds']:+.0%}",
            f"{run['verify']['seconds']:.2f}",
            f"{run['ratios']['train and prove / float32']:.1f}",
            wording.size(run["prove"]["peak_rss_bytes"]),
        )
        for run in result.result["runs"]
        if "error" not in run
    ]
    headers = ("run", "float32", "integers", "prove", "guess", "verify", "ratio", "memory")
    show_table(out, headers, rows)
    out.print("Seconds; guess: predicted over measured; ratio: (integers + prove) / float32.")
    for run in result.result["runs"]:
        if "error" in run:
            out.print(f"{run['name']} failed: {run['error']}", markup=False, style="red")
    show_rows(out, [("report", str(result.report)), ("results", str(result.path))])


def calibrated(calibration: Calibration, path: Path) -> None:
    out = console()
    rows = [("calibration", str(path))]
    rows += [
        (
            run["setting"],
            f"prove {wording.span(run['prove_seconds'])}, "
            f"verify {wording.span(run['verify_seconds'])}, {wording.size(run['peak_bytes'])}",
        )
        for run in calibration.runs
    ]
    for label, text in rows:
        out.print(f" [dim]{label}[/] {text}")


def show_accepted(sentence: str, warnings: Iterable[str] = ()) -> Console:
    """How a verdict begins."""
    from rich.markup import escape

    out = console()
    out.print(f"[bold green]ACCEPTED[/] {escape(sentence)}")
    notes(out, warnings)
    return out


def show_claim(out: Console, heading: str, claim: str, stated: Iterable[tuple[str, str]]) -> None:
    """What is accepted, in a sentence, and the statement."""
    out.print(f"\n[bold]{heading}[/]")
    for line in _wrapped(claim, _WIDTH - 2):
        out.print(f" {line}")
    show_rows(out, stated)


def show_bullets(out: Console, heading: str, items: Iterable[str]) -> None:
    """A list under a heading."""
    out.print(f"\n[bold]{heading}[/]")
    _bullets(out, items)


def show_figures(out: Console, figures: Iterable[tuple[str, str]]) -> None:
    """How a verdict ends."""
    out.print("\n[bold]Figures[/]")
    show_rows(out, figures)


def accepted(verdict: Verdict, weights: str) -> None:
    sentence = f"{weights} is the result of this training run."
    out, statement = show_accepted(sentence, verdict.warnings), verdict.statement
    show_claim(
        out,
        "Proven",
        "There is a dataset with the root below such that training the network on it, as stated "
        "and from the stated start, ends in exactly the weights of the file.",
        wording.statement_rows(statement, verdict.checkpoints),
    )
    doubts = wording.not_proven(statement, zero_knowledge=verdict.zero_knowledge)
    show_bullets(out, "Not proven", doubts)
    show_figures(out, wording.figures(verdict))


def refused(weights: str, kind: str, message: str, *, judged: bool, stderr: bool = False) -> None:
    from rich.markup import escape

    out = console(stderr=stderr or not judged)
    if judged:
        out.print(f"[bold red]REJECTED[/] {escape(weights)} is not proven by this proof.")
    else:
        out.print(f"[bold yellow]NOT JUDGED[/] nothing can be said about {escape(weights)}.")
    out.print(f" {kind}: {' '.join(message.split())}", markup=False)


def inspected(found: Inspection) -> None:
    out, statement = console(), found.statement
    out.print("[bold]Statement[/] as the proof claims it; nothing has been verified")
    show_rows(out, wording.statement_rows(statement))
    show_sizes(out, found)
    show_soundness(out, statement)


def show_sizes(out: Console, found: Inspection) -> None:
    """Bytes by section; those of the proof also by kind of message."""
    sizes: dict[str, int] = {}
    for section, count in found.sections.items():
        sizes[section] = count
        if section == "proof":
            sizes |= {f"  {kind}": part for kind, part in found.parts.items()}
    sizes["file"] = found.proof_bytes
    out.print("\n[bold]Sizes[/]")
    show_table(out, ("part", "bytes"), [(name, f"{count:,}") for name, count in sizes.items()])


def show_soundness(out: Console, statement: Statement) -> None:
    """The terms of the soundness error."""
    out.print("\n[bold]Soundness[/] in bits")
    show_table(out, ("term", "count", "least", "together", "basis"), _soundness_rows(statement))
    bits = wording.bits(statement.union_bits)
    out.print(f"The union of all proven terms is {bits} bits.", markup=False)


def _soundness_rows(statement: Statement) -> list[tuple[str, ...]]:
    """One row per term, under the name of its part."""
    from ..protocol.soundness import Term, union

    parts: dict[str, dict[tuple[str, str], list[Term]]] = {}
    for term in statement.soundness_terms:
        parts.setdefault(term.part, {}).setdefault((term.name, term.basis), []).append(term)
    found: list[tuple[str, ...]] = []
    for part, groups in parts.items():
        found.append((part, "", "", "", ""))
        for (name, basis), terms in groups.items():
            least = wording.bits(min(term.bits for term in terms))
            together = wording.bits(union(terms))
            found.append((f"  {name}", str(len(terms)), least, together, basis))
    return found
