"""Rates, folds and query counts in exact rational arithmetic."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest

from zktrain.commitment import ligero
from zktrain.commitment.parameters import Level, distance, fold_bits, plan, query_bits

P = 2**64 - 2**32 + 1
SIZES = [(10, 0), (10, 6), (11, 3), (12, 6), (13, 1), (16, 6), (18, 6), (19, 7), (22, 6), (26, 6)]


def gamma(code_log: int, message_log: int) -> Fraction:
    """``(1 - rho)/2 - 3/((1 - rho) n)``."""
    rho = Fraction(1, 1 << (code_log - message_log))
    return (1 - rho) / 2 - 3 / ((1 - rho) * (1 << code_log))


def survivors(code_log: int, message_log: int, queries: int) -> Fraction:
    """Chance that distinct queries all hit the positions where a far word agrees."""
    n = 1 << code_log
    agreeing = math.floor((1 - gamma(code_log, message_log)) * n)
    return Fraction(math.comb(agreeing, queries), math.comb(n, queries))


def exact_bits(value: Fraction) -> float:
    return math.log2(value.denominator) - math.log2(value.numerator)


@pytest.mark.parametrize("rate_log", range(1, 7))
@pytest.mark.parametrize("message_log", [8, 10, 14, 20, 26])
def test_distance(message_log: int, rate_log: int) -> None:
    exact = gamma(message_log + rate_log, message_log)
    assert abs(Fraction(distance(message_log + rate_log, message_log)) - exact) < Fraction(1, 2**50)


@pytest.mark.parametrize("rate_log", range(1, 7))
@pytest.mark.parametrize("message_log", [8, 10, 13, 20])
@pytest.mark.parametrize("queries", [0, 1, 2, 50, 115, 251])
def test_query_bits(message_log: int, rate_log: int, queries: int) -> None:
    code_log = message_log + rate_log
    expected = exact_bits(survivors(code_log, message_log, queries))
    assert query_bits(code_log, message_log, queries) == pytest.approx(expected, abs=1e-8)


def test_more_queries_than_agreeing_positions_leave_no_chance() -> None:
    agreeing = math.floor((1 - gamma(9, 8)) * 512)
    assert query_bits(9, 8, agreeing) < math.inf
    assert query_bits(9, 8, agreeing + 1) == math.inf


@pytest.mark.parametrize("bits", [1, 30, 80, 100, 104, 112, 128])
@pytest.mark.parametrize(("lane_log", "row_log"), SIZES)
def test_every_level_meets_the_bits_and_no_query_is_to_spare(
    lane_log: int, row_log: int, bits: int
) -> None:
    bound = Fraction(1, 2**bits)
    for level in plan(lane_log, row_log, bits).levels:
        assert survivors(level.code_log, level.message_log, level.queries) <= bound
        assert survivors(level.code_log, level.message_log, level.queries - 1) > bound


def test_fractions_of_a_bit_count() -> None:
    for bits in (104.25, 104.5, 104.75):
        for level in plan(18, 6, bits).levels:
            left = exact_bits(survivors(level.code_log, level.message_log, level.queries))
            short = exact_bits(survivors(level.code_log, level.message_log, level.queries - 1))
            assert short < bits <= left


@pytest.mark.parametrize(("lane_log", "row_log"), SIZES)
def test_levels_fit_together(lane_log: int, row_log: int) -> None:
    made = plan(lane_log, row_log, 104)
    assert made.levels[0].message_log == lane_log and made.levels[0].fold_log == row_log
    for number, level in enumerate(made.levels):
        assert level.code_log - level.message_log == number + 1
        assert level.queries <= 1 << level.code_log
        if number:
            assert level.message_log + level.fold_log == made.levels[number - 1].message_log
            assert 1 <= level.fold_log <= 4
    assert made.clear_log == made.levels[-1].message_log
    assert 8 <= made.clear_log <= 10


@pytest.mark.parametrize(("lane_log", "row_log"), [(20, 6), (22, 6), (24, 7), (26, 7)])
def test_published_query_counts_of_large_sizes(lane_log: int, row_log: int) -> None:
    """104 bits at rates 1/2, 1/4, 1/8 while the code is long; the table's 1/16 has one to spare."""
    levels = plan(lane_log, row_log, 104).levels
    assert [level.queries for level in levels[:2]] == [251, 154]
    assert levels[2].queries == 126
    assert levels[3].queries <= 115
    fourth: Level = levels[3]
    assert survivors(fourth.code_log, fourth.message_log, 115) <= Fraction(1, 2**104)


@pytest.mark.parametrize("bits", [20.0, 104.0])
def test_plans_do_not_depend_on_earlier_calls(bits: float) -> None:
    first = plan(14, 6, bits)
    plan.cache_clear()
    assert plan(14, 6, bits) == first


@pytest.mark.parametrize("rate_log", range(1, 6))
@pytest.mark.parametrize("message_log", [8, 10, 18])
@pytest.mark.parametrize("fold_log", [0, 1, 4, 7])
def test_fold_bits(message_log: int, rate_log: int, fold_log: int) -> None:
    code_log = message_log + rate_log
    n = 1 << code_log
    per_variable = max(Fraction(2), gamma(code_log, message_log) * n + 1)
    expected = exact_bits(per_variable * max(1, fold_log) / P**2)
    assert fold_bits(code_log, message_log, fold_log) == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("bits", [84.0, 107.0, 116.0])
@pytest.mark.parametrize("count", [1, 9, 60, 333, 1500, 2031, 9000])
def test_no_sizes_for_hidden_scalars_give_a_smaller_proof(count: int, bits: float) -> None:
    """The search leaves out what cannot be smaller; all sizes are tried here."""
    tried = []
    for slot_log in range(4, 15):
        for code_log in range(slot_log + 2, slot_log + 8):
            queries = ligero._queries(slot_log, code_log, bits)
            if queries is not None and slot_log <= max(4, (count - 1).bit_length()):
                sizes = ligero.Parameters(count, slot_log, code_log, queries)
                paths = 32 * queries * max(0, code_log - queries.bit_length() + 1)
                tried.append((sizes.proof_bytes + paths, slot_log, code_log, sizes))
    assert ligero.parameters(count, bits) == min(tried, key=lambda item: item[:3])[3]
