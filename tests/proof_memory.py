"""Run by ``test_proof_memory``: proves, or commits, with so many bytes of memory, and prints the
limit, what was expected of the whole process, its peak, whether files were used, what was for what
is computed, and what all would take in memory."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import zktrain
from zktrain.cost.memory import dataset_stages
from zktrain.prover import memory_plan
from zktrain.prover.memory_plan import LEAST


def peak() -> int:
    """Of this program alone: ``ru_maxrss`` begins with that of whoever started it."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def main(what: str, share: float, out: str, arguments: dict[str, Any]) -> None:
    """``share``: how far the limit is from the least to all that is needed; below 0, the least with
    the witness in files."""
    found, whole = memory_plan.plan, 0

    def plan(*given: Any, **more: Any) -> memory_plan.Plan:
        path, folder, statement, _ = given
        sized = memory_plan.Sized(statement, more["certified"], memory_plan.base())
        nonlocal whole
        whole = sized.peak(None, False)
        least = min(sized.peak(memory_plan.LEAST, files) for files in (False, True))
        if share < 0:
            limit = sized.peak(memory_plan.LEAST, True)
            return sized.plan(memory_plan.LEAST, True, limit)
        limit = round(least + share * (whole - least)) + (1 << 20)
        return found(path, folder, statement, limit, **more)

    memory_plan.plan = plan
    commit_found = memory_plan.commit_plan

    def commit_plan(source: str, folder: Path, header: Any, _: int) -> memory_plan.Plan:
        nonlocal whole
        stages = dataset_stages(header), dataset_stages(header, memory=LEAST, files=True)
        both = [max(sum(held.values()) for _, held in found) for found in stages]
        whole, least = (memory_plan.base() + round(most) for most in both)
        limit = round(least + share * (whole - least)) + (1 << 20)
        return commit_found(source, folder, header, limit)

    memory_plan.commit_plan = commit_plan
    if what == "commit":
        made = zktrain.commit(out=out, public=True, memory=1, **arguments).plan
    else:
        verb = zktrain.prove if what == "prove" else zktrain.prove_eval
        made = verb(out=out, zero_knowledge=False, **arguments).plan
    assert made is not None
    print(json.dumps([made.limit, made.peak_bytes, peak(), made.files, made.memory, whole]))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), sys.argv[3], json.loads(sys.argv[4]))
