"""The commands ``srs generate`` and ``srs check``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import screens
from .bars import bars, notices
from .outcome import guarded, print_json, verdict_code

if TYPE_CHECKING:
    from ..ezkl.srs import CheckedSrs

srs = typer.Typer(
    help="Structured reference strings, which the backend ezkl needs.", no_args_is_help=True
)

_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]


@srs.command()
def generate(
    logrows: Annotated[int, typer.Option(metavar="K", help="For circuits of up to 2^K rows.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The file to write.")],
    as_json: _Json = False,
) -> None:
    """Make an INSECURE string, for tests only: everybody knows its secret."""
    from ..ezkl.srs import generate as run_generate

    started = time.perf_counter()
    with guarded(as_json, interrupted="nothing was written"):
        with notices(), bars() as progress:
            found = run_generate(logrows, out, progress=progress)
        _show(found, time.perf_counter() - started, as_json)


@srs.command()
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The string to check.")],
    as_json: _Json = False,
) -> None:
    """Check that a file holds the powers of one secret, and keep a record of it."""
    from ..ezkl.srs import check as run_check

    started = time.perf_counter()
    kept = "there is no record of this check"
    with guarded(as_json, interrupted=kept, exit_code=verdict_code):
        with notices(), bars() as progress:
            found = run_check(file, progress=progress)
        _show(found, time.perf_counter() - started, as_json)


def _show(found: CheckedSrs, seconds: float, as_json: bool) -> None:
    if not as_json:
        screens.checked_srs(found, seconds)
        return
    print_json(
        {
            "path": str(found.path),
            "logrows": found.logrows,
            "sha256": found.digest,
            "insecure": found.insecure,
            "seconds": seconds,
        }
    )
