"""Counting pairs: ``C[i, k] = sum_{t, b} left[t, b, i] right[t, b, k]`` for a public ``C``.

As extensions, at a random ``(i, k)`` drawn after everything is committed and ``C`` absorbed,

    C(i, k) = sum_{t, b} left(i, b, t) right(k, b, t),

padded cells included. One sumcheck over ``(b, t)``; it ends in a claim on either tensor. Error
``(log n_left + log n_right + 2 (log B + log K)) / |E|``: the identity at a random point, and the
rounds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..arguments import sumcheck
from ..arguments.claims import Ledger
from ..arguments.tensors import Shape, log_width
from ..errors import SumcheckMismatch
from ..field import multilinear as ml
from ..field.extension import ZERO, Point
from ..transcript.challenger import Challenger
from ..transcript.channel import VerifierChannel
from .base import StepGraph


@dataclass(frozen=True, slots=True)
class Tally:
    """``sum_{t, b} left[t, b, i] right[t, b, k]`` is the public matrix of the segment."""

    left: str
    right: str

    def inputs(self) -> set[str]:
        """See ``Operation``."""
        return {self.left, self.right}

    def outputs(self) -> set[str]:
        """See ``Operation``."""
        return set()


if TYPE_CHECKING:
    from ..prover.arguments.claims import Witness
    from ..prover.transcript.channel import ProverChannel

Matrix = NDArray[np.int64]
"""Counts ``(classes of left, classes of right)``, nonnegative and below ``2^32``."""


def variables(op: Tally, graph: StepGraph, shape: Shape) -> tuple[int, int, int]:
    """Of the units on either side, and of the samples: the rounds."""
    left, right = (log_width(graph.tensor(name).width) for name in (op.left, op.right))
    return left, right, shape.log_batch + shape.log_steps


def padded(matrix: Matrix) -> Matrix:
    """Both axes to powers of two, with zeros."""
    out = np.zeros([1 << log_width(n) for n in matrix.shape], dtype=np.int64)
    out[tuple(slice(n) for n in matrix.shape)] = matrix
    return out


def _label(op: Tally) -> str:
    return f"tally/{op.right}"


def _entry(challenger: Challenger, op: Tally, left: int, right: int) -> tuple[Point, Point]:
    """The random row and column."""
    drawn = challenger.elements(f"{_label(op)}/entry", left + right)  # V -> P
    return tuple(drawn[:left]), tuple(drawn[left:])


def prove(
    channel: ProverChannel,
    op: Tally,
    graph: StepGraph,
    shape: Shape,
    ledger: Ledger,
    witness: Witness,
) -> None:
    from ..prover.arguments import sumcheck as prover_sumcheck
    from ..prover.kernels import field as kf

    label = _label(op)
    left, right, _ = variables(op, graph, shape)
    i, k = _entry(channel.challenger, op, left, right)
    columns = []
    for name, point in ((op.left, i), (op.right, k)):
        rows = witness.tensor(name).reshape(-1, 1 << len(point))
        columns.append(kf.contract_last(rows, kf.eq_table(point)))
    machine = prover_sumcheck.ProductMachine([(columns[0], columns[1])])
    sample = prover_sumcheck.prove(channel, label, machine)
    values = list(machine.finals()[0])
    channel.send(f"{label}/factors", values)  # P -> V
    ledger.add(op.left, i + sample, values[0])
    ledger.add(op.right, k + sample, values[1])


def verify(
    channel: VerifierChannel,
    op: Tally,
    graph: StepGraph,
    shape: Shape,
    matrix: Matrix | None,
    ledger: Ledger,
) -> None:
    """``matrix`` is absorbed already; only a dry run has none."""
    label = _label(op)
    left, right, rounds = variables(op, graph, shape)
    i, k = _entry(channel.challenger, op, left, right)
    if matrix is None and not channel.dry:
        raise ValueError("a graph with counts needs the public ones")
    target = ZERO if matrix is None else ml.evaluate_integers(padded(matrix), k + i)
    reduced, sample = sumcheck.verify(channel, label, target, rounds, 2)
    a, b = channel.receive(f"{label}/factors", 2)  # P -> V
    both = channel.multiply(a, b)
    channel.check(
        lambda: both - reduced,
        SumcheckMismatch("the counts are not those of the predictions", stage="tally"),
    )
    ledger.add(op.left, i + sample, a)
    ledger.add(op.right, k + sample, b)
