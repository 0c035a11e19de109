"""Prover of ``operations.tally``."""

from __future__ import annotations

from ...operations import Tally
from ...operations.base import Context
from ..arguments import sumcheck
from ..kernels import field as kf
from ..transcript.channel import ProverChannel
from .base import Given, no_work


def prove(op: Tally, channel: ProverChannel, context: Context, given: Given) -> None:
    i, k = op.entry(channel.challenger, context)
    columns = []
    for name, point in ((op.left, i), (op.right, k)):
        rows = given.witness.tensor(name).reshape(-1, 1 << len(point))
        columns.append(kf.contract_last(rows, kf.eq_table(point)))
    machine = sumcheck.ProductMachine([(columns[0], columns[1])])
    sample = sumcheck.prove(channel, op.label, machine)
    a, b = machine.finals()[0]
    channel.send(f"{op.label}/factors", [a, b])  # P -> V
    context.ledger.add(op.left, i + sample, a)
    context.ledger.add(op.right, k + sample, b)


work = no_work
