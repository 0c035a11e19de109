"""From the learning rates that a recipe asks for to the integer multipliers that are used."""

from __future__ import annotations

from fractions import Fraction

from ..errors import RecipeError
from ..optimizers.momentum import COEFFICIENT_BITS, MAX_MOMENTUM, MULTIPLIER_BITS, Momentum
from .canonical import MAX_MULTIPLIER

TOLERANCE = Fraction(1, 10)
"""Largest relative difference between the rate asked for and the rate used."""
LEAST_COEFFICIENT = Fraction(1, 8)
"""What a gradient must count in the long run under momentum: below, most would count nothing."""


def quantise_rate(rate: float, batch_size: int, rate_bits: int) -> int:
    """``m = round(rate / batch_size * 2**rate_bits)``, computed exactly, ties to even.

    The learning rate that is used is ``m * batch_size * 2**-rate_bits``. Raises ``RecipeError``
    when that is 0, above ``MAX_MULTIPLIER`` units, or more than 10 % off ``rate``.
    """
    asked = Fraction(rate)
    unit = Fraction(batch_size, 1 << rate_bits)
    multiplier = round(asked / unit)
    if multiplier > MAX_MULTIPLIER:
        raise RecipeError(
            f"training.learning_rate = {rate:g} is too large: with batch_size = {batch_size} the "
            f"largest rate is {float(MAX_MULTIPLIER * unit):g}; lower it"
        )
    if multiplier > 0 and abs(multiplier * unit - asked) <= TOLERANCE * asked:
        return multiplier
    below = int(asked / unit)
    nearest = [float(m * unit) for m in (below, below + 1) if m > 0]
    raise RecipeError(
        f"training.learning_rate = {rate:g} cannot be represented: with batch_size = {batch_size} "
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


def quantise_schedule(
    schedule: tuple[tuple[int, float], ...], batch_size: int, rate_bits: int
) -> tuple[tuple[int, int], ...]:
    """``((first_step, rate), ...)`` to ``((first_step, multiplier), ...)``."""
    return tuple((first, quantise_rate(rate, batch_size, rate_bits)) for first, rate in schedule)


def rate_unit(batch_size: int, rate_bits: int, momentum: Momentum | None) -> Fraction:
    """What rates are whole multiples of."""
    more = 0 if momentum is None else MULTIPLIER_BITS
    return Fraction(batch_size, 1 << (rate_bits + more))


def used_rates(
    multipliers: tuple[tuple[int, int], ...],
    batch_size: int,
    rate_bits: int,
    momentum: Momentum | None,
) -> list[Fraction]:
    """The rates that these multipliers are."""
    unit = rate_unit(batch_size, rate_bits, momentum)
    return [multiplier * unit for _, multiplier in multipliers]


def _share(name: str, asked: float) -> int:
    """The nearest multiple of ``2**-COEFFICIENT_BITS``. Raises ``RecipeError`` where that is more
    than ``TOLERANCE`` off."""
    unit = 1 << COEFFICIENT_BITS
    rounded = round(Fraction(asked) * unit)
    if abs(Fraction(rounded, unit) - Fraction(asked)) > TOLERANCE * Fraction(asked):
        raise RecipeError(
            f"training.{name} = {asked:g} is too small: it is used in whole multiples of "
            f"{1 / unit:g}, the nearest {rounded / unit:g}; leave it out, or use {1 / unit:g} or "
            "more"
        )
    return rounded


def quantise_momentum(
    momentum: float, nesterov: bool, weight_decay: float, restart_steps: int
) -> Momentum:
    """Both numbers to the nearest multiple of ``2**-COEFFICIENT_BITS``, ties to even. Raises
    ``RecipeError`` for a momentum too close to 1, and for numbers that are lost."""
    unit = 1 << COEFFICIENT_BITS
    rounded = _share("momentum", momentum)
    if rounded > MAX_MOMENTUM:
        raise RecipeError(
            f"training.momentum = {momentum:g} is too close to 1: velocities would outlast the "
            f"run; use at most {MAX_MOMENTUM / unit:.3g}"
        )
    return Momentum(
        rounded,
        nesterov,
        _share("weight_decay", weight_decay),
        restart_steps,
    )


def quantise_filtered(
    schedule: tuple[tuple[int, float], ...], batch_size: int, rate_bits: int, momentum: Momentum
) -> tuple[tuple[int, int], ...]:
    """``m = round(rate / batch_size * 2**(rate_bits + MULTIPLIER_BITS))``, ties to even.

    The filter rounds, not its multipliers, so these are fine. Raises ``RecipeError`` when a
    gradient would count less than ``LEAST_COEFFICIENT`` units in the long run, or more than
    ``MAX_MULTIPLIER``.
    """
    share = 1 - Fraction(momentum.momentum, 1 << COEFFICIENT_BITS)
    unit = Fraction(batch_size, 1 << rate_bits) * share
    entries: list[tuple[int, int]] = []
    for first, rate in schedule:
        count = Fraction(rate) / unit
        if not LEAST_COEFFICIENT <= count <= MAX_MULTIPLIER:
            low, high = float(LEAST_COEFFICIENT * unit), float(MAX_MULTIPLIER * unit)
            raise RecipeError(
                f"training.learning_rate = {rate:g} cannot be used: with batch_size = {batch_size} "
                f"and momentum = {float(1 - share):g} rates go from {low:g} to {high:g}; "
                "choose one of these, or another batch_size"
            )
        exact = Fraction(rate) * (1 << (rate_bits + MULTIPLIER_BITS)) / batch_size
        entries.append((first, max(1, round(exact))))
    return tuple(entries)
