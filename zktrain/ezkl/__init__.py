"""The backend ezkl: one proof per step of training, by a library of others, on a trusted set-up.

A room of its own: nothing of the native backend needs it. ``srs`` makes and checks structured
reference strings, ``evm`` writes contracts that judge a step's proof.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._prove import Proved, prove
    from ._verify import Verdict, verify
    from .bundle import Inspection, inspect

__all__ = ["Inspection", "Proved", "Verdict", "inspect", "prove", "verify"]

_HOMES = {
    "Inspection": "bundle",
    "Proved": "_prove",
    "Verdict": "_verify",
    "inspect": "bundle",
    "prove": "_prove",
    "verify": "_verify",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'zktrain.ezkl' has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
