"""Does a circuit of so many rows fit in memory: said before ezkl starts, since it only crashes.

Peaks of set-up and proof grow with the rows; measured with the settings of ``Parameters``, see
docs/ezkl.md. Those of one small proof were between 0.7 and 1.2 GB.
"""

from __future__ import annotations

from .. import machine
from ..errors import InputError

BASE_BYTES = 1e9
BYTES_PER_ROW = 35e3
SETUP_SHARE = 0.6
"""Of the proof's peak, what making keys takes at most."""


def predicted(logrows: int, *, proving: bool = True) -> int:
    """The peak in bytes, of proving or of making keys alone."""
    peak = BASE_BYTES + BYTES_PER_ROW * (1 << logrows)
    return int(peak if proving else SETUP_SHARE * peak)


def require_memory(logrows: int, memory: int | None, *, proving: bool) -> None:
    """Raise ``InputError`` if that is more than ``memory`` (None: what the machine has left)."""
    available = machine.available_memory() if memory is None else memory
    needed = predicted(logrows, proving=proving)
    if available is not None and needed > available:
        task = "proving" if proving else "deriving the verifying key"
        raise InputError(
            f"{task} with ezkl takes 2^{logrows} rows and about {needed / 1e9:.1f} GB of memory, "
            f"and {available / 1e9:.1f} GB are available; use a machine with more memory"
            + (", a smaller batch or network, or give --memory if more is there" * proving)
        )
