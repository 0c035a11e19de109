"""The command ``verify``, and its plain form, which needs no parser of commands.

Most of the time of a verifying process would go into loading that parser.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from . import screens, wording
from .bars import bars
from .outcome import FAILED, guarded, print_json, unjudged_fields, verdict_code

_PATHS = {
    "--proof": "proof",
    "--circuit": "circuit",
    "--initial": "initial",
    "--certificate": "certificate",
}
MIN_BITS = 100
"""Of security, where nobody says how many."""
_OTHERS = {"--dataset": "dataset", "--min-security-bits": "min_security_bits"}


@contextmanager
def judged(
    weights: Path,
    proof: Path,
    as_json: bool,
    unjudged: Callable[[str, str], dict[str, Any]] = unjudged_fields,
) -> Iterator[None]:
    """What fails in the body is a verdict, no or none, with its sentence, JSON and exit code."""
    started = time.perf_counter()

    def fields(kind: str, message: str) -> dict[str, Any]:
        size = proof.stat().st_size if proof.is_file() else None
        seconds = time.perf_counter() - started
        return {**unjudged(kind, message), "seconds": seconds, "proof_bytes": size}

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


def judge(
    weights: Path,
    *,
    proof: Path,
    dataset: str,
    circuit: Path | None = None,
    initial: Path | None = None,
    certificate: Path | None = None,
    min_security_bits: int = MIN_BITS,
    as_json: bool = False,
) -> None:
    """Print the verdict; leaves with exit code 1 when it is no, 2 when there is none."""
    with judged(weights, proof, as_json):
        from .._verify import verify

        with bars(transient=True) as progress:
            verdict = verify(
                weights,
                proof=proof,
                dataset=dataset,
                circuit=circuit,
                initial=initial,
                certificate=certificate,
                min_security_bits=min_security_bits,
                progress=progress,
            )
        if not as_json:
            screens.accepted(verdict, str(weights))
            return
        print_json(
            {
                "accepted": True,
                "error": None,
                "statement": wording.statement_fields(verdict.statement),
                "security_bits": verdict.security_bits,
                "zero_knowledge": verdict.zero_knowledge,
                "seconds": verdict.seconds,
                "proof_bytes": verdict.proof_bytes,
                "warnings": list(verdict.warnings),
            }
        )


def plain(
    arguments: list[str],
    command: str = "verify",
    named: dict[str, str] = _PATHS,
) -> dict[str, Any] | None:
    """Arguments of :func:`judge`, if these are ``command``, one file, and known options, each once
    and with its value apart; None for anything else, help and mistakes included.

    ``named`` are the options whose values are paths."""
    if arguments[:1] != [command]:
        return None
    values, found = {**named, **_OTHERS}, dict[str, Any]()
    rest = iter(arguments[1:])
    for word in rest:
        if word == "--json":
            name, value = "as_json", "yes"
        elif word in values:
            name, value = values[word], next(rest, "")
        else:
            name, value = "weights", word
        if name in found or not value or value.startswith("-"):
            return None
        found[name] = value
    if not {"weights", "proof", "dataset"} <= set(found):
        return None
    given = found.pop("min_security_bits", None)
    if given is not None and not (given.isascii() and given.isdigit() and len(given) <= 4):
        return None
    paths = {name: Path(found[name]) for name in ("weights", *named.values()) if name in found}
    least = MIN_BITS if given is None else int(given)
    return {**found, **paths, "min_security_bits": least, "as_json": "as_json" in found}
