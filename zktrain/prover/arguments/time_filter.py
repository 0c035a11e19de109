"""The weights of all steps of a run, from its first ones and its gradients."""

from __future__ import annotations

import numpy as np

from ...arguments.time_filter import FilteredSteps, PlainSteps, TimeFilter
from ...field import goldilocks as gl
from ...field.extension import ExtVec
from ..kernels.training import filtered_history, weight_history


def history(time_filter: TimeFilter, start: ExtVec, gradients: ExtVec) -> ExtVec:
    """``d_t start - sum_{tau < t} c[t, tau] g[tau]`` for the first ``T`` padded steps ``t``; start
    ``(2, n)``, gradients and result ``(2, T n)``."""
    steps = gradients.shape[1] // start.shape[1]
    match time_filter:
        case PlainSteps():
            return weight_history(start, time_filter.multipliers[:steps], gradients)
        case FilteredSteps():
            return _filtered(time_filter, start, gradients, steps)
        case _:
            raise TypeError(f"no weights follow from {type(time_filter).__name__}")


def _filtered(time_filter: FilteredSteps, start: ExtVec, gradients: ExtVec, steps: int) -> ExtVec:
    known = time_filter.coefficients
    factors = time_filter.start_factors
    changes = gl.sub(factors[: steps - 1], factors[1:steps])
    offsets = np.full(steps + 1, len(known.at))
    offsets[: min(steps + 1, known.steps + 2)] = known.offsets[: steps + 1]
    return filtered_history(start, changes, offsets, known.tau, gl.from_signed(known.by), gradients)
