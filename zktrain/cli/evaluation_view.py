"""Proofs of evaluations in words, for people, and in fields, for machines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..protocol.bundle import task_of
from ..protocol.tasks import Evaluation
from . import screens, stated, wording

if TYPE_CHECKING:
    from rich.console import Console

    from .._inspect import Inspection
    from .._prove_eval import ProvedEvaluation
    from .._verify import EvaluationVerdict
    from ..protocol.statement import Statement
    from ..protocol.tasks import Counts

_MOST_CLASSES = 20
"""Larger matrices are not printed."""


def statement_fields(statement: Statement) -> dict[str, Any]:
    """The statement as a JSON object."""
    return {
        **wording.common_fields(statement),
        "digest": statement.digest.hex(),
        "weights_digest": task_of(statement, Evaluation).weights,
    }


def verdict_fields(verdict: EvaluationVerdict) -> dict[str, Any]:
    """An accepted proof as a JSON object."""
    return stated.result_fields(
        verdict,
        left_out=("statement_digest",),
        accepted=True,
        error=None,
        statement=statement_fields(verdict.statement),
    )


def inspection_fields(found: Inspection) -> dict[str, Any]:
    """An unverified proof as a JSON object."""
    statement = found.statement
    task = task_of(statement, Evaluation)
    return {
        **wording.unverified_fields(found, statement_fields(statement)),
        "accuracy": task.accuracy,
        "confusion": task.confusion,
    }


def _accuracy(correct: int, records: int) -> str:
    return f"{correct / records:.2%}, {correct:,} of {wording.several(records, 'record')}"


def show_matrix(out: Console, matrix: Counts) -> None:
    """Counts of labels and predictions, unless there are too many classes."""
    classes = len(matrix)
    out.print("\n[bold]Confusion[/] label by prediction, records")
    if classes > _MOST_CLASSES:
        out.print(f" {classes} by {classes}; --json gives it in full")
        return
    headers = ("label", *map(str, range(classes)))
    screens.show_table(out, headers, [(str(at), *map(str, row)) for at, row in enumerate(matrix)])


def statement_rows(statement: Statement) -> list[tuple[str, str]]:
    """Label and value of everything that a proof states; values may come from a proof."""
    task = task_of(statement, Evaluation)
    return [
        ("accuracy", _accuracy(task.correct, task.records)),
        ("weights", task.weights),
        *wording.network_rows(task.circuit),
        ("circuit", task.circuit.id),
        *wording.dataset_rows(statement.dataset),
        *wording.proof_rows(statement),
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
        ("hides data", wording.yes(result.zero_knowledge)),
        ("time", wording.span(result.seconds)),
        ("peak memory", wording.size(result.peak_rss_bytes)),
    ]
    if result.dataset is not None:
        rows.append(("commitment", str(result.dataset)))
    screens.show_rows(out, rows)
    command = f"zktrain verify-eval {weights} --proof {result.path} --dataset {result.dataset_root}"
    out.print(f"Next: {command}", markup=False)


def accepted(verdict: EvaluationVerdict, weights: str) -> None:
    """The verdict of ``verify-eval``."""
    counts = f"{verdict.correct:,} of {wording.several(verdict.records, 'record')}"
    out = screens.show_accepted(f"{weights} predicts {counts} correctly.", verdict.warnings)
    screens.show_claim(
        out,
        "Proven",
        "There is a dataset with the root below on whose records the network, with exactly the "
        "weights of the file and in the stated integer arithmetic, has this accuracy and these "
        "counts of labels and predictions.",
        statement_rows(verdict.statement),
    )
    show_matrix(out, verdict.confusion)
    screens.show_bullets(
        out,
        "Not proven",
        (
            "that the records or labels are right, or drawn from anywhere: only that these, all "
            "of them, were evaluated",
            "that bytes were made of numbers in the stated range: bytes are what is committed",
            "that the weights were trained, or not on these records: that is what zktrain verify "
            "is for",
            "that a floating-point model predicts the same on every record",
        ),
    )
    screens.show_figures(out, wording.figures(verdict))


def inspected(found: Inspection) -> None:
    """What ``inspect`` shows of such a proof."""
    out, statement = screens.console(), found.statement
    out.print("[bold]Statement[/] as the proof of an evaluation claims it; nothing is verified")
    screens.show_rows(out, statement_rows(statement))
    show_matrix(out, task_of(statement, Evaluation).confusion)
    screens.show_sizes(out, found)
    screens.show_soundness(out, statement)
