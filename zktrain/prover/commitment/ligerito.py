"""The prover of the recursive Reed-Solomon opening."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...arguments import sumcheck
from ...commitment.ligerito import Rows, beta_powers, level_weights, zero_point_of
from ...commitment.parameters import Level, Plan
from ...field import extension as ext
from ...field import multilinear as ml
from ...field.extension import ONE, Ext, ExtVec, Point
from ...field.goldilocks import P, bit_reverse, root_of_unity
from ...profile import mark, span
from ..arguments import sumcheck as prover_sumcheck
from ..kernels import field as kf
from ..kernels import ntt
from ..kernels.commit import add_powers, fill_pairs
from ..randomness import Randomness, system
from ..transcript.channel import ProverChannel
from . import merkle
from .commit import Committed


def code_point(index: int, code_log: int) -> int:
    """Where code word position ``index`` evaluates."""
    return pow(root_of_unity(code_log), bit_reverse(index, code_log), P)


@dataclass(frozen=True, slots=True)
class _Matrix:
    """A committed matrix, to be opened: code word, tree, salts if it has any."""

    code: Rows
    tree: merkle.MerkleTree
    salts: Rows | None

    def rows(self, indices: list[int]) -> Rows:
        opened = self.code[indices]
        return (
            opened if self.salts is None else np.concatenate([opened, self.salts[indices]], axis=1)
        )


def prove(
    channel: ProverChannel,
    label: str,
    committed: Sequence[Committed],
    offsets: Sequence[int],
    levels: Plan,
    z: Point,
    random: Randomness | None = None,
) -> None:
    """``z`` has the lane's own variables first, then the lane coordinates."""
    lane_log = committed[0].packing.lane_log
    mark("fold lanes")
    lane_weights = ml.eq_table(z[lane_log:])
    f = _fold_lanes(committed, offsets, lane_log, lane_weights)
    tail = _fold_tails(committed, offsets, lane_weights)
    w = kf.eq_table(z[:lane_log])

    opened = [_Matrix(c.code, c.tree, c.salts) for c in committed]
    for number, level in enumerate(levels.levels):
        mark(f"level {number}")
        last = number + 1 == len(levels.levels)
        if last:
            channel.send_cells(f"{label}/clear", f.T)  # P -> V
        else:
            following = levels.levels[number + 1]
            with span("code"):
                matrix, tails, mask = _commit_level(following, f, tail, random or system())
            channel.send_digest(f"{label}/root", matrix.tree.root)  # P -> V
        if level.masked:
            channel.send_cells(f"{label}/tail", tail.T)  # P -> V
        if level.work_bits:
            with span("work"):
                channel.send_work(f"{label}/work", level.work_bits)  # P -> V
        indices = channel.challenger.distinct_indices(  # V -> P
            f"{label}/positions", level.queries, 1 << level.code_log
        )
        for part in opened:
            channel.send_cells(f"{label}/rows", part.rows(indices))  # P -> V
            merkle.prove(channel, f"{label}", part.tree, indices)
        if last:
            mark(None)
            return
        beta = channel.challenger.element(f"{label}/beta")  # V -> P
        factors = beta_powers(beta, len(indices))
        with span("powers"):
            add_powers(w, indices, level.code_log, factors)
        machine: _CarryingMachine | prover_sumcheck.ProductMachine
        if following.carried >= 0:
            w_tail = np.zeros((2, 1 << (following.message_log + following.carried)), np.uint64)
            points = [code_point(i, level.code_log) for i in indices]
            above = [x * pow(p, 1 << lane_log, P) for x, p in zip(factors, points, strict=True)]
            with span("powers"):
                add_powers(w_tail, indices, level.code_log, above)
            if following.zeros:
                z = zero_point_of(channel.challenger, label, following)  # V -> P
                table = kf.eq_table(z, beta_powers(beta, len(indices) + 1)[-1])
                table[:, : following.carried_tail] = 0
                w_tail = ext.add(w_tail, table)
            machine = _CarryingMachine(following, (f, w), (_carried(following, tail), w_tail))
        else:
            machine = prover_sumcheck.ProductMachine([(f, w)])
            machine.rounds = following.variables
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
            weights = level_weights(following, bound, epsilon)
            tail = ext.total(ext.mul(tails, weights[:, None, :]))
        opened = [matrix]


def _carried(level: Level, tail: ExtVec) -> ExtVec:
    """The tail that ``level`` carries, zeros following, in whole lanes."""
    out = np.zeros((2, 1 << (level.message_log + level.carried)), dtype=np.uint64)
    out[:, : tail.shape[1]] = tail
    return out


def _commit_level(
    level: Level, f: ExtVec, tail: ExtVec, random: Randomness
) -> tuple[_Matrix, ExtVec, ExtVec]:
    """Matrix of a deeper level; its own tails ``(2, tail, lanes)`` and mask ``(2, 2^message_log)``,
    empty if it has none."""
    mark("fill")
    size, lanes = 1 << level.message_log, level.lanes
    wide = ntt.matrix(1 << level.code_log, 2 * lanes)
    code = wide[:, : 2 * lanes]
    blocks = [f]
    if level.carried >= 0:
        blocks.append(_carried(level, tail))
    if level.masked:
        blocks.append(random.cells(2, size))
    lane = 0
    for block in blocks:
        fill_pairs(block, size, lane, code)
        lane += block.shape[1] // size
    none = np.zeros((2, 0), dtype=np.uint64)
    if not level.masked:
        mark("encode")
        ntt.transform(wide, size)
        mark("hash")
        return _Matrix(code, merkle.build(code), None), none, none
    mask = blocks[-1]
    tails = random.cells(2, level.tail, lanes)
    above = slice(size, size + level.tail)
    code[above, 0::2], code[above, 1::2] = tails[0], tails[1]
    mark("encode")
    ntt.transform(wide, size + level.tail)
    mark("hash")
    salts = random.cells(code.shape[0], level.salt_cells)
    return _Matrix(code, merkle.build(code, salts), salts), tails, mask


class _CarryingMachine:
    """Folds the lanes of a level with the carried lanes beside them; the last variable chooses.

    Carried lanes from ``2^level.carried`` on are 0, vector and weights alike: where only such a
    lane is the other one, fixing a variable multiplies both with ``1 - r``.
    """

    degree = 2

    def __init__(
        self, level: Level, own: tuple[ExtVec, ExtVec], carried: tuple[ExtVec, ExtVec]
    ) -> None:
        self.rounds = level.variables
        self._choice, self._full = level.fold_log, level.carried
        self._own = prover_sumcheck.ProductMachine([own])
        self._carried = prover_sumcheck.ProductMachine([carried])
        self._factor = ONE
        self._bound = 0
        self._finish_round()

    @property
    def terms(self) -> list[tuple[ExtVec, ...]]:
        return self._own.terms

    def message(self) -> list[Ext]:
        own = self._own.message()
        if self._bound == self._choice:
            return own
        if self._bound < self._full:
            other = self._carried.message()
        else:  # factor^2 sum (1 - X)^2 g w, at 0 and 2
            other = [self._factor * self._factor * self._sum] * 2
        return [x + y for x, y in zip(own, other, strict=True)]

    def bind(self, challenge: Ext) -> None:
        self._own.bind(challenge)
        if self._bound < self._full:
            self._carried.bind(challenge)
        else:
            self._factor = self._factor * (1 - challenge)
        self._bound += 1
        self._finish_round()

    def _finish_round(self) -> None:
        if self._bound == self._full:
            self._sum = kf.total(kf.product(*self._carried.terms[0]))
        if self._bound == self._choice:
            pairs = zip(self._own.terms[0], self._carried.terms[0], strict=True)
            both = [np.stack([x, ext.scale(y, self._factor)], axis=2) for x, y in pairs]
            self._own.terms = [tuple(table.reshape(2, -1) for table in both)]


def _fold_lanes(
    committed: Sequence[Committed], offsets: Sequence[int], lane_log: int, weights: ExtVec
) -> ExtVec:
    """``f_1`` from the integer tensors."""
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


def _fold_tails(committed: Sequence[Committed], offsets: Sequence[int], weights: ExtVec) -> ExtVec:
    """``g``: the fold of all tails, as long as the longest one."""
    longest = max(c.packing.tail for c in committed)
    out = np.zeros((2, longest), dtype=np.uint64)
    for commitment, offset in zip(committed, offsets, strict=True):
        if commitment.tails is None:
            continue
        lanes = [offset + lane for lane in commitment.packing.live_lanes]
        for tail, lane in zip(commitment.tails, lanes, strict=True):
            part = ext.mul_base(weights[:, lane, None], tail)
            out[:, : len(tail)] = ext.add(out[:, : len(tail)], part)
    return out
