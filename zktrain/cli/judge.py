"""The commands that judge, and the plain form of two of them, which needs no parser of commands.

Most of the time of a verifying process would go into loading that parser.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from . import evaluation_view, screens, wording
from .bars import working
from .outcome import FAILED, answer, error_fields, guarded, unjudged_fields, verdict_code

MIN_BITS = 100
"""Of security, where nobody says how many."""
PATHS = {
    "verify": ("proof", "circuit", "initial", "certificate"),
    "verify-eval": ("proof", "circuit", "like", "certificate"),
}
"""The options of each verb whose values are paths."""


@contextmanager
def judged(verb: str, weights: Path, proof: Path, as_json: bool) -> Iterator[None]:
    """What fails in the body is a verdict, no or none, with its sentence, JSON and exit code."""
    started = time.perf_counter()

    def fields(kind: str, message: str) -> dict[str, Any]:
        size = proof.stat().st_size if proof.is_file() else None
        figures = {"seconds": time.perf_counter() - started, "proof_bytes": size}
        return {**unjudged_fields(verb), **error_fields(kind, message), **figures}

    def show(kind: str, message: str, code: int) -> None:
        screens.refused(str(weights), kind, message, judged=code != FAILED, stderr=as_json)

    with guarded(
        as_json,
        interrupted="nothing was judged",
        fields=fields,
        exit_code=verdict_code,
        show=show,
    ):
        yield


def judge(verb: str, *, as_json: bool = False, **asked: Any) -> None:
    """Print the verdict of ``verify`` or ``verify-eval`` on what is ``asked``; leaves with exit
    code 1 when it is no, 2 when there is none."""
    weights = str(asked["weights"])
    with judged(verb, asked["weights"], asked["proof"], as_json):
        if verb == "verify":
            from .._verify import verify

            found = working(verify, asked, transient=True)
            show = partial(screens.accepted, weights=weights)
            answer(as_json, found, wording.verdict_fields, show)
        else:
            from .._verify import verify_eval

            counted = working(verify_eval, asked, transient=True)
            show_counts = partial(evaluation_view.accepted, weights=weights)
            answer(as_json, counted, evaluation_view.verdict_fields, show_counts)


def plain(arguments: list[str]) -> dict[str, Any] | None:
    """Arguments of :func:`judge`, if these are a verb, one file, and known options, each once and
    with its value apart; None for anything else, help and mistakes included."""
    if not arguments or arguments[0] not in PATHS:
        return None
    paths = PATHS[arguments[0]]
    names = (*paths, "dataset", "min_security_bits")
    values, found = {f"--{name.replace('_', '-')}": name for name in names}, dict[str, Any]()
    rest, checkpoints = iter(arguments[1:]), list[Path]()
    for word in rest:
        if word == "--json":
            name, value = "as_json", "yes"
        elif word == "--checkpoint" and arguments[0] == "verify":
            value = next(rest, "")
            if not value or value.startswith("-"):
                return None
            checkpoints.append(Path(value))
            continue
        elif word in values:
            name, value = values[word], next(rest, "")
        else:
            name, value = "weights", word
        if name in found or not value or value.startswith("-"):
            return None
        found[name] = value
    bits = found.get("min_security_bits", str(MIN_BITS))
    if not {"weights", "proof", "dataset"} <= set(found):
        return None
    if not (bits.isascii() and bits.isdigit() and len(bits) <= 4):
        return None
    given = {name: Path(found[name]) for name in ("weights", *paths) if name in found}
    others: dict[str, Any] = {"min_security_bits": int(bits), "as_json": "as_json" in found}
    if checkpoints:
        others["checkpoints"] = checkpoints
    return {"verb": arguments[0], "dataset": found["dataset"], **given, **others}
