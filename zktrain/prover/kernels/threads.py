"""Splits a kernel over the processors: kernels hold no GIL, so plain threads do."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

from ...machine import thread_count


@lru_cache(maxsize=1)
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(thread_count())


def run(count: int, task: Callable[[int, int], Any], grain: int = 4096) -> list[Any]:
    """``task(start, stop)`` over a partition of ``range(count)``; results in order.

    Pieces hold at least ``grain`` items, so that small work stays on the calling thread.
    """
    pieces = min(thread_count(), max(1, count // grain))
    if pieces == 1:
        return [task(0, count)]
    edges = [count * i // pieces for i in range(pieces + 1)]
    futures = [_pool().submit(task, edges[i], edges[i + 1]) for i in range(pieces)]
    return [future.result() for future in futures]
