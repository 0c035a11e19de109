"""Commands of zktrain as processes of their own, measured from outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError


@dataclass(frozen=True, slots=True)
class Measured:
    """What a command printed; seconds of its process and of its processors, loading included, and
    the largest memory of one of its processes in bytes, as the operating system tells."""

    printed: dict[str, Any]
    seconds: float
    cpu_seconds: float
    peak_bytes: int


def command(
    verb: str, *arguments: str | Path, environment: Mapping[str, str] | None = None
) -> Measured:
    """One command with ``--json``. Raises ``InputError`` with its own message where it fails."""
    words = [sys.executable, "-m", "zktrain", verb, *map(str, arguments), "--json"]
    started = time.perf_counter()
    process = subprocess.Popen(
        words, stdout=subprocess.PIPE, text=True, env={**os.environ, **(environment or {})}
    )
    printed = process.stdout.read() if process.stdout is not None else ""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - started
    if status:
        try:
            reason = json.loads(printed)["error"]["message"]
        except (ValueError, KeyError, TypeError):
            reason = printed or f"code {process.returncode}"
        raise InputError(f"zktrain {verb} failed: {reason}")
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    cpu = round(usage.ru_utime + usage.ru_stime, 2)
    return Measured(json.loads(printed), round(seconds, 4), cpu, peak)
