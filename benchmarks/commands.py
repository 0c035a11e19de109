"""Commands of zktrain as processes of their own, measured from outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Measured:
    """What a command printed; seconds of its process and of its processors, loading included, and
    its largest memory in bytes, as the operating system tells."""

    printed: dict[str, Any]
    seconds: float
    cpu_seconds: float
    peak_bytes: int


def run(verb: str, *arguments: str | Path) -> Measured:
    """One command with ``--json``; ends the script where it fails."""
    command = [sys.executable, "-m", "zktrain", verb, *map(str, arguments), "--json"]
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    printed = process.stdout.read() if process.stdout is not None else ""
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    if status:
        raise SystemExit(f"{' '.join(command)} failed: {printed}")
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(f"{verb:8} {seconds:7.1f} s  {peak / 1e9:6.2f} GB", file=sys.stderr, flush=True)
    cpu = round(usage.ru_utime + usage.ru_stime, 2)
    return Measured(json.loads(printed), round(seconds, 2), cpu, peak)
