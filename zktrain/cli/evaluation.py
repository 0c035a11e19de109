"""The commands ``prove-eval`` and ``verify-eval`` for the parser of all commands."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from . import stopped
from .bars import bars, say_first_use
from .judge_eval import judge_eval
from .outcome import guarded, print_json

_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]
_LESS = "fewer records need less"
_Weights = Annotated[Path, typer.Argument(metavar="WEIGHTS.safetensors", help="The file.")]


def prove_eval(
    weights: _Weights,
    circuit: Annotated[
        Path, typer.Option(metavar="X.circuit.json", help="The network, as compiled.")
    ],
    data: Annotated[
        str,
        typer.Option(
            metavar="DATA", help="An .npz file, a folder of IDX files, or the name digits."
        ),
    ],
    split: Annotated[str, typer.Option(help="train or test, where the data have both.")] = "test",
    dataset: Annotated[
        str | None,
        typer.Option(metavar="FILE.zkd|ROOT", help="An existing commitment to these records."),
    ] = None,
    dataset_out: Annotated[
        Path | None, typer.Option(metavar="FILE.zkd", help="Write a new commitment instead.")
    ] = None,
    like: Annotated[
        Path | None,
        typer.Option(
            metavar="TRAIN.zkd",
            help="Scale inputs as those of the training data; default: as WEIGHTS say.",
        ),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="eval.zkt", help="The proof to write.")] = Path(
        "eval.zkt"
    ),
    device: Annotated[str, typer.Option(help="cpu, cuda: the proof is as good.")] = "cpu",
    no_zk: Annotated[
        bool, typer.Option("--no-zk", help="Hide nothing: a smaller proof, which leaks.")
    ] = False,
    security_bits: Annotated[int, typer.Option(metavar="BITS", help="From 80 to 120.")] = 100,
    as_json: _Json = False,
) -> None:
    """Prove accuracy and confusion matrix of a weight file on a committed dataset."""
    with guarded(
        as_json, interrupted=partial(stopped.prove_eval, out, dataset_out), less_memory=_LESS
    ):
        from ..extras import require

        require("prove", "proving", "numba", "torch")
        from .._prove import prove_eval as run_prove_eval
        from ..memory import keep_freed_memory
        from . import evaluation_view

        say_first_use()
        with bars() as progress:
            keep_freed_memory()
            result = run_prove_eval(
                weights,
                circuit=circuit,
                data=data,
                split=split,
                dataset=dataset,
                dataset_out=dataset_out,
                like=like,
                out=out,
                device=device,
                zero_knowledge=not no_zk,
                security_bits=security_bits,
                progress=progress,
            )
        if as_json:
            print_json(evaluation_view.proved_fields(result))
        else:
            evaluation_view.proved(result, str(weights))


def verify_eval(
    weights: _Weights,
    proof: Annotated[Path, typer.Option(metavar="eval.zkt", help="The proof.")],
    dataset: Annotated[
        str, typer.Option(metavar="ROOT|FILE.zkd", help="The dataset it must be about.")
    ],
    circuit: Annotated[
        Path | None,
        typer.Option(metavar="X.circuit.json", help="The network it must be about."),
    ] = None,
    like: Annotated[
        Path | None,
        typer.Option(metavar="TRAIN.zkd", help="Training data, whose scaling it must have."),
    ] = None,
    certificate: Annotated[
        Path | None,
        typer.Option(metavar="FILE.zkd", help="Its certificate, where --dataset is a root."),
    ] = None,
    min_security_bits: Annotated[
        int, typer.Option(metavar="BITS", help="Refuse proofs made for fewer.")
    ] = 100,
    as_json: _Json = False,
) -> None:
    """Check the accuracy of a weight file against a proof. Exit: 0 accepted, 1 rejected, 2 not
    judged."""
    judge_eval(
        weights,
        proof=proof,
        dataset=dataset,
        circuit=circuit,
        like=like,
        certificate=certificate,
        min_security_bits=min_security_bits,
        as_json=as_json,
    )
