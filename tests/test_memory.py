"""Freed arrays are used again."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROBE = """
import resource
import numpy as np
from zktrain.memory import keep_freed_memory
if not keep_freed_memory():
    print(-1)
else:
    faults = []
    for _ in range(4):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        np.empty(1 << 23, dtype=np.uint64).fill(1)  # 64 MB, above any limit for reuse by default
        faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    print(max(faults[1:]))
"""


def test_a_freed_array_costs_no_page_faults_when_it_is_made_again() -> None:
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True)
    faults = int(done.stdout)
    if faults < 0:
        pytest.skip("the C library is not the GNU one")
    assert faults < 16
