"""What a lookup table is."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..field.extension import Ext, Point

MAX_COLUMNS = 4
INT16 = (-(1 << 15), (1 << 15) - 1)

Columns = list[NDArray[Any]]


def place(columns: Columns) -> tuple[NDArray[Any], int]:
    """The first value is the row's number."""
    return columns[0], 0


def signed_place(columns: Columns) -> tuple[NDArray[Any], int]:
    """The first value is the row's number less ``2^15``."""
    return columns[0], 1 << 15


@dataclass(frozen=True, slots=True)
class Table:
    """``columns()`` gives ``2^log_size`` rows; ``evaluate(point)`` the extension of every column.

    ``row(columns)`` maps looked-up values (one array per column) to row numbers, less a constant.
    ``indicator`` says that the last column is 1 on real cells and 0 on padding; no graph lists it.
    ``digest`` is what the parameter set calls the digest of the columns ``tabulated``, those that
    no formula over integers gives.
    """

    name: str
    number: int
    log_size: int
    columns: Callable[[], Columns]
    evaluate: Callable[[Point], list[Ext]]
    row: Callable[[Columns], tuple[NDArray[Any], int]] = place
    indicator: bool = False
    digest: str = ""
    tabulated: tuple[int, ...] = ()

    def sha256(self) -> str:
        """Of the ``tabulated`` columns, in hexadecimal digits."""
        columns = self.columns()
        data = b"".join(columns[at].astype("<i8").tobytes() for at in self.tabulated)
        return hashlib.sha256(data).hexdigest()

    def ranges(self) -> list[tuple[int, int]]:
        """Smallest and largest value of every column that a graph lists."""
        return _ranges(self)


@lru_cache(maxsize=16)
def _ranges(table: Table) -> list[tuple[int, int]]:
    columns = table.columns()[: -1 if table.indicator else None]
    return [(int(column.min()), int(column.max())) for column in columns]


def signed() -> NDArray[np.int32]:
    """All integers of 16 bits with a sign."""
    return np.arange(INT16[0], INT16[1] + 1, dtype=np.int32)
