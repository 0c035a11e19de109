"""How many scalars a segment has, those in clear too, beside its claims."""

from __future__ import annotations

from functools import lru_cache

from ..commitment.hiding import DryChannel
from ..errors import ZktrainError
from ..field.extension import ZERO, Ext
from ..field.forms import Scalar
from ..protocol import dry
from ..protocol.statement import Statement, dry_relations
from ..transcript.channel import VerifierChannel


class CountingChannel(DryChannel):
    """Counts all scalars, those in clear too."""

    def __init__(self, *, hides: bool) -> None:
        super().__init__()
        self.scalars = 0
        self._hides = hides

    def receive_clear(self, label: str, count: int) -> list[Ext]:
        self.scalars += count
        return [ZERO] * count

    def check_nonzero(self, label: str, left: Scalar, right: Scalar, error: ZktrainError) -> None:
        if self._hides:
            super().check_nonzero(label, left, right, error)
        else:
            VerifierChannel.check_nonzero(self, label, ZERO + Ext(1), Ext(1), error)


def segment_scalars(statement: Statement, segment: int) -> int:
    """Scalars of lookups and relations."""
    steps, sides = statement.kind(segment)
    return _scalars(statement, segment, steps, sides)


@lru_cache(maxsize=64)
def _scalars(statement: Statement, segment: int, steps: int, sides: tuple[str, ...]) -> int:
    axis = statement.dataset.record_axis
    relations = dry_relations(statement.circuit, statement.shape(segment), sides, axis)
    channel = CountingChannel(hides=statement.zero_knowledge)
    dry.count(relations, channel)
    return channel.scalars
