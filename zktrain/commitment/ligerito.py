"""The recursive Reed-Solomon opening: ``F(z) = v`` for committed lanes.

Several commitments, each an aligned block of ``F``, are opened as one. Level 0 folds the lanes of
each with its own lane coordinates of ``z``, drawn after the commitments: ``f_c = sum_l eq(z_row,
l) F_(c,l)``. With ``eq(prefix_c)`` in the weight, ``sum_c eq(prefix_c) <f_c, eq(z_col)> = v``.

Level 1 commits to all ``f_c`` side by side, each in lanes of its own, at a lower rate. Only then,
after some work, the positions of every commitment to open are drawn; a row opened at ``x`` folds
to ``y`` and becomes the claim ``<(1, x, x^2, ...), f_c> = y`` on that one vector, added to the
running claim with powers of ``beta``; a sumcheck over the lane variables, with work before each
challenge, gives ``f_2``. Deeper levels do the same with one vector. The last one goes in clear,
and the last commitment's rows are checked against it. [NA25]

Where commitments hide, their lanes have random *tails* above the message, so ``f_c`` has a folded
tail ``g_c`` above it: a row at ``x`` folds to ``f_c(x) + x^(2^lane_log) g_c(x)``. Level 1 holds
the ``g_c`` in lanes of their own, too. A vector that is shorter than a lane of level 1 is forced
to be 0 beyond its length. Where the channel hides, level 1 is *masked*: its lanes have tails too
and its leaves salts, and one more lane ``b`` of random coefficients is added to the fold, ``f_2 =
fold + epsilon b``. Then ``f_2`` and its folded tail are uniform, and everything below goes in
clear.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice

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
from .packing import Packing, arrange
from .parameters import Level, Part, Plan

Rows = NDArray[np.uint64]


def zero_point_of(challenger: Challenger, label: str, level: Level) -> Point:
    """Where lanes are checked to be 0 beyond the vectors that do not fill them."""
    return tuple(challenger.elements(f"{label}/zeros", level.message_log))


def place_of(part: Part, bound: Point) -> tuple[Point, Ext]:
    """The challenges that fold the lanes of a part, and the weight that the others give to it."""
    own, others = bound[: part.lane_log], bound[part.lane_log :]
    return own, ml.eq_index(others, part.first >> part.lane_log)


def level_weights(level: Level, bound: Point, epsilon: Ext) -> ExtVec:
    """Weight of every lane of a deeper level in its fold."""
    table = ml.eq_table(bound)[:, : level.lanes - level.masked]
    if not level.masked:
        return table
    return np.concatenate([table, ext.vector([epsilon])], axis=1)


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


def _no_powers() -> _Powers:
    none = np.zeros((2, 0), dtype=np.uint64)
    return _Powers(none[0], none)


@dataclass(slots=True)
class _Weight:
    """The running weight of one vector: ``eq`` of some points, each with a factor, and powers of
    the positions opened so far."""

    eqs: list[tuple[Point, Ext]] = field(default_factory=list)
    powers: _Powers = field(default_factory=_no_powers)

    def bind(self, part: Part, bound: Point, message_log: int) -> None:
        """Fold the lanes of the vector, which become one summand of the next level's."""
        own, place = place_of(part, bound)
        eqs = []
        for point, factor in self.eqs:
            low, high = point[: len(own)], point[len(own) :]
            high += (ZERO,) * (message_log - len(high))
            eqs.append((high, factor * place * ml.eq(low, own)))
        self.eqs = eqs
        for challenge in own:
            self.powers.bind(challenge)
        self.powers.scale(place)

    def add(self, other: _Weight) -> None:
        self.eqs += other.eqs
        self.powers.add(other.powers)

    def must_vanish(self, part: Part, point: Point, factor: Ext) -> None:
        """``eq(point, .)`` at the cells beyond the vector."""
        low, high = point[: part.log_size], point[part.log_size :]
        self.eqs.append((point, factor))
        self.eqs.append((low, -(factor * ml.eq_index(high, 0))))

    def evaluate(self, vector: ExtVec) -> Ext:
        """Inner product with ``vector``."""
        parts = [ext.dot(ml.eq_table(point, factor), vector) for point, factor in self.eqs]
        return sum(parts, self.powers.evaluate(vector))


@dataclass(frozen=True, slots=True)
class _Opened:
    """A committed matrix whose rows are opened: ``weight`` of each lane in its fold, and whether
    its cells are in F_p, as those of level 0 are, or in E."""

    level: Level
    root: bytes
    weight: ExtVec
    salt_cells: int
    base: bool

    def receive(self, channel: VerifierChannel, label: str, indices: list[int]) -> ExtVec:
        """P -> V: rows, which must belong to the commitment; returns their folds."""
        width = self.weight.shape[1] * (1 if self.base else 2)
        shape = (len(indices), width + self.salt_cells)
        rows = channel.receive_cells(f"{label}/rows", shape)  # P -> V
        merkle.verify(channel, label, self.root, self.level.code_log, indices, rows)
        return _fold_rows(rows[:, :width], self.weight, base=self.base)


def verify(
    channel: VerifierChannel,
    label: str,
    roots: Sequence[bytes],
    packings: Sequence[Packing],
    levels: Plan,
    z: Point,
    value: Scalar,
) -> None:
    """Raises :class:`OpeningMismatch` or :class:`CommitmentMismatch` unless ``F(z) = value``."""
    offsets, _ = arrange(packings)
    running = value
    opened, weights = [], []
    for root, packing, offset, level in zip(
        roots, packings, offsets, levels.commitments, strict=True
    ):
        low, row, high = parts_of(z, packing)
        live = ml.eq_table(row)[:, list(packing.live_lanes)]
        salts = packing.row_cells - len(packing.live_lanes)
        opened.append(_Opened(level, root, np.ascontiguousarray(live), salts, base=True))
        weights.append(_Weight([(low, ml.eq_index(high, offset >> packing.log_size))]))
    # folded tails; the running claim says nothing about them
    weights += [_Weight() for packing in packings if packing.tail]

    for following in (*levels.deeper, None):
        if following is None:
            count = sum(1 << log_size for log_size in levels.clear)
            clear = channel.receive_cells(f"{label}/clear", (count, 2)).T  # P -> V
        else:
            next_root = channel.receive_digest(f"{label}/root")  # P -> V
        first = opened[0].level
        if first.masked:
            tail = channel.receive_cells(f"{label}/tail", (first.tail, 2)).T  # P -> V
        channel.receive_work(f"{label}/work", first.work_bits)  # P -> V
        drawn = [  # V -> P
            channel.challenger.distinct_indices(
                f"{label}/positions", matrix.level.queries, 1 << matrix.level.code_log
            )
            for matrix in opened
        ]
        points = [
            gl.reversed_powers(matrix.level.code_log, indices)
            for matrix, indices in zip(opened, drawn, strict=True)
        ]
        folded = [
            matrix.receive(channel, label, indices)
            for matrix, indices in zip(opened, drawn, strict=True)
        ]
        if first.masked:  # f_2(x) is the folded row without the folded tail above it
            shift = _to_power(points[0], 1 << first.message_log)
            above = ext.mul_base(gl.evaluate_polynomials(tail, points[0]), shift)
            folded = [ext.sub(folded[0], above)]
        if following is None:
            break
        beta = channel.challenger.element(f"{label}/beta")  # V -> P
        rows = sum(len(indices) for indices in drawn)
        factors = iter(beta_powers(beta, rows + following.zeros))
        tails = iter(weights[len(opened) :])
        for matrix, weight, at, fold in zip(opened, weights, points, folded, strict=False):
            own = ext.vector(islice(factors, len(at)))
            running = running + ext.dot(own, fold)
            weight.powers.add(_Powers(at, own))
            if matrix.base and matrix.level.tail:
                above = ext.mul_base(own, _to_power(at, 1 << matrix.level.message_log))
                next(tails).powers.add(_Powers(at, above))
        if following.zeros:
            zero_point = zero_point_of(channel.challenger, label, following)  # V -> P
            for weight, part in zip(weights, following.parts, strict=True):
                if part.short:
                    weight.must_vanish(part, zero_point, next(factors))
        running, bound = sumcheck.verify(
            channel,
            f"{label}/fold",
            running,
            following.variables,
            2,
            clear=not following.masked,
            work=sumcheck.Work(following.fold_work_bits),
        )
        total = _Weight()
        for weight, part in zip(weights, following.parts, strict=True):
            weight.bind(part, bound, following.message_log)
            total.add(weight)
        weights = [total]
        epsilon = ONE
        if following.masked:
            (mask,) = channel.receive(f"{label}/mask", 1)  # P -> V
            channel.receive_work(f"{label}/epsilon/work", following.fold_work_bits)  # P -> V
            epsilon = channel.challenger.element(f"{label}/epsilon")  # V -> P
            running = running + epsilon * mask
        lanes = level_weights(following, bound, epsilon)
        opened = [_Opened(following, next_root, lanes, following.salt_cells, base=False)]

    # the clear vectors are the folded ones at the opened positions of the last commitments
    ends = np.cumsum([1 << log_size for log_size in levels.clear])
    vectors = [np.ascontiguousarray(part) for part in np.split(clear, ends[:-1], axis=1)]
    for vector, at, fold in zip(vectors, points, folded, strict=True):
        if not np.array_equal(gl.evaluate_polynomials(vector, at), fold):
            raise OpeningMismatch(
                "the clear vector is not the fold of the last commitment", stage=label
            )
    pairs = zip(weights, vectors, strict=True)
    claimed = sum((weight.evaluate(vector) for weight, vector in pairs), ZERO)
    channel.check(
        lambda: claimed - running,
        OpeningMismatch("the clear vector does not satisfy the folded claim", stage=label),
    )


def parts_of(z: Point, packing: Packing) -> tuple[Point, Point, Point]:
    """Coordinates of a point of the whole cube inside a lane of one commitment, of its lanes, and
    of its place in the cube."""
    return (
        z[: packing.lane_log],
        z[packing.lane_log : packing.log_size],
        z[packing.log_size :],
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
