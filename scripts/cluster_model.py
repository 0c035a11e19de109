"""How long a proof takes with many workers: a model, and what it is made of.

    python scripts/cluster_model.py --measure RUN/   what two processes take here, into the JSON
    python scripts/cluster_model.py                  the figure of docs/cluster.md, from the JSON

Measured are one process and two on this machine. Everything beyond two workers is computed: what
workers have to do, divided among them, plus rounds x latency, plus bytes / bandwidth.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
    """The fastest of some proofs with one process and with two workers, and the parts of a code
    word on one thread."""
    from zktrain import machine
    from zktrain.cost.counts import prover_work
    from zktrain.cost.memory import witness_parts
    from zktrain.protocol.bundle import statement_of

    found: dict[str, list[dict[str, Any]]] = {"alone": [], "two workers": []}
    with tempfile.TemporaryDirectory() as folder:
        proof = Path(folder) / "proof.zkt"
        for _ in range(repeats):
            for name, asked in (("alone", []), ("two workers", ["--workers", "2"])):
                proof.unlink(missing_ok=True)
                command = [sys.executable, "-m", "zktrain", "prove", str(run), "--json"]
                command += ["--out", str(proof), *asked]
                started = time.perf_counter()
                done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
                whole = {"process": time.perf_counter() - started}
                found[name].append({**json.loads(done.stdout)["stages"], **whole})
                print(name, found[name][-1], file=sys.stderr)
        statement = statement_of(proof)
    packing = statement.packing
    command = [sys.executable, __file__, "--parts"]
    one = {**os.environ, "ZKTRAIN_THREADS": "1"}
    parts = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=one)
    return {
        "machine": machine.describe(),
        "cells": sum(block.used for block in packing.blocks),
        "witness_bytes": sum(witness_parts(statement)),
        "positions": 1 << packing.code_log,
        "rounds": sum(work.amounts.get("rounds", 0) for work in prover_work(statement)),
        **{name: min(runs, key=lambda stages: stages["process"]) for name, runs in found.items()},
        "part_seconds_per_cell": json.loads(parts.stdout),
    }


def parts() -> list[float]:
    """Seconds per cell of one of 1, 2, 4, ... parts of the positions, on the threads there are."""
    import numpy as np

    from zktrain.commitment.packing import pack
    from zktrain.field.multilinear import log2_ceil
    from zktrain.prover.commitment.code import leaves_of
    from zktrain.prover.commitment.commit import TensorLanes

    cells = LANES << LANE_LOG
    packing = pack([("x", log2_ceil(cells), cells)], LANE_LOG)
    lanes = TensorLanes(packing, {"x": np.arange(cells, dtype=np.int16)}, None)
    found = []
    for log_parts in [0, *range(PARTS)]:  # the first one compiles
        started = time.perf_counter()
        leaves_of(lanes, packing.code_log, 0, log_parts, None, None)
        found.append((time.perf_counter() - started) / cells)
    return found[1:]


@dataclass(frozen=True)
class Model:
    """Of a proof of ``cells`` that takes what was measured, cell by cell."""

    found: dict[str, Any]
    cells: float

    def _scaled(self, amount: float) -> float:
        return amount * self.cells / self.found["cells"]

    @property
    def _commit(self) -> tuple[float, float]:
        """Seconds of one core in the parts: what each worker has to do (read all cells and fold
        them), and what is divided among them."""
        first, *_, last = self.found["part_seconds_per_cell"]
        share = 1 - 2.0 ** (1 - PARTS)
        divided = (first - last) / share
        return (first - divided) * self.cells, divided * self.cells

    @property
    def others(self) -> float:
        """Seconds of the coordinator, with two threads."""
        alone = dict(self.found["alone"])
        whole = alone.pop("process") - sum(self._commit) / 2 * self.found["cells"] / self.cells
        return self._scaled(whole)

    def built(self, workers: int, network: Network) -> float:
        """As it is: workers share the commitment, each with the whole witness."""
        each, divided = self._commit
        if workers == 1:
            return self.others + (each + divided) / 2  # one process, two threads
        parts = 1 << (workers - 1).bit_length()
        turns = -(-parts // workers)
        there, hops = 1, 0
        while there < workers:
            there, hops = there * (1 + OUTGOING), hops + 1
        copied = (1 + hops * OUTGOING) * self._scaled(self.found["witness_bytes"])
        back = self._scaled(48 * self.found["positions"])  # salts there, digests back
        sent = (copied + back) / network.bandwidth
        return self.others + each * turns + divided / parts * turns + sent + 2 * network.latency

    def divided(self, workers: int, network: Network) -> float:
        """As it might be: all stages in ranges of time, a round of messages for each challenge,
        and no worker with more than its range of the witness."""
        work = 2 * self.others + sum(self._commit)
        sent = self._scaled(self.found["witness_bytes"]) / network.bandwidth
        return work / workers + sent + self.found["rounds"] * network.latency


def draw(found: dict[str, Any]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    counts = [1, *(1 << k for k in range(1, 10)), 1000]
    figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    titles = (
        f"The run that was measured, 2^{len(bin(int(found['cells']))) - 3} cells",
        "A step of the size of Pythia-160M, 2^33 cells",
    )
    for axis, cells, title in zip(axes, (found["cells"], STEP), titles, strict=True):
        model = Model(found, cells)
        for network, color in zip(NETWORKS, ("C0", "C1"), strict=True):
            for computed, line, what in (
                (model.built, "-", "as built"),
                (model.divided, ":", "all stages divided, not built"),
            ):
                times = [computed(count, network) for count in counts]
                axis.plot(counts, times, line, color=color, label=f"{what}, {network.name}")
        axis.set(xscale="log", yscale="log", xlabel="workers of one core", title=title)
        axis.grid(alpha=0.3)
    seconds = [found[name]["process"] for name in ("alone", "two workers")]
    axes[0].plot([1, 2], seconds, "ko", label="measured: one process with two threads, two workers")
    axes[0].set_ylabel("seconds")
    axes[0].legend(fontsize=7)
    figure.suptitle("A model of proving with many workers; measured are the two points alone")
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
    if options.measure is not None:
        text = json.dumps(measured(options.measure, options.repeats), indent=1)
        RESULT.write_text(text + "\n")
    found = json.loads(RESULT.read_text())
    draw(found)
    for network in NETWORKS:
        for cells in (found["cells"], STEP):
            model = Model(found, cells)
            for count in (1, 2, 8, 32, 128, 1000):
                built, divided = model.built(count, network), model.divided(count, network)
                print(f"{network.name}  2^{cells:.3g} {count:5} {built:10.1f} {divided:10.1f} s")


if __name__ == "__main__":
    main()
