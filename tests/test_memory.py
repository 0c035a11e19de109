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


RETURNED = """
import numpy as np
from zktrain.memory import keep_freed_memory, return_freed_memory
from zktrain.profile import resident_bytes

def kept():
    before = resident_bytes()
    np.empty(1 << 24, dtype=np.uint64).fill(1)
    return resident_bytes() - before

if not keep_freed_memory():
    print(-1, -1)
else:
    first = kept()
    top = resident_bytes()
    return_freed_memory()
    print(first, top - resident_bytes(), kept())
"""


def test_freed_memory_goes_back_where_it_is_short() -> None:
    """What was kept before, and what is freed from then on."""
    done = subprocess.run([sys.executable, "-c", RETURNED], capture_output=True, text=True)
    first, returned, kept = map(int, (done.stdout + " 0").split()[:3])
    if first < 0:
        pytest.skip("the C library is not the GNU one")
    assert first > 100 << 20 and returned > 100 << 20 and kept < 8 << 20
