"""Measure whole recipes, command by command, as a user runs them.

    python benchmarks/recipes.py --out benchmarks/results/recipes.json RECIPE.toml=DATA ...
    python benchmarks/recipes.py --out benchmarks/results/recipes.json --table

Each recipe is committed to, trained in integers and in float32, proved and verified by ``zktrain``
as processes of their own. Results are added to the file, one for each recipe; ``--table`` prints
them for the README. ``--keep FOLDER`` keeps the runs.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from commands import run

from zktrain import machine

FORMAT = "zktrain-recipes-1"


def measure(recipe: Path, data: str, folder: Path) -> dict[str, Any]:
    """One recipe from commitment to verdict."""
    circuit = run("compile", recipe, "--out", folder / "circuit.json").printed
    dataset = folder / "dataset.zkd"
    commit = run("commit", data, "--out", dataset)
    train = run("train", recipe, "--data", data, "--dataset", dataset,
                "--out", folder / "run", "--compare-float")  # fmt: skip
    trained = train.printed
    prove = run("prove", folder / "run", "--out", folder / "proof.zkt")
    weights = folder / "run" / "weights.safetensors"
    arguments = (weights, "--proof", folder / "proof.zkt", "--dataset", dataset,
                 "--circuit", folder / "circuit.json")  # fmt: skip
    verdicts = [run("verify", *arguments) for _ in range(3)]
    return {
        "recipe": recipe.name,
        "data": Path(data).name,
        "parameters": circuit["parameters"],
        "cells_per_step": circuit["cells_per_step"],
        "lookups_per_step": circuit["lookups_per_step"],
        "steps": trained["steps"],
        "float_seconds": trained["float_seconds"],
        "train_seconds": trained["seconds"],
        "test_accuracy": trained["test_accuracy"],
        "float_test_accuracy": trained["float_test_accuracy"],
        "commit_process_seconds": commit.seconds,
        "train_process_seconds": train.seconds,
        "prove_process_seconds": prove.seconds,
        "prove": {name: value for name, value in prove.printed.items() if name != "path"},
        "verify_process_seconds": min(verdict.seconds for verdict in verdicts),
        "verify_seconds": min(verdict.printed["seconds"] for verdict in verdicts),
        "bits": verdicts[0].printed["security_bits"],
        "peak_bytes": {
            "commit": commit.peak_bytes,
            "train": train.peak_bytes,
            "prove": prove.peak_bytes,
            "verify": verdicts[0].peak_bytes,
        },
    }


def table(results: dict[str, Any]) -> str:
    """Markdown, one recipe a row."""
    head = ("recipe", "parameters", "steps", "float32", "integers", "accuracy, integers / float32",
            "prove", "per step", "memory", "bundle", "verify")  # fmt: skip
    rows = [head, ("---",) * len(head)]
    for name, entry in sorted(results["recipes"].items()):
        accuracy = "-"
        if entry["test_accuracy"] is not None:
            found = (entry["test_accuracy"], entry["float_test_accuracy"])
            accuracy = " / ".join(f"{100 * value:.2f}%" for value in found)
        seconds = entry["prove"]["seconds"]
        rows.append((
            name, f"{entry['parameters']:,}", str(entry["steps"]),
            f"{entry['float_seconds']:.2f} s", f"{entry['train_seconds']:.2f} s", accuracy,
            f"{seconds:.0f} s", f"{seconds / entry['steps']:.2f} s",
            f"{entry['prove']['peak_rss_bytes'] / 1e9:.2f} GB",
            f"{entry['prove']['proof_bytes'] / 1e6:.2f} MB", f"{entry['verify_seconds']:.2f} s",
        ))  # fmt: skip
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="*", metavar="RECIPE.toml=DATA")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--keep", type=Path, help="a folder for the runs")
    parser.add_argument("--table", action="store_true", help="print the README's table")
    options = parser.parse_args()
    results: dict[str, Any] = {"format": FORMAT, "recipes": {}}
    if options.out.exists():
        results = json.loads(options.out.read_text())
    for text in options.runs:
        recipe, _, data = text.partition("=")
        with tempfile.TemporaryDirectory() as temporary:
            folder = (options.keep or Path(temporary)) / Path(recipe).stem
            folder.mkdir(parents=True, exist_ok=True)
            found = {**measure(Path(recipe), data, folder), "machine": machine.describe()}
        results["recipes"][Path(recipe).stem] = found
        options.out.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")
        print(f"{recipe}: prove {found['prove']['seconds']:.1f} s", file=sys.stderr)
    if options.table:
        print(table(results))


if __name__ == "__main__":
    main()
