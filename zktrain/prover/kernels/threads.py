"""Splits a kernel over the processors: kernels hold no GIL, so plain threads do."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

from ...machine import thread_count
from ...scratch import pause, settles

_PAUSES = 64
"""Parts of a piece of work between which files settle."""


@lru_cache(maxsize=1)
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(thread_count())


def run(
    count: int, task: Callable[[int, int], Any], grain: int = 4096, *, pauses: bool = True
) -> list[Any]:
    """``task(start, stop)`` over a partition of ``range(count)``; results in order.

    Pieces hold at least ``grain`` items, so that small work stays on the calling thread.
    While arrays are in files there are more pieces, with ``pauses`` between them; a task that
    pauses itself, or has large results, wants none.
    """
    pieces = min(thread_count(), max(1, count // grain))
    work = _with_pauses(task, grain) if pauses and settles() else lambda lo, hi: [task(lo, hi)]
    if pieces == 1:
        return work(0, count)
    edges = [count * i // pieces for i in range(pieces + 1)]
    futures = [_pool().submit(work, edges[i], edges[i + 1]) for i in range(pieces)]
    return [found for future in futures for found in future.result()]


def _with_pauses(task: Callable[[int, int], Any], grain: int) -> Callable[[int, int], list[Any]]:
    """The same work in smaller parts, while arrays are in files."""

    def work(start: int, stop: int) -> list[Any]:
        step, out = max(1, grain, -(-(stop - start) // _PAUSES)), []
        for first in range(start, stop, step) or [start]:
            out.append(task(first, min(stop, first + step)))
            pause()
        return out

    return work
