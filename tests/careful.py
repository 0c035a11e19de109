"""Training step by step, value by value, as where a window is not sound."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any
from unittest import mock

from zktrain.training.trajectory import Trajectory


def careful() -> AbstractContextManager[Any]:
    """Inside, no window is tried."""
    return mock.patch.object(Trajectory, "attempt", side_effect=lambda *_: [])
