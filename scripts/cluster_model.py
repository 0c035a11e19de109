"""How long a proof takes with many workers: a model, and what it is made of.

    python scripts/cluster_model.py --measure RUN/   what two processes take here, into the JSON
    python scripts/cluster_model.py                  the figure of docs/cluster.md, from the JSON

Measured are one process and two workers on this machine, with two runs or more, in seconds of
processors: they do not depend on what else the machine does. Everything beyond is computed: what
workers have to do, divided among them, plus rounds x latency, plus bytes / bandwidth.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zktrain import machine
from zktrain.commitment.parameters import SCHEME, lane_log_for
from zktrain.field.multilinear import log2_ceil

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "benchmarks" / "results" / "cluster.json"
FIGURE = ROOT / "docs" / "figures" / "cluster.png"
PARTS = 7
"""Parts of positions that are measured: 1, 2, 4, ..."""
LANES, LANE_LOG = 16, 21
"""Of the code word of which they are parts."""
STEP = 1 << 33
"""Cells of a step of the size of Pythia-160M, on about four sequences of 2,048 tokens."""
OUTGOING = 2
"""Copies that a worker sends at once, as docs/cluster.md advises."""


@dataclass(frozen=True)
class Network:
    """Seconds for one round, bytes a second of one machine."""

    name: str
    latency: float
    bandwidth: float


NETWORKS = (
    Network("10 Gbit/s, 0.2 ms", 2e-4, 1.25e9),
    Network("1 Gbit/s, 1 ms", 1e-3, 1.25e8),
)


def measured(run: Path, repeats: int) -> dict[str, Any]:
    """The least of some proofs with one process and with two workers."""
    from zktrain.benchmarking.processes import command
    from zktrain.cost.counts import prover_work
    from zktrain.cost.memory import witness_parts
    from zktrain.protocol.bundle import statement_of

    least: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        proof = Path(folder) / "proof.zkt"
        for _ in range(repeats):
            for name, asked in (("alone", []), ("two_workers", ["--workers", "2"])):
                proof.unlink(missing_ok=True)
                done = command("prove", run, "--out", proof, *asked)
                taken = {"seconds": done.seconds, "cpu_seconds": done.cpu_seconds}
                print(name, taken, done.printed["stages"], file=sys.stderr)
                before = least.setdefault(name, taken)
                least[name] = {key: min(before[key], taken[key]) for key in taken}
        statement = statement_of(proof)
    return {
        "cells": sum(block.used for block in statement.packing.blocks),
        "witness_bytes": sum(witness_parts(statement)),
        "rounds": sum(work.amounts.get("rounds", 0) for work in prover_work(statement)),
        **least,
    }


def parts() -> list[float]:
    """Seconds of a processor per cell for one of 1, 2, 4, ... parts of the positions."""
    import numpy as np

    from zktrain.commitment.packing import pack
    from zktrain.prover.commitment.code import leaves_of
    from zktrain.prover.commitment.commit import TensorLanes

    cells = LANES << LANE_LOG
    packing = pack([("x", log2_ceil(cells), cells)], LANE_LOG)
    lanes = TensorLanes(packing, {"x": np.arange(cells, dtype=np.int16)}, None)
    found = []
    for log_parts in [0, *range(PARTS)]:  # the first one compiles
        started = time.process_time()
        leaves_of(lanes, packing.code_log, 0, log_parts, None, None)
        found.append((time.process_time() - started) / cells)
    return found[1:]


@dataclass(frozen=True)
class Model:
    """Of a proof of ``cells`` that takes what was measured: the largest run, cell by cell, and what
    two workers take in the smallest one but for its cells."""

    found: dict[str, Any]
    cells: float

    def _scaled(self, amount: float) -> float:
        return amount * self.cells / self.found["runs"][-1]["cells"]

    @property
    def run(self) -> dict[str, Any]:
        return self.found["runs"][-1]

    @property
    def shared(self) -> tuple[float, float]:
        """Seconds of one core in the parts: what each worker has to do (read all cells and fold
        them), and what is divided among them."""
        first, *_, last = self.found["part_seconds_per_cell"]
        divided = (first - last) / (1 - 2.0 ** (1 - PARTS))
        return (first - divided) * self.cells, divided * self.cells

    @property
    def work(self) -> float:
        """Seconds of one core for everything."""
        return self._scaled(self.run["alone"]["cpu_seconds"])

    @property
    def start(self) -> float:
        """Seconds until a worker has begun."""
        runs = (self.found["runs"][0], self.run)
        more = [r["two_workers"]["cpu_seconds"] - r["alone"]["cpu_seconds"] for r in runs]
        slope = (more[1] - more[0]) / (runs[1]["cells"] - runs[0]["cells"])
        return max(0.0, more[0] - slope * runs[0]["cells"]) / 2

    def built(self, workers: int, network: Network) -> float:
        """As it is: workers share the commitment, each with the whole witness; the coordinator has
        two cores for all else."""
        if workers == 1:
            return self.work / 2
        each, divided = self.shared
        parts = 1 << (workers - 1).bit_length()
        turns = -(-parts // workers)
        there, hops = 1, 0
        while there < workers:
            there, hops = there * (1 + OUTGOING), hops + 1
        copied = (1 + hops * OUTGOING) * self._scaled(self.run["witness_bytes"])
        positions = 2 << lane_log_for(log2_ceil(round(self.cells)), True, SCHEME.lanes_log)
        back = 48 * positions  # salts there, digests back
        sent = (copied + back) / network.bandwidth
        alone = (self.work - each - divided) / 2
        shared = turns * (each + divided / parts)
        return self.start + alone + shared + sent + 3 * network.latency

    def divided(self, workers: int, network: Network) -> float:
        """As it might be: all stages in ranges of time, a round of messages for each challenge,
        and no worker with more than its range of the witness."""
        sent = self._scaled(self.run["witness_bytes"]) / network.bandwidth
        rounds = self.run["rounds"] * network.latency
        return self.start + self.work / workers + sent + rounds


def draw(found: dict[str, Any]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    counts = [*(1 << k for k in range(1, 10)), 1000]
    figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
    run = found["runs"][-1]
    titles = "The largest run that was measured", "A step of the size of Pythia-160M"
    for axis, cells, title in zip(axes, (run["cells"], STEP), titles, strict=True):
        model = Model(found, cells)
        axis.axhline(model.built(1, NETWORKS[0]), color="gray", label="one process, two cores")
        for network, color in zip(NETWORKS, ("C0", "C1"), strict=True):
            for computed, line, what in (
                (model.built, "-", "as built"),
                (model.divided, ":", "all stages divided, not built"),
            ):
                times = [computed(count, network) for count in counts]
                axis.plot(counts, times, line, color=color, label=f"{what}; {network.name}")
        title += f", 2^{math.log2(cells):.1f} cells"
        axis.set(xscale="log", yscale="log", xlabel="workers of one core", title=title)
        axis.grid(alpha=0.3)
    axes[0].plot([2], run["two_workers"]["cpu_seconds"] / 2, "ko", label="measured: two workers")
    axes[0].set_ylabel("seconds")
    axes[1].legend(*axes[0].get_legend_handles_labels(), fontsize=7)
    figure.suptitle("A model of proving with many workers: measured up to two, computed beyond")
    figure.savefig(FIGURE, dpi=120, metadata={"Software": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--measure", type=Path, metavar="RUN/")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--parts", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.parts:
        print(json.dumps(parts()))
        return
    found = json.loads(RESULT.read_text()) if RESULT.exists() else {"runs": []}
    if options.measure is not None:
        run = measured(options.measure, options.repeats)
        others = [other for other in found["runs"] if other["cells"] != run["cells"]]
        one = {**os.environ, "ZKTRAIN_THREADS": "1"}
        again = [sys.executable, __file__, "--parts"]
        done = subprocess.run(again, stdout=subprocess.PIPE, check=True, env=one)
        found = {
            "machine": machine.describe(),
            "runs": sorted([*others, run], key=lambda run: run["cells"]),
            "part_seconds_per_cell": json.loads(done.stdout),
        }
        RESULT.write_text(json.dumps(found, indent=1) + "\n")
    draw(found)
    for cells in (found["runs"][-1]["cells"], STEP):
        model = Model(found, cells)
        print(f"2^{math.log2(cells):.1f} cells: {model.built(1, NETWORKS[0]):.0f} s alone")
        for network in NETWORKS:
            for count in (2, 8, 32, 128, 1000):
                built, divided = model.built(count, network), model.divided(count, network)
                print(f"{network.name} {count:5} {built:8.0f} {divided:8.0f} s")


if __name__ == "__main__":
    main()
