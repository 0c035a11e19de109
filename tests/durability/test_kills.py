"""A few random kills of every command; ``scripts/kill_commands.py`` does many."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

MOMENTS = 12


@pytest.mark.slow("a process for every kill")
def test_killed_commands_end_well_when_they_are_run_again() -> None:
    script = Path(__file__).parents[2] / "scripts" / "kill_commands.py"
    command = [sys.executable, str(script), "--moments", str(MOMENTS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert re.search(r'"moments": 1[234]', done.stdout) and '"problems": []' in done.stdout
