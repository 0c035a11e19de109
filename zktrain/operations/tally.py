"""Counting pairs: ``C[i, k] = sum_{t, b} left[t, b, i] right[t, b, k]`` for a public ``C``.

As extensions, at a random ``(i, k)`` drawn after everything is committed and ``C`` absorbed,

    C(i, k) = sum_{t, b} left(i, b, t) right(k, b, t),

padded cells included. One sumcheck over ``(b, t)``; it ends in a claim on either tensor. Error
``(log n_left + log n_right + 2 (log B + log K)) / |E|``: the identity at a random point, and the
rounds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..arguments import sumcheck
from ..arguments.tensors import log_width
from ..errors import SumcheckMismatch
from ..field import multilinear as ml
from ..field.extension import ZERO, Point
from ..transcript.challenger import Challenger
from ..transcript.channel import VerifierChannel
from .base import Context
from .reach import Bounds, Reaches

Matrix = NDArray[np.int64]
"""Counts ``(classes of left, classes of right)``, nonnegative and below ``2^32``."""


@dataclass(frozen=True, slots=True)
class Tally:
    """``sum_{t, b} left[t, b, i] right[t, b, k]`` is the public matrix."""

    left: str
    right: str

    @property
    def label(self) -> str:
        """Of its messages."""
        return f"tally/{self.right}"

    def inputs(self) -> tuple[str, ...]:
        return self.left, self.right

    def outputs(self) -> tuple[str, ...]:
        return ()

    def reach(self, bounds: Bounds) -> Reaches:
        """It says nothing of single cells."""
        return {}

    def entry(self, challenger: Challenger, context: Context) -> tuple[Point, Point]:
        """The random row and column."""
        left, right = (log_width(context.tensor(name).width) for name in self.inputs())
        drawn = challenger.elements(f"{self.label}/entry", left + right)  # V -> P
        return tuple(drawn[:left]), tuple(drawn[left:])

    def verify(self, channel: VerifierChannel, context: Context) -> None:
        """The matrix is absorbed already; only a dry run has none."""
        i, k = self.entry(channel.challenger, context)
        matrix, shape = context.counts, context.shape
        if matrix is None and not channel.dry:
            raise ValueError("a graph with counts needs the public ones")
        target = ZERO if matrix is None else ml.evaluate_integers(padded(matrix), k + i)
        rounds = shape.log_batch + shape.log_steps
        reduced, sample = sumcheck.verify(channel, self.label, target, rounds, 2)
        a, b = channel.receive(f"{self.label}/factors", 2)  # P -> V
        both = channel.multiply(a, b)
        channel.check(
            lambda: both - reduced,
            SumcheckMismatch("the counts are not those of the predictions", stage="tally"),
        )
        context.ledger.add(self.left, i + sample, a)
        context.ledger.add(self.right, k + sample, b)


def padded(matrix: Matrix) -> Matrix:
    """Both axes to powers of two, with zeros."""
    out = np.zeros([1 << log_width(n) for n in matrix.shape], dtype=np.int64)
    out[tuple(slice(n) for n in matrix.shape)] = matrix
    return out
