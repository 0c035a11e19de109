"""The prover's walk over the operations of a segment."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ...field.extension import Ext, Point
from ...operations.base import Context, Ends, name_of
from ...profile import mark
from ..kernels import field as kf
from ..operations import twin
from ..operations.base import Given
from ..transcript.channel import ProverChannel


def ends(
    channel: ProverChannel,
    committed: tuple[str, ...],
    weights: Mapping[str, Mapping[str, NDArray[np.int64]]],
) -> Ends:
    """``weights`` are the padded ones by side; values of ``committed`` ones are sent."""

    def value(side: str, name: str, point: Point) -> Ext:
        found = kf.evaluate(weights[side][name].reshape(-1), point)
        if side in committed:
            channel.send(f"boundary/{side}", [found])  # P -> V
        return found

    return Ends(value, committed)


def prove(channel: ProverChannel, context: Context, given: Given) -> None:
    """The ledger has the claims on looked-up columns."""
    for op in context.graph.claim_order():
        mark(name_of(op))
        twin(op).prove(op, channel, context, given)
    mark(None)
