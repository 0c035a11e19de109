"""The numbers of a filter: how much every gradient counts in the weights of every later step.

Everything is in 40-bit fixed point, the same on every machine. With ``x * y = floor(x y / 2^40)``,
``mu`` and ``back`` integers over ``2^40`` and ``r_t = m_t 2^(20 - shift)``, for every ``tau``, and
for the start with ``v = 0``, ``c = 2^40``:

    t = tau:   v = 2^40                    c = v * r_t
    t > tau:   v <- v * mu - c * back      c <- c + v * r_t
    M[t + 1, tau] = floor((c 2^shift + phi_tau 2^40) / 2^40)
    D[t + 1] = floor((c + 2^27) / 2^28)

Nesterov has ``v + mu`` in the place of ``v`` in the first ``c``, and in the second ``v * mu - c *
back`` with the new ``v`` and the old ``c``.

As long as the rate stays the same, ``v`` and ``c`` follow from the age ``t - tau`` alone, and only
``phi`` tells gradients of one age apart: one sequence does for all of them, and at each age those
whose ``M`` changes are the ones with ``phi`` between two bounds. So a run of one rate takes a time
in proportion to its steps and to the changes of ``M``. Gradients of earlier rates are followed one
by one until they have come to rest, which under weight decay they do not.

By ``FilteredSgd.violation``, up to roundings, ``0 <= c <= 2^40``, and ``-theta c <= v <= 2^40``
with ``theta = 2 kappa / (1 - mu)`` (``kappa = back / 2^40``). Where ``s > 0``, the largest rate is
above ``(1 - mu) / 2``, so ``kappa <= (1 - mu) / 2`` and ``theta <= 1``. Where ``s = 0``, ``kappa =
lambda B / 2^12 < 4`` and ``1 - mu >= 2^-10``, so ``|v| < 2^53``: see :func:`times`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ..arguments.time_filter import START_BITS, Coefficients

Integers = NDArray[np.int64]
Changes = tuple[Integers, Integers, Integers]
"""``at``, ``tau`` and ``by``, as ``Coefficients`` has them."""
Number = TypeVar("Number", int, Integers)

COEFFICIENT_BITS = 40
"""Fractional bits of momentum, weight decay and all that the filter is computed with."""
MULTIPLIER_BITS = 20
"""Fractional bits that multipliers of a filtered circuit have beyond ``rate_bits``."""

_ONE = 1 << COEFFICIENT_BITS
_HALF_BITS = COEFFICIENT_BITS // 2
_LOW = (1 << _HALF_BITS) - 1
SHORT = 16
"""Steps of one rate whose gradients are followed one by one from the beginning."""


@dataclass(frozen=True, slots=True)
class Response:
    """A filter without its rates: ``back`` is ``FilteredSgd.feedback``, ``shift`` its ``scale``."""

    momentum: int
    nesterov: bool
    back: int
    shift: int
    restart_steps: int

    def after(self, v: Number, c: Number, rate: int) -> tuple[Number, Number]:
        """One step later."""
        pull = times(c, self.back) if self.back else 0 * c
        v = times(v, self.momentum) - pull
        moved = times(v, self.momentum) - pull if self.nesterov else v
        return v, c + times(moved, rate)

    def born(self, rate: int) -> tuple[int, int]:
        """``v`` and ``c`` of a gradient in its own step."""
        return _ONE, (_ONE + self.momentum * self.nesterov) * rate >> COEFFICIENT_BITS

    def ages(self, rate: int, steps: int) -> tuple[Integers, Integers]:
        """``v`` and ``c`` of a gradient ``0 .. steps - 1`` steps after its own."""
        v, c = self.born(rate)
        found = [(v, c)]
        for _ in range(steps - 1):
            v, c = self.after(v, c, rate)
            found.append((v, c))
        values = np.array(found, dtype=np.int64).T
        return values[0], values[1]

    def counted(self, c: Integers, tau: Integers) -> Integers:
        """``M``."""
        phi = dither(self.restart_steps)[tau]
        out: Integers = ((c << self.shift) + phi) >> COEFFICIENT_BITS
        return out

    def changes_by_age(self, c: Integers, first: int) -> Changes:
        """Of the gradients of steps ``first, first + 1, ..`` of one rate, as many as ``c`` has
        ages, up to the last of these steps."""
        steps, size, unit = len(c), self.restart_steps, _ONE // self.restart_steps
        whole = np.diff((c << self.shift) >> COEFFICIENT_BITS, prepend=0)
        rest = (c << self.shift) & (_ONE - 1)
        # phi = (2 j + 1) unit / 2 adds one from this j on
        bound = np.maximum(0, -((unit // 2 + rest - _ONE) // unit))
        before = np.concatenate([[size], bound[:-1]])
        low, high = np.minimum(bound, before), np.maximum(bound, before)
        age = np.arange(steps)
        inner = whole + np.sign(before - bound)
        none = np.zeros_like(low)
        begins, ends = np.concatenate([none, low, high]), np.concatenate([low, high, none + size])
        by, age = np.concatenate([whole, inner, whole]), np.tile(age, 3)
        counts = np.where(by != 0, ends - begins, 0)
        if steps * (steps + 1) // 2 <= int(counts.sum()):
            return self.changes_of_pairs(c, first)
        j = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts - begins, counts)
        tau = _inverse(size)[j]
        age, by = np.repeat(age, counts), np.repeat(by, counts)
        here = (tau >= first) & (tau + age < first + steps)
        tau = tau[here]
        return tau + age[here] + 1, tau, by[here]

    def changes_of_pairs(self, c: Integers, first: int) -> Changes:
        """The same, where there are fewer pairs of steps than changes."""
        tau, age = np.triu_indices(len(c))
        age = age - tau
        tau = tau + first
        before = np.where(age > 0, self.counted(c[np.maximum(age - 1, 0)], tau), 0)
        by = self.counted(c[age], tau) - before
        here = by != 0
        return (tau + age + 1)[here], tau[here], by[here]


@lru_cache(maxsize=4)
def response(of: Response, multipliers: Sequence[int]) -> Coefficients:
    """The filter under ``multipliers``, one per step."""
    shift, total = COEFFICIENT_BITS - MULTIPLIER_BITS - of.shift, len(multipliers)
    taus, begun, start = np.arange(total), (0, _ONE), [1 << START_BITS]
    v, c, known = np.zeros((3, total), dtype=np.int64)
    parts: list[Changes] = []
    rest = first = 0  # gradients before ``rest`` have come to rest
    for multiplier, run in groupby(multipliers):
        rate, steps = multiplier << shift, sum(1 for _ in run)
        short = steps <= SHORT
        for t in range(first, first + steps):
            begun = of.after(*begun, rate) if of.back else begun
            start.append((begun[1] + (1 << 27)) >> 28)
            end = t if short else first
            while not of.back and rest < end and not v[rest]:
                rest += 1
            here = slice(rest, end)
            if rest == end and not short:
                continue
            if rest < end:
                v[here], c[here] = of.after(v[here], c[here], rate)
            if short:
                here = slice(rest, t + 1)
                v[t], c[t] = of.born(rate)
            counted = of.counted(c[here], taus[here])
            changed = np.flatnonzero(counted != known[here])
            by = (counted - known[here])[changed]
            known[here] = counted
            parts.append((np.full(len(by), t + 1), changed + rest, by))
        if not short:
            here = slice(first, first + steps)
            own_v, own_c = of.ages(rate, steps)
            parts.append(of.changes_by_age(own_c, first))
            v[here], c[here] = own_v[::-1], own_c[::-1]
            known[here] = of.counted(c[here], taus[here])
        first += steps
    at, tau, by = (np.concatenate(values) for values in zip(*parts, strict=True))
    order = np.argsort(at * (total + 1) + tau)
    return Coefficients(total, np.array(start, dtype=np.int64), at[order], tau[order], by[order])


def followed(momentum: int, back: int, multipliers: Sequence[int]) -> int:
    """At most how many steps ``response`` goes, over all gradients that it follows one by one."""
    last = len(multipliers) if back else _settled(momentum)
    total = before = 0
    for _, run in groupby(multipliers):
        steps = sum(1 for _ in run)
        own = steps if steps <= SHORT else 0
        total += min(before + own, last) * min(steps, last)
        before += steps
    return total


@lru_cache(maxsize=4)
def _settled(momentum: int) -> int:
    """Steps after which a velocity is 0 that nothing adds to."""
    v, steps = _ONE, 1
    while v:
        v, steps = times(v, momentum), steps + 1
    return steps


def times(values: Number, factor: int) -> Number:
    """``floor(values factor / 2^40)``, exactly, for ``|values| <= 2^60``, ``0 <= factor < 2^42``:
    no product of halves leaves 63 bits."""
    above, below = values >> _HALF_BITS, values & _LOW
    high, low = factor >> _HALF_BITS, factor & _LOW
    across = above * low + below * high + ((below * low) >> _HALF_BITS)
    out: Number = above * high + (across >> _HALF_BITS)
    return out


@lru_cache(maxsize=4)
def dither(restart_steps: int) -> Integers:
    """``phi_tau 2^40`` for ``tau < restart_steps``, a power of two."""
    unit = _ONE // restart_steps
    out: Integers = _inverse(restart_steps) * unit + unit // 2
    return out


@lru_cache(maxsize=4)
def _inverse(size: int) -> Integers:
    """Numbers below a power of two with their bits reversed, which is its own inverse."""
    values = np.zeros(1, dtype=np.int64)
    while len(values) < size:
        values = np.concatenate([2 * values, 2 * values + 1])
    return values
