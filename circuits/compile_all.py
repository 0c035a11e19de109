"""Compile every recipe of this folder.

python circuits/compile_all.py            write NAME.circuit.json beside each NAME.toml
python circuits/compile_all.py --check    compare instead; exit 1 and name what differs
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from zktrain.circuit.compile import compile_recipe, compile_to_file

FOLDER = Path(__file__).resolve().parent


def target(recipe: Path) -> Path:
    """``NAME.circuit.json`` beside ``NAME.toml``."""
    return recipe.with_suffix(".circuit.json")


def differing(folder: Path) -> list[str]:
    """Names of the circuits in ``folder`` that are missing, stale, or have no recipe."""
    recipes = sorted(folder.glob("*.toml"))
    orphans = set(folder.glob("*.circuit.json")) - {target(recipe) for recipe in recipes}
    stale = [
        target(recipe).name
        for recipe in recipes
        if not target(recipe).is_file()
        or target(recipe).read_bytes() != compile_recipe(recipe).circuit.canonical_json()
    ]
    return sorted(stale + [orphan.name for orphan in orphans])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--check", action="store_true", help="compare with the files, write nothing"
    )
    if parser.parse_args().check:
        names = differing(FOLDER)
        for name in names:
            print(f"{name} is not what its recipe compiles to", file=sys.stderr)
        return 2 if names else 0
    for recipe in sorted(FOLDER.glob("*.toml")):
        circuit = compile_to_file(recipe, target(recipe)).circuit
        print(f"{target(recipe).name} {circuit.id}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
