"""Which implementation of the heavy kernels runs: the CPU's, or its twin in ``kernels.cuda``.

Both give the same results, bit for bit. A kernel's public function that has a twin is marked
``@with_twin``; the twin has the same name (``Leaves.fold``: ``leaves_fold``) and stands in the
module of the same name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from importlib import import_module
from typing import Any, ParamSpec, TypeVar

from ...errors import InputError

P = ParamSpec("P")
R = TypeVar("R")

_on_device = False


def require_device(device: str, *, kernels: bool = False) -> None:
    """Raise ``InputError`` unless torch can compute there, and the kernels' twins if they are
    wanted and it is a CUDA device, which becomes theirs."""
    import torch

    try:
        torch.zeros(1, dtype=torch.float64, device=device)
        kind = torch.device(device)
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
        _refuse(device, str(error).splitlines()[0] if str(error) else type(error).__name__)
    if kernels and kind.type == "cuda":
        if not has_cuda():
            _refuse(device, "numba finds no CUDA device: install zktrain[cuda]")
        from numba import cuda

        cuda.select_device(kind.index or 0)


def has_cuda() -> bool:
    """Whether numba has a CUDA device; its simulator is none."""
    try:
        from numba import cuda
        from numba.core import config
    except (ImportError, AttributeError):  # or made for another numpy
        return False
    simulated = config.ENABLE_CUDASIM  # type: ignore[attr-defined]
    return bool(cuda.is_available()) and not simulated


def _refuse(device: str, reason: str) -> None:
    raise InputError(
        f"the device {device!r} cannot be used here ({reason}); use cpu: the result is the same"
    ) from None


@contextmanager
def kernels_on(device: str) -> Iterator[None]:
    """Kernels that have a twin run it if ``device`` is a CUDA device; for the whole process."""
    global _on_device
    before = _on_device
    _on_device = device.partition(":")[0] == "cuda"
    try:
        yield
    finally:
        _on_device = before


def twin(function: Callable[..., Any]) -> Callable[..., Any]:
    """The twin of a CPU kernel."""
    family = function.__module__.rpartition(".")[2]
    name = function.__qualname__.replace(".", "_").lower()
    found: Callable[..., Any] = getattr(import_module(f"{__package__}.cuda.{family}"), name)
    return found


def with_twin(function: Callable[P, R]) -> Callable[P, R]:
    """The function, or its twin when that is chosen."""

    @wraps(function)
    def chosen(*args: P.args, **kwargs: P.kwargs) -> R:
        run: Callable[P, R] = twin(function) if _on_device else function
        return run(*args, **kwargs)

    return chosen
