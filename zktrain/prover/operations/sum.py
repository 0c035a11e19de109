"""Prover of ``operations.sum``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...cost.parts import Work
from ...operations.base import Context
from ...operations.sum import Sum
from ..transcript.channel import ProverChannel
from .base import Given, Sizes, Tensors, padded, real


def prove(op: Sum, channel: ProverChannel, context: Context, given: Given) -> None:
    for point, value in context.ledger.of(op.output):
        factor, at, constant = op.moved(context, point)
        if constant:
            context.ledger.add(op.source, at, value * factor.inverse())
            continue
        sent = given.witness.evaluate(op.source, at)
        channel.send(f"{op.label}/value", [sent])  # P -> V
        context.ledger.add(op.source, at, sent)


def values(op: Sum, tensors: Tensors) -> NDArray[Any]:
    described = {name: tensors.described(name) for name in (op.source, op.output)}
    cells = real(tensors, op.source).astype(np.int64)
    return padded(tensors, op.output, op.apply(described, lambda _: cells))


def work(op: Sum, sizes: Sizes) -> Work:
    """What is repeated is evaluated once for each claim."""
    many, cells = sizes.claims.tensors[op.output], sizes.cells(op.source)
    total = many * cells if cells < sizes.cells(op.output) else 0
    amounts = {"cells": total, "calls": 1}
    return sizes.work(op, "linear", amounts, total, 2.0 * total, reads=op.inputs())
