"""Commit, train, prove and verify a recipe on Fashion-MNIST, and write what it cost.

    python benchmarks/fashion_mnist.py [--recipe circuits/fashion-mlp-128.toml] [--out FILE.json]
    python benchmarks/fashion_mnist.py --no-zk
    python benchmarks/fashion_mnist.py --smoke

``--no-zk`` commits in public and proves in clear, to compare. ``--smoke`` runs a few steps on the
digits instead, to see that everything works. Proving and verifying run as commands of their own;
kernels are compiled before anything is measured.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import measuring

import zktrain
from zktrain.cli import wording

SMOKE_STEPS = 16


def measure(recipe: Path, data: str, folder: Path, *, hiding: bool) -> dict[str, Any]:
    """The whole pipeline in ``folder``."""
    public, run = folder / "dataset.zkd", folder / "run"
    openly = [] if hiding else ["--public"]
    committed, _ = measuring.zktrain("commit", data, "--out", public, *openly)
    print("training", recipe.name, file=sys.stderr, flush=True)
    trained = zktrain.train(recipe, data=data, out=run, compare_float=True, dataset=public)
    proved, prove_seconds = measuring.zktrain("prove", run)
    verified, verify_seconds = measuring.zktrain(
        *("verify", trained.weights, "--proof", proved["path"], "--dataset", public)
    )
    circuit = zktrain.compile(recipe).circuit
    statement = verified["statement"]
    return {
        "recipe": recipe.stem,
        "parameters": {
            "network": wording.network(circuit),
            "weights": circuit.parameters,
            "loss": circuit.loss,
            "learning_rate": circuit.effective_learning_rate,
            "batch_size": circuit.batch_size,
            "steps": circuit.steps,
            "segments": proved["segments"],
            "segment_steps": statement["segment_steps"],
            "cells_per_step": circuit.cells_per_step,
            "lookups_per_step": circuit.lookups_per_step,
            "no_wrap_bound_bits": circuit.no_wrap_bound_bits,
            "dataset": Path(data).name,
            "records": committed["records"],
        },
        "soundness_bits": verified["security_bits"],
        "zero_knowledge": verified["zero_knowledge"],
        "commit_dataset": {"seconds": committed["seconds"]},
        "train": {
            "seconds": trained.seconds,
            "float_seconds": trained.float_seconds,
            "test_accuracy": trained.test_accuracy,
            "float_test_accuracy": trained.float_test_accuracy,
            "losses": _rounded(trained.losses),
            "float_losses": _rounded(trained.float_losses),
        },
        "prove": {
            "seconds": proved["seconds"],
            "process_seconds": prove_seconds,
            "stages": proved["stages"],
            "proof_bytes": proved["proof_bytes"],
            "peak_rss_bytes": proved["peak_rss_bytes"],
        },
        "verify": {"seconds": verified["seconds"], "process_seconds": verify_seconds},
    }


def _rounded(losses: tuple[tuple[int, float], ...]) -> list[list[float]]:
    return [[step, round(loss, 5)] for step, loss in losses]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = measuring.ROOT / "circuits" / "fashion-mlp-128.toml"
    parser.add_argument("--recipe", type=Path, default=default)
    parser.add_argument("--data", default=str(measuring.FASHION_MNIST))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--no-zk", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.smoke:
            digits = measuring.ROOT / "circuits" / "digits-mlp-64.toml"
            recipe, data = measuring.variant(digits, folder, steps=SMOKE_STEPS), "digits"
        else:
            recipe, data = options.recipe, options.data
            measuring.warm_up(folder)
        if options.no_zk:
            recipe = measuring.variant(recipe, folder, zero_knowledge="false")
        measured = measure(recipe, data, folder, hiding=not options.no_zk)
        result = {**measuring.header("pipeline"), **measured}
    if options.out is None and options.smoke:
        print("nothing is written without --out", file=sys.stderr)
    else:
        name = recipe.stem + ("-no-zk" if options.no_zk else "")
        measuring.write(result, options.out or measuring.RESULTS / f"{name}.json")


if __name__ == "__main__":
    main()
