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
ROW_LOG = 6
"""A commitment is cut in about ``2^6`` lanes."""
FOLD_MARGIN_BITS = 2
"""Folding gets so many bits more than queries, so that it hardly counts beside them: its work costs
next to nothing."""
MAX_WORK_BITS = 28
RATE_SLACK = 1.1
"""A tail may raise the rate of a level by a tenth; else the code word is twice as long."""


@dataclass(frozen=True, slots=True)
class Scheme:
    """What openings are like.

    A segment's commitments have rate ``2^-rate_log``, a dataset's ``2^-dataset_rate_log``, levels
    1, 2, ... of an opening the rates ``2^-deeper[0]``, ``2^-deeper[1]``, ..., and all after those
    the last of them. Folding stops at ``2^clear_log`` elements of E, or two variables earlier if
    that saves a level. Every draw of positions costs ``2^work_bits`` hashes, and so many bits less
    need to come from the positions.
    """

    rate_log: int
    dataset_rate_log: int
    deeper: tuple[int, ...]
    clear_log: int
    work_bits: int

    def rate_log_of(self, level: int) -> int:
        """Of a deeper level, counted from 1."""
        return self.deeper[min(level, len(self.deeper)) - 1]


SCHEME = Scheme(rate_log=1, dataset_rate_log=1, deeper=(3, 4), clear_log=9, work_bits=20)
"""Of all proofs. A dataset's code words are made again by every proof, so they are shorter."""


@dataclass(frozen=True, slots=True)
class Level:
    """One committed matrix: ``2^message_log`` coefficients per lane, code words of
    ``2^code_log`` positions, ``queries`` opened positions, ``fold_log`` variables folded by it.

    Hiding adds: ``tail`` random coefficients above each lane's message, as many as positions are
    ever opened; ``carried_tail``, the length of the folded tail that the level before had (0:
    none); ``masked``, one more lane of random E coefficients. ``work_bits`` are those of the proof
    of work before its positions are drawn, ``fold_work_bits`` before each challenge that folds it.
    """

    message_log: int
    code_log: int
    fold_log: int
    queries: int
    tail: int = 0
    carried_tail: int = 0
    masked: bool = False
    work_bits: int = 0
    fold_work_bits: int = 0

    @property
    def carried(self) -> int:
        """log2 of the lanes that hold the carried tail, -1 without."""
        if not self.carried_tail:
            return -1
        return max(0, log2_ceil(self.carried_tail) - self.message_log)

    @property
    def zeros(self) -> bool:
        """Whether the carried tail leaves cells of its lane free, which are forced to be 0."""
        return 0 < self.carried_tail < 1 << self.message_log

    @property
    def variables(self) -> int:
        """Lane variables of the level's matrix: one more where a folded tail is carried."""
        return self.fold_log + (self.carried >= 0)

    @property
    def folds(self) -> int:
        """Challenges that fold the level: its lane variables, and the factor of the mask."""
        return self.variables + self.masked

    @property
    def salt_cells(self) -> int:
        """Cells of salt at the end of a row of a deeper level."""
        return SALT_CELLS if self.masked else 0

    @property
    def lanes(self) -> int:
        """Lanes of E in a row of a deeper level."""
        carried = 1 << self.carried if self.carried >= 0 else 0
        return (1 << self.fold_log) + carried + self.masked


@dataclass(frozen=True, slots=True)
class Plan:
    """All levels; after the last one ``2^clear_log`` elements are sent in clear."""

    levels: tuple[Level, ...]
    clear_log: int

    @property
    def nonces(self) -> int:
        """Proofs of work of an opening."""
        drawn = sum(level.work_bits > 0 for level in self.levels)
        return drawn + sum(level.folds for level in self.levels if level.fold_work_bits)

    @property
    def positions(self) -> int:
        """Code word positions of each commitment that an opening reveals."""
        return self.levels[0].queries

    def scalars(self, hiding: bool) -> int:
        """Padded scalars of an opening: batch sumcheck, value, masked fold, mask."""
        if not hiding:
            return 0
        first = self.levels[0]
        batch = 2 * (first.message_log + first.fold_log) + 1
        return batch + 2 * self.levels[1].variables + 1


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


def _with_fold_work(level: Level, bits: float) -> Level:
    """Work before each of its challenges that lifts folding to ``bits``, and the margin."""
    if not level.folds:
        return level
    missing = bits + FOLD_MARGIN_BITS - fold_bits(level.code_log, level.folds)
    return replace(level, fold_work_bits=max(0, min(MAX_WORK_BITS, math.ceil(missing))))


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


@lru_cache(maxsize=256)
def plan(
    lane_log: int,
    row_log: int,
    bits: float,
    tail: int = 0,
    hiding: bool = False,
    rate_log: int = 1,
    scheme: Scheme = SCHEME,
) -> Plan:
    """Levels for ``2^row_log`` lanes of ``2^lane_log`` cells, each query term at least ``bits`` and
    folding a little more.

    The lanes are committed at rate ``2^-rate_log``. ``tail`` is the number of random coefficients
    per committed lane, 0 or a power of two; with ``hiding`` the opening itself is masked.
    """
    if tail & (tail - 1):
        raise ValueError("a tail that is carried is a power of two")
    work = scheme.work_bits
    code = code_log(lane_log, rate_log, tail)
    queries = _queries(code, lane_log, bits - work, tail)
    levels = [Level(lane_log, code, row_log, queries, tail, work_bits=work)]
    remaining = lane_log
    while remaining > scheme.clear_log + 2:
        fold = min(FOLD_LOG, remaining - scheme.clear_log)
        rate = scheme.rate_log_of(len(levels))
        message = remaining - fold
        first = len(levels) == 1
        carried = tail if first else 0
        masked = first and hiding
        own = tail_for(message, rate, bits - work, 1) if masked else 0
        code = code_log(message, rate, own)
        queries = _queries(code, message, bits - work, own)
        levels.append(Level(message, code, fold, queries, own, carried, masked, work))
        remaining = message
    if (tail or hiding) and (len(levels) == 1 or log2_ceil(max(1, tail)) > lane_log):
        raise ValueError("lanes with random coefficients must be longer")
    return Plan(tuple(_with_fold_work(level, bits) for level in levels), remaining)
