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
``d`` are computed in 40-bit fixed point, the same on every machine: see :func:`coefficients`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..operations.fixed_point import FixedPoint

if TYPE_CHECKING:
    from ..circuit.circuit import Circuit

Integers = NDArray[np.int64]

FORMAT = FixedPoint(rate_bits=12)
"""Of circuits with a filter: two more bits than plain SGD, since coefficients are rounded."""

COEFFICIENT_BITS = 40
"""Fractional bits of momentum, weight decay and all that the filter is computed with."""
MULTIPLIER_BITS = 20
"""Fractional bits that multipliers of a filtered circuit have beyond ``rate_bits``."""
START_BITS = 12
"""First weights under weight decay are multiples of ``2**START_BITS``."""
MAX_MOMENTUM = (1 << COEFFICIENT_BITS) - (1 << (COEFFICIENT_BITS - 10))
MAX_RESTART_STEPS = 1 << 13
MAX_CHANGES = 1 << 22
"""Bound on the nonzero differences of a filter: what it costs a verifier to build and to use."""
MAX_SCALE = 20

_ONE = 1 << COEFFICIENT_BITS
_HALF_BITS = COEFFICIENT_BITS // 2
_LOW = (1 << _HALF_BITS) - 1


@dataclass(frozen=True, slots=True)
class Momentum:
    """``momentum`` and ``weight_decay`` in units of ``2**-COEFFICIENT_BITS``; velocities are zero
    at the first of every ``restart_steps`` steps, a power of two and the length of a segment."""

    momentum: int
    nesterov: bool
    weight_decay: int
    restart_steps: int


@dataclass(frozen=True)
class Coefficients:
    """``D`` and ``M`` of ``steps`` steps from a restart on.

    ``start`` is ``D[0 .. steps]``. ``M`` is given by its differences in ``t``, where they are not
    0, sorted by ``(at, tau)``: ``M[t, tau] = sum of by over entries with that tau and at <= t``.
    The changes due at ``t`` are ``offsets[t] .. offsets[t + 1] - 1``; ``at > tau``.
    """

    steps: int
    start: Integers
    at: Integers
    tau: Integers
    by: Integers

    @cached_property
    def offsets(self) -> Integers:
        """Shape ``(steps + 2,)``."""
        return np.searchsorted(self.at, np.arange(self.steps + 2)).astype(np.int64)

    @cached_property
    def end(self) -> Integers:
        """``M[steps, tau]`` for all ``tau``."""
        out = np.zeros(self.steps, dtype=np.int64)
        np.add.at(out, self.tau, self.by)
        return out

    @cached_property
    def reach(self) -> int:
        """How many steps back a change can be due; at least 1."""
        return int((self.at - self.tau).max(initial=1))

    @cached_property
    def loads(self) -> Integers:
        """Sum of ``|by|`` over the changes due at ``0 .. steps``."""
        out = np.zeros(self.steps + 1, dtype=np.int64)
        np.add.at(out, self.at, np.abs(self.by))
        return out


def scale(momentum: int, peak: int) -> int:
    """The smallest ``s >= 0`` with ``peak 2**-MULTIPLIER_BITS / (1 - mu) <= 2**s``; ``peak`` is the
    largest multiplier of the run. No ``C 2^q / B`` exceeds ``2**s``."""
    bound = -(-(peak << (COEFFICIENT_BITS - MULTIPLIER_BITS)) // (_ONE - momentum))
    return max(0, (bound - 1).bit_length())


def feedback(circuit: Circuit) -> int:
    """``lambda B 2^(s - q)``, rounded down: what a response of ``2^s`` adds to the gradient."""
    stated = circuit.momentum
    if stated is None:
        raise ValueError("the circuit has no filter")
    shift = scale(stated.momentum, peak(circuit))
    return (stated.weight_decay * circuit.batch_size << shift) >> circuit.fixed_point.rate_bits


def peak(circuit: Circuit) -> int:
    """The largest multiplier of the run."""
    return max(multiplier for _, multiplier in circuit.multipliers)


def coefficients_of(circuit: Circuit, first_step: int, steps: int) -> Coefficients:
    """The filter of ``steps`` steps from the restart before step ``first_step``; raises
    ``IndexError`` outside the run and ``ValueError`` for plain SGD or where nothing restarts."""
    stated = circuit.momentum
    if stated is None or first_step % stated.restart_steps or steps > stated.restart_steps:
        raise ValueError(f"no filter of {steps} steps begins at step {first_step}")
    return coefficients(
        stated,
        tuple(circuit.multipliers_at(first_step, steps)),
        scale(stated.momentum, peak(circuit)),
        feedback(circuit),
    )


@lru_cache(maxsize=4)
def coefficients(
    stated: Momentum, multipliers: Sequence[int], shift: int, back: int
) -> Coefficients:
    """The filter under ``multipliers``, one per step; ``shift`` is :func:`scale`, ``back``
    :func:`feedback`.

    ``x * y`` stands for ``floor(x y / 2^40)``, ``mu`` and ``back`` are integers over ``2^40``, and
    ``r_t = m_t 2^(20 - shift)``. For every ``tau``, and for the start with ``v = 0``, ``c = 2^40``:

        t = tau:   v = 2^40                    c = v * r_t
        t > tau:   v <- v * mu - c * back      c <- c + v * r_t
        M[t + 1, tau] = floor((c 2^shift + phi_tau 2^40) / 2^40)
        D[t + 1] = floor((c + 2^27) / 2^28)

    Nesterov has ``v + mu`` in the place of ``v`` in the first ``c``, and in the second ``v * mu - c
    * back`` with the new ``v`` and the old ``c``.

    By :func:`violation`, up to roundings, ``0 <= c <= 2^40``, and ``-theta c <= v <= 2^40`` with
    ``theta = 2 kappa / (1 - mu)`` (``kappa = back / 2^40``). Where ``s > 0``, the largest rate is
    above ``(1 - mu) / 2``, so ``kappa <= (1 - mu) / 2`` and ``theta <= 1``. Where ``s = 0``,
    ``kappa = lambda B / 2^12 < 4`` and ``1 - mu >= 2^-10``, so ``|v| < 2^53``: see :func:`_times`.
    """
    steps = len(multipliers)
    mu = stated.momentum
    phi = dither(stated.restart_steps)[:steps]
    v = np.zeros(steps + 1, dtype=np.int64)
    c = np.zeros(steps + 1, dtype=np.int64)
    known = np.zeros(steps + 1, dtype=np.int64)
    c[0] = _ONE
    start = [1 << START_BITS]
    parts: list[tuple[int, Integers, Integers]] = []
    first = 0  # responses before it have come to rest
    for t, multiplier in enumerate(multipliers):
        rate = multiplier << (COEFFICIENT_BITS - MULTIPLIER_BITS - shift)
        if not back:
            while first <= t and not v[first]:
                first += 1
        old_v, old_c = v[first : t + 1], c[first : t + 1]
        pull = _times(old_c, back) if back else 0
        new_v = _times(old_v, mu) - pull
        moved = _times(new_v, mu) - pull if stated.nesterov else new_v
        old_c += _times(moved, rate)
        old_v[...] = new_v
        v[t + 1] = _ONE
        c[t + 1] = ((_ONE + mu * stated.nesterov) * rate) >> COEFFICIENT_BITS
        start.append((int(c[0]) + (1 << 27)) >> 28)
        low = max(first, 1)
        new = ((c[low : t + 2] << shift) + phi[low - 1 : t + 1]) >> COEFFICIENT_BITS
        difference = new - known[low : t + 2]
        known[low : t + 2] = new
        moved_at = np.flatnonzero(difference)
        parts.append((t + 1, moved_at + (low - 1), difference[moved_at]))
    counts = [len(tau) for _, tau, _ in parts]
    return Coefficients(
        steps,
        np.array(start, dtype=np.int64),
        np.repeat(np.arange(1, steps + 1), counts),
        np.concatenate([tau for _, tau, _ in parts]),
        np.concatenate([by for _, _, by in parts]),
    )


def _times(values: Integers, factor: int) -> Integers:
    """``floor(values factor / 2^40)``, exactly, for ``|values| <= 2^60``, ``0 <= factor < 2^42``:
    no product of halves leaves 63 bits."""
    above, below = values >> _HALF_BITS, values & _LOW
    high, low = factor >> _HALF_BITS, factor & _LOW
    across = above * low + below * high + ((below * low) >> _HALF_BITS)
    out: Integers = above * high + (across >> _HALF_BITS)
    return out


@lru_cache(maxsize=4)
def dither(restart_steps: int) -> Integers:
    """``phi_tau 2^40`` for ``tau < restart_steps``, a power of two."""
    values = np.zeros(1, dtype=np.int64)
    while len(values) < restart_steps:
        values = np.concatenate([2 * values, 2 * values + 1])
    unit = _ONE // restart_steps
    out: Integers = values * unit + unit // 2
    return out


def violation(circuit: Circuit) -> str | None:
    """The first limit that the circuit's filter breaks, as a clause; ``None`` if it is valid.

    The limit on ``eta lambda`` keeps responses from oscillating: with ``h <= (1 - mu)^2 / 4``,
    whatever the schedule, ``c`` stays nonnegative, rises at most to ``2^s`` and then falls.
    """
    stated = circuit.momentum
    if stated is None:
        return None
    mu, steps = stated.momentum, stated.restart_steps
    if not 0 <= mu <= MAX_MOMENTUM:
        return f"momentum must be from 0 to {MAX_MOMENTUM / _ONE:.6g}"
    if not 0 <= stated.weight_decay < _ONE:
        return "weight_decay must be from 0 to below 1"
    if not mu and (stated.nesterov or not stated.weight_decay):
        return "nesterov needs a momentum, and a filter a momentum or a weight_decay"
    if not 1 <= steps <= MAX_RESTART_STEPS or steps & (steps - 1):
        return (
            f"restart_steps must be a power of two up to {MAX_RESTART_STEPS}, not {steps}: with "
            "momentum or weight_decay, so many steps are proved in one segment"
        )
    if stated.weight_decay and circuit.steps > steps:
        return (
            f"weight_decay needs the whole run in one segment, and {circuit.steps} steps are more "
            f"than restart_steps = {steps}; train fewer steps, or start a second run from the "
            "result, or leave weight_decay out"
        )
    shift = scale(mu, peak(circuit))
    if shift > MAX_SCALE:
        return "the learning rate is too large for this momentum"
    if 2 * steps * peak(circuit) << (COEFFICIENT_BITS - MULTIPLIER_BITS) < _ONE - mu:
        return (
            "the learning rate is so small that the coefficient of every gradient rounds to 0, so "
            "nothing would be trained; use a higher learning rate or a smaller batch_size"
        )
    largest = peak(circuit) << (COEFFICIENT_BITS - MULTIPLIER_BITS - shift)
    if 4 * largest * feedback(circuit) > (_ONE - mu) ** 2:
        return (
            "learning_rate * weight_decay must be at most (1 - momentum)^2 / 4, beyond which "
            "weights oscillate"
        )
    each = min(steps, (2 << shift) + 2)
    if steps * each > MAX_CHANGES:
        return (
            f"a filter of {steps} steps with multipliers up to {1 << shift} has more than "
            f"{MAX_CHANGES} changes; use a smaller restart_steps or a lower learning rate"
        )
    return None


def largest_coefficient(circuit: Circuit) -> int:
    """A bound on every ``M``."""
    stated = circuit.momentum
    if stated is None:
        raise ValueError("the circuit has no filter")
    exact = Fraction(peak(circuit) << COEFFICIENT_BITS, (_ONE - stated.momentum) << MULTIPLIER_BITS)
    return int(exact) + 1


def start_violation(circuit: Circuit, weights: Mapping[str, Integers]) -> str | None:
    """Why a run under the circuit's weight decay cannot start from ``weights``."""
    if circuit.momentum is None or not circuit.momentum.weight_decay:
        return None
    held = circuit.parameter_shapes().keys() - circuit.trained_shapes().keys()
    for name, values in weights.items():  # decay does not act on what is frozen
        if name not in held and (values & ((1 << START_BITS) - 1)).any():
            bits = circuit.fixed_point.weight_bits - START_BITS
            return f"parameter {name!r} has a value that is no multiple of 2^-{bits}"
    return None
