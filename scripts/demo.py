"""Train a network on real data, prove it, verify it, and see a forged weight file refused.

    python scripts/demo.py [FOLDER]

Runs the commands that a user runs and shows each. Everything it writes goes to FOLDER, by default
runs/demo, which is emptied first.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from zktrain import tensor_file
from zktrain.training import weight_file

ROOT = Path(os.path.relpath(Path(__file__).resolve().parent.parent))
RECIPE = ROOT / "circuits" / "digits-mlp-64.toml"
MARKER, PUBLIC, CIRCUIT, PROOF = ".zktrain-demo", "digits.zkd", "circuit.json", "proof.zkt"

console = Console(highlight=False, soft_wrap=True)


def show(title: str, arguments: list[str]) -> None:
    console.print(f"\n[bold]{title}[/]")
    console.print(f"$ zktrain {shlex.join(arguments)}", style="dim", markup=False)


def zktrain(title: str, *arguments: str) -> dict[str, Any]:
    """Run a command that must succeed; its JSON object."""
    show(title, list(arguments))
    command = [sys.executable, "-m", "zktrain", *arguments, "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"the command failed with exit code {done.returncode}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def verify(title: str, weights: Path, folder: Path, expected: int) -> float:
    """Run ``zktrain verify`` for people, as its own process; the seconds it took."""
    arguments = ["verify", str(weights), "--proof", str(folder / PROOF)]
    arguments += ["--dataset", str(folder / PUBLIC), "--circuit", str(folder / CIRCUIT)]
    show(title, arguments)
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "zktrain", *arguments], check=False)
    seconds = time.perf_counter() - started
    console.print(f"[dim]exit code {done.returncode}, {seconds:.1f} s as a process[/]")
    if done.returncode != expected:
        sys.exit(f"expected exit code {expected}")
    return seconds


def forge(genuine: Path, forged: Path) -> str:
    """Copy a weight file and change one weight by one unit; says which."""
    with tensor_file.opened(genuine) as file:
        weights = {name: file.floats(name) for name in file.entries}
    name = sorted(weights)[-1]
    cell = weights[name].reshape(-1)
    before = float(cell[0])
    cell[0] += np.ldexp(1.0, -32)
    forged.write_bytes(weight_file.encoded(weights, file.metadata))
    return f"{name}[0]: {before!r} -> {float(cell[0])!r}"


def emptied(folder: Path) -> Path:
    """``folder``, empty; refuses one that this script has not made."""
    if folder.exists() and any(folder.iterdir()) and not (folder / MARKER).is_file():
        sys.exit(f"{folder} holds something else; name another folder")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / MARKER).touch()
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path("runs/demo"))
    folder = emptied(parser.parse_args().folder)
    run, public = folder / "run", folder / PUBLIC
    started = time.perf_counter()
    console.print(
        "The first run on a machine compiles the prover's kernels, about a minute in all; "
        "later runs\nfind them in a cache."
    )

    committed = zktrain(
        "1. Commit to the dataset: 1,500 handwritten digits",
        *("commit", "digits", "--out", str(public)),
    )
    console.print(f"root {committed['root']}")

    compiled = zktrain(
        "2. Compile the recipe: what training means, in one canonical text",
        *("compile", str(RECIPE), "--out", str(folder / CIRCUIT)),
    )
    console.print(f"circuit {compiled['circuit_id']}")

    trained = zktrain(
        "3. Train in exact integers, and in float32 for comparison",
        *("train", str(RECIPE), "--data", "digits", "--out", str(run)),
        *("--dataset", str(public), "--compare-float"),
    )
    console.print(
        f"{trained['steps']} steps, held-out accuracy {trained['test_accuracy']:.2%} "
        f"(float32: {trained['float_test_accuracy']:.2%})"
    )

    proved = zktrain("4. Prove", "prove", str(run), "--out", str(folder / PROOF))
    console.print(f"{proved['proof_bytes'] / 1000:.0f} kB in {proved['seconds']:.1f} s")

    genuine = Path(trained["weights"])
    seconds = verify("5. Verify: needs neither the data nor the prover", genuine, folder, 0)

    forged = folder / "forged.safetensors"
    change = forge(genuine, forged)
    verify("6. Verify a forged file: one weight changed by one unit, 2^-32", forged, folder, 1)
    console.print(f"[dim]{change}[/]")

    summary(trained, proved, seconds, time.perf_counter() - started)


def summary(trained: dict[str, Any], proved: dict[str, Any], seconds: float, total: float) -> None:
    table = Table(title="\nWhat happened", title_justify="left", show_header=False)
    rows = {
        "accuracy, integers / float32": (
            f"{trained['test_accuracy']:.2%} / {trained['float_test_accuracy']:.2%}"
        ),
        "training, integers / float32": (
            f"{trained['seconds']:.2f} s / {trained['float_seconds']:.2f} s"
        ),
        "proving": f"{proved['seconds']:.1f} s, {proved['peak_rss_bytes'] / 1e9:.2f} GB",
        "proof": f"{proved['proof_bytes'] / 1000:.0f} kB",
        "verifying, as a process": f"{seconds:.1f} s",
        "genuine weights": "[green]accepted[/]",
        "one weight off by 2^-32": "[green]refused[/]",
        "the whole demo": f"{total:.0f} s",
    }
    for name, value in rows.items():
        table.add_row(name, value)
    console.print(table)


if __name__ == "__main__":
    main()
