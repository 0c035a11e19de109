"""Proving time per step of 784-H-H-10 on Fashion-MNIST, against the width H.

    python benchmarks/width.py [--widths 128 256 512 1024] [--out FILE.json] [--figure FILE.png]

One segment of 64 steps, batches of 64, the first 4,096 records. The weights between the hidden
layers are H x H: a prover that did weight-sized work in every step would take four times as long
for twice the width, this one takes about twice as long. ``--hidden 1`` measures 784-H-10, where
even the weights only double. ``--smoke`` runs two small widths and writes nothing unless told
where.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import measuring
import numpy as np

import zktrain
from zktrain.dataset.readers import read_dataset

STEPS, RECORDS, REPEATS = 64, 4096, 2
PER_STEP = ("witness", "commit", "lookups", "relations", "opening")
"""Stages that grow with the number of steps; the others are paid once per run."""


def onnx_file(widths: tuple[int, ...], folder: Path) -> Path:
    """A perceptron, exported as the networks of ``models/`` are."""
    sys.path.insert(0, str(measuring.ROOT / "models"))
    from export import export

    path = folder / f"mlp-{'-'.join(map(str, widths))}.onnx"
    path.write_bytes(export(widths, with_weights=False))
    return path


def measure(width: int, hidden: int, steps: int, data: Path, folder: Path) -> dict[str, Any]:
    """The fastest of some proofs of one width."""
    base = measuring.ROOT / "circuits" / "fashion-mlp-128.toml"
    onnx = onnx_file((784, *[width] * hidden, 10), folder)
    recipe = measuring.variant(base, folder, onnx=onnx, steps=steps, segment_steps=steps)
    circuit = zktrain.compile(recipe).circuit
    best: dict[str, Any] | None = None
    for attempt in range(REPEATS):
        run = folder / f"run-{width}-{attempt}"
        trained = zktrain.train(recipe, data=data, out=run)
        proved = zktrain.prove(run)
        stages = proved.stages
        row = {
            "width": width,
            "parameters": circuit.parameters,
            "cells_per_step": circuit.cells_per_step,
            "lookups_per_step": circuit.lookups_per_step,
            "prove_seconds_per_step": sum(stages.get(s, 0.0) for s in PER_STEP) / steps,
            "train_seconds_per_step": trained.seconds / steps,
            "stages": stages,
            "proof_bytes": proved.proof_bytes,
        }
        if best is None or row["prove_seconds_per_step"] < best["prove_seconds_per_step"]:
            best = row
    assert best is not None
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--widths", type=int, nargs="+", default=[128, 256, 512, 1024])
    parser.add_argument("--hidden", type=int, default=2, help="number of hidden layers")
    parser.add_argument("--steps", type=int, default=STEPS, help="a power of two")
    parser.add_argument("--data", default=str(measuring.FASHION_MNIST))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--smoke", action="store_true")
    options = parser.parse_args()
    if options.smoke:
        options.widths, options.steps = [16, 32], 4
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = folder / "records.npz"
        records = read_dataset(options.data)
        inputs, labels = records.inputs[:RECORDS], records.labels[:RECORDS]
        np.savez(data, inputs=inputs, labels=labels, classes=records.classes)
        measuring.warm_up(folder)
        for width in options.widths:
            rows.append(measure(width, options.hidden, options.steps, data, folder))
            print(f"{width}: {rows[-1]['prove_seconds_per_step'] * 1e3:.2f} ms per step")
    result = {
        **measuring.header("width"),
        "parameters": {
            "network": f"784{'-H' * options.hidden}-10",
            "batch_size": 64,
            "steps": options.steps,
        },
        "rows": rows,
    }
    out = options.out or (None if options.smoke else measuring.RESULTS / "width.json")
    if out is not None:
        measuring.write(result, out)
    if options.figure is not None:
        import plot

        plot.draw(result, options.figure)


if __name__ == "__main__":
    main()
