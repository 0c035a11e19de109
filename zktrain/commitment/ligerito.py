"""The recursive Reed-Solomon opening: ``F(z) = v`` for committed lanes.

Level 0 folds the lanes of ``F`` with the lane coordinates of ``z``, which were drawn after the
commitment: ``f_1 = sum_l eq(z_row, l) F_l`` and ``<f_1, eq(z_col)> = v``. Level ``l``: commit
``f_l`` at a lower rate, only then, after some work, draw the positions of the previous level to
open; a row opened at ``x`` folds to ``y`` and becomes the claim ``<(1, x, x^2, ...), f_l> = y``,
added to the running claim with powers of ``beta``; a sumcheck over the lowest variables, with work
before each challenge, gives ``f_{l+1}``. The last vector goes in clear, and the last
commitment's rows are checked against it. [NA25]

Where commitments hide, their lanes have random *tails* above the message, so ``f_1`` has a
folded tail ``g`` above it: a row at ``x`` folds to ``f_1(x) + x^(2^lane_log) g(x)``. Level 1
holds ``g`` in lanes of its own, which one more lane variable tells from those of ``f_1``. Where
the channel hides, level 1 is *masked*: its lanes have tails too and its leaves salts, and one
more lane ``b`` of random coefficients is added to the fold, ``f_2 = fold + epsilon b``. Then
``f_2`` and its folded tail are uniform, and everything below goes in clear.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..arguments import sumcheck
from ..errors import OpeningMismatch
from ..field import extension as ext
from ..field import goldilocks as gl
from ..field import multilinear as ml
from ..field.extension import ONE, ZERO, Ext, ExtVec, Point
from ..field.forms import Scalar
from ..transcript.challenger import Challenger
from ..transcript.channel import VerifierChannel
from . import merkle
from .packing import Packing
from .parameters import Level, Plan

Rows = NDArray[np.uint64]


def zero_point_of(challenger: Challenger, label: str, level: Level) -> Point:
    """Where the lane of the carried tail is checked to be 0 beyond the tail."""
    return tuple(challenger.elements(f"{label}/zeros", level.message_log))


def level_weights(level: Level, bound: Point, epsilon: Ext) -> ExtVec:
    """Weight of every lane of a deeper level in its fold."""
    table = ml.eq_table(bound)
    parts = [table[:, : 1 << level.fold_log]]
    if level.carried >= 0:
        first = 1 << level.fold_log
        parts.append(table[:, first : first + (1 << level.carried)])
    if level.masked:
        parts.append(ext.vector([epsilon]))
    return np.concatenate(parts, axis=1)


def beta_powers(beta: Ext, count: int) -> list[Ext]:
    return [p * beta for p in ext.powers(beta, count)]


@dataclass(slots=True)
class _Powers:
    """Terms of the running weight: ``sum_k factor_k (1, x_k, x_k^2, ...)``."""

    points: gl.U64
    factors: ExtVec

    def add(self, other: _Powers) -> None:
        self.points = np.concatenate([self.points, other.points])
        self.factors = np.concatenate([self.factors, other.factors], axis=1)

    def bind(self, challenge: Ext) -> None:
        """Fix the lowest variable: ``x^i`` becomes ``(1 - r + r x) (x^2)^i``."""
        one = np.ones_like(self.points)
        at = ext.mul_base(ext.vector([challenge]), gl.sub(self.points, one))
        at[0] = gl.add(at[0], one)
        self.factors = ext.mul(self.factors, at)
        self.points = gl.mul(self.points, self.points)

    def scale(self, factor: Ext) -> None:
        self.factors = ext.scale(self.factors, factor)

    def evaluate(self, vector: ExtVec) -> Ext:
        """Inner product with ``vector``."""
        return ext.dot(self.factors, gl.evaluate_polynomials(vector, self.points))


def verify(
    channel: VerifierChannel,
    label: str,
    roots: Sequence[bytes],
    packings: Sequence[Packing],
    offsets: Sequence[int],
    levels: Plan,
    z: Point,
    value: Scalar,
) -> None:
    """Raises :class:`OpeningMismatch` or :class:`CommitmentMismatch` unless ``F(z) = value``."""
    lane_log = packings[0].lane_log
    lane_table = ml.eq_table(z[lane_log:])
    weights = [
        np.ascontiguousarray(lane_table[:, [offset + lane for lane in packing.live_lanes]])
        for packing, offset in zip(packings, offsets, strict=True)
    ]
    salts = [packing.row_cells - len(packing.live_lanes) for packing in packings]
    running = value
    # the running weight: eq of some points, and powers of every opened position
    eqs = [(z[:lane_log], ONE)]
    none = np.zeros((2, 0), dtype=np.uint64)
    powers = _Powers(none[0], none)
    current_roots: Sequence[bytes] = roots

    for number, level in enumerate(levels.levels):
        last = number + 1 == len(levels.levels)
        if last:
            clear = channel.receive_cells(f"{label}/clear", (1 << levels.clear_log, 2)).T  # P -> V
            clear = np.ascontiguousarray(clear)
        else:
            following = levels.levels[number + 1]
            next_root = channel.receive_digest(f"{label}/root")  # P -> V
        if level.masked:
            tail = channel.receive_cells(f"{label}/tail", (level.tail, 2)).T  # P -> V
        channel.receive_work(f"{label}/work", level.work_bits)  # P -> V
        indices = channel.challenger.distinct_indices(  # V -> P
            f"{label}/positions", level.queries, 1 << level.code_log
        )
        points = gl.reversed_powers(level.code_log, indices)
        folded = np.zeros((2, len(indices)), dtype=np.uint64)
        for root, weight, salt in zip(current_roots, weights, salts, strict=True):
            width = weight.shape[1] * (1 if number == 0 else 2)
            rows = channel.receive_cells(f"{label}/rows", (len(indices), width + salt))  # P -> V
            merkle.verify(channel, f"{label}", root, level.code_log, indices, rows)
            folded = ext.add(folded, _fold_rows(rows[:, :width], weight, base=number == 0))
        if level.masked:  # f_2(x) is the folded row without the folded tail above it
            shift = _to_power(points, 1 << level.message_log)
            folded = ext.sub(folded, ext.mul_base(gl.evaluate_polynomials(tail, points), shift))
        if last:
            break
        beta = channel.challenger.element(f"{label}/beta")  # V -> P
        factors = ext.vector(beta_powers(beta, len(indices)))
        running = running + ext.dot(factors, folded)
        powers.add(_Powers(points, factors))

        if following.zeros:
            zero_point = zero_point_of(channel.challenger, label, following)  # V -> P
        running, bound = sumcheck.verify(
            channel,
            f"{label}/fold",
            running,
            following.variables,
            2,
            clear=not following.masked,
            work=sumcheck.Work(following.fold_work_bits),
        )
        own = bound[: following.fold_log]
        eqs = [(x[len(own) :], f * ml.eq(x[: len(own)], own)) for x, f in eqs]
        for challenge in own:
            powers.bind(challenge)
        if following.carried >= 0:
            carried = _Powers(points, ext.mul_base(factors, _to_power(points, 1 << lane_log)))
            for challenge in bound[: following.carried]:
                carried.bind(challenge)
            choice = bound[-1]
            place = choice  # of the carried lanes
            for challenge in own[following.carried :]:
                place = place * (1 - challenge)
            carried.scale(place)
            powers.scale(1 - choice)
            powers.add(carried)
            eqs = [(x, f * (1 - choice)) for x, f in eqs]
            if following.zeros:  # eq(z, .) at the cells beyond the tail
                factor = place * beta_powers(beta, len(indices) + 1)[-1]
                tail_log = ml.log2_ceil(following.carried_tail)
                low, high = zero_point[:tail_log], zero_point[tail_log:]
                eqs.append((zero_point, factor))
                inside = ml.eq_index(high, 0)
                eqs.append((low + (ZERO,) * len(high), -(factor * inside)))
        epsilon = ONE
        if following.masked:
            (mask,) = channel.receive(f"{label}/mask", 1)  # P -> V
            channel.receive_work(f"{label}/epsilon/work", following.fold_work_bits)  # P -> V
            epsilon = channel.challenger.element(f"{label}/epsilon")  # V -> P
            running = running + epsilon * mask
        weights = [level_weights(following, bound, epsilon)]
        salts = [following.salt_cells]
        current_roots = [next_root]

    # the clear vector is the folded one at the opened positions of the last commitment
    if not np.array_equal(gl.evaluate_polynomials(clear, points), folded):
        raise OpeningMismatch(
            "the clear vector is not the fold of the last commitment", stage=label
        )
    claimed = powers.evaluate(clear)
    for point, factor in eqs:
        claimed = claimed + ext.dot(ml.eq_table(point, factor), clear)
    channel.check(
        lambda: claimed - running,
        OpeningMismatch("the clear vector does not satisfy the folded claim", stage=label),
    )


def _to_power(points: gl.U64, exponent: int) -> gl.U64:
    """``x^exponent`` for a power of two."""
    for _ in range(exponent.bit_length() - 1):
        points = gl.mul(points, points)
    return points


def _fold_rows(rows: Rows, weight: ExtVec, *, base: bool) -> ExtVec:
    """``sum_l weight_l row[l]`` for base-field rows, or rows of interleaved coordinates."""
    if base:
        return gl.matmul(rows, weight.T).T
    return ext.contract(np.stack([rows[:, 0::2], rows[:, 1::2]]), weight)
