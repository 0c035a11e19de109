"""How a command ends: its one JSON object, its error in one sentence, its exit code."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from ..errors import MalformedProof, Rejected, SrsRefused, ZktrainError
from .streams import OutputLost

_T = TypeVar("_T")

ACCEPTED, REJECTED, FAILED = 0, 1, 2
"""Exit codes of all commands: 1 says that something was judged, and that the verdict is no."""

DEBUG = "ZKTRAIN_DEBUG"
"""Environment variable; ``1`` shows the traceback of every error."""


def print_json(value: Mapping[str, Any]) -> None:
    """The one object on standard output."""
    print(json.dumps(value), flush=True)


def answer(
    as_json: bool, result: _T, fields: Callable[[_T], Mapping[str, Any]], show: Callable[[_T], None]
) -> None:
    """What a command has found, for machines or for people."""
    if as_json:
        print_json(fields(result))
    else:
        show(result)


def print_error(sentence: str) -> None:
    """One sentence on standard error, on one line."""
    from rich.console import Console
    from rich.markup import escape

    Console(stderr=True, soft_wrap=True).print(
        f"[bold red]error:[/] {escape(' '.join(sentence.split()))}", highlight=False
    )


def error_fields(kind: str, message: str) -> dict[str, Any]:
    """The JSON object of a failed command."""
    return {"error": {"kind": kind, "message": message}}


@contextmanager
def guarded(
    as_json: bool,
    *,
    interrupted: str | Callable[[], str],
    fields: Callable[[str, str], dict[str, Any]] = error_fields,
    exit_code: Callable[[BaseException], int] | None = None,
    show: Callable[[str, str, int], None] | None = None,
    less_memory: str = "",
) -> Iterator[None]:
    """Turn every exception of the body into a sentence, a JSON object and an exit code.

    ``interrupted`` says what is kept when the user stops the command, or looks it up; ``fields``
    makes the JSON object of kind and message, ``exit_code`` chooses the code, ``show`` prints kind,
    message and code for people (on standard error with ``as_json``), and ``less_memory`` says what
    needs less. A result that does not reach standard output is a failure.
    """
    try:
        yield
        sys.stdout.flush()
    except OutputLost as error:
        raise SystemExit(_lost(error)) from None
    except (Exception, KeyboardInterrupt) as error:
        if isinstance(error, _exits()):
            raise
        if os.environ.get(DEBUG) == "1":
            traceback.print_exc()
        kind, message = described(error, interrupted, less_memory)
        code = (exit_code or failure_code)(error)
        try:
            if show is None:
                print_error(message)
            else:
                show(kind, message, code)
            if as_json:
                print_json(fields(kind, message))
            sys.stdout.flush()
        except OutputLost as lost:
            _lost(lost)
        raise SystemExit(code) from None


def _exits() -> tuple[type[BaseException], ...]:
    """How a parsed command leaves by itself; typer is not loaded where nothing else was parsed."""
    parser = sys.modules.get("typer")
    return () if parser is None else (parser.Exit,)


def _lost(error: OutputLost) -> int:
    """Say that the result was not written; the exit code."""
    print_error(f"the result cannot be written to standard output: {error.strerror}")
    return FAILED


def described(
    error: BaseException, interrupted: str | Callable[[], str], less_memory: str = ""
) -> tuple[str, str]:
    """Kind and message of an error."""
    if isinstance(error, ZktrainError):
        return type(error).__name__, str(error)
    if isinstance(error, KeyboardInterrupt):
        kept = interrupted if isinstance(interrupted, str) else interrupted()
        return "Interrupted", f"stopped; {kept}"
    if isinstance(error, MemoryError):
        remedy = f"; {less_memory}" if less_memory else ""
        return "MemoryError", f"there is not enough memory{remedy}"
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return type(error).__name__, f"{where}{error.strerror}"
    return type(error).__name__, (
        f"unexpected {type(error).__name__}: {error}; set {DEBUG}=1 to see where, and please report"
    )


def failure_code(error: BaseException) -> int:
    """Exit code of commands that judge nothing."""
    return FAILED


def verdict_code(error: BaseException) -> int:
    """Exit code of commands that judge: only what was judged is rejected."""
    return REJECTED if isinstance(error, (Rejected, MalformedProof, SrsRefused)) else FAILED


def finish(error: BaseException | None = None) -> int:
    """Whatever was printed is written, and nothing is said twice; the exit code of a process that
    has ended with ``error``, which no command has described, or without."""
    try:
        sys.stdout.flush()
        if error is None:
            return ACCEPTED
    except OutputLost as lost:
        error = lost
    if isinstance(error, OutputLost):
        return _lost(error)
    print_error(described(error, "nothing was judged")[1])
    return FAILED


def usage_error(arguments: list[str], message: str) -> int:
    """Report arguments that no command takes; the JSON object goes out where it was asked for."""
    if message:
        print_error(f"{message} Try zktrain --help.")
    if "--json" in arguments:
        verb = arguments[1:2] if arguments[:1] == ["ezkl"] else arguments[:1]
        fields = unjudged_fields(verb[0]) if verb and verb[0] in _FIGURES else {}
        print_json({**fields, **error_fields("UsageError", message)})
    return FAILED


_JUDGED = ("statement", "security_bits", "zero_knowledge", "seconds", "proof_bytes")
_FIGURES = {
    "verify": ("checkpoints",),
    "verify-eval": (
        "accuracy",
        "correct",
        "records",
        "confusion",
        "weights_digest",
        "dataset_root",
    ),
}


def unjudged_fields(verb: str) -> dict[str, Any]:
    """The JSON object of a verb that judges, without a verdict to take figures from."""
    return {"accepted": False, **dict.fromkeys((*_JUDGED, *_FIGURES[verb]))}
