"""Run by ``test_proof_memory``: proves with so many bytes of memory, and prints the limit, what was
expected of the whole process, its peak, and whether files were used."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import zktrain
from zktrain.prover import memory_plan


def peak() -> int:
    """Of this program alone: ``ru_maxrss`` begins with that of whoever started it."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def main(what: str, share: float, out: str, arguments: dict[str, Any]) -> None:
    """``share``: how far the limit is from the least to all that is needed; below 0, the least with
    the witness in files."""
    found = memory_plan.plan

    def plan(*given: Any, **more: Any) -> memory_plan.Plan:
        path, folder, statement, _ = given
        sized = memory_plan.Sized(statement, more["certified"], memory_plan.base())
        whole = sized.peak(None, False)
        least = min(sized.peak(memory_plan.LEAST, files) for files in (False, True))
        if share < 0:
            limit = sized.peak(memory_plan.LEAST, True)
            return sized.plan(memory_plan.LEAST, True, limit)
        limit = round(least + share * (whole - least)) + (1 << 20)
        return found(path, folder, statement, limit, **more)

    memory_plan.plan = plan
    verb = zktrain.prove if what == "prove" else zktrain.prove_eval
    proved = verb(out=out, zero_knowledge=False, **arguments)
    made = proved.plan
    print(json.dumps([made.limit, made.peak_bytes, peak(), made.files, made.memory]))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), sys.argv[3], json.loads(sys.argv[4]))
