"""Learning rates as whole multiples of batch / 2^10."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zktrain.errors import RecipeError
from zktrain.optimizers.sgd import AskedSgd, Sgd, quantise_rate


@pytest.mark.parametrize(
    ("rate", "batch_size", "multiplier"),
    [
        (0.125, 64, 2),
        (0.25, 32, 8),
        (0.1, 16, 6),
        (0.01, 10, 1),
        (1.0, 1, 1024),
        (1024.0, 1, 1 << 20),
        (0.1171875, 64, 2),
        (0.2734375, 64, 4),
    ],
)
def test_known_rates(rate: float, batch_size: int, multiplier: int) -> None:
    assert quantise_rate(rate, batch_size, 10) == multiplier


def test_zero_rate_names_the_nearest_and_a_batch_size() -> None:
    with pytest.raises(RecipeError) as caught:
        quantise_rate(0.01, 64, 10)
    message = caught.value.message
    assert "training.learning_rate = 0.01" in message
    assert "the nearest 0.0625;" in message
    assert "batch_size = 2 (rate 0.00976562)" in message
    assert quantise_rate(0.01, 2, 10) == 5


def test_rate_too_far_off_names_both_neighbours() -> None:
    with pytest.raises(RecipeError, match=r"nearest 0\.0625 and 0\.125; .* batch_size = 32"):
        quantise_rate(0.09375, 64, 10)
    assert quantise_rate(0.09375, 32, 10) == 3


def test_rate_below_every_batch_size() -> None:
    with pytest.raises(RecipeError, match=r"nearest 0\.000976562; use one of these rates$"):
        quantise_rate(1e-6, 1, 10)


def test_rate_too_large() -> None:
    with pytest.raises(RecipeError, match=r"too large.*largest rate is 65536"):
        quantise_rate(1e6, 64, 10)


@given(st.floats(1e-9, 1e9), st.integers(1, 1 << 14))
def test_accepted_rates_are_within_a_quarter(rate: float, batch_size: int) -> None:
    try:
        multiplier = quantise_rate(rate, batch_size, 10)
    except RecipeError:
        return
    assert 1 <= multiplier <= 1 << 20
    assert multiplier * batch_size / 1024 == pytest.approx(rate, rel=0.2501)


def test_schedule() -> None:
    assert AskedSgd().quantised(((0, 0.25), (512, 0.125)), 64, ()) == Sgd(((0, 4), (512, 2)))
