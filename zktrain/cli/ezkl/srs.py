"""The commands ``zktrain ezkl srs generate`` and ``check``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .. import screens, wording
from ..bars import bars, notices
from ..outcome import guarded, print_json, verdict_code

if TYPE_CHECKING:
    from ...ezkl.srs import CheckedSrs

srs = typer.Typer(help="Structured reference strings.", no_args_is_help=True)

_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]


@srs.command()
def generate(
    logrows: Annotated[int, typer.Option(metavar="K", help="For circuits of up to 2^K rows.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The file to write.")],
    as_json: _Json = False,
) -> None:
    """Make an INSECURE string, for tests only: everybody knows its secret."""
    started = time.perf_counter()
    with guarded(as_json, interrupted="nothing was written"):
        from ...ezkl.srs import generate as run_generate

        with notices(), bars() as progress:
            found = run_generate(logrows, out, progress=progress)
        _show(found, time.perf_counter() - started, as_json)


@srs.command()
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The string to check.")],
    as_json: _Json = False,
) -> None:
    """Check that a file holds the powers of one secret, and keep a record of it."""
    started = time.perf_counter()
    kept = "there is no record of this check"
    with guarded(as_json, interrupted=kept, exit_code=verdict_code):
        from ...ezkl.srs import check as run_check

        with notices(), bars() as progress:
            found = run_check(file, progress=progress)
        _show(found, time.perf_counter() - started, as_json)


def _show(found: CheckedSrs, seconds: float, as_json: bool) -> None:
    fields = {
        "path": str(found.path),
        "logrows": found.logrows,
        "sha256": found.digest,
        "insecure": found.insecure,
        "seconds": seconds,
    }
    if as_json:
        print_json(fields)
        return
    out = screens.console()
    out.print("[bold green]The file holds the powers of one tau.[/]")
    rows = {
        "file": str(found.path),
        "sha256": found.digest,
        "rows": f"2^{found.logrows}",
        "seconds": wording.span(seconds),
    }
    screens._rows(out, rows.items())
    if found.insecure:
        out.print(
            "[bold red]INSECURE[/], for tests only: everybody knows this tau, and can prove "
            "anything with it."
        )
    else:
        out.print("Whether its makers have forgotten tau cannot be seen from the file.")
