"""The commands ``zktrain ezkl srs generate`` and ``check``."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .. import screens, wording
from ..bars import notices, working
from ..options import Json, argument, option
from ..outcome import answer, guarded, verdict_code
from ..stated import result_fields

if TYPE_CHECKING:
    from ...ezkl.srs import CheckedSrs

srs = typer.Typer(help="Structured reference strings.", no_args_is_help=True)


@srs.command()
def generate(
    logrows: Annotated[int, option("K", "For circuits of up to 2^K rows.")],
    out: Annotated[Path, option("FILE", "The file to write.")],
    as_json: Json = False,
) -> None:
    """Make an INSECURE string, for tests only: everybody knows its secret."""
    with guarded(as_json, interrupted="nothing was written"):
        from ...ezkl.srs import generate as verb

        _answer(verb, {"logrows": logrows, "path": out}, as_json)


@srs.command()
def check(
    file: Annotated[Path, argument("FILE", "The string to check.")], as_json: Json = False
) -> None:
    """Check that a file holds the powers of one secret, and keep a record of it."""
    kept = "there is no record of this check"
    with guarded(as_json, interrupted=kept, exit_code=verdict_code):
        from ...ezkl.srs import check as verb

        _answer(verb, {"path": file}, as_json)


def _answer(verb: Any, asked: dict[str, Any], as_json: bool) -> None:
    started = time.perf_counter()
    with notices():
        found: CheckedSrs = working(verb, asked)
    seconds = time.perf_counter() - started
    others = {"sha256": found.digest, "seconds": seconds}
    fields = partial(result_fields, left_out=("digest",), **others)
    answer(as_json, found, fields, partial(_show, seconds=seconds))


def _show(found: CheckedSrs, seconds: float) -> None:
    out = screens.console()
    out.print("[bold green]The file holds the powers of one tau.[/]")
    rows = {
        "file": str(found.path),
        "sha256": found.digest,
        "rows": f"2^{found.logrows}",
        "seconds": wording.span(seconds),
    }
    screens.show_rows(out, rows.items())
    if found.insecure:
        out.print(
            "[bold red]INSECURE[/], for tests only: everybody knows this tau, and can prove "
            "anything with it."
        )
    else:
        out.print("Whether its makers have forgotten tau cannot be seen from the file.")
