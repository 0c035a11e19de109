"""Commands of zktrain, measured, for scripts."""

from __future__ import annotations

import sys
from pathlib import Path

from zktrain.benchmarking.processes import Measured, command
from zktrain.errors import InputError


def run(verb: str, *arguments: str | Path) -> Measured:
    """One command with ``--json``; ends the script where it fails."""
    try:
        done = command(verb, *arguments)
    except InputError as error:
        raise SystemExit(str(error)) from None
    print(
        f"{verb:8} {done.seconds:7.1f} s  {done.peak_bytes / 1e9:6.2f} GB",
        file=sys.stderr,
        flush=True,
    )
    return done
