"""The command ``zktrain ezkl evm export``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .. import screens
from ..bars import bars, notices
from ..outcome import guarded, print_json

if TYPE_CHECKING:
    from ...ezkl.evm import Exported

evm = typer.Typer(help="Proofs by ezkl on a chain of contracts.", no_args_is_help=True)


@evm.command()
def export(
    proof: Annotated[Path, typer.Argument(metavar="proof.zkt", help="A bundle made by ezkl.")],
    step: Annotated[int, typer.Option(metavar="I", help="Which step, counted from 0.")],
    srs: Annotated[Path, typer.Option(metavar="FILE", help="The SRS, checked.")],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Contract and calls.")],
    own_key: Annotated[
        bool,
        typer.Option("--own-key", help="A contract for this key alone, too large for many chains."),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object on standard output.")
    ] = False,
) -> None:
    """Write a verifier contract in Solidity, and the calls that hand a step's proof to it."""
    with guarded(as_json, interrupted="nothing was written"):
        from ...ezkl.evm import export_step

        with notices(), bars() as progress:
            found = export_step(
                proof, step=step, srs=srs, out=out, shared=not own_key, progress=progress
            )
        if not as_json:
            _show(found)
            return
        print_json(
            {
                "contract": str(found.contract),
                "register": None if found.register is None else str(found.register),
                "verify": str(found.verify),
                "insecure": found.insecure,
            }
        )


def _show(found: Exported) -> None:
    out = screens.console()
    out.print(f" contract       {found.contract}", markup=False)
    if found.register is not None:
        out.print(f" call once      {found.register} (returns the key's digest)", markup=False)
    out.print(f" call           {found.verify}", markup=False)
    if found.insecure:
        out.print(
            "[bold red]INSECURE[/], for tests only: everybody knows the tau of this SRS, and can "
            "prove anything to this contract."
        )
