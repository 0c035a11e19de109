"""Who waits at a terminal for kernels to be compiled is told so."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SAY = """
import sys
from zktrain.cli import bars
sys.stderr.isatty = lambda: {terminal}
bars.say_first_use()
if {compile}:
    import numpy as np
    from zktrain.field.extension import Ext
    from zktrain.prover.kernels.field import fold
    fold(np.zeros((2, 2), dtype=np.uint64), Ext(5))
bars.say_first_use()
"""


@pytest.mark.parametrize(
    ("terminal", "compiles", "lines"), [(True, False, 2), (True, True, 1), (False, False, 0)]
)
def test_until_kernels_are_compiled(
    terminal: bool, compiles: bool, lines: int, tmp_path: Path
) -> None:
    script = SAY.format(terminal=terminal, compile=compiles)
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)},
    )
    assert done.stderr.count("First use on this machine") == lines
