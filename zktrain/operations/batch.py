"""Batches: claims on the rows of a batch become claims on the dataset.

``X(z_i, z_b, z_t) = sum_n D(n, z_i) M(n)`` with ``M(n) = sum_{(t,b): index(t,b) = n} eq(z_t, t)
eq(z_b, b)``, the order being public. All claims on one source in one sumcheck over ``n``; the
verifier evaluates every ``M`` in ``O(K B)``. Error ``(#claims + 2 variables) / |E|``.

What is left are claims on ``D``, which the opening of its commitment checks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..arguments import sumcheck
from ..arguments.records import DatasetClaim
from ..errors import SumcheckMismatch
from ..field import extension as ext
from ..field import goldilocks as gl
from ..field import multilinear as ml
from ..field.extension import ExtVec, Point
from ..field.forms import Scalar, combine
from ..transcript.channel import VerifierChannel
from .base import Context
from .reach import Bounds, Reach, Reaches, whole


@dataclass(frozen=True, slots=True)
class Batch:
    """``output[t, b, :] = dataset[index(t, b), :]``; ``source`` is ``inputs`` or ``labels``."""

    source: str
    output: str

    @property
    def label(self) -> str:
        """Of its messages."""
        return f"batch/{self.source}"

    def inputs(self) -> tuple[str, ...]:
        return ()

    def outputs(self) -> tuple[str, ...]:
        return (self.output,)

    def reach(self, bounds: Bounds) -> Reaches:
        """Bytes; labels are one-hot. The dataset's certificate proves both."""
        tensor = bounds.tensors[self.output]
        return {self.output: whole(tensor, 0, 255) if self.source == "inputs" else Reach(0, 1)}

    def verify(self, channel: VerifierChannel, context: Context) -> None:
        shape = context.shape
        claims = context.ledger.of(self.output)
        weights = channel.challenger.powers(f"{self.label}/gamma", len(claims))  # V -> P
        if not claims:
            return
        target = combine(weights, [value for _, value in claims])
        reduced, record = sumcheck.verify(channel, self.label, target, context.log_records, 2)
        values = channel.receive(f"{self.label}/records", len(claims))  # P -> V

        def selected() -> Scalar:
            """``sum_k gamma^k M_k(record) value_k``."""
            splits = [shape.split(claim) for claim, _ in claims]
            samples = np.stack([ml.eq_table(b)[:, : shape.batch] for _, b, _ in splits])
            rows = _selection(record, context.order, samples)
            factors = [
                power * ext.dot(row, ml.eq_table(t)[:, : shape.steps])
                for power, (_, _, t), row in zip(weights, splits, rows, strict=True)
            ]
            return combine(factors, values)

        channel.check(
            lambda: selected() - reduced,
            SumcheckMismatch(f"the batches of the {self.source} do not match", stage="batch"),
        )
        for (point, _), value in zip(claims, values, strict=True):
            claim = DatasetClaim(self.source, record + shape.split(point)[0], value)
            context.dataset.append(claim)


_AT_ONCE = 1 << 11
"""Samples whose selection is computed at once."""


def _selection(record: Point, order: NDArray[np.int64], samples: gl.U64) -> list[ExtVec]:
    """``sum_b eq(record, order[t, b]) samples[k, :, b]`` for all ``t``, one vector for every
    ``k``: two tables of half the variables, so that the work does not depend on the number of
    records."""
    half = len(record) // 2
    low, high = ml.eq_table(record[:half]), ml.eq_table(record[half:])
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
