"""Affine forms in pads against vectors of coefficients kept in Python integers."""

from __future__ import annotations

import field_oracle as oracle
import numpy as np
import pytest
from field_oracle import Pair, pair, random_pairs

from zktrain.field.extension import Ext
from zktrain.field.forms import Form, Scalar, combine, gradient, product

PADS = 6
PRODUCTS = 3

Known = tuple[Pair, dict[int, Pair]]
"""Value, and coefficients by slot."""


def linear(coefficients: list[Pair], items: list[Known]) -> Known:
    value: Pair = (0, 0)
    pads: dict[int, Pair] = {}
    for c, (v, known) in zip(coefficients, items, strict=True):
        value = oracle.add(value, oracle.mul(c, v))
        for slot, k in known.items():
            pads[slot] = oracle.add(pads.get(slot, (0, 0)), oracle.mul(c, k))
    return value, pads


@pytest.mark.parametrize("seed", range(8))
def test_coefficients_of_pads(seed: int) -> None:
    """Received scalars, known ones, products of received ones, and combinations of combinations."""
    rng = np.random.default_rng(seed)
    sent = random_pairs(rng, PADS)
    scalars: list[Scalar] = [Form(Ext(*v), slot=i) for i, v in enumerate(sent)]
    known: list[Known] = [(v, {i: (1, 0)}) for i, v in enumerate(sent)]
    for slot in range(PADS, PADS + PRODUCTS):
        i, j = (int(x) for x in rng.integers(0, PADS, 2))
        left, right = scalars[i], scalars[j]
        assert isinstance(left, Form) and isinstance(right, Form)
        scalars.append(product(left, right, slot))
        both = linear([sent[j], sent[i]], [((0, 0), {i: (1, 0)}), ((0, 0), {j: (1, 0)})])[1]
        known.append((oracle.mul(sent[i], sent[j]), {**both, slot: (1, 0)}))
    constant = random_pairs(rng, 1)[0]
    scalars.append(Ext(*constant))
    known.append((constant, {}))
    for _ in range(12):
        chosen = [int(x) for x in rng.integers(0, len(scalars), 3)]
        weights = random_pairs(rng, 3)
        scalars.append(combine([Ext(*w) for w in weights], [scalars[i] for i in chosen]))
        known.append(linear(weights, [known[i] for i in chosen]))
    for scalar, (value, _) in zip(scalars, known, strict=True):
        assert pair(scalar.value if isinstance(scalar, Form) else scalar) == value
    forms = [(f, k) for f, k in zip(scalars, known, strict=True) if isinstance(f, Form)]
    last = [*forms[-4:], forms[0], forms[-1]]  # one of them twice, one as it was received
    weights = random_pairs(rng, len(last))
    expected = linear(weights, [k for _, k in last])[1]
    found = gradient([f for f, _ in last], [Ext(*w) for w in weights])
    assert {slot: pair(c) for slot, c in found.items()} == expected


def test_nothing_hidden_is_no_form() -> None:
    assert combine([Ext(2), Ext(3)], [Ext(5), Ext(7)]) == 31
    assert gradient([], []) == {}
