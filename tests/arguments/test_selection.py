"""Selections of records against the sum that they stand for, in Python integers."""

from __future__ import annotations

import tracemalloc
from random import Random

import numpy as np
import pytest

from zktrain.arguments.tensors import Shape
from zktrain.circuit.order import batch_indices, batches
from zktrain.field import multilinear as ml
from zktrain.field.extension import ONE, ZERO, Ext, Point
from zktrain.field.goldilocks import P
from zktrain.operations import selection
from zktrain.operations.selection import Selection, selections

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
        assert all(0 < len(piece) * batch <= records + batch - 1 or batch > records
                   for piece in pieces)  # fmt: skip


def test_a_long_order_is_never_whole_in_memory() -> None:
    """Two million samples, of which the table alone would be 16 MB."""
    records, batch, steps = 5000, 64, 1 << 15
    shape, point = Shape(steps, batch), _point(Random(1), 13)
    one = Selection(point, ONE, _point(Random(2), 6), _point(Random(3), 15))
    tracemalloc.start()
    try:
        (found,) = selections(batches("s", records, batch, 0, steps), shape, [one])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 12 << 20
    assert [found] == selections([batch_indices("s", records, batch, 0, steps)], shape, [one])
