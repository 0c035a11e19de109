"""Batches: claims on the rows of a batch become claims on the dataset.

``X(z_i, z_b, z_t) = sum_n D(n, z_i) M(n)`` with ``M(n) = sum_{(t,b): index(t,b) = n} eq(z_t, t)
eq(z_b, b)``, the order being public. All claims on one source in one sumcheck over ``n``; the
verifier evaluates all ``M`` of both sources in one pass over the order, after everything else
(``selection``). Error ``(#claims + 2
variables) / |E|``.

What is left are claims on ``D``, which the opening of its commitment checks.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..arguments import sumcheck
from ..arguments.records import DatasetClaim
from ..errors import SumcheckMismatch
from ..field.extension import ONE
from ..field.forms import Scalar, combine
from ..transcript.channel import VerifierChannel
from .base import Context
from .reach import Bounds, Reach, Reaches, whole
from .selection import Selection


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
        split = context.shape.split
        claims = context.ledger.of(self.output)
        weights = channel.challenger.powers(f"{self.label}/gamma", len(claims))  # V -> P
        if not claims:
            return
        target = combine(weights, [value for _, value in claims])
        reduced, record = sumcheck.verify(channel, self.label, target, context.log_records, 2)
        values = channel.receive(f"{self.label}/records", len(claims))  # P -> V
        selected = context.order.want(
            [Selection(record, ONE, *split(point)[1:]) for point, _ in claims]
        )

        def total() -> Scalar:
            """``sum_k gamma^k M_k(record) value_k``."""
            return combine([w * m for w, m in zip(weights, selected(), strict=True)], values)

        channel.check(
            lambda: total() - reduced,
            SumcheckMismatch(f"the batches of the {self.source} do not match", stage="batch"),
            late=True,
        )
        for (point, _), value in zip(claims, values, strict=True):
            claim = DatasetClaim(self.source, record + split(point)[0], value)
            context.dataset.append(claim)
