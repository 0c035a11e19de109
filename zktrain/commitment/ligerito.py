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
from ..field.goldilocks import P, bit_reverse, root_of_unity
from ..profile import mark, span
from ..prover.randomness import Randomness, system
from ..transcript.channel import ProverChannel, VerifierChannel
from . import merkle
from .commit import Committed
from .packing import Packing
from .parameters import Level, Plan

Rows = NDArray[np.uint64]


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
    from ..prover.kernels import field as kf
    from ..prover.kernels.commit import add_powers

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
        factors = _beta_powers(beta, len(indices))
        with span("powers"):
            add_powers(w, indices, level.code_log, factors)
        machine: _CarryingMachine | sumcheck.ProductMachine
        if following.carried >= 0:
            w_tail = np.zeros((2, 1 << (following.message_log + following.carried)), np.uint64)
            points = [code_point(i, level.code_log) for i in indices]
            above = [x * pow(p, 1 << lane_log, P) for x, p in zip(factors, points, strict=True)]
            with span("powers"):
                add_powers(w_tail, indices, level.code_log, above)
            if following.zeros:
                z = _zero_point(channel, label, following)  # V -> P
                table = kf.eq_table(z, _beta_powers(beta, len(indices) + 1)[-1])
                table[:, : following.carried_tail] = 0
                w_tail = ext.add(w_tail, table)
            machine = _CarryingMachine(following, (f, w), (_carried(following, tail), w_tail))
        else:
            machine = sumcheck.ProductMachine([(f, w)])
            machine.rounds = following.variables
        clear = not following.masked
        with span("rounds"):
            work = sumcheck.Work(following.fold_work_bits)
            bound = sumcheck.prove(channel, f"{label}/fold", machine, clear=clear, work=work)
        f, w = machine.terms[0]
        if following.masked:
            channel.send(f"{label}/mask", [kf.total(kf.product(mask, w))])  # P -> V
            channel.send_work(f"{label}/epsilon/work", following.fold_work_bits)  # P -> V
            epsilon = channel.challenger.element(f"{label}/epsilon")  # V -> P
            kf.add_scaled(f, epsilon, mask)
            weights = _level_weights(following, bound, epsilon)
            tail = ext.total(ext.mul(tails, weights[:, None, :]))
        opened = [matrix]


def _zero_point(channel: ProverChannel | VerifierChannel, label: str, level: Level) -> Point:
    """Where the lane of the carried tail is checked to be 0 beyond the tail."""
    return tuple(channel.challenger.elements(f"{label}/zeros", level.message_log))


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
    from ..prover.kernels import ntt
    from ..prover.kernels.commit import fill_pairs

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
        self._own = sumcheck.ProductMachine([own])
        self._carried = sumcheck.ProductMachine([carried])
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
        from ..prover.kernels import field as kf

        if self._bound == self._full:
            self._sum = kf.total(kf.product(*self._carried.terms[0]))
        if self._bound == self._choice:
            pairs = zip(self._own.terms[0], self._carried.terms[0], strict=True)
            both = [np.stack([x, ext.scale(y, self._factor)], axis=2) for x, y in pairs]
            self._own.terms = [tuple(table.reshape(2, -1) for table in both)]


def _level_weights(level: Level, bound: Point, epsilon: Ext) -> ExtVec:
    """Weight of every lane of a deeper level in its fold."""
    table = ml.eq_table(bound)
    parts = [table[:, : 1 << level.fold_log]]
    if level.carried >= 0:
        first = 1 << level.fold_log
        parts.append(table[:, first : first + (1 << level.carried)])
    if level.masked:
        parts.append(ext.vector([epsilon]))
    return np.concatenate(parts, axis=1)


def _beta_powers(beta: Ext, count: int) -> list[Ext]:
    return [p * beta for p in ext.powers(beta, count)]


def _fold_lanes(
    committed: Sequence[Committed], offsets: Sequence[int], lane_log: int, weights: ExtVec
) -> ExtVec:
    """``f_1`` from the integer tensors."""
    from ..prover.kernels import field as kf

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
        factors = ext.vector(_beta_powers(beta, len(indices)))
        running = running + ext.dot(factors, folded)
        powers.add(_Powers(points, factors))

        if following.zeros:
            zero_point = _zero_point(channel, label, following)  # V -> P
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
                factor = place * _beta_powers(beta, len(indices) + 1)[-1]
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
        weights = [_level_weights(following, bound, epsilon)]
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
