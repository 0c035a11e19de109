"""Run by ``test_lookup_memory``: prints the MiB that a proof of 2^22 lookups adds to the peak."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from zktrain.arguments.lookup import Entry
from zktrain.prover.arguments import lookup
from zktrain.prover.arguments.lookup import Values
from zktrain.prover.transcript.channel import ProverChannel
from zktrain.transcript.challenger import Challenger


def peak() -> float:
    """MiB of this program alone: ``ru_maxrss`` begins with that of whoever started it."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def prove(log_size: int, memory: int | None) -> float:
    rng = np.random.default_rng(1)
    entries, values = [], []
    for i in range(4):
        cells = rng.integers(0, 1 << 16, size=1 << log_size, dtype=np.uint16)
        entries.append(Entry("range16", (f"v{i}",), log_size))
        values.append(Values((cells,)))
    counts = lookup.count_lookups(entries, values)
    Path("/proc/self/clear_refs").write_text("5")  # the peak is what is there now
    before = peak()
    lookup.prove(ProverChannel(Challenger("lookup")), "lookup", entries, values, counts, memory)
    return peak() - before


if __name__ == "__main__":
    limit = int(sys.argv[1]) or None
    prove(14, limit and 1 << 14)  # kernels are compiled
    print(prove(20, limit))
