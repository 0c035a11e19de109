"""Batches: claims on the rows of a batch become claims on the dataset.

``X(z_i, z_b, z_t) = sum_n D(n, z_i) M(n)`` with ``M(n) = sum_{(t,b): index(t,b) = n} eq(z_t, t)
eq(z_b, b)``, the order being public. All claims on one source in one sumcheck over ``n``; the
verifier evaluates every ``M`` in ``O(K B)``. Error ``(#claims + 2 variables) / |E|``.

What is left are values of ``D``, which leave the segment in clear. A dataset that hides has random
*blinding records* ``R`` besides: one more variable ``s`` of the records chooses between ``D`` and
``R``, no batch selects any of ``R``, and ``(1 - s) D + s R`` at a random point is uniform.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..arguments import sumcheck
from ..arguments.claims import Ledger
from ..arguments.tensors import Shape
from ..errors import SumcheckMismatch
from ..field import extension as ext
from ..field import goldilocks as gl
from ..field import multilinear as ml
from ..field.extension import ONE, ZERO, Ext, ExtVec, Point
from ..field.forms import combine
from ..transcript.channel import VerifierChannel


@dataclass(frozen=True, slots=True)
class Batch:
    """``output[t, b, :] = dataset[index(t, b), :]``; ``source`` is ``inputs`` or ``labels``."""

    source: str
    output: str

    def inputs(self) -> set[str]:
        """See ``Operation``."""
        return set()

    def outputs(self) -> set[str]:
        """See ``Operation``."""
        return {self.output}


if TYPE_CHECKING:
    from ..prover.transcript.channel import ProverChannel


@dataclass(frozen=True, slots=True)
class RecordAxis:
    """The record variables of a dataset: ``log_records``, and where it hides ``blinding_log`` for
    the blinding records (else -1); the shorter of both is padded with zeros, and one more variable
    chooses."""

    log_records: int
    blinding_log: int = -1

    @property
    def shared(self) -> int:
        """Variables before the choice."""
        return max(self.log_records, self.blinding_log)

    @property
    def variables(self) -> int:
        return self.shared + (self.blinding_log >= 0)

    def parts(self, record: Point) -> tuple[tuple[Point, Ext], tuple[Point, Ext] | None]:
        """Point and factor of the real records, and of the blinding ones."""
        if self.blinding_log < 0:
            return (record, ONE), None
        *shared, choice = record
        real, blinding = 1 - choice, choice
        for x in shared[self.log_records :]:
            real = real * (1 - x)
        for x in shared[self.blinding_log :]:
            blinding = blinding * (1 - x)
        return (
            (tuple(shared[: self.log_records]), real),
            (tuple(shared[: self.blinding_log]), blinding),
        )


@dataclass(frozen=True, slots=True)
class DatasetClaim:
    """``source`` (``inputs`` or ``labels``) of the dataset, at ``point`` (record variables
    first)."""

    source: str
    point: Point
    value: Ext


def prove(
    channel: ProverChannel,
    op: Batch,
    shape: Shape,
    order: NDArray[np.int64],
    columns: NDArray[Any],
    ledger: Ledger,
    blinding: NDArray[np.int64] | None = None,
) -> list[DatasetClaim]:
    """``order`` is ``(steps, batch)``; ``columns`` the committed ``(2^units, 2^records)``
    integers of the source, ``blinding (units, 2^blinding_log)`` those of its blinding records."""
    from ..prover.arguments import sumcheck as prover_sumcheck
    from ..prover.kernels import field as kf
    from ..prover.kernels.training import scatter

    label = f"batch/{op.source}"
    claims = ledger.of(op.output)
    gamma = channel.challenger.element(f"{label}/gamma")  # V -> P
    if not claims:
        return []
    records = RecordAxis(
        ml.log2_ceil(columns.shape[1]),
        -1 if blinding is None else ml.log2_ceil(blinding.shape[1]),
    )
    size = 1 << records.shared
    terms = []
    for power, (point, _) in zip(ext.powers(gamma, len(claims)), claims, strict=True):
        i, b, t = shape.split(point)
        steps = kf.eq_table(t, power)[:, : shape.steps]
        samples = kf.eq_table(b)[:, : shape.batch]
        weight = kf.product(
            np.ascontiguousarray(np.repeat(steps, shape.batch, axis=1)),
            np.ascontiguousarray(np.tile(samples, shape.steps)),
        )
        selector = scatter(order, weight, size)
        units = kf.eq_table(i)
        cells = kf.contract_first(columns, np.ascontiguousarray(units[:, : columns.shape[0]]))
        terms.append((selector, np.pad(cells, ((0, 0), (0, size - cells.shape[1])))))
    machine = prover_sumcheck.ProductMachine(terms)
    record = prover_sumcheck.prove(channel, label, machine)
    values = [d for _, d in machine.finals()]
    if blinding is not None:
        factor = ONE
        for x in record[records.blinding_log :]:
            factor = factor * (1 - x)
        hidden = []
        for point, _ in claims:
            units = kf.eq_table(shape.split(point)[0])
            rows = kf.contract_first(blinding, np.ascontiguousarray(units[:, : blinding.shape[0]]))
            hidden.append(factor * ml.evaluate(rows, record[: records.blinding_log]))
        choice = _ChoiceMachine([m for m, _ in machine.finals()], values, hidden)
        record += prover_sumcheck.prove(channel, label, choice)
        values = choice.values
    channel.send_clear(f"{label}/records", values)  # P -> V
    return [
        DatasetClaim(op.source, record + shape.split(point)[0], value)
        for (point, _), value in zip(claims, values, strict=True)
    ]


def verify(
    channel: VerifierChannel,
    op: Batch,
    shape: Shape,
    order: NDArray[np.int64],
    log_records: int,
    ledger: Ledger,
    blinding_log: int = -1,
) -> list[DatasetClaim]:
    records = RecordAxis(log_records, blinding_log)
    label = f"batch/{op.source}"
    claims = ledger.of(op.output)
    gamma = channel.challenger.element(f"{label}/gamma")  # V -> P
    if not claims:
        return []
    weights = ext.powers(gamma, len(claims))
    target = combine(weights, [value for _, value in claims])
    reduced, record = sumcheck.verify(channel, label, target, records.variables, 2)
    values = channel.receive_clear(f"{label}/records", len(claims))  # P -> V

    def selected() -> Ext:
        """``sum_k gamma^k M_k(record) value_k``."""
        point, factor = record, ONE
        if blinding_log >= 0:  # no batch selects a blinding record, nor a padded one
            *shared, choice = record
            point = tuple(shared[:log_records])
            for x in (*shared[log_records:], choice):
                factor = factor * (1 - x)
        splits = [shape.split(claim) for claim, _ in claims]
        samples = np.stack([ml.eq_table(b)[:, : shape.batch] for _, b, _ in splits])
        rows = _selection(point, factor, order, samples)
        total = ZERO
        for power, (_, _, t), row, value in zip(weights, splits, rows, values, strict=True):
            total = total + power * ext.dot(row, ml.eq_table(t)[:, : shape.steps]) * value
        return total

    channel.check(
        lambda: selected() - reduced,
        SumcheckMismatch(f"the batches of the {op.source} do not match", stage="batch"),
    )
    return [
        DatasetClaim(op.source, record + shape.split(point)[0], value)
        for (point, _), value in zip(claims, values, strict=True)
    ]


_AT_ONCE = 1 << 11
"""Samples whose selection is computed at once."""


def _selection(
    record: Point, factor: Ext, order: NDArray[np.int64], samples: gl.U64
) -> list[ExtVec]:
    """``factor sum_b eq(record, order[t, b]) samples[k, :, b]`` for all ``t``, one vector for every
    ``k``: two tables of half the variables, so that the work does not depend on the number of
    records."""
    half = len(record) // 2
    low, high = ml.eq_table(record[:half], factor), ml.eq_table(record[half:])
    # (a + b x)(c + d x) = (a c + 7 b d) + (a d + b c) x: factors of the four products
    left = np.stack([low[0], gl.times_seven(low[1]), low[0], low[1]])
    right = np.stack([high[0], high[1], high[1], high[0]])
    flat = order.reshape(-1)
    chosen = np.empty((2, flat.size), dtype=np.uint64)
    for first in range(0, flat.size, _AT_ONCE):
        here = flat[first : first + _AT_ONCE]
        p = gl.mul(left[:, here & ((1 << half) - 1)], right[:, here >> half])
        chosen[:, first : first + _AT_ONCE] = gl.add(p[0::2], p[1::2])
    return list(ext.contract_each(chosen.reshape(2, *order.shape), samples))


class _ChoiceMachine:
    """One round over the choice ``s``: ``sum_k (1 - s) M_k ((1 - s) D_k + s R_k)``."""

    rounds = 1
    degree = 2

    def __init__(self, selectors: list[Ext], real: list[Ext], blinding: list[Ext]) -> None:
        self.values = real
        self._selectors = selectors
        self._blinding = blinding

    def message(self) -> list[Ext]:
        at0 = ext.inner(self._selectors, self.values)
        return [at0, at0 - 2 * ext.inner(self._selectors, self._blinding)]

    def bind(self, challenge: Ext) -> None:
        self.values = [
            (1 - challenge) * d + challenge * r
            for d, r in zip(self.values, self._blinding, strict=True)
        ]
