"""Blocks and lanes: aligned, disjoint, and covering what may be nonzero."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zktrain.commitment.packing import Packing, arrange, extend, pack, total_log
from zktrain.field.extension import Ext


@st.composite
def tensor_lists(draw: st.DrawFn) -> list[tuple[str, int, int]]:
    logs = draw(st.lists(st.integers(0, 14), min_size=1, max_size=9))
    return [(f"t{i}", n, draw(st.integers(0, 1 << n))) for i, n in enumerate(logs)]


@given(tensor_lists(), st.integers(10, 15))
def test_blocks_are_aligned_and_disjoint(
    tensors: list[tuple[str, int, int]], lane_log: int
) -> None:
    packing = pack(tensors, lane_log)
    at = 0
    for block in sorted(packing.blocks, key=lambda b: b.offset):
        size = 1 << block.log_size
        assert block.offset % size == 0 and block.offset >= at
        at = block.offset + size
    assert at <= 1 << packing.log_size and packing.log_size >= lane_log
    assert packing.lane_log == lane_log
    assert sorted(b.name for b in packing.blocks) == sorted(name for name, _, _ in tensors)
    for name, log_size, used in tensors:
        block = packing.block(name)
        assert block.log_size == max(log_size, 10) and block.used == used


@given(tensor_lists(), st.integers(10, 15))
def test_blocks_are_sorted_by_size_then_in_the_order_given(
    tensors: list[tuple[str, int, int]], lane_log: int
) -> None:
    order = {name: (-log_size, i) for i, (name, log_size, _) in enumerate(tensors)}
    keys = [order[block.name] for block in pack(tensors, lane_log).blocks]
    assert all(a < b for a, b in pairwise(keys))


@given(tensor_lists(), st.integers(10, 13))
def test_live_lanes_are_those_with_used_cells(
    tensors: list[tuple[str, int, int]], lane_log: int
) -> None:
    packing = pack(tensors, lane_log)
    used, firsts = set(), set()
    for block in packing.blocks:
        firsts.add(block.offset >> lane_log)
        used.update(range(block.offset >> lane_log, (block.offset + block.used - 1 >> lane_log) + 1)
                    if block.used else ())  # fmt: skip
    live = packing.live_lanes
    assert list(live) == sorted(set(live))
    assert used <= set(live) <= used | firsts
    assert all(0 <= lane < 1 << (packing.log_size - lane_log) for lane in live)


@given(tensor_lists())
def test_total_log_is_what_packing_takes(tensors: list[tuple[str, int, int]]) -> None:
    assert pack(tensors, 0).log_size == total_log(tensors)
    cells = sum(1 << max(10, n) for _, n, _ in tensors)
    assert 1 << total_log(tensors) >= cells > 1 << (total_log(tensors) - 1) - 1


@given(st.lists(st.integers(0, 6), min_size=1, max_size=8))
def test_commitments_stand_side_by_side(sizes: list[int]) -> None:
    """Whatever their lanes are."""
    packings = [Packing((), 10 + n, 10 + n // 2) for n in sizes]
    offsets, log_size = arrange(packings)
    places = list(zip(offsets, [1 << p.log_size for p in packings], strict=True))
    ends = sorted((first, first + size) for first, size in places)
    assert all(stop <= start for (_, stop), (start, _) in pairwise(ends))
    assert all(first % size == 0 for first, size in places)
    total = sum(size for _, size in places)
    assert 1 << log_size >= total > (1 << log_size) // 2


def test_unknown_names_have_no_block() -> None:
    with pytest.raises(KeyError):
        pack([("a", 3, 8)], 10).block("b")


def test_extend_appends_zeros() -> None:
    point = (Ext(5), Ext(6, 7))
    assert extend(point, 4) == (Ext(5), Ext(6, 7), Ext(0), Ext(0))
    assert extend(point, 2) == point
