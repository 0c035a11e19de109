"""Logistic regression on 2^28 inputs, measured: commit, train, prove, verify.

    python benchmarks/logistic_data.py DATA
    python benchmarks/logistic.py DATA OUT [--records 65536] [--json RESULT.json]

Trains ``circuits/logistic-1024.toml`` for one pass over DATA and runs the four commands one after
the other, each in a process of its own, whose time (loading included) and largest memory are taken
from the operating system. ``--records`` measures a smaller set, made anew in OUT, with as many
fewer steps. Kernels have to be compiled before: the first run on a machine is slower.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
from pathlib import Path
from typing import Any

from commands import run
from logistic_data import make

from zktrain import machine

FOLDER = Path(__file__).resolve().parents[1]
RECIPE = FOLDER / "circuits" / "logistic-1024.toml"
BATCH, RECORDS = 4096, 1 << 18
KEPT = {
    "commit": ("records", "features", "classes", "openings"),
    "train": ("seconds", "test_accuracy", "float_seconds", "float_test_accuracy"),
    "prove": ("seconds", "stages", "zero_knowledge"),
    "verify": ("accepted", "seconds", "security_bits", "zero_knowledge"),
}
"""What is kept of the figures that a command prints."""
SOURCE = Path("/usr/share/datasets/fashion-mnist")


def recipe_for(records: int, out: Path) -> Path:
    """The recipe with one pass over so many records."""
    text = RECIPE.read_text()
    changes = {
        "steps = 64": f"steps = {records // BATCH}",
        "../models/mlp-1024-2.onnx": str(FOLDER / "models" / "mlp-1024-2.onnx"),
    }
    for before, after in changes.items():
        if before not in text:
            raise SystemExit(f"{RECIPE} has no {before!r}; change {Path(__file__).name} with it")
        text = text.replace(before, after)
    path = out / "recipe.toml"
    path.write_text(text)
    return path


def measured(verb: str, *arguments: str | Path) -> dict[str, Any]:
    """One command: its time and memory, and figures that it prints."""
    found = run(verb, *arguments)
    return {
        "seconds": found.seconds,
        "cpu_seconds": found.cpu_seconds,
        "peak_bytes": found.peak_bytes,
        "printed": kept(verb, found.printed),
    }


def kept(verb: str, printed: dict[str, Any]) -> dict[str, Any]:
    """Figures without paths."""
    return {name: printed[name] for name in KEPT[verb] if printed[name] is not None}


def measure(data: Path, out: Path, records: int) -> dict[str, Any]:
    """All four commands; ``total_seconds`` is that of the first three."""
    recipe = recipe_for(records, out)
    public, trained = out / "dataset.zkd", out / "run"
    found = {"commit": measured("commit", data, "--out", public)}
    found["train"] = measured(
        "train", recipe, "--data", data, "--out", trained, "--dataset", public
    )
    found["prove"] = measured("prove", trained)
    weights, bundle = trained / "weights.safetensors", trained / "proof.zkt"
    found["verify"] = measured("verify", weights, "--proof", bundle, "--dataset", public)
    total = sum(found[verb]["seconds"] for verb in ("commit", "train", "prove"))
    return {"total_seconds": round(total, 2), "proof_bytes": bundle.stat().st_size, **found}


def compare(data: Path, out: Path, records: int) -> dict[str, Any]:
    """Held-out accuracy of both trainings, and the last losses; not part of the times."""
    recipe = recipe_for(records, out)
    found = run("train", recipe, "--data", data, "--out", out / "compared", "--compare-float")
    return kept("train", found.printed)


def _revision() -> str:
    command = ["git", "-C", str(FOLDER), "rev-parse", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="the folder that logistic_data.py wrote")
    parser.add_argument("out", type=Path, help="a new folder for the run")
    parser.add_argument("--records", type=int, default=RECORDS)
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--compare", action="store_true", help="train in float32 as well")
    options = parser.parse_args()
    options.out.mkdir(parents=True)
    data = options.data
    if options.records != RECORDS:
        data = options.out / "data"
        make(data, SOURCE, options.records, 1 << 14)
    result = {
        "format": "zktrain-logistic-1",
        "command": "python benchmarks/logistic.py DATA OUT",
        "revision": _revision(),
        "machine": machine.describe(),
        "load_average_before": round(os.getloadavg()[0], 2),
        "records": options.records,
        "features": 1024,
        "steps": options.records // BATCH,
        "batch_size": BATCH,
        **measure(data, options.out, options.records),
    }
    result["load_average_after"] = round(os.getloadavg()[0], 2)
    if options.compare:
        result["compared"] = compare(data, options.out, options.records)
    if options.json is not None:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
