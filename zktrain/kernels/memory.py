"""Keeps freed memory in the process while proving.

The prover allocates and frees arrays of hundreds of megabytes by the dozen. The C library would
map and unmap each of them, and touching fresh pages costs more than the arithmetic on them
(measured: a quarter of the lookup stage).
"""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4  # glibc's M_ constants
_NEVER = (1 << 31) - 1


def keep_freed_memory() -> None:
    """Best effort: does nothing where the C library has no ``mallopt``."""
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    mallopt(_MMAP_MAX, 0)
    mallopt(_TRIM_THRESHOLD, _NEVER)
    mallopt(_TOP_PAD, 64 << 20)
