"""Prover of ``operations.accumulate``."""

from __future__ import annotations

from collections.abc import Iterator

from ...arguments.tensors import log_grid
from ...cost.parts import ROUND, Work
from ...field import extension as ext
from ...field.extension import Ext
from ...operations import Accumulate
from ...operations.base import Context
from ..arguments import pairs, sumcheck
from ..ranges import Range
from ..transcript.channel import ProverChannel
from .base import Given, Sizes
from .matrix import CONTRACTED


def prove(op: Accumulate, channel: ProverChannel, context: Context, given: Given) -> None:
    row, column = op.point(channel.challenger, context)
    values = [
        value
        for at in op.published(context, row, column)
        if (value := context.ends.checkpoint(*at)) is not None
    ]
    if values:
        channel.send_clear(f"{op.label}/checkpoints", values)  # P -> V
    claims, powers, _ = op.gather(channel.challenger, context, row, column, values)
    places = log_grid(context.tensor(op.error))

    def factors(at: Range) -> Iterator[pairs.Pair]:
        view = given.witness.view(at)
        activation, error = map(view.operand, (op.activation, op.error))
        for bias, claim in claims:
            a = 1 << op.bias_shift if bias else activation.over_units(claim.row)
            yield a, error.over_units(claim.column)

    def block(at: Range) -> pairs.Block:
        first = at.first(context.shape) << places
        return pairs.Block(first, at.count << places, lambda: factors(at))

    machine = pairs.PairMachine(
        [
            [pairs.StepWeight(ext.scale(claim.decay, power))]
            for power, (_, claim) in zip(powers, claims, strict=True)
        ],
        [block(at) for at in given.witness.ranges(op.inputs(), CONTRACTED << places)],
        op.samples(context),
        context.shape.log_steps,
        given.witness.memory,
    )
    point = sumcheck.prove(channel, op.label, machine)
    sent: list[Ext] = []
    for (bias, claim), (_, at_row, at_column) in zip(claims, machine.finals(), strict=True):
        sent += [at_column] if bias else [at_row, at_column]
        if not bias:
            context.ledger.add(op.activation, claim.row + point, at_row)
        context.ledger.add(op.error, claim.column + point, at_column)
    channel.send(f"{op.label}/factors", sent)  # P -> V


def work(op: Accumulate, sizes: Sizes) -> Work:
    rows, columns = sizes.units(op.activation), sizes.units(op.error)
    many = sizes.claims.weights[op.weight]
    every = sum(sizes.claims.weights[name] for name in op.outputs())
    each = sizes.samples * sizes.places(op.error)
    cells, table = each * (many * rows + every * columns), every * each
    amounts = {
        "cells": cells,
        "table": table,
        "weights": (many + 1) * rows * columns,
        "rounds": (each.bit_length() - 1) * every,
    }
    return sizes.work(op, "weight update", amounts, cells, 2.0 * cells + ROUND[3] * table)
