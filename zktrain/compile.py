"""The verb ``compile``: from a recipe to its canonical circuit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .circuit.circuit import Circuit
from .extras import require


@dataclass(frozen=True, slots=True)
class CompiledRecipe:
    """A compiled recipe. ``circuit`` states everything that fixes what training means;
    ``path`` is where its canonical text was written, if it was."""

    circuit: Circuit
    path: Path | None

    @property
    def circuit_id(self) -> str:
        """SHA-256 of the canonical text, in hexadecimal digits."""
        return self.circuit.id


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

    if out is None:
        return CompiledRecipe(compile_recipe(recipe).circuit, None)
    return CompiledRecipe(compile_to_file(recipe, out), Path(out))
