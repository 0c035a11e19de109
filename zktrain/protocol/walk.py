"""The relations of one segment: from looked-up columns back to committed tensors, over every
operation of the step graph.

What remains are claims on committed tensors (in the ledger), on committed boundary weights, and
on the dataset. ``prover.protocol.walk`` goes over the operations in the same order; a dry run
counts claims and scalars (``dry``).
"""

from __future__ import annotations

from collections.abc import Callable

from ..field.extension import Ext, Point
from ..field.forms import Scalar
from ..operations.base import Context, Ends
from ..transcript.channel import VerifierChannel


def ends(
    channel: VerifierChannel,
    committed: tuple[str, ...],
    public_value: Callable[[str, str, Point], Ext],
) -> Ends:
    """``public_value(side, name, point)`` evaluates weights at a public end, or ``fixed`` ones;
    those at a ``committed`` one are received."""

    def value(side: str, name: str, point: Point) -> Scalar:
        if side in committed:
            return channel.receive(f"boundary/{side}", 1)[0]  # P -> V
        return public_value(side, name, point)

    return Ends(value, committed)


def verify(channel: VerifierChannel, context: Context) -> None:
    """Every operation, outputs first."""
    order = context.graph.claim_order()
    for op in order:
        op.verify(channel, context)
    if set(context.weights.claims) - {name for op in order for name in op.outputs()}:
        raise ValueError("there are claims on weights that no operation of the graph checks")
