"""Before proving: does it fit in memory."""

from __future__ import annotations

from pathlib import Path

from .. import machine
from ..cost.estimate import estimate
from ..errors import InputError
from ..profile import resident_bytes
from ..protocol.statement import Statement


def require_memory(
    path: Path, statement: Statement, memory: int | None, *, certified: bool
) -> None:
    """Raise :class:`InputError` where the proof needs more than ``memory`` bytes (None: what the
    machine has left)."""
    available = _available() if memory is None else memory
    if available is None:
        return
    needed = estimate(statement, certified=certified).peak_bytes
    if needed > available:
        raise InputError(
            f"proving {path} needs about {_size(needed)} of memory and {_size(available)} are "
            "available; use a machine with more memory, or give --memory if more is there"
        )


def _size(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 9.5e8 else f"{count / 1e6:.0f} MB"


def _available() -> int | None:
    """What this process has and may still take."""
    left = machine.available_memory()
    return None if left is None else left + resident_bytes()
