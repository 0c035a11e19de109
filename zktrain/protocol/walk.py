"""The relations of a proof: from looked-up columns back to committed tensors, over every operation
of the step graph.

What remains are claims on committed tensors (in the ledger), on public weights, and on the dataset.
``prover.protocol.walk`` goes over the operations in the same order; a dry run counts claims and
scalars (``dry``).
"""

from __future__ import annotations

from ..operations.base import Context
from ..transcript.channel import VerifierChannel


def verify(channel: VerifierChannel, context: Context) -> None:
    """Every operation, outputs first."""
    order = context.graph.claim_order()
    for op in order:
        op.verify(channel, context)
    if set(context.weights.claims) - {name for op in order for name in op.outputs()}:
        raise ValueError("there are claims on weights that no operation of the graph checks")
