"""How large the values of one sample are."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod


@dataclass(frozen=True, slots=True)
class Extent:
    """``grid`` is ``(height, width)`` of an image, empty for a row; ``width`` units at each
    place."""

    grid: tuple[int, ...]
    width: int

    @property
    def cells(self) -> int:
        """Values of one sample."""
        return prod(self.grid) * self.width

    def __str__(self) -> str:
        if not self.grid:
            return f"a row of {self.width}"
        return f"an image of {self.width} x {self.grid[0]} x {self.grid[1]}"
