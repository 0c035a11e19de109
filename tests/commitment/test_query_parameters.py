"""Rates, folds and query counts in exact rational arithmetic."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest

from zktrain.commitment import ligero, opening
from zktrain.commitment.packing import pack
from zktrain.commitment.parameters import (
    RATE_SLACK,
    SCHEME,
    Plan,
    Shape,
    _agreeing,
    carried_tail_for,
    fold_bits,
    lane_log_for,
    plan,
    query_bits,
    radius,
)
from zktrain.cost.sizes import opening_parts
from zktrain.dataset.commitment import DatasetHeader

P = 2**64 - 2**32 + 1
SIZES = [(10, 0), (10, 6), (11, 3), (12, 6), (13, 1), (16, 6), (18, 6), (19, 7), (22, 6), (26, 6)]


def plan_of(
    lane_log: int,
    row_log: int,
    bits: float,
    tail: int = 0,
    hiding: bool = False,
    rate_log: int = 1,
) -> Plan:
    """Of one commitment."""
    shape = Shape(lane_log, row_log, tail, rate_log)
    return plan((shape,), lane_log + row_log, bits, hiding)


def rates(rate_log: int, levels: int) -> list[int]:
    """As docs/protocol.md has them: 1/4 (a dataset 1/2), 1/8, 1/16, 1/16."""
    return [rate_log, 3, *[4] * levels][:levels]


def survivors(code_log: int, message_log: int, queries: int) -> Fraction:
    """Chance that distinct queries all hit the positions where a far word agrees."""
    n, k = 1 << code_log, 1 << message_log
    agreeing = n - (n - k) // 2 - 1  # more than half the distance n - k + 1 away
    return Fraction(math.comb(agreeing, queries), math.comb(n, queries))


def exact_bits(value: Fraction) -> float:
    return math.log2(value.denominator) - math.log2(value.numerator)


@pytest.mark.parametrize("code_log", [9, 10, 12])
@pytest.mark.parametrize("tail", [0, 1, 2, 51])
def test_radius_is_the_largest_at_which_decoding_is_unique(code_log: int, tail: int) -> None:
    """Balls of this radius around code words do not meet, those of the next one may; a word outside
    of one is farther from the code word than from any other that it may be close to."""
    distance = (1 << code_log) - (1 << 8) - tail + 1
    e = radius(code_log, 8, tail)
    assert 2 * e < distance <= 2 * (e + 1)
    assert distance - e >= e + 1
    assert _agreeing(code_log, 8, tail) == (1 << code_log) - (e + 1)


@pytest.mark.parametrize("rate_log", range(1, 7))
@pytest.mark.parametrize("message_log", [8, 10, 13, 20])
@pytest.mark.parametrize("queries", [0, 1, 2, 50, 115, 251])
def test_query_bits(message_log: int, rate_log: int, queries: int) -> None:
    code_log = message_log + rate_log
    expected = exact_bits(survivors(code_log, message_log, queries))
    assert query_bits(code_log, message_log, queries) == pytest.approx(expected, abs=1e-8)


def test_more_queries_than_agreeing_positions_leave_no_chance() -> None:
    agreeing = 512 - 128 - 1
    assert query_bits(9, 8, agreeing) < math.inf
    assert query_bits(9, 8, agreeing + 1) == math.inf


@pytest.mark.parametrize("bits", [21, 30, 80, 100, 104, 112, 128])
@pytest.mark.parametrize(("lane_log", "row_log"), SIZES)
def test_every_level_meets_the_bits_and_no_query_is_to_spare(
    lane_log: int, row_log: int, bits: int
) -> None:
    """With its work, which is twenty bits."""
    bound = Fraction(1, 2**bits)
    for level in plan_of(lane_log, row_log, bits, rate_log=SCHEME.rate_log).levels:
        assert level.work_bits == 20
        work = 2**level.work_bits
        assert survivors(level.code_log, level.message_log, level.queries) / work <= bound
        assert survivors(level.code_log, level.message_log, level.queries - 1) / work > bound


def test_fractions_of_a_bit_count() -> None:
    for bits in (104.25, 104.5, 104.75):
        for level in plan_of(18, 6, bits, rate_log=SCHEME.rate_log).levels:
            sizes = level.code_log, level.message_log
            left = exact_bits(survivors(*sizes, level.queries)) + level.work_bits
            short = exact_bits(survivors(*sizes, level.queries - 1)) + level.work_bits
            assert short < bits <= left


@pytest.mark.parametrize(("lane_log", "row_log"), SIZES)
@pytest.mark.parametrize("rate_log", [1, 2])
def test_levels_fit_together(lane_log: int, row_log: int, rate_log: int) -> None:
    made = plan_of(lane_log, row_log, 104, rate_log=rate_log)
    assert made.levels[0].message_log == lane_log and made.levels[0].variables == row_log
    found = [level.code_log - level.message_log for level in made.levels]
    assert found == rates(rate_log, len(found))
    for number, level in enumerate(made.levels):
        assert level.queries <= 1 << level.code_log
        if number:
            assert level.message_log + level.variables == made.levels[number - 1].message_log
            assert 1 <= level.variables <= 4
            assert [part.lane_log for part in level.parts] == [level.variables]
    (clear_log,) = made.clear
    assert clear_log == made.levels[-1].message_log
    assert 9 <= clear_log <= 11


@pytest.mark.parametrize("lane_log", [12, 13, 16, 20])
@pytest.mark.parametrize("bits", [83.0, 104.25, 113.5])
def test_a_tail_is_as_long_as_what_is_opened_and_its_code_as_short_as_may_be(
    lane_log: int, bits: float
) -> None:
    """Four openings, of a commitment and as its plan has them, in exact numbers."""
    bits_drawn = bits - SCHEME.work_bits
    tail = carried_tail_for(lane_log, bits_drawn, 4, SCHEME.rate_log)
    made = plan_of(lane_log, 3, bits, tail, True, SCHEME.rate_log)
    level = made.levels[0]
    assert tail & (tail - 1) == 0 and level.tail == tail
    half = plan_of(lane_log, 3, bits, tail // 2, True, SCHEME.rate_log)
    assert 4 * level.queries <= tail and 4 * half.commitments[0].queries > tail // 2
    rho = Fraction((1 << lane_log) + tail, 1 << level.code_log)
    allowed = Fraction(11, 10) / 2**SCHEME.rate_log
    assert RATE_SLACK == 1.1 and rho <= allowed < 2 * rho
    masked = made.levels[1]
    assert masked.masked and masked.tail >= masked.queries


def test_work_alone_may_be_enough() -> None:
    """Then nothing is drawn; no statement asks for so few bits."""
    made = plan_of(12, 3, 15.0, rate_log=2)
    assert [level.queries for level in made.levels] == [0] * len(made.levels)


@pytest.mark.parametrize(("lane_log", "row_log"), [(20, 6), (22, 6), (24, 7), (26, 7)])
def test_published_query_counts_of_large_sizes(lane_log: int, row_log: int) -> None:
    """84 bits and 20 of work at rates 1/4, 1/8, 1/16 while the code is long."""
    levels = plan_of(lane_log, row_log, 104, rate_log=2).levels
    assert [level.queries for level in levels[:2]] == [124, 102]
    assert levels[2].queries in (92, 93)


@pytest.mark.parametrize("bits", [20.0, 104.0])
def test_plans_do_not_depend_on_earlier_calls(bits: float) -> None:
    first = plan_of(14, 6, bits)
    plan.cache_clear()
    assert plan_of(14, 6, bits) == first


@pytest.mark.parametrize("code_log", [9, 14, 20, 28])
@pytest.mark.parametrize("variables", [0, 1, 4, 7])
def test_fold_bits(code_log: int, variables: int) -> None:
    expected = exact_bits(Fraction(max(1, variables) << code_log, P**2))
    assert fold_bits(code_log, variables) == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("bits", [80, 104.25, 116, 138.75])
@pytest.mark.parametrize(("lane_log", "row_log"), SIZES)
@pytest.mark.parametrize("hiding", [False, True])
def test_folding_work_is_as_little_as_will_do(
    lane_log: int, row_log: int, bits: float, hiding: bool
) -> None:
    """Two bits more than queries, or 28 bits of work; none where nothing is folded."""
    if hiding and lane_log < 12:
        pytest.skip("lanes of hiding commitments are longer")
    made = plan_of(lane_log, row_log, bits, hiding=hiding, rate_log=2)
    nonces = len(made.levels)
    for level in made.levels:
        work, error = level.fold_work_bits, Fraction(max(1, level.folds) << level.code_log, P**2)
        assert 0 <= work <= 28
        nonces += level.folds if work else 0
        if not level.folds:
            assert work == 0
            continue
        wanted = Fraction(1, 2 ** int(4 * (bits + 2)))
        assert (error / 2**work) ** 4 <= wanted or work == 28
        assert work == 0 or (error / 2 ** (work - 1)) ** 4 > wanted
    assert made.nonces == nonces


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


KNOWN = {
    5: {14: 10, 16: 12, 20: 16, 22: 17, 26: 21, 28: 23, 30: 23, 33: 23, 34: 24, 36: 26},
    6: {14: 10, 16: 12, 20: 16, 22: 16, 26: 20, 28: 22, 30: 23, 33: 23, 34: 24, 36: 26},
}
"""Lengths of lanes by log2 of all cells: 32 lanes, 64 lanes."""


@pytest.mark.parametrize("lanes_log", KNOWN)
@pytest.mark.parametrize("hiding", [False, True])
def test_lengths_of_lanes(hiding: bool, lanes_log: int) -> None:
    """At least eight lanes where there is room for them; not longer than 2^23 until they are more
    than 2^10."""
    least = 12 if hiding else 10
    for cells_log, lane_log in KNOWN[lanes_log].items():
        assert lane_log_for(cells_log, hiding, lanes_log) == max(least, lane_log)
    for cells_log in range(10, 40):
        lane_log = lane_log_for(cells_log, hiding, lanes_log)
        assert cells_log - lane_log <= 10 and (cells_log - lane_log >= 3 or lane_log == least)


def test_lanes_of_datasets_are_shorter() -> None:
    assert (SCHEME.lanes_log, SCHEME.dataset_lanes_log) == (5, 6)
    header = DatasetHeader(60000, 784, 10, bytes(32), 64)
    assert header.packing().log_size - header.packing().lane_log == 6
    assert len(header.packing().live_lanes) == 26


@pytest.mark.parametrize("cells_log", [13, 16, 18, 20, 22, 24, 26])
def test_no_other_lanes_are_much_better(cells_log: int) -> None:
    """Bytes of an opening: within a tenth of the best, whose level 1 is not larger than twice."""

    def size(lane_log: int) -> float:
        packing = pack([("a", cells_log, 1 << cells_log)], lane_log)
        made = opening.level_plan([packing], 105.0, hiding=False)
        return sum(opening_parts([packing], made).values())

    chosen = lane_log_for(cells_log, False, SCHEME.lanes_log)
    best = min(size(lane_log) for lane_log in range(10, chosen + 2))
    assert size(chosen) <= 1.1 * best
