"""The command ``verify-eval``, and its plain form, which needs no parser of commands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from . import evaluation_view
from .bars import bars
from .judge import MIN_BITS, judged, plain
from .outcome import print_json, unjudged_evaluation_fields

_PATHS = {
    "--proof": "proof",
    "--circuit": "circuit",
    "--like": "like",
    "--certificate": "certificate",
}


def judge_eval(
    weights: Path,
    *,
    proof: Path,
    dataset: str,
    circuit: Path | None = None,
    like: Path | None = None,
    certificate: Path | None = None,
    min_security_bits: int = MIN_BITS,
    as_json: bool = False,
) -> None:
    """Print the verdict; leaves with exit code 1 when it is no, 2 when there is none."""
    with judged(weights, proof, as_json, unjudged_evaluation_fields):
        from .._verify import verify_eval

        with bars(transient=True) as progress:
            verdict = verify_eval(
                weights,
                proof=proof,
                dataset=dataset,
                circuit=circuit,
                like=like,
                certificate=certificate,
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
