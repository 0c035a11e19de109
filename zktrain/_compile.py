"""The verb ``compile``: from a recipe to its canonical circuit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .checked import checked
from .circuit.circuit import Circuit
from .errors import InputError
from .extras import require

if TYPE_CHECKING:
    from .circuit.compile import Compiled
    from .cost.estimate import Estimate
    from .dataset.commitment import DatasetHeader
    from .protocol.statement import Statement

NO_DIGEST = "00" * 32
"""Of weights that are not known yet."""


@dataclass(frozen=True, slots=True)
class CompiledRecipe:
    """A compiled recipe. ``circuit`` states everything that fixes what training means;
    ``path`` is where its canonical text was written, if it was. ``changes`` says what is trained
    otherwise than recipe and network file say; ``warnings`` are those that may matter."""

    circuit: Circuit
    path: Path | None
    changes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def circuit_id(self) -> str:
        """SHA-256 of the canonical text, in hexadecimal digits."""
        return self.circuit.id


@checked
def compile(recipe: str | Path, *, out: str | Path | None = None) -> CompiledRecipe:
    """Compile the recipe with its ONNX graph to a circuit.

    Parameters
    ----------
    recipe
        The TOML file.
    out
        Where to write the canonical text of the circuit, whole or not at all.

    Raises
    ------
    InputError
        A file cannot be read or written.
    RecipeError
        The recipe cannot be trained or proved; names key or node, reason and remedy.
    """
    require("prove", "compiling", "onnx")
    from .circuit.compile import compile_recipe, compile_to_file

    found = compile_recipe(recipe) if out is None else compile_to_file(recipe, out)
    path = None if out is None else Path(out)
    return CompiledRecipe(found.circuit, path, found.changes, found.warnings)


@checked
def estimate(
    recipe: str | Path, *, dataset: str | Path | None = None, records: int | None = None
) -> Estimate:
    """Predict seconds, memory and bytes of the recipe's proof, with this machine's calibration.

    Parameters
    ----------
    recipe
        The TOML file.
    dataset
        The public file of the dataset's commitment, whose certificate then need not be made again.
    records
        Instead of it, how many records will be committed, in the way that the recipe's proof needs.

    Raises
    ------
    InputError
        A file cannot be read, or neither dataset nor records are given.
    RecipeError
        The recipe cannot be trained or proved.
    """
    require("prove", "compiling", "onnx")
    from .circuit.compile import compile_recipe
    from .cost.estimate import estimate as price
    from .cost.estimate import header_to_be
    from .dataset.public_file import read_public
    from .prover.protocol.bundle import require_provable

    compiled = compile_recipe(recipe)
    circuit = compiled.circuit
    if dataset is not None:
        header, _ = read_public(Path(dataset))
    elif records is not None and records > 0:
        hiding = compiled.recipe.proof.zero_knowledge
        header = header_to_be(records, circuit.features, circuit.classes, hiding=hiding)
    else:
        raise InputError(
            "an estimate depends on the dataset's size: give --dataset FILE.zkd or --records N"
        )
    statement = statement_to_be(compiled, header)
    require_provable(statement)
    return price(statement, certified=dataset is not None)


def statement_to_be(
    compiled: Compiled,
    header: DatasetHeader,
    initial: str = NO_DIGEST,
    final: str = NO_DIGEST,
    kept: Mapping[int, str] | None = None,
) -> Statement:
    """What a proof of the recipe on a dataset states; digests of weights, those of checkpoints by
    their steps, are not known before."""
    from .protocol.statement import Statement
    from .protocol.tasks import Checkpoint, Training

    options = compiled.recipe.proof
    if kept is None:
        kept = dict.fromkeys(compiled.recipe.checkpoint_steps(header.records), NO_DIGEST)
    checkpoints = tuple(Checkpoint(step, digest) for step, digest in kept.items())
    task = Training(compiled.circuit, initial, final, checkpoints)
    return Statement(task, header, options.security_bits, options.zero_knowledge)
