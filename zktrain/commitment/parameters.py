"""Rates, folds and query counts of the commitment, derived from the security wanted.

Unique-decoding regime: a word is accepted as close within relative distance
``gamma = (1 - rho)/2 - 3/((1 - rho) n)`` [BCHKS25, DG25, NA25]; a word farther away survives ``t``
distinct queries with probability at most ``C((1 - gamma) n, t) / C(n, t)``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

from ..field.extension import LOG2_SIZE

CLEAR_LOG = 8
"""Folding stops at ``2^8`` elements of E, or two variables earlier if that saves a level."""
FOLD_LOG = 4
LANE_LOG_MIN = 10
ROW_LOG = 6
"""A commitment is cut in about ``2^6`` lanes."""


@dataclass(frozen=True, slots=True)
class Level:
    """One committed matrix: ``2^message_log`` coefficients per lane, code words of
    ``2^code_log`` positions, ``queries`` opened positions, ``fold_log`` variables folded by it."""

    message_log: int
    code_log: int
    fold_log: int
    queries: int


@dataclass(frozen=True, slots=True)
class Plan:
    """All levels; after the last one ``2^clear_log`` elements are sent in clear."""

    levels: tuple[Level, ...]
    clear_log: int


def distance(code_log: int, message_log: int) -> float:
    """``gamma``."""
    n = 1 << code_log
    rho = 2.0 ** (message_log - code_log)
    return (1 - rho) / 2 - 3 / ((1 - rho) * n)


def query_bits(code_log: int, message_log: int, queries: int) -> float:
    """``-log2`` of the probability that a far word survives ``queries`` distinct queries."""
    n = 1 << code_log
    agreeing = math.floor((1 - distance(code_log, message_log)) * n)
    if queries > agreeing:
        return math.inf
    return -sum(math.log2((agreeing - i) / (n - i)) for i in range(queries))


def fold_bits(code_log: int, message_log: int, fold_log: int) -> float:
    """``-log2`` of the proximity-gap error of folding ``fold_log`` variables."""
    n = 1 << code_log
    per_variable = max(2.0, distance(code_log, message_log) * n + 1)
    return LOG2_SIZE - math.log2(per_variable * max(1, fold_log))


def _queries(code_log: int, message_log: int, bits: float) -> int:
    count, total = 0, 0.0
    n = 1 << code_log
    agreeing = math.floor((1 - distance(code_log, message_log)) * n)
    while total < bits:
        if count >= agreeing:
            return count + 1
        total -= math.log2((agreeing - count) / (n - count))
        count += 1
    return count


@lru_cache(maxsize=256)
def plan(lane_log: int, row_log: int, bits: float) -> Plan:
    """Levels for ``2^row_log`` lanes of ``2^lane_log`` cells, each query term at least ``bits``."""
    rate_log = 1
    levels = [
        Level(lane_log, lane_log + rate_log, row_log, _queries(lane_log + rate_log, lane_log, bits))
    ]
    remaining = lane_log
    while remaining > CLEAR_LOG + 2:
        fold = min(FOLD_LOG, remaining - CLEAR_LOG)
        rate_log += 1
        message = remaining - fold
        code = message + rate_log
        levels.append(Level(message, code, fold, _queries(code, message, bits)))
        remaining = message
    return Plan(tuple(levels), remaining)
