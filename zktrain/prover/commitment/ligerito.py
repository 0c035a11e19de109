"""The prover of the recursive Reed-Solomon opening."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...arguments import sumcheck
from ...commitment.ligerito import (
    Rows,
    beta_powers,
    level_weights,
    parts_of,
    zero_point_of,
)
from ...commitment.packing import arrange
from ...commitment.parameters import Level, Plan
from ...field import extension as ext
from ...field import multilinear as ml
from ...field.extension import ONE, Ext, ExtVec, Point
from ...field.goldilocks import P, bit_reverse, root_of_unity
from ...profile import mark, span
from ..arguments import sumcheck as prover_sumcheck
from ..kernels import field as kf
from ..kernels.commit import add_powers, fill_pairs
from ..randomness import Randomness, system
from ..transcript.channel import ProverChannel
from . import merkle
from .code import Word, commit
from .commit import Committed


def code_point(index: int, code_log: int) -> int:
    """Where code word position ``index`` evaluates."""
    return pow(root_of_unity(code_log), bit_reverse(index, code_log), P)


@dataclass(frozen=True, slots=True)
class LevelLanes:
    """The lanes of a deeper level, two columns for each: its parts, then the mask if there is one;
    ``tails (2, tail, lanes)`` are the random coefficients above."""

    level: Level
    values: Sequence[ExtVec]
    mask: ExtVec
    tails: ExtVec

    @property
    def count(self) -> int:
        """Columns over F_p."""
        return 2 * self.level.lanes

    @property
    def filled(self) -> int:
        """Message and tail."""
        return (1 << self.level.message_log) + self.level.tail

    def fill(self, first: int, matrix: Rows, row: int = 0) -> None:
        """See :class:`code.Lanes`."""
        size, lane = 1 << self.level.message_log, first // 2
        for vector, part in zip(self.values, self.level.parts, strict=True):
            fill_pairs(vector, size, part.first - lane, matrix, row)
        if not self.level.masked:
            return
        fill_pairs(self.mask, size, self.level.lanes - 1 - lane, matrix, row)
        begin, end = max(row, size), min(row + len(matrix), self.filled)
        if begin < end:
            lanes = slice(lane, lane + matrix.shape[1] // 2)
            above = self.tails[:, begin - size : end - size, lanes]
            for k in (0, 1):
                matrix[begin - row : end - row, k : 2 * above.shape[2] : 2] = above[k]


def prove(
    channel: ProverChannel,
    label: str,
    committed: Sequence[Committed],
    levels: Plan,
    z: Point,
    random: Randomness | None = None,
) -> None:
    """``z`` is a point of the whole cube, in which each commitment is an aligned block."""
    mark("fold lanes")
    offsets, _ = arrange([c.packing for c in committed])
    values, weights, folded_tails = [], [], []
    for commitment, offset in zip(committed, offsets, strict=True):
        packing = commitment.packing
        low, row, high = parts_of(z, packing)
        lane_weights = ml.eq_table(row)
        values.append(_fold_lanes(commitment, lane_weights))
        weights.append(kf.eq_table(low, ml.eq_index(high, offset >> packing.log_size)))
        if packing.tail:
            folded_tails.append(_fold_tails(commitment, lane_weights))
    values += folded_tails
    weights += [np.zeros_like(tail) for tail in folded_tails]

    current: Sequence[Level] = levels.commitments
    opened = [c.word for c in committed]
    tail = np.zeros((2, 0), dtype=np.uint64)
    for number, following in enumerate((*levels.deeper, None)):
        mark(f"level {number}")
        if following is None:
            channel.send_cells(f"{label}/clear", np.concatenate(values, axis=1).T)  # P -> V
        else:
            values = _in_lanes(values, following)
            weights = _in_lanes(weights, following)
            with span("code"):
                matrix, tails, mask = _commit_level(
                    following, values, random or system(), committed[0]
                )
            channel.send_digest(f"{label}/root", matrix.tree.root)  # P -> V
        if current[0].masked:
            channel.send_cells(f"{label}/tail", tail.T)  # P -> V
        if current[0].work_bits:
            with span("work"):
                channel.send_work(f"{label}/work", current[0].work_bits)  # P -> V
        drawn = [  # V -> P
            channel.challenger.distinct_indices(
                f"{label}/positions", level.queries, 1 << level.code_log
            )
            for level in current
        ]
        with span("rows"):
            for part, indices in zip(opened, drawn, strict=True):
                channel.send_cells(f"{label}/rows", part.rows(indices))  # P -> V
                merkle.prove(channel, f"{label}", part.tree, indices)
        if following is None:
            mark(None)
            return
        beta = channel.challenger.element(f"{label}/beta")  # V -> P
        rows = sum(len(indices) for indices in drawn)
        factors = beta_powers(beta, rows + following.zeros)
        with span("powers"):
            _add_rows(weights, current, drawn, factors)
        if following.zeros:
            z = zero_point_of(channel.challenger, label, following)  # V -> P
            _add_zeros(weights, following, z, factors[rows:])
        machine = LanesMachine(following, values, weights)
        clear = not following.masked
        with span("rounds"):
            work = sumcheck.Work(following.fold_work_bits)
            bound = prover_sumcheck.prove(channel, f"{label}/fold", machine, clear=clear, work=work)
        f, w = machine.terms[0]
        if following.masked:
            channel.send(f"{label}/mask", [kf.total(kf.product(mask, w))])  # P -> V
            channel.send_work(f"{label}/epsilon/work", following.fold_work_bits)  # P -> V
            epsilon = channel.challenger.element(f"{label}/epsilon")  # V -> P
            kf.add_scaled(f, epsilon, mask)
            lane_weights = level_weights(following, bound, epsilon)
            tail = ext.total(ext.mul(tails, lane_weights[:, None, :]))
        values, weights, current, opened = [f], [w], [following], [matrix]


def _in_lanes(vectors: Sequence[ExtVec], level: Level) -> list[ExtVec]:
    """Vectors that do not fill their only lane get zeros beyond their length."""
    out = []
    for vector, part in zip(vectors, level.parts, strict=True):
        if part.short:
            whole = np.zeros((2, 1 << level.message_log), dtype=np.uint64)
            whole[:, : vector.shape[1]] = vector
            vector = whole
        out.append(vector)
    return out


def _add_rows(
    weights: Sequence[ExtVec],
    opened: Sequence[Level],
    drawn: Sequence[list[int]],
    factors: Sequence[Ext],
) -> None:
    """Add the claims of opened rows: on the fold of each matrix, and on its folded tail."""
    start, tails = 0, iter(weights[len(opened) :])
    for level, indices, weight in zip(opened, drawn, weights, strict=False):
        own, start = factors[start : start + len(indices)], start + len(indices)
        _add_powers(weight, indices, level.code_log, own)
        if level.tail and not level.masked:
            points = [code_point(i, level.code_log) for i in indices]
            size = 1 << level.message_log
            above = [x * pow(p, size, P) for x, p in zip(own, points, strict=True)]
            _add_powers(next(tails), indices, level.code_log, above)


def _add_powers(weight: ExtVec, indices: list[int], code_log: int, factors: Sequence[Ext]) -> None:
    """``add_powers``, to a vector that may be longer than the code word: powers repeat there."""
    length = 1 << code_log
    if weight.shape[1] <= length:
        add_powers(weight, indices, code_log, list(factors))
        return
    once = np.zeros((2, length), dtype=np.uint64)
    add_powers(once, indices, code_log, list(factors))
    kf.add_scaled(weight, ONE, np.tile(once, weight.shape[1] // length))


def _add_zeros(
    weights: Sequence[ExtVec], level: Level, point: Point, factors: Sequence[Ext]
) -> None:
    """Add the claims that lanes are 0 beyond the vectors that do not fill them."""
    short = [k for k, part in enumerate(level.parts) if part.short]
    for k, factor in zip(short, factors, strict=True):
        table = kf.eq_table(point, factor)
        table[:, : 1 << level.parts[k].log_size] = 0
        kf.add_scaled(weights[k], ONE, table)


def _commit_level(
    level: Level, values: Sequence[ExtVec], random: Randomness, first: Committed
) -> tuple[Word, ExtVec, ExtVec]:
    """Matrix of a deeper level; its own tails ``(2, tail, lanes)`` and mask ``(2, 2^message_log)``,
    empty if it has none. Memory and scratch are those of the ``first`` commitment."""
    mask = tails = np.zeros((2, 0), dtype=np.uint64)
    salts = None
    if level.masked:
        mask = random.cells(2, 1 << level.message_log)
        tails = random.cells(2, level.tail, level.lanes)
        salts = random.cells(1 << level.code_log, level.salt_cells, scratch=first.scratch)
    lanes = LevelLanes(level, values, mask, tails)
    word = commit(lanes, level.code_log, salts, first.memory, first.scratch)
    return word, tails, mask


class LanesMachine:
    """Folds the lanes of all parts of a level, which stand side by side, largest parts first.

    A term is a part whose lane variables are not all bound, or a pair of whole lanes. A whole lane
    that is left over has a lane of zeros for a neighbour: fixing a variable multiplies it by ``1 -
    r``, which is kept as a factor until it gets another neighbour.
    """

    degree = 2

    def __init__(self, level: Level, values: Sequence[ExtVec], weights: Sequence[ExtVec]) -> None:
        self.rounds = level.variables
        self._size = 1 << level.message_log
        order = sorted(range(len(values)), key=lambda k: level.parts[k].first)
        self._machine = prover_sumcheck.ProductMachine([(values[k], weights[k]) for k in order])
        self._single: tuple[ExtVec, ...] | None = None
        self._factor = self._sum = ONE
        self._pair_up()

    @property
    def terms(self) -> list[tuple[ExtVec, ...]]:
        """After the last round: the one lane that is left, and its weights."""
        return self._machine.terms

    def message(self) -> list[Ext]:
        out = self._machine.message()
        if self._single is not None:  # factor^2 sum (1 - X)^2 f w, at 0 and 2
            out = [x + self._factor * self._factor * self._sum for x in out]
        return out

    def bind(self, challenge: Ext) -> None:
        self._machine.bind(challenge)
        self._factor = self._factor * (1 - challenge)
        self.rounds -= 1
        self._pair_up()

    def _pair_up(self) -> None:
        """Make pairs of whole lanes, which stand last; keep the one that is left over."""
        if not self.rounds:
            return
        parts = [term for term in self._machine.terms if term[0].shape[1] > self._size]
        lanes = self._machine.terms[len(parts) :]
        if self._single is not None and len(lanes) % 2:
            lanes.append(tuple(ext.scale(table, self._factor) for table in self._single))
            self._single = None
        if len(lanes) % 2:
            self._single, self._factor = lanes.pop(), ONE
            self._sum = kf.total(kf.product(*self._single))
        for left, right in zip(lanes[::2], lanes[1::2], strict=True):
            both = [np.stack(pair, axis=2) for pair in zip(left, right, strict=True)]
            parts.append(tuple(table.reshape(2, -1) for table in both))
        self._machine.terms = parts


def _fold_lanes(committed: Committed, weights: ExtVec) -> ExtVec:
    """``f_c`` from the integer tensors."""
    packing = committed.packing
    size = 1 << packing.lane_log
    f = np.zeros((2, size), dtype=np.uint64)
    for block in packing.blocks:
        lane, start = divmod(block.offset, size)
        flat = committed.tensors[block.name]
        whole = len(flat) // size
        for cells, first in ((flat[: whole * size], lane), (flat[whole * size :], lane + whole)):
            if not len(cells):
                continue
            rows = cells.reshape(-1, min(size, len(cells)))
            factors = np.ascontiguousarray(weights[:, first : first + rows.shape[0]])
            part = kf.contract_first(rows, factors)
            view = np.ascontiguousarray(f[:, start : start + rows.shape[1]])
            kf.add_scaled(view, ONE, part)
            f[:, start : start + rows.shape[1]] = view
    return f


def _fold_tails(committed: Committed, weights: ExtVec) -> ExtVec:
    """``g_c``: the fold of all tails."""
    out = np.zeros((2, committed.packing.tail), dtype=np.uint64)
    if committed.tails is not None:
        for tail, lane in zip(committed.tails, committed.packing.live_lanes, strict=True):
            out = ext.add(out, ext.mul_base(weights[:, lane, None], tail))
    return out
