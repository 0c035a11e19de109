"""Optional dependencies, and what to say when they are missing."""

from __future__ import annotations

from importlib.util import find_spec

from .errors import InputError


def require(extra: str, task: str, *modules: str) -> None:
    """Raise ``InputError`` with the remedy unless all ``modules`` of ``extra`` can be found."""
    missing = [module for module in modules if not is_there(module)]
    if missing:
        raise InputError(
            f"{task} needs {' and '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} "
            f"not installed; run: pip install 'zktrain[{extra}]'"
        )


def is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False
