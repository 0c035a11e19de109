"""Smallest and largest values of a step, gathered on its device, and what is concluded of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from .arithmetic import EXACT_FLOAT

Vector = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Operation = Callable[[], object]

_LIMIT = EXACT_FLOAT * (1 - 2.0**-40)
"""Bounds are products of floats themselves; the margin is far above their rounding."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Figures ``(n, figures, 2)`` before and after each of ``n`` consecutive steps, the sums
    ``(n, updates)`` of what gradients were multiplied by, and how large those of earlier steps
    were, by parameter."""

    before: Vector
    after: Vector
    rates: Vector
    earlier: Mapping[str, float]


Interval = Callable[[Seen], tuple[Vector, Vector]]
"""What values lie between, step by step."""


@dataclass(frozen=True, slots=True)
class Check:
    """``holds`` says of every step whether it does; ``product`` names the one whose bound it is, if
    a finer bound can be had."""

    holds: Callable[[Seen], Flags]
    product: str | None = None


class Figures:
    """``now`` are those of the step that ran last, ``(figures, 2)``."""

    def __init__(self, most: int, device: torch.device) -> None:
        self.now = torch.zeros((most, 2), dtype=torch.float64, device=device)
        self.checks: list[Check] = []
        self._count = 0

    def place(self) -> int:
        """The number of a new figure."""
        self._count += 1
        return self._count - 1

    def measured(self, values: torch.Tensor, at: int) -> Operation:
        """Smallest and largest of ``values`` as figure ``at``."""
        pair = self.now.select(0, at)
        out = (pair.select(0, 0), pair.select(0, 1))
        return lambda: torch.aminmax(values, out=out)

    def require(self, holds: Callable[[Seen], Flags], product: str | None = None) -> None:
        """A step in which this does not hold is not sound."""
        self.checks.append(Check(holds, product))

    def within(self, interval: Interval, low: int, high: int) -> None:
        """Require values in ``[low, high]``."""

        def holds(seen: Seen) -> Flags:
            least, most = interval(seen)
            inside: Flags = (least >= low) & (most <= high)
            return inside

        self.require(holds)

    def exact(self, bound: Callable[[Seen], Vector], product: str | None = None) -> None:
        """Require a bound of sums, partial sums included, that float64 holds."""
        self.require(lambda seen: bound(seen) <= _LIMIT, product)

    def judge(self, seen: Seen) -> tuple[Flags, set[str]]:
        """Which steps are sound, and products that might be exact by a finer bound."""
        sound = np.ones(len(seen.rates), dtype=np.bool_)
        doubted = set()
        for check in self.checks:
            holds = check.holds(seen)
            sound &= holds
            if check.product is not None and not holds.all():
                doubted.add(check.product)
        return sound, doubted


def after(at: int) -> Interval:
    """A figure of the step itself."""
    return lambda seen: (seen.after[:, at, 0], seen.after[:, at, 1])


def before(at: int) -> Interval:
    """A figure of a parameter as the step finds it."""
    return lambda seen: (seen.before[:, at, 0], seen.before[:, at, 1])


def constant(low: float, high: float) -> Interval:
    """Known of all steps."""

    def interval(seen: Seen) -> tuple[Vector, Vector]:
        ends = np.array([[low], [high]]) + np.zeros(len(seen.rates))
        return ends[0], ends[1]

    return interval


def or_zero(interval: Interval) -> Interval:
    """Values that are 0 as well."""

    def wider(seen: Seen) -> tuple[Vector, Vector]:
        low, high = interval(seen)
        return np.minimum(low, 0), np.maximum(high, 0)

    return wider


def size(interval: Interval, seen: Seen) -> Vector:
    """The largest magnitude."""
    low, high = interval(seen)
    most: Vector = np.maximum(-low, high)
    return most


def spread(interval: Interval, seen: Seen) -> Vector:
    """How far values are apart."""
    low, high = interval(seen)
    return high - low
