"""What the commands print for people: 80 columns, and plain where there is no terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal

from . import wording

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from .._bench import Benchmarked
    from .._commit import DatasetCommitment
    from .._compile import CompiledRecipe
    from .._inspect import Inspection
    from .._prove import Proved
    from .._train import TrainedRun
    from .._verify import Verdict
    from ..cost.calibration import Calibration
    from ..protocol.statement import Statement

_WIDTH = 80
_LABEL = 14


def console(*, stderr: bool = False) -> Console:
    """Markup on, no highlighting, and long digests are never broken."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, soft_wrap=True)


def _rows(out: Console, rows: Iterable[tuple[str, str]]) -> None:
    from rich.markup import escape

    for label, value in rows:
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


def _table(out: Console, headers: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """First column to the left, the others to the right."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD if out.is_terminal else None, pad_edge=False)
    for number, header in enumerate(headers):
        side: Literal["left", "right"] = "right" if number else "left"
        table.add_column(header, justify=side, no_wrap=number > 0, overflow="fold")
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
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
        (
            "sizes",
            f"{wording.several(result.records, 'record')} of "
            f"{wording.several(result.features, 'input')}, "
            f"{wording.several(result.classes, 'class', 'classes')}",
        ),
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
    _rows(out, rows)
    if result.kept:
        notes(out, ["this commitment was there already; nothing was written"])
    notes(out, result.warnings)


def compiled(result: CompiledRecipe) -> None:
    out, circuit = console(), result.circuit
    bound = circuit.no_wrap_bound_bits
    rows = [
        ("circuit", result.circuit_id),
        ("network", wording.network(circuit)),
        (
            "training",
            f"{wording.several(circuit.steps, 'step')} of {circuit.optimizer.words}"
            f"{circuit.optimizer.stretch_words(circuit)}, batches of {circuit.batch_size:,}",
        ),
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
    _rows(out, rows)
    changes(out, result.changes, result.warnings)


def trained(result: TrainedRun) -> None:
    out = console()
    rows = [
        ("weights", str(result.weights)),
        ("digest", result.weights_digest),
        ("dataset root", result.dataset_root),
        ("training", f"{result.steps:,} steps in {wording.span(result.seconds)}"),
    ]
    if result.test_accuracy is not None:
        rows.append(("accuracy", f"{result.test_accuracy:.2%} on {result.test_source}"))
    if result.float_seconds is not None:
        accuracy = result.float_test_accuracy
        shown = "" if accuracy is None else f"{accuracy:.2%}, "
        rows.append(
            (
                "float32 SGD",
                f"{shown}{result.steps:,} steps in {wording.span(result.float_seconds)}",
            )
        )
    _rows(out, rows)
    if result.kept:
        notes(out, ["the same command had finished here; nothing was trained"])
    changes(out, result.changes, result.warnings)
    out.print(f"Next: zktrain prove {result.path}", markup=False)


def proved(result: Proved, dataset: Path, weights: Path) -> None:
    out = console()
    _rows(
        out,
        [
            ("proof", str(result.path)),
            ("size", wording.size(result.proof_bytes)),
            ("hides data", "yes" if result.zero_knowledge else "no"),
            ("time", wording.span(result.seconds)),
            ("stages", wording.stage_line(result.stages)),
            ("peak memory", wording.size(result.peak_rss_bytes)),
        ],
    )
    command = f"zktrain verify {weights} --proof {result.path} --dataset {dataset}"
    out.print(f"Next: {command}", markup=False)


def benchmarked(result: Benchmarked) -> None:
    out = console()
    rows = []
    for run in result.result["runs"]:
        if "error" in run:
            continue
        off = run["deviation"]["prove_seconds"]
        rows.append(
            (
                run["name"],
                f"{run['train']['float_seconds']:.2f}",
                f"{run['train']['seconds']:.2f}",
                f"{run['prove']['seconds']:.2f}",
                f"{off:+.0%}",
                f"{run['verify']['seconds']:.2f}",
                f"{run['ratios']['train and prove / float32']:.1f}",
                wording.size(run["prove"]["peak_rss_bytes"]),
            )
        )
    headers = ("run", "float32", "integers", "prove", "guess", "verify", "ratio", "memory")
    _table(out, headers, rows)
    out.print("Seconds; guess: predicted over measured; ratio: (integers + prove) / float32.")
    for run in result.result["runs"]:
        if "error" in run:
            out.print(f"{run['name']} failed: {run['error']}", markup=False, style="red")
    _rows(out, [("report", str(result.report)), ("results", str(result.path))])


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


def accepted(verdict: Verdict, weights: str, *, stderr: bool = False) -> None:
    from rich.markup import escape

    out = console(stderr=stderr)
    statement = verdict.statement
    out.print(f"[bold green]ACCEPTED[/] {escape(weights)} is the result of this training run.")
    notes(out, verdict.warnings)
    out.print("\n[bold]Proven[/]")
    claim = (
        "There is a dataset with the root below such that training the network on it, as stated "
        "and from the stated start, ends in exactly the weights of the file."
    )
    for line in _wrapped(claim, _WIDTH - 2):
        out.print(f" {line}")
    _rows(out, wording.statement_rows(statement))
    out.print("\n[bold]Not proven[/]")
    _bullets(out, wording.not_proven(statement, zero_knowledge=verdict.zero_knowledge))
    out.print("\n[bold]Figures[/]")
    _rows(
        out,
        [
            ("security", f"{wording.bits(verdict.security_bits)} bits, every term proven"),
            ("proof", wording.size(verdict.proof_bytes)),
            ("verified in", wording.span(verdict.seconds)),
        ],
    )


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
    _rows(out, wording.statement_rows(statement))
    sizes(out, found)


def sizes(out: Console, found: Inspection) -> None:
    """Bytes by part, and error terms."""
    statement = found.statement
    out.print("\n[bold]Sizes[/]")
    _table(out, ("part", "bytes"), _size_rows(found))
    out.print("\n[bold]Soundness[/] in bits")
    _table(out, ("term", "count", "least", "together", "basis"), _soundness_rows(statement))
    out.print(
        f"The union of all proven terms is {wording.bits(statement.union_bits)} bits.", markup=False
    )


def _size_rows(found: Inspection) -> list[tuple[str, str]]:
    """Bytes by section; those of the proof also by kind of message."""
    rows: dict[str, int] = {}
    for section, count in found.sections.items():
        rows[section] = count
        if section == "proof":
            rows |= {f"  {kind}": size for kind, size in found.parts.items()}
    rows["file"] = found.proof_bytes
    return [(name, f"{count:,}") for name, count in rows.items()]


def _soundness_rows(statement: Statement) -> list[tuple[str, ...]]:
    """One row per kind of term, under the name of its part."""
    from ..protocol.soundness import Term, union

    parts: dict[str, dict[tuple[str, str], list[Term]]] = {}
    for term in statement.soundness_terms:
        parts.setdefault(term.part, {}).setdefault((term.name, term.basis), []).append(term)
    rows: list[tuple[str, ...]] = []
    for part, groups in parts.items():
        rows.append((part, "", "", "", ""))
        for (name, basis), terms in groups.items():
            least = wording.bits(min(term.bits for term in terms))
            together = wording.bits(union(terms))
            rows.append((f"  {name}", str(len(terms)), least, together, basis))
    return rows
