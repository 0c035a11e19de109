"""Rates, folds and query counts of the commitment, derived from the security wanted.

Unique-decoding regime: a word is close if it differs from a code word in at most ``e = floor((n -
k) / 2)`` of ``n`` positions, where ``k``, the coefficients of a lane, counts the random ones too
(``tail``), if there are any. Folding one variable takes a line through two words (of an interleaved
code, hence of one over a larger field): a pair that is not close on one set of positions gives a
close word for at most ``n`` challenges [BCIKS20, Theorem 4.1]. A word farther away survives ``t``
distinct queries with probability at most ``C(n - e - 1, t) / C(n, t)``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from ..field.extension import LOG2_SIZE
from ..field.multilinear import log2_ceil
from .merkle import SALT_CELLS

FOLD_LOG = 4
"""Variables that a deeper level folds at most."""
LANE_LOG_MIN = 10
HIDING_LANE_LOG_MIN = 12
"""Lanes with random coefficients are long enough for a level in which the fold is masked."""
LANE_LOG_MAX = 23
"""Lanes are not longer unless they would be more than ``2^10``: encoding eight at once takes 1 GiB
at rate 1/2, and level 1 some seconds."""
FOLD_MARGIN_BITS = 2
"""Folding gets so many bits more than queries, so that it hardly counts beside them: its work costs
next to nothing."""
MAX_WORK_BITS = 28
RATE_SLACK = 1.1
"""A tail may raise the rate of a level by a tenth; else the code word is twice as long."""


def lane_log_for(cells_log: int, hiding: bool, lanes_log: int) -> int:
    """log2 of the cells of a lane, for so many cells in all: ``2^lanes_log`` lanes from ``2^16``
    cells in a lane on.

    Twice as long a lane halves the opened rows and doubles the work of level 1. Sixteen lanes give
    the smallest proofs; thirty-two cost 2 % more bytes and half the time.
    """
    least = HIDING_LANE_LOG_MIN if hiding else LANE_LOG_MIN
    short = min(cells_log - 4, max(16, cells_log - lanes_log), LANE_LOG_MAX)
    return max(least, short, cells_log - 10)


@dataclass(frozen=True, slots=True)
class Scheme:
    """What openings are like.

    A run's commitment has rate ``2^-rate_log`` and usually ``2^lanes_log`` lanes, a dataset's
    ``2^-dataset_rate_log`` and ``2^dataset_lanes_log``. Levels 1, 2, ... of an opening have the
    rates ``2^-deeper[0]``, ``2^-deeper[1]``, ..., and all after those the last of them. Folding
    stops at ``2^clear_log`` elements of E, or two variables earlier if that saves a level. Every
    draw of positions costs ``2^work_bits`` hashes, and so many bits less need to come from the
    positions.
    """

    rate_log: int
    dataset_rate_log: int
    lanes_log: int
    dataset_lanes_log: int
    deeper: tuple[int, ...]
    clear_log: int
    work_bits: int

    def rate_log_of(self, level: int) -> int:
        """Of a deeper level, counted from 1."""
        return self.deeper[min(level, len(self.deeper)) - 1]


SCHEME = Scheme(
    rate_log=1,
    dataset_rate_log=1,
    lanes_log=5,
    dataset_lanes_log=6,
    deeper=(3, 4),
    clear_log=9,
    work_bits=20,
)
"""Of all proofs. A dataset's code words are made again by every proof, so its lanes are shorter:
2 % more bytes and a fifth less time for 60,000 images and an epoch."""


@dataclass(frozen=True, slots=True)
class Part:
    """One of the vectors that a deeper level commits to: ``2^log_size`` elements in ``2^lane_log``
    lanes from number ``first`` on, a multiple of ``2^lane_log``; the lowest variables are in the
    lane's number. ``short``: it does not fill its only lane, and the rest is forced to be 0.
    """

    log_size: int
    lane_log: int
    first: int
    short: bool


def arrange_parts(log_sizes: Sequence[int], message_log: int) -> tuple[Part, ...]:
    """Vectors in lanes of ``2^message_log`` elements, more lanes first, so that all are aligned."""
    lanes = [max(0, size - message_log) for size in log_sizes]
    first, at = [0] * len(lanes), 0
    for k in sorted(range(len(lanes)), key=lambda k: (-lanes[k], k)):
        first[k], at = at, at + (1 << lanes[k])
    shapes = zip(log_sizes, lanes, first, strict=True)
    return tuple(Part(size, lane, at, size < message_log) for size, lane, at in shapes)


@dataclass(frozen=True, slots=True)
class Level:
    """One committed matrix: ``2^message_log`` coefficients per lane, code words of
    ``2^code_log`` positions, ``variables`` of its lanes, ``queries`` opened positions.

    Deeper ones hold ``parts``: level 1 the fold of every commitment, then the folded tail of each
    that has one; the others the fold of the level before.

    Hiding adds: ``tail`` random coefficients above each lane's message, as many as positions are
    ever opened; ``masked``, one more lane of random E coefficients. ``work_bits`` are those of the
    proof of work before its positions are drawn, ``fold_work_bits`` before each challenge that
    folds it.
    """

    message_log: int
    code_log: int
    variables: int
    queries: int
    tail: int = 0
    parts: tuple[Part, ...] = ()
    masked: bool = False
    work_bits: int = 0
    fold_work_bits: int = 0

    @property
    def folds(self) -> int:
        """Challenges that fold the level: its lane variables, and the factor of the mask."""
        return self.variables + self.masked

    @property
    def zeros(self) -> int:
        """Parts that leave cells free, which are forced to be 0."""
        return sum(part.short for part in self.parts)

    @property
    def salt_cells(self) -> int:
        """Cells of salt at the end of a row of a deeper level."""
        return SALT_CELLS if self.masked else 0

    @property
    def lanes(self) -> int:
        """Lanes of E in a row of a deeper level."""
        return sum(1 << part.lane_log for part in self.parts) + self.masked


@dataclass(frozen=True, slots=True)
class Plan:
    """Level 0 is one matrix for each commitment, in a cube of ``variables``; ``deeper`` are the
    levels after it. At the end goes in clear what is left: the fold of the last level."""

    variables: int
    commitments: tuple[Level, ...]
    deeper: tuple[Level, ...]

    @property
    def levels(self) -> tuple[Level, ...]:
        """All matrices."""
        return self.commitments + self.deeper

    @property
    def clear(self) -> tuple[int, ...]:
        """log2 of the lengths of the vectors that are sent in clear."""
        last = self.deeper[-1:] or self.commitments
        return tuple(level.message_log for level in last)

    @property
    def free(self) -> int:
        """Challenges of the batch before the first one that folds a lane; the others cost work."""
        return min(level.message_log for level in self.commitments)

    @property
    def batch_work_bits(self) -> int:
        """Of each of those."""
        return self.commitments[0].fold_work_bits

    @property
    def nonces(self) -> int:
        """Proofs of work of an opening."""
        batch = self.variables - self.free if self.batch_work_bits else 0
        drawn = sum(level.work_bits > 0 for level in (self.commitments[0], *self.deeper))
        return batch + drawn + sum(level.folds for level in self.deeper if level.fold_work_bits)

    def scalars(self, hiding: bool) -> int:
        """Padded scalars of an opening: batch sumcheck, value, masked fold, mask."""
        if not hiding:
            return 0
        return 2 * self.variables + 1 + 2 * self.deeper[0].variables + 1


def rate(code_log: int, message_log: int, tail: int = 0) -> float:
    """``rho``."""
    return float(((1 << message_log) + tail) / (1 << code_log))


def radius(code_log: int, message_log: int, tail: int = 0) -> int:
    """``e``: less than half the distance ``n - k + 1`` of the code."""
    return ((1 << code_log) - (1 << message_log) - tail) // 2


def subset_bits(total: int, good: int, drawn: int) -> float:
    """``-log2 C(good, drawn) / C(total, drawn)``: all drawn positions are good ones."""
    if drawn > good:
        return math.inf
    return -sum(math.log2((good - i) / (total - i)) for i in range(drawn))


def subset_size(total: int, good: int, bits: float) -> int:
    """Smallest ``drawn`` with ``subset_bits`` at least ``bits``."""
    drawn, reached = 0, 0.0
    while reached < bits:
        if drawn >= good:
            return drawn + 1
        reached -= math.log2((good - drawn) / (total - drawn))
        drawn += 1
    return drawn


def _agreeing(code_log: int, message_log: int, tail: int) -> int:
    """Positions where a word that is not close may agree with a code word."""
    return (1 << code_log) - radius(code_log, message_log, tail) - 1


def query_bits(code_log: int, message_log: int, queries: int, tail: int = 0) -> float:
    """``-log2`` of the probability that a far word survives ``queries`` distinct queries."""
    return subset_bits(1 << code_log, _agreeing(code_log, message_log, tail), queries)


def fold_bits(code_log: int, variables: int) -> float:
    """``-log2`` of the error of folding so many variables, without work: ``n / |E|`` each [BCIKS20,
    Theorem 4.1]."""
    return LOG2_SIZE - code_log - math.log2(max(1, variables))


def _fold_work(level: Level, bits: float) -> int:
    """Work before each of its challenges that lifts folding to ``bits``, and the margin."""
    if not level.folds:
        return 0
    missing = bits + FOLD_MARGIN_BITS - fold_bits(level.code_log, level.folds)
    return max(0, min(MAX_WORK_BITS, math.ceil(missing)))


def _queries(code_log: int, message_log: int, bits: float, tail: int = 0) -> int:
    return subset_size(1 << code_log, _agreeing(code_log, message_log, tail), bits)


def code_log(message_log: int, rate_log: int, tail: int = 0) -> int:
    """Shortest code word at rate ``2^-rate_log``, or a little more because of the tail."""
    code = message_log + rate_log
    while rate(code, message_log, tail) > RATE_SLACK / 2**rate_log:
        code += 1
    return code


@lru_cache(maxsize=256)
def tail_for(message_log: int, rate_log: int, bits: float, openings: int) -> int:
    """Random coefficients per lane that keep ``openings`` openings uniform: as many as they open
    positions, which in turn are more because of the tail."""
    tail = 0
    while True:
        queries = _queries(code_log(message_log, rate_log, tail), message_log, bits, tail)
        if openings * queries <= tail:
            return tail
        tail = openings * queries


@lru_cache(maxsize=256)
def carried_tail_for(message_log: int, bits: float, openings: int, rate_log: int = 1) -> int:
    """The same for lanes of level 0, as a power of two: the level below carries their fold in lanes
    that hold exactly so many coefficients, or are forced to be 0 beyond."""
    tail = 1
    while True:
        code = code_log(message_log, rate_log, tail)
        if tail >= openings * _queries(code, message_log, bits, tail):
            return tail
        tail *= 2


@dataclass(frozen=True, slots=True)
class Shape:
    """What a plan has to know of a commitment: ``2^row_log`` lanes of ``2^lane_log`` cells at rate
    ``2^-rate_log``, and the random coefficients above each lane, 0 or a power of two."""

    lane_log: int
    row_log: int
    tail: int = 0
    rate_log: int = 1


@lru_cache(maxsize=256)
def plan(
    shapes: tuple[Shape, ...],
    variables: int,
    bits: float,
    hiding: bool = False,
    scheme: Scheme = SCHEME,
) -> Plan:
    """Levels for commitments that stand in one cube of so many variables, each query term at least
    ``bits`` and folding a little more. With ``hiding`` the opening itself is masked."""
    work, wanted = scheme.work_bits, bits - scheme.work_bits
    first = []
    for shape in shapes:
        if shape.tail & (shape.tail - 1):
            raise ValueError("a tail that is carried is a power of two")
        code = code_log(shape.lane_log, shape.rate_log, shape.tail)
        queries = _queries(code, shape.lane_log, wanted, shape.tail)
        first.append(
            Level(shape.lane_log, code, shape.row_log, queries, shape.tail, work_bits=work)
        )
    # what the next level holds: folds, then folded tails
    tails = [log2_ceil(shape.tail) for shape in shapes if shape.tail]
    vectors = [shape.lane_log for shape in shapes] + tails
    deeper: list[Level] = []
    while max(vectors) > scheme.clear_log + 2:
        masked = hiding and not deeper
        message = max(vectors) - min(FOLD_LOG, max(vectors) - scheme.clear_log)
        rate = scheme.rate_log_of(len(deeper) + 1)
        own = tail_for(message, rate, wanted, 1) if masked else 0
        code = code_log(message, rate, own)
        queries = _queries(code, message, wanted, own)
        parts = arrange_parts(vectors, message)
        lane_variables = log2_ceil(sum(1 << part.lane_log for part in parts))
        level = Level(message, code, lane_variables, queries, own, parts, masked, work)
        deeper.append(replace(level, fold_work_bits=_fold_work(level, bits)))
        vectors = [message]
    short = any(log2_ceil(max(1, shape.tail)) > shape.lane_log for shape in shapes)
    if (tails or hiding) and (not deeper or short):
        raise ValueError("lanes with random coefficients must be longer")
    folding = max(_fold_work(level, bits) for level in first)
    commitments = tuple(replace(level, fold_work_bits=folding) for level in first)
    return Plan(variables, commitments, tuple(deeper))
