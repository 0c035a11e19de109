"""The command ``verify-eval``, and its plain form, which needs no parser of commands."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from . import evaluation_view, screens
from .bars import bars
from .judge import plain
from .outcome import NOT_JUDGED, guarded, print_json, unjudged_evaluation_fields, verdict_code

_PATHS = {"--proof": "proof", "--circuit": "circuit"}


def judge_eval(
    weights: Path,
    *,
    proof: Path,
    dataset: str,
    circuit: Path | None = None,
    min_security_bits: int = 100,
    as_json: bool = False,
) -> None:
    """Print the verdict; leaves with exit code 1 when it is no, 2 when there is none."""
    started = time.perf_counter()

    def fields(kind: str, message: str) -> dict[str, Any]:
        size = proof.stat().st_size if proof.is_file() else None
        found = unjudged_evaluation_fields(kind, message)
        return {**found, "seconds": time.perf_counter() - started, "proof_bytes": size}

    def show(kind: str, message: str, code: int) -> None:
        judged = code != NOT_JUDGED
        screens.refused(str(weights), kind, message, judged=judged, stderr=as_json)

    with guarded(
        as_json,
        interrupted="nothing was judged",
        fields=fields,
        exit_code=verdict_code,
        show=show,
    ):
        from ..verify_eval import verify_eval

        with bars(transient=True) as progress:
            verdict = verify_eval(
                weights,
                proof=proof,
                dataset=dataset,
                circuit=circuit,
                min_security_bits=min_security_bits,
                progress=progress,
            )
        if as_json:
            print_json(evaluation_view.verdict_fields(verdict))
        else:
            evaluation_view.accepted(verdict, str(weights))


def plain_eval(arguments: list[str]) -> dict[str, Any] | None:
    """Arguments of :func:`judge_eval`, as ``judge.plain`` gives them for ``verify``."""
    return plain(arguments, "verify-eval", _PATHS)
