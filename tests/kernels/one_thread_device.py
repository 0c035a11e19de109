"""Runs a script with a stand-in for ``numba.cuda``: a device of one thread, which runs kernels as
numba compiles them for the CPU. The CUDA simulator runs them as Python, whose integers are not
those of numba."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numba
import numpy as np


class _Kernel:
    def __init__(self, function: Any) -> None:
        self._compiled = numba.njit(function)

    def __getitem__(self, grid: tuple[int, int]) -> Callable[..., None]:
        return self._compiled


def jit(function: Any = None, *, device: bool = False) -> Any:
    return numba.njit if device else _Kernel(function)


@numba.njit
def grid(dimensions: int) -> int:
    return 0


@numba.njit
def gridsize(dimensions: int) -> int:
    return 1


@numba.njit
def array(size: int, kind: Any) -> Any:
    return np.empty(size, kind)


class HostArray(np.ndarray):
    """An array that is copied back by its method, as those of a device are."""

    def copy_to_host(self) -> np.ndarray:
        return np.array(self)


def install() -> None:
    """From now on ``numba.cuda`` is this device."""
    made = ModuleType("numba.cuda")
    local = ModuleType("numba.cuda.local")
    local.array = array  # type: ignore[attr-defined]
    contents = {
        "jit": jit,
        "grid": grid,
        "gridsize": gridsize,
        "is_available": lambda: False,
        "local": local,
        "to_device": lambda values: np.array(values).view(HostArray),
        "device_array": lambda shape, kind: np.empty(shape, kind).view(HostArray),
    }
    for name, value in contents.items():
        setattr(made, name, value)
    sys.modules["numba.cuda"] = numba.cuda = made


if __name__ == "__main__":
    install()
    del sys.argv[0]
    runpy.run_path(sys.argv[0], run_name="__main__")
