"""Momentum, Nesterov and weight decay as one public linear filter in time.

torch's SGD (dampening 0) with momentum ``mu``, weight decay ``lambda``, rates ``eta_t``, averaged
gradients ``G``, and ``v = 0`` at every restart:

    g = G + lambda W      v <- mu v + g      W <- W - eta_t v      (Nesterov: eta_t (g + mu v))

It is linear, so ``W_t = d_t W_0 - sum_{tau < t} C[t, tau] G_tau`` with numbers that depend on the
circuit alone. In integers, with ``G`` the sum over the batch and ``q = rate_bits``,

    W_t = D[t] (W_0 / 2^12) - sum_{tau < t} M[t, tau] G_tau
    D[t] = round(2^12 d_t)        M[t, tau] = floor(C[t, tau] 2^q / B + phi_tau)

``phi_tau = (bitreverse(tau) + 1/2) / restart_steps`` spreads the roundings of neighbouring steps
evenly over ``(0, 1)``: a single coefficient is off by less than 1, their mean is right. ``C`` and
``d`` are computed in 40-bit fixed point, the same on every machine: see ``response``.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np

from ..arguments.time_filter import START_BITS, Coefficients, FilteredSteps
from ..errors import RecipeError
from ..operations.fixed_point import FixedPoint
from ..recipe_values import bad, boolean, share, whole
from ..strict_json import boolean as true_or_false
from ..strict_json import integer, keyed
from . import schedule
from .base import Run
from .response import COEFFICIENT_BITS, MULTIPLIER_BITS, Response, followed, response
from .schedule import MAX_MULTIPLIER, MAX_STEPS, RATE, TOLERANCE, Rates, Schedule

MAX_MOMENTUM = (1 << COEFFICIENT_BITS) - (1 << (COEFFICIENT_BITS - 10))
MAX_RESTART_STEPS = 1 << 17
MAX_CHANGES = 1 << 22
"""Bound on the nonzero differences of a filter: what it costs a verifier to build and to use."""
MAX_FOLLOWED = 1 << 26
"""Bound on the steps through which gradients of earlier rates are followed one by one."""
MAX_SCALE = 20
LEAST_COEFFICIENT = Fraction(1, 8)
"""What a gradient must count in the long run: below, most would count nothing."""

_ONE = 1 << COEFFICIENT_BITS
_BITS = {
    "multiplier_bits": MULTIPLIER_BITS,
    "coefficient_bits": COEFFICIENT_BITS,
    "start_bits": START_BITS,
}


@dataclass(frozen=True, slots=True)
class FilteredSgd:
    """See ``Optimizer`` and ``Rule``. ``momentum`` and ``weight_decay`` are in units of
    ``2**-COEFFICIENT_BITS``; velocities are zero at the first of every ``restart_steps`` steps, a
    power of two."""

    multipliers: Schedule
    momentum: int
    nesterov: bool
    weight_decay: int
    restart_steps: int

    KIND: ClassVar[str] = "filtered_sgd"
    KEYS: ClassVar[tuple[str, ...]] = ("momentum", "nesterov", "weight_decay", "restart_steps")
    FORMAT: ClassVar[FixedPoint] = FixedPoint(rate_bits=12)
    """Two more bits than plain SGD, since coefficients are rounded."""

    more: ClassVar[str] = "momentum or weight decay"
    remembers: ClassVar[bool] = True
    own: ClassVar[tuple[()]] = ()

    @property
    def start_bits(self) -> int:
        """See ``Optimizer``."""
        return START_BITS if self.weight_decay else 0

    @classmethod
    def from_recipe(cls, training: dict[str, Any], steps: int) -> AskedFilter | None:
        """See ``Optimizer``."""
        momentum, decay = (
            share(training, "training", "momentum"),
            share(training, "training", "weight_decay"),
        )
        nesterov = boolean(training, "training", "nesterov", False)
        if nesterov and not momentum:
            raise RecipeError("training.nesterov = true needs training.momentum above 0")
        if not momentum and not decay:
            return None
        restart = longest = 1 << (steps - 1).bit_length()
        if "restart_steps" in training:
            restart = whole(training, "training", "restart_steps", 1, MAX_STEPS)
            if restart & (restart - 1):
                down = 1 << (restart.bit_length() - 1)
                remedy = f"must be a power of two: use {down} or {2 * down}"
                raise bad("training", "restart_steps", restart, remedy)
        return AskedFilter(momentum, nesterov, decay, min(restart, longest))

    @classmethod
    def read(cls, value: Any) -> FilteredSgd:
        """See ``Optimizer``; bits are compared with the encoding."""
        names = tuple(field.name for field in fields(cls))
        optimizer = keyed(value, "optimizer", ("kind", "rate_bits", *_BITS, *names))
        return cls(
            schedule.read(optimizer["multipliers"]),
            integer(optimizer["momentum"], "momentum"),
            true_or_false(optimizer["nesterov"], "nesterov"),
            integer(optimizer["weight_decay"], "weight_decay"),
            integer(optimizer["restart_steps"], "restart_steps"),
        )

    def stated(self) -> dict[str, Any]:
        """See ``Optimizer``."""
        numbers = {field.name: getattr(self, field.name) for field in fields(self)}
        return {"kind": self.KIND, "rate_bits": self.FORMAT.rate_bits, **_BITS, **numbers}

    @property
    def peak(self) -> int:
        """The largest multiplier of the run."""
        return max(multiplier for _, multiplier in self.multipliers)

    @property
    def scale(self) -> int:
        """The smallest ``s >= 0`` with ``peak 2**-MULTIPLIER_BITS / (1 - mu) <= 2**s``. No ``C 2^q
        / B`` exceeds ``2**s``."""
        bound = -(-(self.peak << (COEFFICIENT_BITS - MULTIPLIER_BITS)) // (_ONE - self.momentum))
        return max(0, (bound - 1).bit_length())

    def most_changes(self, circuit: Run) -> int:
        """See ``Rule``: a coefficient rises to ``2^s`` and falls again, with its rounding."""
        return circuit.steps * min(self.restart_steps, circuit.steps, (2 << self.scale) + 2)

    def followed(self, circuit: Run) -> int:
        """See ``Rule``."""
        steps, whole = self.restart_steps, circuit.steps
        multipliers = schedule.values(self.multipliers, whole, 0, whole)
        back = self.feedback(circuit)
        return sum(
            followed(self.momentum, back, multipliers[first : first + steps])
            for first in range(0, whole, steps)
        )

    def feedback(self, circuit: Run) -> int:
        """``lambda B 2^(s - q)``, rounded down: what a response of ``2^s`` adds to the gradient."""
        return (self.weight_decay * circuit.batch_size << self.scale) >> self.FORMAT.rate_bits

    def violation(self, circuit: Run) -> str | None:
        """See ``Optimizer``.

        The limit on ``eta lambda`` keeps responses from oscillating: with ``h <= (1 - mu)^2 / 4``,
        whatever the schedule, ``c`` stays nonnegative, rises at most to ``2^s`` and then falls.
        """
        most = MAX_MULTIPLIER << MULTIPLIER_BITS
        if problem := schedule.violation(self.multipliers, circuit.steps, most):
            return problem
        mu, steps = self.momentum, self.restart_steps
        if not 0 <= mu <= MAX_MOMENTUM:
            return f"momentum must be from 0 to {MAX_MOMENTUM / _ONE:.6g}"
        if not 0 <= self.weight_decay < _ONE:
            return "weight_decay must be from 0 to below 1"
        if not mu and (self.nesterov or not self.weight_decay):
            return "nesterov needs a momentum, and a filter a momentum or a weight_decay"
        if not 1 <= steps <= MAX_RESTART_STEPS or steps & (steps - 1):
            return (
                f"restart_steps must be a power of two up to {MAX_RESTART_STEPS}, not {steps}: "
                "velocities last at most so many steps"
            )
        if self.weight_decay and circuit.steps > steps:
            return (
                f"weight_decay cannot begin anew, and {circuit.steps} steps are more than "
                f"restart_steps = {steps}; train fewer steps, or start a second run from the "
                "result, or leave weight_decay out"
            )
        shift = self.scale
        if shift > MAX_SCALE:
            return "the learning rate is too large for this momentum"
        if 2 * steps * self.peak << (COEFFICIENT_BITS - MULTIPLIER_BITS) < _ONE - mu:
            return (
                "the learning rate is so small that the coefficient of every gradient rounds to 0, "
                "so nothing would be trained; use a higher learning rate or a smaller batch_size"
            )
        largest = self.peak << (COEFFICIENT_BITS - MULTIPLIER_BITS - shift)
        if 4 * largest * self.feedback(circuit) > (_ONE - mu) ** 2:
            return (
                "learning_rate * weight_decay must be at most (1 - momentum)^2 / 4, beyond which "
                "weights oscillate"
            )
        if self.most_changes(circuit) > MAX_CHANGES:
            return (
                f"a filter of {circuit.steps} steps with multipliers up to {1 << shift} has more "
                f"than {MAX_CHANGES} changes; use fewer steps, a smaller restart_steps or a lower "
                "learning rate"
            )
        if self.followed(circuit) > MAX_FOLLOWED:
            return (
                f"the rate changes too often in {circuit.steps} steps for this momentum or weight "
                "decay; use fewer changes of the rate, or fewer steps"
            )
        return None

    def unit(self, batch_size: int) -> Fraction:
        """See ``Optimizer``: the filter rounds, not its multipliers, so these are fine."""
        return Fraction(batch_size, 1 << (self.FORMAT.rate_bits + MULTIPLIER_BITS))

    def of(self, circuit: Run, weight: str) -> FilteredSgd:
        """All layers follow the same rule."""
        return self

    def multipliers_at(self, circuit: Run, first: int, count: int) -> list[int]:
        """See ``Rule``."""
        return schedule.values(self.multipliers, circuit.steps, first, count)

    def stretch(self, circuit: Run, step: int) -> tuple[int, int]:
        """Between two restarts."""
        first = step - step % self.restart_steps
        return first, min(self.restart_steps, circuit.steps - first)

    def coefficients(self, circuit: Run, first: int, steps: int) -> Coefficients:
        """See ``Rule``; raises ``IndexError`` outside the run and ``ValueError`` where nothing
        restarts."""
        if first % self.restart_steps or steps > self.restart_steps:
            raise ValueError(f"no filter of {steps} steps begins at step {first}")
        multipliers = tuple(self.multipliers_at(circuit, first, steps))
        back, shift = self.feedback(circuit), self.scale
        of = Response(self.momentum, self.nesterov, back, shift, self.restart_steps)
        return response(of, multipliers)

    def time_filter(self, circuit: Run, first: int, steps: int, log_steps: int) -> FilteredSteps:
        """See ``Rule``."""
        return FilteredSteps(self._whole(circuit, first, steps), log_steps)

    def _whole(self, circuit: Run, first: int, steps: int) -> Coefficients:
        """``coefficients`` of several stretches, one after the other. Nothing decays where there
        are more than one, so a change stays for good."""
        stretches = [
            self.coefficients(circuit, begin, min(self.restart_steps, first + steps - begin))
            for begin in range(first, first + steps, self.restart_steps)
        ]
        if len(stretches) == 1:
            return stretches[0]
        begins = [number * self.restart_steps for number in range(len(stretches))]
        return Coefficients(
            steps,
            np.full(steps + 1, 1 << START_BITS),
            np.concatenate([s.at + at for s, at in zip(stretches, begins, strict=True)]),
            np.concatenate([s.tau + at for s, at in zip(stretches, begins, strict=True)]),
            np.concatenate([s.by for s in stretches]),
        )

    def changes(self, circuit: Run, first: int, steps: int) -> int:
        """See ``Rule``."""
        return len(self._whole(circuit, first, steps).by)

    def largest_total(self, circuit: Run) -> int:
        """See ``Rule``: no ``M`` is larger than the whole response and its rounding."""
        exact = Fraction(self.peak << COEFFICIENT_BITS, (_ONE - self.momentum) << MULTIPLIER_BITS)
        return circuit.steps * (int(exact) + 1)

    @property
    def torch_options(self) -> dict[str, Any]:
        """See ``Optimizer``."""
        return {
            "momentum": self.momentum / _ONE,
            "weight_decay": self.weight_decay / _ONE,
            "nesterov": self.nesterov,
        }

    @property
    def words(self) -> str:
        """``SGD with momentum 0.9 (Nesterov), weight decay 0.0005``."""
        parts = []
        if self.momentum:
            nesterov = " (Nesterov)" if self.nesterov else ""
            parts.append(f"momentum {_near(self.momentum / _ONE)}{nesterov}")
        if self.weight_decay:
            parts.append(f"weight decay {_near(self.weight_decay / _ONE)}")
        return f"SGD with {', '.join(parts)}"

    def stretch_words(self, circuit: Run) -> str:
        """See ``Optimizer``."""
        steps = self.restart_steps
        every = f"{steps:,} step{'s' * (steps != 1)}"
        if not self.momentum or circuit.steps <= steps:
            return f", in one stretch of up to {every}"
        return f", velocity zero again every {every}"

    def rate_words(self, rate: float) -> str:
        """See ``Optimizer``: near what was asked for."""
        return _near(rate)

    def fields(self) -> dict[str, Any]:
        """See ``Optimizer``."""
        return {**self.torch_options, "restart_steps": self.restart_steps}


@dataclass(frozen=True, slots=True)
class AskedFilter:
    """See ``Asked``; ``restart_steps`` is how many steps velocities last."""

    momentum: float
    nesterov: bool
    weight_decay: float
    restart_steps: int

    fixed_point: ClassVar[FixedPoint] = FilteredSgd.FORMAT
    own: ClassVar[tuple[()]] = ()

    def quantised(self, rates: Rates, batch_size: int, layers: tuple[str, ...]) -> FilteredSgd:
        """See ``Asked``."""
        momentum = quantise_share("momentum", self.momentum)
        if momentum > MAX_MOMENTUM:
            raise RecipeError(
                f"training.momentum = {self.momentum:g} is too close to 1: velocities would "
                f"outlast the run; use at most {MAX_MOMENTUM / _ONE:.3g}"
            )
        return FilteredSgd(
            self.quantised_rates(rates, batch_size),
            momentum,
            self.nesterov,
            quantise_share("weight_decay", self.weight_decay),
            self.restart_steps,
        )

    def quantised_rates(self, rates: Rates, batch_size: int, key: str = RATE) -> Schedule:
        """The multipliers of the rates under a key of the recipe."""
        momentum = quantise_share("momentum", self.momentum)
        return tuple(
            (first, quantise_rate(rate, batch_size, momentum, key)) for first, rate in rates
        )


def quantise_rate(rate: float, batch_size: int, momentum: int, key: str = RATE) -> int:
    """``m = round(rate / batch_size * 2**(rate_bits + MULTIPLIER_BITS))``, ties to even.

    Raises ``RecipeError`` when a gradient would count less than ``LEAST_COEFFICIENT`` units in the
    long run, or more than ``MAX_MULTIPLIER``.
    """
    bits = FilteredSgd.FORMAT.rate_bits
    share = 1 - Fraction(momentum, _ONE)
    unit = Fraction(batch_size, 1 << bits) * share
    if not LEAST_COEFFICIENT <= Fraction(rate) / unit <= MAX_MULTIPLIER:
        low, high = float(LEAST_COEFFICIENT * unit), float(MAX_MULTIPLIER * unit)
        raise RecipeError(
            f"{key} = {rate:g} cannot be used: with batch_size = {batch_size} "
            f"and momentum = {float(1 - share):g} rates go from {low:g} to {high:g}; "
            "choose one of these, or another batch_size"
        )
    return max(1, round(Fraction(rate) * (1 << (bits + MULTIPLIER_BITS)) / batch_size))


def quantise_share(name: str, asked: float) -> int:
    """The nearest multiple of ``2**-COEFFICIENT_BITS``, ties to even. Raises ``RecipeError`` where
    that is more than ``TOLERANCE`` off."""
    rounded = round(Fraction(asked) * _ONE)
    if abs(Fraction(rounded, _ONE) - Fraction(asked)) > TOLERANCE * Fraction(asked):
        raise RecipeError(
            f"training.{name} = {asked:g} is too small: it is used in whole multiples of "
            f"{1 / _ONE:g}, the nearest {rounded / _ONE:g}; leave it out, or use {1 / _ONE:g} or "
            "more"
        )
    return rounded


def _near(value: float) -> str:
    """Six digits, and whether there are more."""
    text = f"{value:.6g}"
    return text if float(text) == value else f"about {text}"
