"""Prover of ``operations.accumulate``."""

from __future__ import annotations

import numpy as np

from ...cost.parts import ROUND, Work
from ...field import extension as ext
from ...field.extension import Ext
from ...operations import Accumulate
from ...operations.base import Context
from ..arguments import sumcheck
from ..transcript.channel import ProverChannel
from .base import Given, Segment


def prove(op: Accumulate, channel: ProverChannel, context: Context, given: Given) -> None:
    claims, powers, _ = op.gather(channel.challenger, context)
    activation, error = map(given.witness.operand, (op.activation, op.error))
    batch = 1 << op.samples(context)
    terms = []
    for power, (bias, claim) in zip(powers, claims, strict=True):
        if bias:
            a = np.zeros((2, activation.steps * batch), dtype=np.uint64)
            a[0] = 1 << op.bias_shift
        else:
            a = activation.over_units(claim.row)
        e = error.over_units(claim.column)
        decay = np.ascontiguousarray(np.repeat(ext.scale(claim.decay, power), batch, axis=1))
        terms.append((decay, a, e))
    machine = sumcheck.ProductMachine(terms)
    point = sumcheck.prove(channel, op.label, machine)
    sent: list[Ext] = []
    for (bias, claim), (_, at_row, at_column) in zip(claims, machine.finals(), strict=True):
        sent += [at_column] if bias else [at_row, at_column]
        if not bias:
            context.ledger.add(op.activation, claim.row + point, at_row)
        context.ledger.add(op.error, claim.column + point, at_column)
    channel.send(f"{op.label}/factors", sent)  # P -> V


def work(op: Accumulate, segment: Segment) -> Work:
    rows, columns = segment.units(op.activation), segment.units(op.error)
    many = segment.claims.weights[op.weight]
    every = sum(segment.claims.weights[name] for name in op.outputs())
    each = segment.samples * segment.places(op.error)
    cells, table = each * (many * rows + every * columns), every * each
    amounts = {
        "cells": cells,
        "table": table,
        "weights": (many + 1) * rows * columns,
        "rounds": (each.bit_length() - 1) * every,
    }
    return segment.work(op, "weight update", amounts, cells, 2.0 * cells + ROUND[3] * table)
