"""The fraction tree's memory follows what it may take."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def peak(memory: int) -> float:
    """MiB; 0: no limit."""
    script = Path(__file__).with_name("lookup_memory.py")
    command = [sys.executable, str(script), str(memory)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="peaks are read from /proc")
def test_peak_follows_the_limit() -> None:
    """4 MiB of table rows, and buffers of each thread, come on top."""
    assert peak(0) > 50
    assert peak(24 << 20) < 32
    assert peak(4 << 20) < 14
