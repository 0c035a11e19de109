"""Selections of records against the sum that they stand for, in Python integers."""

from __future__ import annotations

import tracemalloc
from functools import partial
from random import Random

import numpy as np
import pytest

from zktrain.arguments.tensors import Shape
from zktrain.circuit import order as orders
from zktrain.circuit.order import batch_indices, batches
from zktrain.field import multilinear as ml
from zktrain.field.extension import ONE, ZERO, Ext, Point
from zktrain.field.goldilocks import P
from zktrain.operations import selection
from zktrain.operations.selection import Selection, Selections, selections

SIZES = [(1, 1, 1), (5, 3, 9), (37, 8, 100), (70, 1, 3), (3, 300, 40), (2, 257, 5)]


def _point(random: Random, count: int) -> Point:
    return tuple(Ext(random.randrange(P), random.randrange(P)) for _ in range(count))


def _wanted(random: Random, shape: Shape, records: int) -> list[Selection]:
    """Two of one record's point, one of another, and one of them again."""
    count = (records - 1).bit_length()
    first, second = (_point(random, count) for _ in range(2))
    factor = _point(random, 1)[0]
    out = [
        Selection(at, factor, _point(random, shape.log_batch), _point(random, shape.log_steps))
        for at in (first, second, first)
    ]
    return [*out, out[0]]


def _direct(order: np.ndarray, one: Selection) -> Ext:
    total = ZERO
    for t, row in enumerate(order.tolist()):
        for b, record in enumerate(row):
            total = total + (
                ml.eq_index(one.record, record)
                * ml.eq_index(one.samples, b)
                * ml.eq_index(one.steps, t)
            )
    return one.factor * total


@pytest.mark.parametrize("tables", [True, False], ids=["table", "halves"])
@pytest.mark.parametrize(("steps", "batch", "records"), SIZES)
def test_selections_are_the_sums(
    steps: int, batch: int, records: int, tables: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the pieces, which may be empty."""
    if not tables:
        monkeypatch.setattr(selection, "TABLE_LOG", -1)
    random, shape = Random(f"{steps} {batch}"), Shape(steps, batch)
    order = np.array([[random.randrange(records) for _ in range(batch)] for _ in range(steps)])
    wanted = _wanted(random, shape, records)
    expected = [_direct(order, one) for one in wanted]
    assert selections([order], shape, wanted) == expected
    cut = random.randrange(steps + 1)
    monkeypatch.setattr(selection, "PIECE", 1)
    assert selections([order[:cut], order[cut:cut], order[cut:]], shape, wanted) == expected


def test_sums_of_the_largest_limbs_are_exact() -> None:
    """All factors and weights have all bits set that a limb can have."""
    factors, weights = float((1 << 32) - 1), float((1 << 13) - 1)
    products = np.full((32, 256), factors) @ np.full((256, 10), weights)
    assert set(products.astype(np.uint64).flatten().tolist()) == {
        256 * ((1 << 32) - 1) * ((1 << 13) - 1)
    }


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("batch", [1, 4, 7, 30])
def test_pieces_are_the_order(batch: int, drop_last: bool) -> None:
    records = 31
    for first, steps in ((0, 0), (0, 1), (3, 40), (9, 2)):
        pieces = list(batches("s", records, batch, first, steps, drop_last=drop_last))
        whole = batch_indices("s", records, batch, first, steps, drop_last=drop_last)
        assert [row for piece in pieces for row in piece.tolist()] == whole.tolist()
        assert whole.shape == (steps, batch)
        assert len(pieces) == (steps > 0)


def test_pieces_are_of_whole_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many that a piece has some samples, and no more."""
    monkeypatch.setattr(orders, "PIECE", 20)
    for records, batch, sizes in ((31, 4, [28, 32, 32, 28]), (9, 4, [24, 20, 28, 24, 20, 4])):
        pieces = list(batches("s", records, batch, 0, 30))
        assert [piece.size for piece in pieces] == sizes
        whole = batch_indices("s", records, batch, 0, 30)
        assert np.concatenate(pieces).tolist() == whole.tolist()


def test_memory_does_not_grow_with_the_order() -> None:
    """Of two million samples the order alone would be 16 MB."""
    records, batch = 5000, 64
    peaks = []
    for log_steps in (12, 15):
        shape = Shape(1 << log_steps, batch)
        wanted = [
            Selection(
                _point(Random(at), 13), ONE, _point(Random(2), 6), _point(Random(3), log_steps)
            )
            for at in (4, 5)
        ]
        pieces = partial(batches, "s", records, batch, 0, shape.steps)
        selected = Selections(pieces, shape)
        first, second = (selected.want([one]) for one in wanted)
        tracemalloc.start()
        try:
            found = first() + second()
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
        assert found == selections([np.concatenate(list(pieces()))], shape, wanted)
    assert peaks[1] < 12 << 20 and peaks[1] < peaks[0] + (1 << 18)


def test_one_pass_for_all_that_is_wanted_before_it() -> None:
    shape, passes = Shape(9, 4), []

    def pieces() -> list[np.ndarray]:
        passes.append(batch_indices("s", 31, 4, 0, 9))
        return passes[-1:]

    selected, wanted = Selections(pieces, shape), _wanted(Random(7), shape, 31)
    expected = [_direct(batch_indices("s", 31, 4, 0, 9), one) for one in wanted]
    first, second = selected.want(wanted[:1]), selected.want(wanted[1:])
    assert not passes
    assert second() + first() == expected[1:] + expected[:1] and len(passes) == 1
    other = _wanted(Random(8), shape, 31)[0]
    assert selected.want([other])() == [_direct(passes[0], other)] and len(passes) == 2
