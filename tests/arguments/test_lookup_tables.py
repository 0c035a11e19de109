"""The tables: contents from their definitions, extensions from their columns."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from itertools import pairwise

import numpy as np
import pytest
from field_oracle import extension, pair, random_pairs

from zktrain.field.extension import Ext
from zktrain.field.multilinear import bits
from zktrain.tables import MAX_COLUMNS, TABLES


def exponential(d: int) -> int:
    """``round(2^14 exp(-d / 2^8))`` in decimals of forty digits."""
    with localcontext() as context:
        context.prec = 40
        value = Decimal(1 << 14) * (Decimal(-d) / 256).exp()
        return int(value.to_integral_value(ROUND_HALF_EVEN))


def sigmoid(z: int) -> Decimal:
    """``2^14 / (1 + exp(-z / 2^8))`` in decimals of fifty digits."""
    with localcontext() as context:
        context.prec = 50
        return Decimal(1 << 14) / (1 + (Decimal(-z) / 256).exp())


def rows(name: str) -> list[tuple[int, ...]]:
    columns = [column.tolist() for column in TABLES[name].columns()]
    return list(zip(*columns, strict=True))


def test_numbers_are_distinct_and_columns_few() -> None:
    assert len({table.number for table in TABLES.values()}) == len(TABLES)
    for table in TABLES.values():
        columns = table.columns()
        assert 1 <= len(columns) <= MAX_COLUMNS
        assert all(len(column) == 1 << table.log_size for column in columns)


def test_contents() -> None:
    assert rows("range16") == [(v,) for v in range(1 << 16)]
    assert rows("relu") == [(z, int(z > 0)) for z in range(-(1 << 15), 1 << 15)]
    assert set(rows("byte")) == {(v, 1) for v in range(256)} | {(0, 0)}
    assert rows("winner") == [*((d, 0) for d in range((1 << 16) - 1)), (0, 1)]
    found = rows("exp")
    assert found[-1] == (0, 0, 0, 0)
    some = [*range(300), 1000, 2559, 2560, 2661, 2662, 2663, 5000, (1 << 16) - 2]
    for d in some:
        assert found[d] == (d, exponential(d), exponential(d - 1), 1)
    assert [row[0] for row in found[:-1]] == list(range((1 << 16) - 1))
    assert all(row[3] == 1 for row in found[:-1])
    assert all(a[1] == b[2] for a, b in pairwise(found[:-1]))


def test_sigmoid_is_the_rounded_one_and_far_from_ties() -> None:
    """Row by row against decimals, to where it is constant; rounding errors cannot change it."""
    found = rows("sigmoid")
    assert [z for z, _ in found] == list(range(-(1 << 15), 1 << 15))
    by_logit = dict(found)
    for z in range(-3000, 3001):
        real = sigmoid(z)
        assert by_logit[z] == int(real.to_integral_value(ROUND_HALF_EVEN)) - (1 << 13)
        assert abs(real % 1 - Decimal("0.5")) > Decimal(2) ** -14
    assert {by_logit[z] for z in range(3000, 1 << 15)} == {1 << 13}
    assert {by_logit[z] for z in range(-(1 << 15), -3000)} == {-(1 << 13)}
    assert by_logit[0] == 0


@pytest.mark.parametrize("name", TABLES)
def test_extensions_are_those_of_the_columns(name: str) -> None:
    table = TABLES[name]
    coordinates = random_pairs(np.random.default_rng(table.number), table.log_size)
    found = [pair(v) for v in table.evaluate(tuple(Ext(*x) for x in coordinates))]
    assert found == [extension(column.tolist(), coordinates) for column in table.columns()]


@pytest.mark.parametrize("name", TABLES)
def test_extensions_at_the_rows_are_the_rows(name: str) -> None:
    table = TABLES[name]
    size = 1 << table.log_size
    for index in [0, 1, 255, 256, 257, size // 2 - 1, size // 2, size // 2 + 1, size - 2, size - 1]:
        point = tuple(Ext(bit) for bit in bits(index, table.log_size))
        expected = [int(column[index]) for column in table.columns()]
        assert all(a == b for a, b in zip(table.evaluate(point), expected, strict=True))


@pytest.mark.parametrize("name", TABLES)
def test_every_row_is_found_where_it_stands(name: str) -> None:
    """``row()`` leads to a row with the same cells, which for duplicates may be another one."""
    table = TABLES[name]
    columns = table.columns()
    numbers, shift = table.row(columns)
    where = np.asarray(numbers).astype(np.int64) + shift
    for column in columns:
        assert np.array_equal(np.asarray(column)[where], column)
