"""Compiled kernels are kept on disk by numba, which runs what it finds there as it stands."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from ...caches import weakness
from ...notices import say

_PACKAGE = Path(__file__).resolve().parents[1]


@cache
def trusted(folder: str) -> bool:
    """Whether kernels may be kept in a folder: it is this package's own, or nobody else could have
    written in it. Says so where they may not."""
    path = Path(folder)
    problem = None if path.resolve().is_relative_to(_PACKAGE) else weakness(path)
    if problem is not None:
        say(
            f"compiled kernels are not kept, {problem}; let NUMBA_CACHE_DIR be a folder that only "
            "you can write"
        )
    return problem is None
