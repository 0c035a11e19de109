"""Batches: claims on the rows of a batch become claims on the dataset.

``X(z_i, z_b, z_t) = sum_n D(n, z_i) M(n)`` with ``M(n) = sum_{(t,b): index(t,b) = n} eq(z_t, t)
eq(z_b, b)``, the order being public. All claims on one source in one sumcheck over ``n``; the
verifier evaluates every ``M`` in ``O(K B)``. Error ``(#claims + 2 log N) / |E|``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..channel import ProverChannel, VerifierChannel
from ..circuit.operations import Batch
from ..errors import SumcheckMismatch
from ..field import extension as ext
from ..field import multilinear as ml
from ..field.extension import ZERO, Ext, Point
from . import sumcheck
from .claims import Ledger, Shape


@dataclass(frozen=True, slots=True)
class DatasetClaim:
    """``source`` (``inputs`` or ``labels``) of the dataset, at ``point`` (record variables
    first)."""

    source: str
    point: Point
    value: Ext


def prove(
    channel: ProverChannel,
    op: Batch,
    shape: Shape,
    order: NDArray[np.int64],
    columns: NDArray[Any],
    ledger: Ledger,
) -> list[DatasetClaim]:
    """``order`` is ``(steps, batch)``; ``columns`` the committed ``(2^units, 2^records)``
    integers of the source."""
    from ..kernels import field as kf
    from ..kernels.training import scatter

    label = f"batch/{op.source}"
    claims = ledger.of(op.output)
    gamma = channel.challenger.element(f"{label}/gamma")  # V -> P
    if not claims:
        return []
    terms = []
    for power, (point, _) in zip(ext.powers(gamma, len(claims)), claims, strict=True):
        i, b, t = shape.split(point)
        steps = kf.eq_table(t, power)[:, : shape.steps]
        samples = kf.eq_table(b)[:, : shape.batch]
        weight = kf.product(
            np.ascontiguousarray(np.repeat(steps, shape.batch, axis=1)),
            np.ascontiguousarray(np.tile(samples, shape.steps)),
        )
        selector = scatter(order, weight, columns.shape[1])
        units = np.ascontiguousarray(kf.eq_table(i)[:, : columns.shape[0]])
        terms.append((selector, kf.contract_first(columns, units)))
    machine = sumcheck.ProductMachine(terms)
    record = sumcheck.prove(channel, label, machine)
    values = [d for _, d in machine.finals()]
    channel.send(f"{label}/records", values)  # P -> V
    return [
        DatasetClaim(op.source, record + shape.split(point)[0], value)
        for (point, _), value in zip(claims, values, strict=True)
    ]


def verify(
    channel: VerifierChannel,
    op: Batch,
    shape: Shape,
    order: NDArray[np.int64],
    log_records: int,
    ledger: Ledger,
) -> list[DatasetClaim]:
    label = f"batch/{op.source}"
    claims = ledger.of(op.output)
    gamma = channel.challenger.element(f"{label}/gamma")  # V -> P
    if not claims:
        return []
    weights = ext.powers(gamma, len(claims))
    target = ext.inner(weights, [value for _, value in claims])
    reduced, record = sumcheck.verify(channel, label, target, log_records, 2)
    values = channel.receive(f"{label}/records", len(claims))  # P -> V
    selected = ml.eq_table(record)[:, order]  # (2, steps, batch)
    total = ZERO
    out = []
    for power, (point, _), value in zip(weights, claims, values, strict=True):
        i, b, t = shape.split(point)
        samples = np.ascontiguousarray(ml.eq_table(b)[:, None, : shape.batch])
        rows = ext.total(ext.mul(selected, samples))
        total = total + power * ext.dot(rows, ml.eq_table(t)[:, : shape.steps]) * value
        out.append(DatasetClaim(op.source, record + i, value))
    if total != reduced:
        raise SumcheckMismatch(f"the batches of the {op.source} do not match", stage="batch")
    return out
