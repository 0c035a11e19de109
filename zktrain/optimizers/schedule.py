"""Learning rates that change with time: ``((first_step, value), ...)``, the first at step 0.

In a circuit the values are integer multipliers, in a recipe the rates that are asked for.
"""

from __future__ import annotations

from bisect import bisect_right
from fractions import Fraction
from itertools import pairwise
from typing import Any

from ..strict_json import integer, listed, malformed

Schedule = tuple[tuple[int, int], ...]
Rates = tuple[tuple[int, float], ...]

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


def values(schedule: Schedule, steps: int, first: int, count: int) -> list[int]:
    """Of steps ``first .. first + count - 1``; ``IndexError`` outside a run of ``steps``."""
    if first < 0 or count < 0 or first + count > steps:
        raise IndexError(f"steps {first}..{first + count} of {steps}")
    out: list[int] = []
    entry = bisect_right(schedule, first, key=lambda item: item[0]) - 1
    while len(out) < count:
        last_entry = entry + 1 == len(schedule)
        end = steps if last_entry else schedule[entry + 1][0]
        run = min(end, first + count) - (first + len(out))
        out += [schedule[entry][1]] * run
        entry += 1
    return out


def total(schedule: Schedule, steps: int) -> int:
    """The sum over all steps."""
    starts = [first for first, _ in schedule[1:]] + [steps]
    return sum(
        multiplier * (end - first)
        for (first, multiplier), end in zip(schedule, starts, strict=True)
    )
