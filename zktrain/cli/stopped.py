"""What is there when the user stops a command: looked up, not assumed."""

from __future__ import annotations

import json
from pathlib import Path

from .. import disk, files
from ..errors import InputError

_RUN_BYTES = 1 << 26


def commit(out: Path | None) -> str:
    """After ``zktrain commit``."""
    if out is None:
        return "nothing was written"
    secret = Path(f"{out}.secret")
    if out.is_file():
        return f"{out} is whole; the same command keeps it, or begins again"
    if secret.is_file():
        return f"{secret} is written and {out} is not yet; the same command completes them"
    return "nothing was written"


def train(out: Path) -> str:
    """After ``zktrain train``."""
    try:
        text = files.read_bytes(out / "run.json", "run", _RUN_BYTES)
        finished = json.loads(text)["results"] is not None
    except (InputError, ValueError, KeyError, TypeError):
        return "nothing was trained; the same command begins again"
    if finished:
        return f"{out} holds a finished run"
    return f"{out} holds an unfinished run; the same command begins it again"


def prove(run: Path, out: Path | None) -> str:
    """After ``zktrain prove``."""
    left = _left(out or run / "proof.zkt")
    return f"no proof was written; {left or 'the same command begins again'}"


def prove_eval(out: Path, dataset_out: Path | None) -> str:
    """After ``zktrain prove-eval``."""
    if left := _left(out):
        return f"no proof was written; {left}"
    if dataset_out is not None and dataset_out.is_file():
        return f"no proof was written; {dataset_out} is kept, and the same command goes on with it"
    return "no proof was written"


def _left(proof: Path) -> str | None:
    try:
        if disk.is_waiting(proof):
            return f"it is made, and the same command writes it to {proof}"
        if disk.journal_of(proof).is_file():
            return "what is done is kept, and the same command goes on with it"
    except InputError:
        pass
    return None
