"""A name that several modules have imported, replaced in all of them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import ModuleType
from typing import Any
from unittest import mock


@contextmanager
def everywhere(module: ModuleType, name: str, value: Any) -> Iterator[None]:
    """``value`` instead of what ``module`` calls ``name``, wherever the package has imported it."""
    true = getattr(module, name)
    with ExitStack() as patches:
        for other in list(sys.modules.values()):
            if other.__name__.startswith("zktrain.") and vars(other).get(name) is true:
                patches.enter_context(mock.patch.object(other, name, value))
        yield
