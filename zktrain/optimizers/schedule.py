"""Learning rates that change with time: ``((first_step, value), ...)``, the first at step 0.

In a circuit the values are integer multipliers, in a recipe the rates that are asked for.
"""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..recipe_values import bad, is_integer
from ..strict_json import integer, listed, malformed

Schedule = tuple[tuple[int, int], ...]
Rates = tuple[tuple[int, float], ...]
RATE = "training.learning_rate"
"""The key of the rates of all layers."""

MAX_STEPS = 1 << 24
MAX_MULTIPLIER = 1 << 20
MAX_SCHEDULE = 4096
TOLERANCE = Fraction(1, 10)
"""Largest relative difference between a number asked for and the one used."""


def read(value: Any) -> Schedule:
    """The schedule of a circuit's text."""
    return listed(value, "multipliers", MAX_SCHEDULE, _entry)


def _entry(value: Any) -> tuple[int, int]:
    if not isinstance(value, list) or len(value) != 2:
        malformed("an entry of multipliers is not a pair [first_step, multiplier]")
    return integer(value[0], "a first step"), integer(value[1], "a multiplier")


def from_recipe(value: Any, section: str, key: str, steps: int) -> Rates:
    """The value of a recipe's key: a rate, or ``[[first_step, rate], ...]`` with first steps from 0
    on, strictly increasing. Raises ``RecipeError``."""

    def rate(found: Any, shown: Any) -> float:
        number = isinstance(found, float) or is_integer(found)
        try:
            if number and math.isfinite(found) and found > 0:
                return float(found)
        except OverflowError:
            pass
        raise bad(section, key, shown, "must be a positive number, such as 0.125")

    if not isinstance(value, list):
        return ((0, rate(value, value)),)
    if not 1 <= len(value) <= MAX_SCHEDULE:
        remedy = f"must have 1 to {MAX_SCHEDULE} entries"
        raise bad(section, key, f"{len(value)} entries", remedy)
    entries: list[tuple[int, float]] = []
    for entry in value:
        if not isinstance(entry, list) or len(entry) != 2 or not is_integer(entry[0]):
            raise bad(section, key, entry, "must be a rate or a list of [first_step, rate]")
        first, found = entry[0], rate(entry[1], entry)
        if not entries and first != 0:
            raise bad(section, key, entry, "must begin at step 0: add [0, rate] in front")
        if entries and first <= entries[-1][0]:
            raise bad(section, key, entry, "must have increasing first steps: sort the entries")
        if first >= steps:
            remedy = f"is never reached in {steps} steps: remove the entry or raise training.steps"
            raise bad(section, key, entry, remedy)
        entries.append((first, found))
    return tuple(entries)


def violation(schedule: Schedule, steps: int, most: int) -> str | None:
    """The first limit that a schedule of ``steps`` steps breaks; multipliers go up to ``most``."""
    if not 1 <= len(schedule) <= MAX_SCHEDULE or schedule[0][0] != 0:
        return f"the schedule must have 1 to {MAX_SCHEDULE} entries, the first at step 0"
    if any(later[0] <= earlier[0] for earlier, later in pairwise(schedule)):
        return "the first steps of the schedule must increase strictly"
    if schedule[-1][0] >= steps:
        return "the last entry of the schedule must begin before the last step"
    if not all(1 <= multiplier <= most for _, multiplier in schedule):
        return f"multipliers must be from 1 to {most}"
    return None


def vector(schedule: Schedule, steps: int, first: int, count: int) -> NDArray[np.int64]:
    """Of steps ``first .. first + count - 1``; ``IndexError`` outside a run of ``steps``."""
    if first < 0 or count < 0 or first + count > steps:
        raise IndexError(f"steps {first}..{first + count} of {steps}")
    starts, found = np.array(schedule, dtype=np.int64).reshape(-1, 2).T
    ends = np.clip(np.append(starts[1:], steps), first, first + count)
    return np.repeat(found, ends - np.clip(starts, first, first + count))


def values(schedule: Schedule, steps: int, first: int, count: int) -> list[int]:
    """The same as Python integers."""
    found: list[int] = vector(schedule, steps, first, count).tolist()
    return found


def total(schedule: Schedule, steps: int) -> int:
    """The sum over all steps."""
    starts = [first for first, _ in schedule[1:]] + [steps]
    return sum(
        multiplier * (end - first)
        for (first, multiplier), end in zip(schedule, starts, strict=True)
    )
