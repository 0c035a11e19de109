"""The prover's walk over the operations of a step graph."""

from __future__ import annotations

from ...operations.base import Context, name_of
from ...profile import mark
from ..journal import Journal, stage
from ..operations import twin
from ..operations.base import Given
from ..transcript.channel import ProverChannel


def prove(
    channel: ProverChannel, context: Context, given: Given, journal: Journal | None = None
) -> None:
    """The ledger has the claims on looked-up columns."""
    for op in context.graph.claim_order():
        mark(name_of(op))
        stage(
            journal,
            channel,
            lambda op=op: twin(op).prove(op, channel, context, given),  # type: ignore[misc]
            lambda reader, op=op: op.verify(reader, context),  # type: ignore[misc]
        )
    mark(None)
