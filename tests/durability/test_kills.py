"""A few random kills of every command; ``scripts/kill_commands.py`` does many."""

from __future__ import annotations

import importlib.util
import random
import sys
from pathlib import Path

MOMENTS = 6


def test_killed_commands_end_well_when_they_are_run_again(tmp_path: Path) -> None:
    script = Path(__file__).parents[2] / "scripts" / "kill_commands.py"
    spec = importlib.util.spec_from_file_location("kill_commands", script)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    seed = random.SystemRandom().randrange(1 << 32)
    found = module.kill_commands(MOMENTS, seed, tmp_path)
    assert found["moments"] >= MOMENTS and found["problems"] == []
