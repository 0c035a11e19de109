"""Prover of ``operations.tally``."""

from __future__ import annotations

import numpy as np

from ...operations import Tally
from ...operations.base import Context
from ..arguments import sumcheck
from ..kernels import field as kf
from ..transcript.channel import ProverChannel
from .base import Given, no_work


def prove(op: Tally, channel: ProverChannel, context: Context, given: Given) -> None:
    shape = context.shape
    i, k = op.entry(channel.challenger, context)
    columns = np.zeros((2, 2, 1 << (shape.log_batch + shape.log_steps)), dtype=np.uint64)
    for at in given.witness.ranges((op.left, op.right)):
        view, first = given.witness.view(at), at.first(shape)
        for name, point, out in ((op.left, i, columns[0]), (op.right, k, columns[1])):
            rows = view.tensor(name).reshape(-1, 1 << len(point))
            out[:, first : first + at.count] = kf.contract_last(rows, kf.eq_table(point))
    machine = sumcheck.ProductMachine([(columns[0], columns[1])])
    sample = sumcheck.prove(channel, op.label, machine)
    a, b = machine.finals()[0]
    channel.send(f"{op.label}/factors", [a, b])  # P -> V
    context.ledger.add(op.left, i + sample, a)
    context.ledger.add(op.right, k + sample, b)


work = no_work
