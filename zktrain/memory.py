"""How this process uses memory."""

from __future__ import annotations

import ctypes
import sys
from typing import Any

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_MMAP_MAX = -4


def keep_freed_memory() -> bool:
    """Let freed arrays be used again, instead of being returned to the system and cleared page by
    page when the next one is made; for processes that prove, where it is a seventh of the time.

    False where the C library is not the GNU one: nothing changes.
    """
    mallopt = _c_function("mallopt")
    return mallopt is not None and bool(
        mallopt(_M_MMAP_MAX, 0) and mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
    )


def return_freed_memory() -> bool:
    """The opposite, for processes that must not take more memory than they need."""
    mallopt, trim = _c_function("mallopt"), _c_function("malloc_trim")
    if mallopt is None or trim is None:
        return False
    known = (_M_MMAP_MAX, 1 << 16), (_M_MMAP_THRESHOLD, 1 << 20), (_M_TRIM_THRESHOLD, 1 << 20)
    done = all(mallopt(name, value) for name, value in known)
    trim(0)
    return done


def _c_function(name: str) -> Any:
    if not sys.platform.startswith("linux"):
        return None
    try:
        return getattr(ctypes.CDLL(None), name, None)
    except OSError:
        return None
