"""The field's scalar functions for kernels on a GPU: those of the CPU's kernels."""

from __future__ import annotations

from typing import Any

from numba import cuda
from numba.core import config

from .. import arithmetic
from .interpreted import interpreted

SIMULATED = bool(config.ENABLE_CUDASIM)  # type: ignore[attr-defined]


def kernel(function: Any) -> Any:
    """A kernel for any number of threads: each begins at its number and strides by their count."""
    return cuda.jit(function)


def device_function(function: Any) -> Any:
    """A function for use in kernels."""
    return cuda.jit(device=True)(function)


def _scalar(intrinsic: Any, arguments: int) -> Any:
    return interpreted(intrinsic, arguments) if SIMULATED else intrinsic


add = _scalar(arithmetic.add, 2)
"""Sum in F_p."""
sub = _scalar(arithmetic.sub, 2)
"""Difference in F_p."""
mul = _scalar(arithmetic.mul, 2)
"""Product in F_p."""
ext_mul = _scalar(arithmetic.ext_mul, 4)
"""Product in E, as a pair."""
from_signed = _scalar(arithmetic.from_signed, 1)
"""An int64 with ``|v| < p/2`` as a residue."""
