"""Compiled kernels are kept on disk by numba."""

from __future__ import annotations

from pathlib import Path


def compiled() -> bool:
    """Whether kernels of this version have been compiled on this machine before."""
    from .field import _fold

    folder = Path(str(_fold.stats.cache_path))
    return next(folder.glob(f"field.{_fold.py_func.__name__}-*.nbi"), None) is not None
