"""The command ``zktrain ezkl evm export``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .. import screens
from ..bars import notices, working
from ..options import Json, argument, flag, option
from ..outcome import answer, guarded
from ..stated import result_fields

if TYPE_CHECKING:
    from ...ezkl.evm import Exported

evm = typer.Typer(help="Proofs by ezkl on a chain of contracts.", no_args_is_help=True)


@evm.command()
def export(
    proof: Annotated[Path, argument("proof.zkt", "A bundle made by ezkl.")],
    step: Annotated[int, option("I", "Which step, counted from 0.")],
    srs: Annotated[Path, option("FILE", "The SRS, checked.")],
    out: Annotated[Path, option("FOLDER", "Contract and calls.")],
    own_key: Annotated[
        bool, flag("--own-key", "A contract for this key alone, too large for many chains.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write a verifier contract in Solidity, and the calls that hand a step's proof to it."""
    asked = {"proof": proof, "step": step, "srs": srs, "out": out, "shared": not own_key}
    with guarded(as_json, interrupted="nothing was written"):
        from ...ezkl.evm import export_step

        with notices():
            found = working(export_step, asked)
        answer(as_json, found, result_fields, _show)


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
