"""Prover of ``operations.batch``."""

from __future__ import annotations

import numpy as np

from ...arguments.records import DatasetClaim
from ...cost.parts import EXTENSION, ROUND, Work
from ...field import extension as ext
from ...field import multilinear as ml
from ...field.extension import ONE, Ext, Point
from ...operations import Batch
from ...operations.base import Context
from ..arguments import sumcheck
from ..kernels import field as kf
from ..kernels.training import scatter
from ..transcript.channel import ProverChannel
from .base import Given, Segment


def prove(op: Batch, channel: ProverChannel, context: Context, given: Given) -> None:
    shape, records = context.shape, context.records
    columns = given.columns[op.source]
    claims = context.ledger.of(op.output)
    weights = channel.challenger.powers(f"{op.label}/gamma", len(claims))  # V -> P
    if not claims:
        return
    size = 1 << records.shared
    terms = []
    for power, (point, _) in zip(weights, claims, strict=True):
        i, b, t = shape.split(point)
        steps = kf.eq_table(t, power)[:, : shape.steps]
        samples = kf.eq_table(b)[:, : shape.batch]
        weight = kf.product(
            np.ascontiguousarray(np.repeat(steps, shape.batch, axis=1)),
            np.ascontiguousarray(np.tile(samples, shape.steps)),
        )
        selector = scatter(context.order, weight, size)
        units = kf.eq_table(i)
        cells = kf.contract_first(columns, np.ascontiguousarray(units[:, : columns.shape[0]]))
        terms.append((selector, np.pad(cells, ((0, 0), (0, size - cells.shape[1])))))
    machine = sumcheck.ProductMachine(terms)
    record = sumcheck.prove(channel, op.label, machine)
    values = [d for _, d in machine.finals()]
    if given.blinding is not None:
        hidden = [_hidden(op, context, given, record, point) for point, _ in claims]
        choice = _ChoiceMachine([m for m, _ in machine.finals()], values, hidden)
        record += sumcheck.prove(channel, op.label, choice)
        values = choice.values
    channel.send_clear(f"{op.label}/records", values)  # P -> V
    for (point, _), value in zip(claims, values, strict=True):
        context.dataset.append(DatasetClaim(op.source, record + shape.split(point)[0], value))


def _hidden(op: Batch, context: Context, given: Given, record: Point, point: Point) -> Ext:
    """The blinding records where the claim is, the choice not yet made."""
    length, factor = context.records.blinding_log, ONE
    for x in record[length:]:
        factor = factor * (1 - x)
    units = kf.eq_table(context.shape.split(point)[0])
    blinding = (given.blinding or {})[op.source]
    rows = kf.contract_first(blinding, np.ascontiguousarray(units[:, : blinding.shape[0]]))
    return factor * ml.evaluate(rows, record[:length])


class _ChoiceMachine:
    """One round over the choice ``s``: ``sum_k (1 - s) M_k ((1 - s) D_k + s R_k)``."""

    rounds = 1
    degree = 2

    def __init__(self, selectors: list[Ext], real: list[Ext], blinding: list[Ext]) -> None:
        self.values = real
        self._selectors = selectors
        self._blinding = blinding

    def message(self) -> list[Ext]:
        at0 = ext.inner(self._selectors, self.values)
        return [at0, at0 - 2 * ext.inner(self._selectors, self._blinding)]

    def bind(self, challenge: Ext) -> None:
        self.values = [
            (1 - challenge) * d + challenge * r
            for d, r in zip(self.values, self._blinding, strict=True)
        ]


def work(op: Batch, segment: Segment) -> Work:
    header, many = segment.header, segment.claims.tensors[op.output]
    inputs = op.source == "inputs"
    columns = header.covered_features if inputs else 1 << header.log_classes
    cells = many * columns << header.log_records
    table = many << header.record_axis.shared
    blinds = 0
    if header.hiding:
        blinds = many * segment.graph.tensor(op.output).width << header.blinding_log
    amounts = {
        "cells": cells,
        "table": table,
        "samples": many * segment.samples,
        "wide": blinds,
        "rounds": header.log_records * many,
    }
    multiplications = 2.0 * (cells + blinds) + ROUND[2] * table
    multiplications += EXTENSION * many * segment.samples
    return segment.work(op, "batch", amounts, cells, multiplications)
