"""Lookups: cells are rows of a public table; ``arguments.lookup`` proves all of them at once."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Lookup:
    """``(columns + offsets)`` is a row of ``table``, for every cell, padded ones included.

    Tables: ``range16``: ``v`` in ``[0, 2**16)``. ``relu``: ``(z, [z > 0])``, ``z`` signed 16 bit.
    ``exp``: ``(d, T(d), T(d - 1), 1)`` for ``0 <= d < 2**16 - 1`` and ``(0, 0, 0, 0)``; its last
    column is the indicator ``I`` and is not listed in ``columns``. ``sigmoid``: ``(z, P(z) -
    2**13)``, ``z`` signed 16 bit, ``P`` the sigmoid at scale ``2**14``; ``(0, 0)`` is a row.
    """

    table: str
    columns: tuple[str, ...]
    offset: int = 0

    def inputs(self) -> set[str]:
        """See ``Operation``."""
        return set()

    def outputs(self) -> set[str]:
        """See ``Operation``."""
        return set()
