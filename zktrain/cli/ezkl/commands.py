"""The commands ``zktrain ezkl ...``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ..bars import bars, lines, notices
from ..judge import judged
from ..outcome import guarded, print_json
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

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]
_Bundle = Annotated[Path, typer.Argument(metavar="proof.zkt", help="A bundle made by ezkl.")]
_Srs = Annotated[Path, typer.Option(metavar="FILE", help="The structured reference string.")]
_Unchecked = Annotated[
    bool, typer.Option("--unchecked-srs", help="Take an SRS that was not checked.")
]
_Memory = Annotated[
    str | None,
    typer.Option(metavar="8GB", help="What it may use; default: what the machine has left."),
]
_DATA = "An .npz file, a folder of IDX files, or the name digits."


@ezkl.command()
def prove(
    run: Annotated[Path, typer.Argument(metavar="RUN/", help="A finished run directory.")],
    srs: _Srs,
    out: Annotated[
        Path | None, typer.Option(metavar="proof.zkt", help="Default: RUN/proof-ezkl.zkt.")
    ] = None,
    scale: Annotated[
        int | None, typer.Option(metavar="BITS", help="Fractional bits of its fixed point.")
    ] = None,
    unchecked_srs: _Unchecked = False,
    memory: _Memory = None,
    as_json: Json = False,
) -> None:
    """Prove every step of a finished run; steps that were proved are kept."""
    kept = f"proved steps are kept in {run}; the same command goes on after the last of them"
    with guarded(as_json, interrupted=kept):
        from ...ezkl import prove as run_prove
        from ...ezkl.parameters import DEFAULT_SCALE
        from ...training.run import Run
        from . import view

        with notices(), bars() as progress:
            result = run_prove(
                run,
                srs=srs,
                out=out,
                scale=DEFAULT_SCALE if scale is None else scale,
                unchecked_srs=unchecked_srs,
                memory=_size(memory),
                progress=progress,
            )
        if as_json:
            print_json(view.proved_fields(result))
        else:
            view.proved(result, Run.open(run).dataset_root)


@ezkl.command()
def verify(
    weights: Annotated[Path, typer.Argument(metavar="WEIGHTS.safetensors", help="The file.")],
    proof: Annotated[Path, typer.Option(metavar="proof.zkt", help="The bundle.")],
    dataset: Annotated[
        str, typer.Option(metavar="ROOT|FILE.zkd", help="The dataset that must have been used.")
    ],
    data: Annotated[str, typer.Option(metavar="DATA", help=f"Its records. {_DATA}")],
    srs: _Srs,
    circuit: Annotated[
        Path | None,
        typer.Option(metavar="X.circuit.json", help="The circuit that must have been trained."),
    ] = None,
    initial: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="First weights, where they are not from a seed."),
    ] = None,
    min_security_bits: Annotated[
        int | None, typer.Option(metavar="BITS", help="Refuse set-ups that give fewer.")
    ] = None,
    unchecked_srs: _Unchecked = False,
    insecure_srs: Annotated[
        bool, typer.Option("--insecure-srs", help="Take an SRS for tests, which proves nothing.")
    ] = False,
    memory: _Memory = None,
    as_json: Json = False,
) -> None:
    """Check a weight file against a proof. Exit: 0 accepted, 1 rejected, 2 not judged."""
    with judged(weights, proof, as_json):
        from ...ezkl import verify as run_verify
        from . import view

        with notices(), bars(transient=True) as progress:
            verdict = run_verify(
                weights,
                proof=proof,
                dataset=dataset,
                data=data,
                srs=srs,
                circuit=circuit,
                initial=initial,
                unchecked_srs=unchecked_srs,
                insecure_srs=insecure_srs,
                min_security_bits=min_security_bits,
                memory=_size(memory),
                progress=progress,
            )
        if as_json:
            print_json(view.verdict_fields(verdict))
        else:
            view.accepted(verdict, str(weights))


@ezkl.command()
def inspect(proof: _Bundle, as_json: Json = False) -> None:
    """Show what a bundle claims, and its sizes. Verifies nothing."""
    with guarded(as_json, interrupted="nothing was changed"):
        from ...ezkl import inspect as run_inspect
        from . import view

        found = run_inspect(proof)
        if as_json:
            print_json(view.inspection_fields(found))
        else:
            view.inspected(found)


@ezkl.command()
def bench(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE.toml", help="The recipe.")],
    data: Annotated[str, typer.Option(metavar="DATA", help=_DATA)],
    srs: _Srs,
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Result and figure; kept between calls.")
    ] = Path("bench"),
    scale: Annotated[
        int | None, typer.Option(metavar="BITS", help="Fractional bits of ezkl's fixed point.")
    ] = None,
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
