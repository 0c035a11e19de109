"""Round messages against interpolation in Python integers."""

from __future__ import annotations

import field_oracle as oracle
import numpy as np
import pytest
from field_oracle import WORST, P, Pair, pair, pairs, residues

from zktrain.prover.kernels.sumcheck import round_message


def expected(factors: list[list[Pair]], x: int) -> Pair:
    """``sum_i prod_k f_k(x, i)``, each factor being linear in its lowest variable."""
    terms = []
    for i in range(0, len(factors[0]), 2):
        product = (1, 0)
        for cells in factors:
            slope = oracle.sub(cells[i + 1], cells[i])
            product = oracle.mul(product, oracle.add(cells[i], oracle.mul((x, 0), slope)))
        terms.append(product)
    return oracle.total(terms)


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("size", [2, 4, 64, 1 << 14])
def test_round_message(count: int, size: int) -> None:
    rng = np.random.default_rng(size)
    tables = tuple(residues(rng, 2, size) for _ in range(count))
    message = round_message(tables)
    cells = [pairs(table) for table in tables]
    at = [0, 2, 3][:count]
    assert [pair(v) for v in message] == [expected(cells, x) for x in at]


@pytest.mark.parametrize("value", [P - 1, WORST, 2**32 - 1])
def test_round_messages_of_the_largest_residues(value: int) -> None:
    tables = tuple(np.full((2, 1 << 12), value, dtype=np.uint64) for _ in range(3))
    cells = [[(value, value)] * 2] * 3
    for count in (2, 3):
        one = expected(cells[:count], 0)  # constant factors: the same at every X
        message = [pair(v) for v in round_message(tables[:count])]
        assert message == [oracle.mul(one, (1 << 11, 0))] * count


def test_one_table_may_appear_twice() -> None:
    table = residues(np.random.default_rng(5), 2, 16)
    message = round_message((table, table))
    assert [pair(v) for v in message] == [expected([pairs(table)] * 2, x) for x in (0, 2)]
