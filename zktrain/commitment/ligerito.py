"""The recursive Reed-Solomon opening: ``F(z) = v`` for committed lanes.

Level 0 folds the lanes of ``F`` with the lane coordinates of ``z``, which were drawn after the
commitment: ``f_1 = sum_l eq(z_row, l) F_l`` and ``<f_1, eq(z_col)> = v``. Level ``l``: commit
``f_l`` at half the rate, only then draw the positions of the previous level to open; a row
opened at ``x`` folds to ``y`` and becomes the claim ``<(1, x, x^2, ...), f_l> = y``, added to
the running claim with powers of ``beta``; a sumcheck over the lowest variables gives
``f_{l+1}``. The last vector goes in clear, and the last commitment's rows are checked against
it. [NA25]
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..arguments import sumcheck
from ..channel import ProverChannel, VerifierChannel
from ..errors import OpeningMismatch
from ..field import extension as ext
from ..field import goldilocks as gl
from ..field import multilinear as ml
from ..field.extension import ONE, Ext, ExtVec, Point
from ..field.goldilocks import P, bit_reverse, root_of_unity
from . import merkle
from .commit import Committed
from .packing import Packing
from .parameters import plan

Rows = NDArray[np.uint64]


def code_point(index: int, code_log: int) -> int:
    """Where code word position ``index`` evaluates."""
    return pow(root_of_unity(code_log), bit_reverse(index, code_log), P)


def prove(
    channel: ProverChannel,
    label: str,
    committed: Sequence[Committed],
    offsets: Sequence[int],
    row_log: int,
    z: Point,
    value: Ext,
    bits: float,
) -> None:
    """``z`` has the lane's own variables first, then ``row_log`` lane coordinates."""
    from ..kernels import field as kf
    from ..kernels.commit import add_powers, fill_pairs
    from ..kernels.ntt import transform

    lane_log = committed[0].packing.lane_log
    levels = plan(lane_log, row_log, bits)
    lane_weights = ml.eq_table(z[lane_log:])
    f = _fold_lanes(committed, offsets, lane_log, lane_weights)
    w = kf.eq_table(z[:lane_log])

    codes = [c.code for c in committed]
    trees = [c.tree for c in committed]
    for number, level in enumerate(levels.levels):
        last = number + 1 == len(levels.levels)
        if last:
            channel.send_cells(f"{label}/clear", f.T)  # P -> V
        else:
            following = levels.levels[number + 1]
            code = np.zeros((1 << following.code_log, 2 << following.fold_log), dtype=np.uint64)
            fill_pairs(f, code)
            transform(code)
            tree = merkle.build(code)
            channel.send_digest(f"{label}/root", tree.root)  # P -> V
        indices = channel.challenger.distinct_indices(  # V -> P
            f"{label}/positions", level.queries, 1 << level.code_log
        )
        for matrix, opened in zip(codes, trees, strict=True):
            channel.send_cells(f"{label}/rows", matrix[indices])  # P -> V
            merkle.prove(channel, f"{label}", opened, indices)
        if last:
            return
        beta = channel.challenger.element(f"{label}/beta")  # V -> P
        points = [code_point(i, level.code_log) for i in indices]
        add_powers(w, points, _beta_powers(beta, len(points)))
        machine = sumcheck.ProductMachine([(f, w)])
        machine.rounds = following.fold_log
        sumcheck.prove(channel, f"{label}/fold", machine)
        f, w = machine.terms[0]
        codes, trees = [code], [tree]


def _beta_powers(beta: Ext, count: int) -> list[Ext]:
    return [p * beta for p in ext.powers(beta, count)]


def _fold_lanes(
    committed: Sequence[Committed], offsets: Sequence[int], lane_log: int, weights: ExtVec
) -> ExtVec:
    """``f_1`` from the integer tensors."""
    from ..kernels import field as kf

    size = 1 << lane_log
    f = np.zeros((2, size), dtype=np.uint64)
    for commitment, offset in zip(committed, offsets, strict=True):
        for block in commitment.packing.blocks:
            lane, start = divmod(block.offset, size)
            flat = commitment.tensors[block.name]
            rows = flat.reshape(-1, size) if flat.shape[0] >= size else flat.reshape(1, -1)
            first = offset + lane
            part = kf.contract_first(
                rows, np.ascontiguousarray(weights[:, first : first + rows.shape[0]])
            )
            view = np.ascontiguousarray(f[:, start : start + rows.shape[1]])
            kf.add_scaled(view, ONE, part)
            f[:, start : start + rows.shape[1]] = view
    return f


def verify(
    channel: VerifierChannel,
    label: str,
    roots: Sequence[bytes],
    packings: Sequence[Packing],
    offsets: Sequence[int],
    row_log: int,
    z: Point,
    value: Ext,
    bits: float,
) -> None:
    """Raises :class:`OpeningMismatch` or :class:`CommitmentMismatch` unless ``F(z) = value``."""
    lane_log = packings[0].lane_log
    levels = plan(lane_log, row_log, bits)
    lane_table = ml.eq_table(z[lane_log:])
    weights = [
        np.ascontiguousarray(lane_table[:, [offset + lane for lane in packing.live_lanes]])
        for packing, offset in zip(packings, offsets, strict=True)
    ]
    running = value
    # terms of the running weight: eq(z_col), then the powers of every opened position
    eq_point, eq_factor = z[:lane_log], ONE
    power_points = np.zeros(0, dtype=np.uint64)
    power_factors = np.zeros((2, 0), dtype=np.uint64)
    current_roots: Sequence[bytes] = roots

    for number, level in enumerate(levels.levels):
        last = number + 1 == len(levels.levels)
        if last:
            clear = channel.receive_cells(f"{label}/clear", (1 << levels.clear_log, 2)).T  # P -> V
            clear = np.ascontiguousarray(clear)
        else:
            following = levels.levels[number + 1]
            next_root = channel.receive_digest(f"{label}/root")  # P -> V
        indices = channel.challenger.distinct_indices(  # V -> P
            f"{label}/positions", level.queries, 1 << level.code_log
        )
        points = np.array([code_point(i, level.code_log) for i in indices], dtype=np.uint64)
        folded = np.zeros((2, len(indices)), dtype=np.uint64)
        for root, weight in zip(current_roots, weights, strict=True):
            width = weight.shape[1] * (1 if number == 0 else 2)
            rows = channel.receive_cells(f"{label}/rows", (len(indices), width))  # P -> V
            merkle.verify(channel, f"{label}", root, level.code_log, indices, rows)
            folded = ext.add(folded, _fold_rows(rows, weight, base=number == 0))
        if last:
            break
        beta = channel.challenger.element(f"{label}/beta")  # V -> P
        factors = ext.vector(_beta_powers(beta, len(indices)))
        running = running + ext.dot(factors, folded)
        power_points = np.concatenate([power_points, points])
        power_factors = np.concatenate([power_factors, factors], axis=1)

        running, bound = sumcheck.verify(channel, f"{label}/fold", running, following.fold_log, 2)
        eq_factor = eq_factor * ml.eq(eq_point[: len(bound)], bound)
        eq_point = eq_point[len(bound) :]
        for challenge in bound:  # x^i restricted: factor 1 - s + s x, then x -> x^2
            at = ext.scale(
                ext.from_base(gl.sub(power_points, np.uint64(1) + np.zeros_like(power_points))),
                challenge,
            )
            at[0] = gl.add(at[0], np.ones_like(power_points))
            power_factors = ext.mul(power_factors, at)
            power_points = gl.mul(power_points, power_points)
        weights = [ml.eq_table(bound)]
        current_roots = [next_root]

    # the clear vector is the folded one at the opened positions of the last commitment
    if not np.array_equal(_evaluate_powers(clear, points), folded):
        raise OpeningMismatch(
            "the clear vector is not the fold of the last commitment", stage=label
        )
    weight = ext.scale(ml.eq_table(eq_point), eq_factor)
    claimed = ext.dot(weight, clear)
    if power_points.size:
        claimed = claimed + ext.dot(power_factors, _evaluate_powers(clear, power_points))
    if claimed != running:
        raise OpeningMismatch("the clear vector does not satisfy the folded claim", stage=label)


def _fold_rows(rows: Rows, weight: ExtVec, *, base: bool) -> ExtVec:
    """``sum_l weight_l row[l]`` for base-field rows, or rows of interleaved coordinates."""
    if base:
        return np.stack([gl.total(gl.mul(rows, weight[c][None, :]), axis=1) for c in (0, 1)])
    pairs = np.stack([rows[:, 0::2], rows[:, 1::2]])
    return ext.total(ext.mul(pairs, weight[:, None, :]))


def _evaluate_powers(clear: ExtVec, points: gl.U64) -> ExtVec:
    """``sum_i clear_i x^i`` for every point, by Horner's rule on whole vectors."""
    out = np.zeros((2, points.shape[0]), dtype=np.uint64)
    for i in range(clear.shape[1] - 1, -1, -1):
        out = ext.mul_base(out, points)
        out = ext.add(out, np.broadcast_to(clear[:, i : i + 1], out.shape))
    return out
