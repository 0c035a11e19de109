"""How much of an evaluation is computed at once."""

from __future__ import annotations

from math import prod

from ..operations.base import StepGraph

_MOST_RECORDS = 1024
_MOST_CELLS = 1 << 24


def records_at_once(graph: StepGraph, records: int) -> int:
    """Of how many of its records an evaluation computes all tensors at once."""
    cells = sum(prod(tensor.axes) for tensor in graph.tensors)
    return max(1, min(records, _MOST_RECORDS, _MOST_CELLS // cells))
