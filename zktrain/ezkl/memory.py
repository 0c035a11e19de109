"""Does a circuit of so many rows fit in memory: said before ezkl starts, since it only crashes.

Peaks of set-up and proof grow with the rows; measured on one machine with the settings of
``Parameters``, see docs/ezkl.md.
"""

from __future__ import annotations

from .. import machine
from ..errors import InputError

BASE_BYTES = 200e6
BYTES_PER_ROW = 38e3
SETUP_SHARE = 0.9
"""Of the proof's peak, what set-up takes at most."""


def predicted(logrows: int) -> int:
    """The peak of proving, in bytes."""
    return int(BASE_BYTES + BYTES_PER_ROW * (1 << logrows))


def require_memory(logrows: int, memory: int | None, task: str) -> None:
    """Raise ``InputError`` if ``task`` needs more than ``memory`` (None: what the machine has
    left)."""
    available = machine.available_memory() if memory is None else memory
    needed = predicted(logrows)
    if available is not None and needed > available:
        raise InputError(
            f"{task} with ezkl takes 2^{logrows} rows and about {needed / 1e9:.1f} GB of memory, "
            f"and {available / 1e9:.1f} GB are available; use a smaller batch or network, a "
            "machine with more memory, or give --memory if more is there"
        )
