"""``prove --backend ezkl``, ``verify`` of what it made, and ``bench --against ezkl``."""

from __future__ import annotations

import sys
from pathlib import Path

from ..errors import InputError
from .bars import bars, lines, notices
from .judge import judged
from .outcome import guarded, print_json

BACKENDS = ("native", "ezkl")


def prove(
    run: Path,
    *,
    refused: list[str],
    srs: Path | None,
    out: Path | None,
    scale: int | None,
    unchecked_srs: bool,
    memory: str | None,
    as_json: bool,
) -> None:
    """Prove with ezkl and print what was made; ``refused`` are options that do not go with it."""
    kept = f"proved steps are kept in {run}; the same command goes on after the last of them"
    with guarded(as_json, interrupted=kept):
        from ..ezkl.parameters import DEFAULT_SCALE
        from ..ezkl.prove import prove_ezkl
        from ..machine import parse_size
        from ..training.run import Run
        from . import ezkl_view

        if refused:
            raise InputError(f"{' and '.join(refused)} cannot be used with --backend ezkl")
        if srs is None:
            raise InputError(
                "--backend ezkl needs a structured reference string: give --srs FILE, for tests "
                "one of zktrain srs generate"
            )
        with notices(), bars() as progress:
            result = prove_ezkl(
                run,
                srs=srs,
                out=out,
                scale=DEFAULT_SCALE if scale is None else scale,
                unchecked_srs=unchecked_srs,
                memory=None if memory is None else parse_size(memory),
                progress=progress,
            )
        if as_json:
            print_json(ezkl_view.proved_fields(result))
        else:
            ezkl_view.proved(result, Run.open(run).dataset_root)


def judge_ezkl(
    weights: Path,
    *,
    proof: Path,
    dataset: str,
    data: str | None,
    srs: Path | None,
    unchecked_srs: bool,
    insecure_srs: bool,
    circuit: Path | None,
    initial: Path | None,
    certificate: Path | None,
    min_security_bits: int | None,
    as_json: bool,
) -> None:
    """Print the verdict; leaves with exit code 1 when it is no, 2 when there is none."""
    with judged(weights, proof, as_json):
        from ..ezkl.verify import verify_ezkl
        from . import ezkl_view

        if certificate is not None:
            raise InputError("a proof by ezkl is verified with the data: leave --certificate out")
        if data is None or srs is None:
            raise InputError(
                "this is a proof by ezkl: verifying it takes the records (--data DATA) and the "
                "structured reference string (--srs FILE) as well"
            )
        with notices(), bars(transient=True) as progress:
            verdict = verify_ezkl(
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
                progress=progress,
            )
        if as_json:
            print_json(ezkl_view.verdict_fields(verdict))
        else:
            ezkl_view.accepted(verdict, str(weights))


def bench_against(
    against: str | None,
    recipe: Path | None,
    data: str | None,
    srs: Path | None,
    out: Path,
    as_json: bool,
) -> None:
    """Measure both backends on a recipe and print the table."""
    with guarded(as_json, interrupted="this recipe was not measured"):
        from .._bench import against_ezkl, command_line

        if against != "ezkl" or recipe is None or data is None or srs is None:
            raise InputError(
                "comparing takes --against ezkl, --recipe RECIPE.toml, --dataset DATA and "
                "--srs FILE"
            )
        command = command_line(sys.argv[1:])
        with notices(), bars() as drawn:
            progress = drawn if sys.stderr.isatty() else lines
            result = against_ezkl(recipe, data, srs, out=out, command=command, progress=progress)
        if as_json:
            print_json(result)
        else:
            from ..benchmarking.against_report import markdown

            print(markdown(result))
            print("* computed from what one step takes")
