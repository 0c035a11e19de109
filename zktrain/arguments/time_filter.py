"""How the weights of a run depend on the first ones and on its gradients: a public linear map.

``W_t = d_t W_0 - sum_{tau < t} c[t, tau] G_tau`` for the padded steps ``t`` of the run, with
``d_0 = 1`` and ``W_t = W_steps`` beyond the real ones. Everything that an argument needs of ``d``
and ``c`` are sums with given weights ``omega`` over ``t``, so no table ``c`` is ever made.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..field import extension as ext
from ..field import goldilocks as gl
from ..field import multilinear as ml
from ..field.extension import ONE, Ext, ExtVec, Point

Integers = NDArray[np.int64]
Multipliers = NDArray[np.uint64]
"""``m_t`` for the padded steps of the run; 0 beyond the real ones."""

START_BITS = 12
"""Fractional bits of ``D``."""

_LOW = np.uint64(0xFFFFFFFF)
_U32 = np.uint64(32)


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


class TimeFilter(Protocol):
    """The map, as both sides use it; vectors over steps are as long as the padded run."""

    def first(self, t: Point, steps: int | None = None) -> Ext:
        """``sum_t eq(t_point, t) d_t`` over all padded steps, or over the first ``steps``."""
        ...

    def start(self, step: int) -> Ext:
        """``d_step``."""
        ...

    def decay(self, omega: ExtVec) -> ExtVec:
        """``sum_{t > tau} omega(t) c[t, tau]`` for all ``tau``."""
        ...

    def end(self) -> tuple[Ext, ExtVec]:
        """``d`` and ``c[., tau]`` of the weights after the last real step."""
        ...


@dataclass(frozen=True)
class PlainSteps:
    """Plain SGD: ``d_t = 1``, ``c[t, tau] = m_tau``."""

    multipliers: Multipliers

    def first(self, t: Point, steps: int | None = None) -> Ext:
        return ONE if steps is None else ml.less_than(t, steps)

    def start(self, step: int) -> Ext:
        return ONE

    def decay(self, omega: ExtVec) -> ExtVec:
        later = np.stack([gl.sums_after(coordinate) for coordinate in omega])
        return ext.mul_base(later, self.multipliers)

    def end(self) -> tuple[Ext, ExtVec]:
        return ONE, ext.from_base(self.multipliers)


@dataclass(frozen=True)
class FilteredSteps:
    """Momentum and weight decay: ``d_t = D[t] / 2^12`` and ``c = M`` of ``coefficients``, in
    ``2^log_steps`` padded steps. Sums of ``|by|`` with one ``tau`` stay below ``2^31``."""

    coefficients: Coefficients
    log_steps: int

    @cached_property
    def start_factors(self) -> gl.U64:
        """``d_t`` for ``t`` up to the padded end, included."""
        known = self.coefficients.start
        beyond = np.full((1 << self.log_steps) + 1 - len(known), known[-1])
        inverse = np.array([pow(1 << START_BITS, -1, gl.P)], dtype=np.uint64)
        return gl.mul(gl.from_signed(np.concatenate([known, beyond])), inverse)

    def first(self, t: Point, steps: int | None = None) -> Ext:
        omega = ml.eq_table(t)
        if steps is not None:
            omega[:, steps:] = 0
        return ext.scalar(ext.total(ext.mul_base(omega, self.start_factors[:-1])))

    def start(self, step: int) -> Ext:
        return Ext(int(self.start_factors[step]))

    def decay(self, omega: ExtVec) -> ExtVec:
        # sum_{t >= at} omega(t), of each change, times by; then added up for each tau
        at, by = self._by_tau
        out = np.zeros((2, 1 << self.log_steps), dtype=np.uint64)
        for coordinate, found in zip(omega, out, strict=True):
            later = gl.sums_after(coordinate)[at - 1]
            low, high = (
                self._sums((half.astype(np.int64)) * by) for half in (later & _LOW, later >> _U32)
            )
            shifted = gl.mul(gl.from_signed(high), np.array([1 << 32], dtype=np.uint64))
            found[: self.coefficients.steps] = gl.add(gl.from_signed(low), shifted)
        return out

    @cached_property
    def _by_tau(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """``at`` and ``by`` of the changes, sorted by ``tau``."""
        order = np.argsort(self.coefficients.tau, kind="stable")
        return self.coefficients.at[order], self.coefficients.by[order]

    @cached_property
    def _ends(self) -> NDArray[np.int64]:
        """How many changes belong to ``tau = 0 .. i - 1``, for ``i = 0 .. steps``."""
        counts = np.bincount(self.coefficients.tau, minlength=self.coefficients.steps)
        return np.concatenate([[0], np.cumsum(counts)])

    def _sums(self, terms: NDArray[np.int64]) -> NDArray[np.int64]:
        """Terms of changes in the order of ``_by_tau``, added up for each ``tau``; running sums
        may wrap around, their differences are right."""
        running = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(terms)])[self._ends]
        return np.diff(running)

    def end(self) -> tuple[Ext, ExtVec]:
        row = np.zeros(1 << self.log_steps, dtype=np.uint64)
        row[: self.coefficients.steps] = gl.from_signed(self.coefficients.end)
        return Ext(int(self.start_factors[-1])), ext.from_base(row)
