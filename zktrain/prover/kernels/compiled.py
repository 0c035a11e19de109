"""Whether kernels have been compiled before."""

from __future__ import annotations

from pathlib import Path

from .field import _fold


def compiled() -> bool:
    """Whether kernels of this version have been compiled on this machine before."""
    folder = Path(str(_fold.stats.cache_path))
    return next(folder.glob(f"field.{_fold.py_func.__name__}-*.nbi"), None) is not None
