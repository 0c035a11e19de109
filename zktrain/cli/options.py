"""Options and arguments: those that several commands have, and short forms of the others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

DATA = "An .npz file, a folder of IDX files, or the name digits."


def argument(metavar: str, text: str) -> Any:
    """A word without a name."""
    return typer.Argument(metavar=metavar, help=text)


def option(metavar: str, text: str) -> Any:
    """``--name METAVAR``, named after the parameter; an empty ``metavar`` is that of its type."""
    return typer.Option(metavar=metavar or None, help=text)


def flag(name: str, text: str) -> Any:
    """A name without a value."""
    return typer.Option(name, help=text)


Json = Annotated[bool, flag("--json", "Print one JSON object on standard output.")]
Recipe = Annotated[Path, argument("RECIPE.toml", "The recipe.")]
Data = Annotated[str, option("DATA", DATA)]
Split = Annotated[str, option("", "train or test, where the data have both.")]
RunFolder = Annotated[Path, argument("RUN/", "A finished run directory.")]
Prover = Annotated[str, option("", "cpu, cuda: the proof is as good.")]
Clear = Annotated[bool, flag("--no-zk", "Hide nothing: a smaller proof, which leaks.")]
Memory = Annotated[str | None, option("8GB", "What it may use; default: 3/4 of what is left.")]

Weights = Annotated[Path, argument("WEIGHTS.safetensors", "The file.")]
Bundle = Annotated[Path, option("proof.zkt", "The proof.")]
Used = Annotated[str, option("ROOT|FILE.zkd", "The dataset that must have been used.")]
Trained = Annotated[
    Path | None, option("X.circuit.json", "The circuit that must have been trained.")
]
Initial = Annotated[Path | None, option("FILE", "First weights, where they are not from a seed.")]
Bits = Annotated[int, option("BITS", "Refuse proofs made for fewer.")]
