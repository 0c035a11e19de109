"""Prover of ``operations.sum``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...cost.parts import Work
from ...operations.base import Context
from ...operations.sum import Sum
from ..transcript.channel import ProverChannel
from .base import Given, Segment, Witness, padded, real


def prove(op: Sum, channel: ProverChannel, context: Context, given: Given) -> None:
    for point, value in context.ledger.of(op.output):
        factor, at, constant = op.moved(context, point)
        if constant:
            context.ledger.add(op.source, at, value * factor.inverse())
            continue
        sent = given.witness.evaluate(op.source, at)
        channel.send(f"{op.label}/value", [sent])  # P -> V
        context.ledger.add(op.source, at, sent)


def values(op: Sum, witness: Witness) -> NDArray[Any]:
    tensors = {name: witness.graph.tensor(name) for name in (op.source, op.output)}
    cells = real(witness, tensors[op.source]).astype(np.int64)
    return padded(witness, tensors[op.output], op.apply(tensors, lambda _: cells))


def work(op: Sum, segment: Segment) -> Work:
    """What is repeated is evaluated once for each claim."""
    many, cells = segment.claims.tensors[op.output], segment.cells(op.source)
    total = many * cells if cells < segment.cells(op.output) else 0
    amounts = {"cells": total, "calls": 1}
    return segment.work(op, "linear", amounts, total, 2.0 * total, reads=op.inputs())
