"""Products of small integers, as the same products over E."""

from __future__ import annotations

import numpy as np
import pytest
from field_oracle import WORST, P, residues

from zktrain.field.extension import Ext, from_base
from zktrain.prover.kernels import field as kf
from zktrain.prover.kernels import integer_products, sumcheck

LIMITS = {
    "bits and 16 bits": ((0, 1), (-(1 << 15), (1 << 15) - 1)),
    "largest": ((-1, 1), (-(1 << 17), 1 << 17)),
    "both alike": ((-362, 362), (-362, 362)),
}


def table(values: np.ndarray) -> np.ndarray:
    return from_base(kf.to_field(values))


@pytest.mark.parametrize("case", LIMITS)
@pytest.mark.parametrize("size", [2, 4, 1 << 9, 1 << 14, 1 << 16])
@pytest.mark.parametrize("extreme", [False, True])
def test_first_round_and_folds(case: str, size: int, extreme: bool) -> None:
    rng = np.random.default_rng(size)
    columns = []
    for low, high in LIMITS[case]:
        if extreme:  # alternating, so that values on the lines are as large as they can be
            values = np.where(np.arange(size) % 2 == 0, low, high)
        else:
            values = rng.integers(low, high, size=size, endpoint=True)
        columns.append(values.astype(np.int32))
    assert integer_products.fit(*columns)
    weight = np.full((2, size), P - 1, dtype=np.uint64) if extreme else residues(rng, 2, size)
    expected = sumcheck.round_message((weight, *map(table, columns)))
    assert integer_products.round_message(weight, *columns) == expected
    challenge = Ext(P - 1, WORST)
    for column in columns:
        assert np.array_equal(
            integer_products.fold(column, challenge), kf.fold(table(column), challenge)
        )


@pytest.mark.parametrize(
    ("first", "second", "fit"),
    [(1, 1 << 17, True), (2, 1 << 16, True), (3, 1 << 16, False), (0, (1 << 17) + 1, False),
     (-(1 << 17), -1, True), (-(1 << 17) - 1, 0, False)],
)  # fmt: skip
def test_which_columns_are_small(first: int, second: int, fit: bool) -> None:
    columns = (np.array([0, value], dtype=np.int64) for value in (first, second))
    assert integer_products.fit(*columns) == fit
