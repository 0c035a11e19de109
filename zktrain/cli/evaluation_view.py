"""Proofs of evaluations in words, for people, and in fields, for machines."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ..protocol.bundle import task_of
from ..protocol.tasks import Evaluation
from . import screens, stated, wording

if TYPE_CHECKING:
    from rich.console import Console

    from .._inspect import Inspection
    from .._prove import ProvedEvaluation
    from .._verify import EvaluationVerdict
    from ..protocol.statement import Statement
    from ..protocol.tasks import Counts

_MOST_CLASSES = 20
"""Larger matrices are not printed."""


def statement_fields(statement: Statement) -> dict[str, Any]:
    """The statement as a JSON object."""
    task, dataset = task_of(statement, Evaluation), statement.dataset
    circuit = task.circuit
    return {
        "digest": statement.digest.hex(),
        "circuit_id": circuit.id,
        "layers": stated.plain(circuit.layers),
        "parameters": circuit.parameters,
        "weights_digest": task.weights,
        "dataset": wording.dataset_fields(dataset),
        "stated": stated.plain(statement),
    }


def verdict_fields(verdict: EvaluationVerdict) -> dict[str, Any]:
    """An accepted proof as a JSON object."""
    return {
        "accepted": True,
        "error": None,
        "accuracy": verdict.accuracy,
        "correct": verdict.correct,
        "records": verdict.records,
        "confusion": verdict.confusion,
        "weights_digest": verdict.weights_digest,
        "dataset_root": verdict.dataset_root,
        "statement": statement_fields(verdict.statement),
        "security_bits": verdict.security_bits,
        "zero_knowledge": verdict.zero_knowledge,
        "seconds": verdict.seconds,
        "proof_bytes": verdict.proof_bytes,
        "warnings": list(verdict.warnings),
    }


def proved_fields(result: ProvedEvaluation) -> dict[str, Any]:
    """What ``prove-eval`` made, as a JSON object."""
    return {
        "accuracy": result.accuracy,
        "correct": result.correct,
        "records": result.records,
        "confusion": result.confusion,
        "weights_digest": result.weights_digest,
        "dataset_root": result.dataset_root,
        "dataset": None if result.dataset is None else str(result.dataset),
        "zero_knowledge": result.zero_knowledge,
        "seconds": result.seconds,
        "proof_bytes": result.proof_bytes,
        "peak_rss_bytes": result.peak_rss_bytes,
        "path": str(result.path),
    }


def inspection_fields(found: Inspection) -> dict[str, Any]:
    """An unverified proof as a JSON object."""
    statement = found.statement
    task = task_of(statement, Evaluation)
    return {
        "verified": False,
        "statement": statement_fields(statement),
        "accuracy": task.accuracy,
        "confusion": task.confusion,
        "security_bits": statement.security_bits,
        "zero_knowledge": statement.zero_knowledge,
        "proof_bytes": found.proof_bytes,
        "sections": found.sections,
        "parts": found.parts,
        "soundness": [asdict(term) for term in statement.soundness_terms],
        "union_bits": statement.union_bits,
    }


def _accuracy(correct: int, records: int) -> str:
    return f"{correct / records:.2%}, {correct:,} of {wording.several(records, 'record')}"


def _matrix(out: Console, matrix: Counts) -> None:
    classes = len(matrix)
    out.print("\n[bold]Confusion[/] label by prediction, records")
    if classes > _MOST_CLASSES:
        out.print(f" {classes} by {classes}; --json gives it in full")
        return
    headers = ("label", *map(str, range(classes)))
    rows = [(str(label), *map(str, row)) for label, row in enumerate(matrix)]
    screens._table(out, headers, rows)


def _rows(statement: Statement) -> list[tuple[str, str]]:
    task, dataset = task_of(statement, Evaluation), statement.dataset
    circuit = task.circuit
    return [
        ("accuracy", _accuracy(task.correct, dataset.records)),
        ("weights", task.weights),
        ("network", wording.network(circuit)),
        *stated.layer_rows(circuit),
        ("arithmetic", stated.arithmetic(circuit)),
        ("circuit", circuit.id),
        ("dataset", wording.dataset_text(dataset)),
        ("inputs", dataset.scaling.text),
        ("commitment", stated.commitment(dataset)),
        ("root", dataset.root.hex()),
        ("asked for", f"{statement.security_bits} bits of security"),
        ("hides data", "yes" if statement.zero_knowledge else "no"),
        ("statement", statement.digest.hex()),
    ]


def proved(result: ProvedEvaluation, weights: str) -> None:
    """After ``prove-eval``."""
    out = screens.console()
    rows = [
        ("accuracy", _accuracy(result.correct, result.records)),
        ("on", result.source),
        ("proof", str(result.path)),
        ("size", wording.size(result.proof_bytes)),
        ("hides data", "yes" if result.zero_knowledge else "no"),
        ("time", wording.span(result.seconds)),
        ("peak memory", wording.size(result.peak_rss_bytes)),
    ]
    if result.dataset is not None:
        rows.append(("commitment", str(result.dataset)))
    screens._rows(out, rows)
    command = f"zktrain verify-eval {weights} --proof {result.path} --dataset {result.dataset_root}"
    out.print(f"Next: {command}", markup=False)


def accepted(verdict: EvaluationVerdict, weights: str) -> None:
    """The verdict of ``verify-eval``."""
    from rich.markup import escape

    out = screens.console()
    out.print(
        f"[bold green]ACCEPTED[/] {escape(weights)} predicts {verdict.correct:,} of "
        f"{wording.several(verdict.records, 'record')} correctly."
    )
    screens.notes(out, verdict.warnings)
    out.print("\n[bold]Proven[/]")
    claim = (
        "There is a dataset with the root below on whose records the network, with exactly the "
        "weights of the file and in the stated integer arithmetic, has this accuracy and these "
        "counts of labels and predictions."
    )
    for line in screens._wrapped(claim, screens._WIDTH - 2):
        out.print(f" {line}")
    screens._rows(out, _rows(verdict.statement))
    _matrix(out, verdict.confusion)
    out.print("\n[bold]Not proven[/]")
    screens._bullets(
        out,
        (
            "that the records or labels are right, or drawn from anywhere: only that these, all "
            "of them, were evaluated",
            "that bytes were made of numbers in the stated range: bytes are what is committed",
            "that the weights were trained, or not on these records: that is what zktrain verify "
            "is for",
            "that a floating-point model predicts the same on every record",
        ),
    )
    out.print("\n[bold]Figures[/]")
    screens._rows(
        out,
        [
            ("security", f"{wording.bits(verdict.security_bits)} bits, every term proven"),
            ("proof", wording.size(verdict.proof_bytes)),
            ("verified in", wording.span(verdict.seconds)),
        ],
    )


def inspected(found: Inspection) -> None:
    """What ``inspect`` shows of such a proof."""
    out, statement = screens.console(), found.statement
    out.print("[bold]Statement[/] as the proof of an evaluation claims it; nothing is verified")
    screens._rows(out, _rows(statement))
    _matrix(out, task_of(statement, Evaluation).confusion)
    screens.sizes(out, found)
