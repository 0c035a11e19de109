"""The commands ``zktrain ezkl ...``."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from ..bars import bars, lines, notices, working
from ..judge import judged
from ..options import (
    DATA,
    Bundle,
    Data,
    Initial,
    Json,
    Memory,
    Recipe,
    RunFolder,
    Trained,
    Used,
    Weights,
    argument,
    flag,
    option,
)
from ..outcome import answer, guarded, print_json
from .evm import evm
from .srs import srs

ezkl = typer.Typer(
    help="Proofs by ezkl, one for every step of a small network, on a trusted set-up.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
ezkl.add_typer(srs, name="srs")
ezkl.add_typer(evm, name="evm")

_Srs = Annotated[Path, option("FILE", "The structured reference string.")]
_Unchecked = Annotated[bool, flag("--unchecked-srs", "Take an SRS that was not checked.")]


@ezkl.command()
def prove(
    run: RunFolder,
    srs: _Srs,
    out: Annotated[Path | None, option("proof.zkt", "Default: RUN/proof-ezkl.zkt.")] = None,
    scale: Annotated[int | None, option("BITS", "Fractional bits of its fixed point.")] = None,
    unchecked_srs: _Unchecked = False,
    memory: Memory = None,
    as_json: Json = False,
) -> None:
    """Prove every step of a finished run; steps that were proved are kept."""
    asked = {"run": run, "srs": srs, "out": out, "unchecked_srs": unchecked_srs}
    kept = f"proved steps are kept in {run}; the same command goes on after the last of them"
    with guarded(as_json, interrupted=kept):
        from ...ezkl import prove as verb
        from ...training.run import Run
        from . import view

        chosen = {} if scale is None else {"scale": scale}
        with notices():
            result = working(verb, {**asked, **chosen, "memory": _size(memory)})
        root = "" if as_json else Run.open(run).dataset_root
        answer(as_json, result, view.proved_fields, partial(view.proved, dataset_root=root))


@ezkl.command()
def verify(
    weights: Weights,
    proof: Bundle,
    dataset: Used,
    data: Annotated[str, option("DATA", f"Its records. {DATA}")],
    srs: _Srs,
    circuit: Trained = None,
    initial: Initial = None,
    min_security_bits: Annotated[
        int | None, option("BITS", "Refuse set-ups that give fewer.")
    ] = None,
    unchecked_srs: _Unchecked = False,
    insecure_srs: Annotated[
        bool, flag("--insecure-srs", "Take an SRS for tests, which proves nothing.")
    ] = False,
    memory: Memory = None,
    as_json: Json = False,
) -> None:
    """Check a weight file against a proof. Exit: 0 accepted, 1 rejected, 2 not judged."""
    asked = {name: value for name, value in locals().items() if name != "as_json"}
    with judged("verify", weights, proof, as_json):
        from ...ezkl import verify as verb
        from . import view

        with notices():
            verdict = working(verb, {**asked, "memory": _size(memory)}, transient=True)
        show = partial(view.accepted, weights=str(weights))
        answer(as_json, verdict, view.verdict_fields, show)


@ezkl.command()
def inspect(
    proof: Annotated[Path, argument("proof.zkt", "A bundle made by ezkl.")], as_json: Json = False
) -> None:
    """Show what a bundle claims, and its sizes. Verifies nothing."""
    with guarded(as_json, interrupted="nothing was changed"):
        from ...ezkl import inspect as verb
        from . import view

        answer(as_json, verb(proof), view.inspection_fields, view.inspected)


@ezkl.command()
def bench(
    recipe: Recipe,
    data: Data,
    srs: _Srs,
    out: Annotated[Path, option("FOLDER", "Result and figure; kept between calls.")] = Path(
        "bench"
    ),
    scale: Annotated[int | None, option("BITS", "Fractional bits of ezkl's fixed point.")] = None,
    as_json: Json = False,
) -> None:
    """Measure both backends on a recipe."""
    with guarded(as_json, interrupted="this recipe was not measured"):
        from ..._bench import command_line
        from ...ezkl.against import against
        from ...ezkl.against_report import markdown

        command = command_line(sys.argv[1:])
        with notices(), bars() as drawn:
            progress = drawn if sys.stderr.isatty() else lines
            result = against(
                recipe, data, srs, out=out, scale=scale, command=command, progress=progress
            )
        if as_json:
            print_json(result)
        else:
            print(markdown(result))
            print("* computed from what one step takes")


def _size(memory: str | None) -> int | None:
    from ...machine import parse_size

    return None if memory is None else parse_size(memory)
