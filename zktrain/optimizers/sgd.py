"""Plain SGD with a schedule: ``W_{t+1} = W_t - m_t G_t``, ``G`` the gradients of a batch, summed.

With ``q = rate_bits`` the learning rate of step ``t`` is ``m_t batch_size 2^-q``.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np

from ..arguments.time_filter import START_BITS, Coefficients, PlainSteps
from ..errors import RecipeError
from ..operations.fixed_point import FixedPoint
from ..strict_json import keyed
from . import schedule
from .base import Run
from .schedule import MAX_MULTIPLIER, RATE, TOLERANCE, Rates, Schedule


@dataclass(frozen=True, slots=True)
class Sgd:
    """See ``Optimizer`` and ``Rule``."""

    multipliers: Schedule

    KIND: ClassVar[str] = "sgd"
    KEYS: ClassVar[tuple[str, ...]] = ()
    FORMAT: ClassVar[FixedPoint] = FixedPoint()

    more: ClassVar[str] = ""
    own: ClassVar[tuple[()]] = ()
    remembers: ClassVar[bool] = False
    start_bits: ClassVar[int] = 0
    words: ClassVar[str] = "SGD"

    @classmethod
    def from_recipe(cls, training: dict[str, Any], steps: int) -> AskedSgd:
        """See ``Optimizer``."""
        if "restart_steps" in training:
            raise RecipeError(
                "training.restart_steps is about momentum and weight decay, and plain SGD has "
                "neither; remove it"
            )
        return AskedSgd()

    @classmethod
    def read(cls, value: Any) -> Sgd:
        """See ``Optimizer``."""
        optimizer = keyed(value, "optimizer", ("kind", "rate_bits", "multipliers"))
        return cls(schedule.read(optimizer["multipliers"]))

    def stated(self) -> dict[str, Any]:
        """See ``Optimizer``."""
        return {
            "kind": self.KIND,
            "rate_bits": self.FORMAT.rate_bits,
            "multipliers": self.multipliers,
        }

    def violation(self, circuit: Run) -> str | None:
        """See ``Optimizer``."""
        return schedule.violation(self.multipliers, circuit.steps, MAX_MULTIPLIER)

    def unit(self, batch_size: int) -> Fraction:
        """See ``Optimizer``."""
        return Fraction(batch_size, 1 << self.FORMAT.rate_bits)

    def of(self, circuit: Run, weight: str) -> Sgd:
        """All layers follow the same rule."""
        return self

    def multipliers_at(self, circuit: Run, first: int, count: int) -> list[int]:
        """See ``Rule``."""
        return schedule.values(self.multipliers, circuit.steps, first, count)

    def stretch(self, circuit: Run, step: int) -> tuple[int, int]:
        """Every step is one of its own."""
        return step, 1

    def coefficients(self, circuit: Run, first: int, steps: int) -> Coefficients:
        """See ``Rule``."""
        at = np.arange(1, steps + 1)
        by = np.array(self.multipliers_at(circuit, first, steps), dtype=np.int64)
        return Coefficients(steps, np.full(steps + 1, 1 << START_BITS), at, at - 1, by)

    def time_filter(self, circuit: Run, first: int, steps: int, log_steps: int) -> PlainSteps:
        """See ``Rule``."""
        padded = np.zeros(1 << log_steps, dtype=np.uint64)
        padded[:steps] = schedule.vector(self.multipliers, circuit.steps, first, steps)
        return PlainSteps(padded)

    def changes(self, circuit: Run, first: int, steps: int) -> int:
        """One for each step."""
        return steps

    def most_changes(self, circuit: Run) -> int:
        """None."""
        return 0

    def followed(self, circuit: Run) -> int:
        """None."""
        return 0

    def largest_total(self, circuit: Run) -> int:
        """See ``Rule``."""
        return schedule.total(self.multipliers, circuit.steps)

    @property
    def torch_options(self) -> dict[str, Any]:
        """See ``Optimizer``."""
        return {}

    def stretch_words(self, circuit: Run) -> str:
        """See ``Optimizer``."""
        return ""

    def rate_words(self, rate: float) -> str:
        """All digits: there are few."""
        return repr(rate)

    def fields(self) -> dict[str, Any]:
        """See ``Optimizer``."""
        return {}


@dataclass(frozen=True, slots=True)
class AskedSgd:
    """See ``Asked``: its rates are all that there is to it."""

    fixed_point: ClassVar[FixedPoint] = Sgd.FORMAT
    own: ClassVar[tuple[()]] = ()

    def quantised(self, rates: Rates, batch_size: int, layers: tuple[str, ...]) -> Sgd:
        """See ``Asked``."""
        return Sgd(self.quantised_rates(rates, batch_size))

    def quantised_rates(self, rates: Rates, batch_size: int, key: str = RATE) -> Schedule:
        """The multipliers of the rates under a key of the recipe."""
        bits = self.fixed_point.rate_bits
        return tuple((first, quantise_rate(rate, batch_size, bits, key)) for first, rate in rates)


def quantise_rate(rate: float, batch_size: int, rate_bits: int, key: str = RATE) -> int:
    """``m = round(rate / batch_size * 2**rate_bits)``, computed exactly, ties to even.

    The learning rate that is used is ``m * batch_size * 2**-rate_bits``. Raises ``RecipeError``
    when that is 0, above ``MAX_MULTIPLIER`` units, or more than 10 % off ``rate``.
    """
    asked = Fraction(rate)
    unit = Fraction(batch_size, 1 << rate_bits)
    multiplier = round(asked / unit)
    if multiplier > MAX_MULTIPLIER:
        raise RecipeError(
            f"{key} = {rate:g} is too large: with batch_size = {batch_size} the "
            f"largest rate is {float(MAX_MULTIPLIER * unit):g}; lower it"
        )
    if multiplier > 0 and abs(multiplier * unit - asked) <= TOLERANCE * asked:
        return multiplier
    below = int(asked / unit)
    nearest = [float(m * unit) for m in (below, below + 1) if m > 0]
    raise RecipeError(
        f"{key} = {rate:g} cannot be represented: with batch_size = {batch_size} "
        f"rates are whole multiples of {float(unit):g}, the nearest "
        f"{' and '.join(f'{value:g}' for value in nearest)}; "
        f"{_remedy(asked, batch_size, rate_bits)}"
    )


def _remedy(asked: Fraction, batch_size: int, rate_bits: int) -> str:
    """A smaller power-of-two batch with a rate within the tolerance, if there is one."""
    batch = 1 << (batch_size.bit_length() - 1)
    while batch >= 1:
        unit = Fraction(batch, 1 << rate_bits)
        used = max(round(asked / unit), 1) * unit
        if batch < batch_size and abs(used - asked) <= TOLERANCE * asked:
            return f"use one of these rates, or batch_size = {batch} (rate {float(used):g})"
        batch //= 2
    return "use one of these rates"
