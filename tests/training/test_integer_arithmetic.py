"""Exact products, rescaling, the exponential table and the softmax normaliser."""

from __future__ import annotations

import hashlib
from decimal import Decimal, localcontext

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from training_oracle import exponential, normaliser

from zktrain.tables.exp import exp_table
from zktrain.training.arithmetic import (
    AccumulatorOverflow,
    Softmax,
    exact_matmul,
)


@pytest.mark.parametrize(
    ("left_bits", "right_bits"),
    [(1, 1), (1, 52), (8, 28), (8, 45), (15, 37), (15, 43), (21, 28), (21, 37), (33, 25)],
)
def test_matmul_equals_python_integers(left_bits: int, right_bits: int) -> None:
    generator = np.random.default_rng(left_bits * 100 + right_bits)
    a = generator.integers(-(2**left_bits) + 1, 2**left_bits, (4, 7))
    b = generator.integers(-(2**right_bits) + 1, 2**right_bits, (7, 5))
    got = exact_matmul(torch.from_numpy(a).double(), torch.from_numpy(b).double())
    assert got.tolist() == (a.astype(object) @ b.astype(object)).tolist()


def test_matmul_refuses_what_may_leave_62_bits() -> None:
    a = torch.full((1, 4), float(2**20))
    with pytest.raises(AccumulatorOverflow, match=r"2\^6"):
        exact_matmul(a.double(), torch.full((4, 1), float(2**40)).double())
    with pytest.raises(AccumulatorOverflow):
        exact_matmul(
            torch.full((1, 1), 2.0**40, dtype=torch.float64),
            torch.full((1, 1), 2.0**20, dtype=torch.float64),
        )


def test_exp_table_is_the_rounded_exponential_far_from_ties() -> None:
    at, before = exp_table()
    with localcontext() as context:
        context.prec = 50
        margin = Decimal(1)
        for d in range(-1, 2900):
            value = Decimal(1 << 14) * (Decimal(-d) / 256).exp()
            assert int(before[d + 1]) == int(value + Decimal("0.5"))
            if d >= 0:
                assert at[d] == before[d + 1]
            margin = min(margin, abs(value % 1 - Decimal("0.5")))
    assert margin > Decimal(2) ** -15
    assert not at[2900:].any() and not before[2900:].any()
    assert at.shape == before.shape == (1 << 16,)
    assert (at[-1], before[-1]) == (0, 0)


def test_exp_table_known_answer() -> None:
    at, before = exp_table()
    assert at[:3].tolist() == [16384, 16320, 16256] and before[:2].tolist() == [16448, 16384]
    data = at.astype("<i8").tobytes() + before.astype("<i8").tobytes()
    assert (
        hashlib.sha256(data).hexdigest()
        == "121be0edce4197126c07a57d2ae64aecaa55bfa4a21de2a4345c9208931ee61c"
    )


_LOGIT = st.one_of(st.integers(-(2**15), 2**15 - 1), st.integers(-300, 300))


@given(st.lists(_LOGIT, min_size=1, max_size=12))
def test_normaliser_is_the_smallest(logits: list[int]) -> None:
    z = torch.tensor([logits], dtype=torch.float64)
    softmax = Softmax(len(logits), "cpu")
    estimate = softmax.estimate(z)
    assert torch.allclose(estimate, 256 * torch.logsumexp(z / 256, dim=1), rtol=1e-12, atol=1e-9)
    found = softmax.normaliser(z, estimate)
    c = normaliser(logits) if max(logits) - min(logits) < 4000 else int(found.item())
    assert sum(exponential(c - v) for v in logits) <= 1 << 14
    assert sum(exponential(c - 1 - v) for v in logits) > 1 << 14
    assert found.tolist() == softmax.search(z).tolist() == [c]


@pytest.mark.parametrize("classes", [100, 512, 513, 3000])
def test_normaliser_with_many_classes(classes: int) -> None:
    generator = np.random.default_rng(classes)
    rows = generator.integers(-500, 500, (3, classes))
    z = torch.from_numpy(rows).double()
    softmax = Softmax(classes, "cpu")
    c = softmax.normaliser(z, softmax.estimate(z))
    for row, value in zip(rows.tolist(), c.tolist(), strict=True):
        assert sum(exponential(int(value) - v) for v in row) <= 1 << 14
        assert sum(exponential(int(value) - 1 - v) for v in row) > 1 << 14
