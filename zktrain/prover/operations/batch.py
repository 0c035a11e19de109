"""Prover of ``operations.batch``."""

from __future__ import annotations

import numpy as np

from ...arguments.records import DatasetClaim
from ...cost.parts import EXTENSION, ROUND, Work
from ...operations import Batch
from ...operations.base import Context
from ..arguments import sumcheck
from ..kernels import field as kf
from ..kernels.training import scatter
from ..transcript.channel import ProverChannel
from .base import Given, Sizes

AT_ONCE = 1 << 18
"""Samples whose weights are computed at once."""


def prove(op: Batch, channel: ProverChannel, context: Context, given: Given) -> None:
    shape = context.shape
    columns = given.columns[op.source]
    claims = context.ledger.of(op.output)
    weights = channel.challenger.powers(f"{op.label}/gamma", len(claims))  # V -> P
    if not claims:
        return
    size = 1 << context.log_records
    splits = [shape.split(point) for point, _ in claims]
    factors = [
        (kf.eq_table(t, power), kf.eq_table(b)[:, : shape.batch])
        for power, (_, b, t) in zip(weights, splits, strict=True)
    ]
    selectors = [np.zeros((2, size), dtype=np.uint64) for _ in claims]
    at, at_once = 0, max(1, AT_ONCE // shape.batch)
    for piece in context.order.pieces():
        for first in range(0, len(piece), at_once):
            here = piece[first : first + at_once]
            for selector, (steps, samples) in zip(selectors, factors, strict=True):
                scatter(here, kf.outer(steps[:, at : at + len(here)], samples), selector)
            at += len(here)
    terms = []
    for selector, (i, _, _) in zip(selectors, splits, strict=True):
        units = kf.eq_table(i)
        cells = kf.contract_first(columns, np.ascontiguousarray(units[:, : columns.shape[0]]))
        terms.append((selector, np.pad(cells, ((0, 0), (0, size - cells.shape[1])))))
    machine = sumcheck.ProductMachine(terms)
    record = sumcheck.prove(channel, op.label, machine)
    values = [d for _, d in machine.finals()]
    channel.send(f"{op.label}/records", values)  # P -> V
    for (unit, _, _), value in zip(splits, values, strict=True):
        context.dataset.append(DatasetClaim(op.source, record + unit, value))


def work(op: Batch, sizes: Sizes) -> Work:
    header, many = sizes.header, sizes.claims.tensors[op.output]
    inputs = op.source == "inputs"
    columns = header.covered_features if inputs else 1 << header.log_classes
    cells = many * columns << header.log_records
    table = many << header.log_records
    amounts = {
        "cells": cells,
        "table": table,
        "samples": many * sizes.samples,
        "wide": 0,
        "rounds": header.log_records * many,
    }
    multiplications = 2.0 * cells + ROUND[2] * table
    multiplications += EXTENSION * many * sizes.samples
    return sizes.work(op, "batch", amounts, cells, multiplications)
