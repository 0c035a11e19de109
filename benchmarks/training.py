"""Training in integers beside float32, in processor time: steps alone, in turns.

    python benchmarks/training.py [--circuits fashion-lenet5 ...] [--steps 32] [--turns 5]
        [--data FOLDER] [--json RESULT.json]

Each turn trains once in float32 and once in integers, on one thread; the processor time of the
quickest turn of each is kept, so that other work on the machine counts little.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from zktrain import machine
from zktrain.circuit.circuit import Circuit
from zktrain.circuit.initial import seeded_weights
from zktrain.dataset.readers import read_dataset
from zktrain.training import trainer

FOLDER = Path(__file__).resolve().parents[1]
CIRCUITS = ("fashion-lenet5", "fashion-mlp-128", "fashion-mlp-128-momentum")
DATA = "/usr/share/datasets/fashion-mnist"


def processor_seconds(work: Callable[[], object]) -> float:
    """Of this process, user and system together."""
    before = time.process_time()
    work()
    return time.process_time() - before


def measured(name: str, data: str, steps: int, turns: int) -> dict[str, Any]:
    """Milliseconds of processor time per step."""
    stated = Circuit.from_json((FOLDER / "circuits" / f"{name}.circuit.json").read_bytes())
    circuit = replace(stated, steps=steps)
    records, start = read_dataset(data), seeded_weights(circuit)
    kinds: dict[str, Callable[[], object]] = {
        "float32": lambda: trainer.train_float32(circuit, records, start),
        "integers": lambda: trainer.train(circuit, records, start),
    }
    best = dict.fromkeys(kinds, float("inf"))
    for work in kinds.values():
        work()  # kernels are chosen and caches filled
    for _ in range(turns):
        for kind, work in kinds.items():
            best[kind] = min(best[kind], processor_seconds(work))
    ratio = best["integers"] / best["float32"]
    milliseconds = {kind: round(1e3 * seconds / steps, 3) for kind, seconds in best.items()}
    return {"circuit": name, "steps": steps, **milliseconds, "ratio": round(ratio, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--circuits", nargs="+", default=CIRCUITS)
    parser.add_argument("--steps", type=int, default=32)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--data", default=DATA)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for name in asked.circuits:
        rows.append(measured(name, asked.data, asked.steps, asked.turns))
        print(
            "{circuit:26} float32 {float32:8.3f} ms  integers {integers:8.3f} ms  "
            "ratio {ratio:.2f}".format(**rows[-1]),
            flush=True,
        )
    if asked.json is not None:
        report = {"machine": machine.describe(), "torch": torch.__version__, "rows": rows}
        asked.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
