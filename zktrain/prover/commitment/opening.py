"""Opening claims on tensors in several commitments at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...arguments import sumcheck
from ...commitment.opening import level_plan, weighted
from ...commitment.packing import BLOCK_LOG_MIN, Block, Claim, arrange, extend
from ...commitment.parameters import SCHEME, Scheme
from ...field import extension as ext
from ...field import multilinear as ml
from ...field.extension import ONE, ExtVec, Point
from ...profile import mark
from ..arguments import sumcheck as prover_sumcheck
from ..kernels import field as kf
from ..randomness import Randomness
from ..transcript.channel import ProverChannel
from . import ligerito
from .commit import Committed

LOW = BLOCK_LOG_MIN
"""Variables bound on per-claim tables, before one small dense table remains."""


def _lowest(block: Block, offset_cells: int) -> int:
    return (offset_cells + block.offset) >> LOW


def prove(
    channel: ProverChannel,
    label: str,
    committed: Sequence[Committed],
    claims: Sequence[Claim],
    bits: float,
    random: Randomness | None = None,
    *,
    scheme: Scheme = SCHEME,
) -> None:
    """Claims are absorbed already; ``bits`` is the security of every query term. ``random`` is for
    the masks of a channel that hides, and otherwise the operating system's."""
    packings = [c.packing for c in committed]
    offsets, n = arrange(packings)
    levels = level_plan(packings, bits, hiding=channel.hiding, scheme=scheme)
    lanes = sumcheck.Work(levels.batch_work_bits, levels.free - LOW)

    gamma = channel.challenger.element(f"{label}/gamma")  # V -> P
    weights = ext.powers(gamma, len(claims))

    mark("batch: claims")
    # the lowest variables: one table per distinct low point
    groups: dict[Point, ExtVec] = {}
    terms = weighted(claims, weights)
    for term, weight in terms:
        block = packings[term.commitment].block(term.name)
        point = extend(term.point, block.log_size)
        rows = committed[term.commitment].tensors[term.name].reshape(-1, 1 << LOW)
        high = kf.eq_table(point[LOW:], weight)[:, : rows.shape[0]]
        column = kf.contract_first(rows, np.ascontiguousarray(high))
        key = point[:LOW]
        if key in groups:
            groups[key] = _sum(groups[key], column)
        else:
            groups[key] = column
    machine = prover_sumcheck.ProductMachine(
        [(kf.eq_table(low), column) for low, column in groups.items()]
    )
    low_point = prover_sumcheck.prove(channel, f"{label}/batch", machine)

    mark("batch: all lanes")
    # the rest: F and omega with the low variables bound, over all lanes
    f = np.zeros((2, 1 << (n - LOW)), dtype=np.uint64)
    omega = np.zeros_like(f)
    low_table = kf.eq_table(low_point)
    for number, commitment in enumerate(committed):
        for block in commitment.packing.blocks:
            at = _lowest(block, offsets[number])
            rows = commitment.tensors[block.name].reshape(-1, 1 << LOW)
            f[:, at : at + rows.shape[0]] = kf.contract_last(rows, low_table)
    for term, weight in terms:
        block = packings[term.commitment].block(term.name)
        point = extend(term.point, block.log_size)
        at = _lowest(block, offsets[term.commitment])
        factor = weight * ml.eq(point[:LOW], low_point)
        table = kf.eq_table(point[LOW:], factor)
        omega[:, at : at + table.shape[1]] = _sum(
            np.ascontiguousarray(omega[:, at : at + table.shape[1]]), table
        )
    machine = prover_sumcheck.ProductMachine([(f, omega)])
    z = low_point + prover_sumcheck.prove(channel, f"{label}/batch", machine, work=lanes)
    value = machine.finals()[0][0]
    channel.send(f"{label}/value", [value])  # P -> V
    ligerito.prove(channel, label, committed, levels, z, random)


def _sum(a: ExtVec, b: ExtVec) -> ExtVec:
    out = a.copy()
    kf.add_scaled(out, ONE, b)
    return out
