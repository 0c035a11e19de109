"""Per-step contractions, weight histories and scattering against Python loops."""

from __future__ import annotations

import field_oracle as oracle
import numpy as np
import pytest
from field_oracle import WORST, P, pairs, residues

from zktrain.prover.kernels.training import contract_samples, scatter, weight_history


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.int64])
@pytest.mark.parametrize(
    ("steps", "batch", "n"), [(1, 1, 1), (3, 5, 1), (3, 4, 5), (8, 1, 33), (1, 64, 7), (5, 16, 300)]
)
def test_contract_samples(kind: type[np.integer], steps: int, batch: int, n: int) -> None:
    rng = np.random.default_rng(steps * batch * n)
    limits = np.iinfo(kind)
    shape = (steps, batch, n)
    tensor = rng.integers(limits.min, limits.max, size=shape, dtype=kind, endpoint=True)
    tensor.reshape(-1)[::3] = limits.min
    vector = residues(rng, 2, steps * batch)
    cells, first, second = (a.astype(object) for a in (tensor, vector[0], vector[1]))
    expected = [
        (int(cells[t, :, j] @ first[here]) % P, int(cells[t, :, j] @ second[here]) % P)
        for t in range(steps)
        for here in [slice(t * batch, (t + 1) * batch)]
        for j in range(n)
    ]
    assert pairs(contract_samples(tensor, vector)) == expected


@pytest.mark.parametrize("kind", [np.int8, np.int16, np.uint16])
@pytest.mark.parametrize("batch", [1 << 14, (1 << 14) + 1, (1 << 16) + 3])
@pytest.mark.parametrize("end", ["min", "max"])
@pytest.mark.parametrize("n", [1, 2])
def test_contract_samples_with_the_largest_sums(
    kind: type[np.integer], batch: int, end: str, n: int
) -> None:
    cell = int(getattr(np.iinfo(kind), end))
    tensor = np.full((2, batch, n), cell, dtype=kind)
    for value in (WORST, P - 1):
        vector = np.full((2, 2 * batch), value, dtype=np.uint64)
        assert pairs(contract_samples(tensor, vector)) == [(cell * value * batch % P,) * 2] * 2 * n


@pytest.mark.parametrize(("steps", "n"), [(1, 1), (2, 3), (4, 1), (7, 200), (16, 65)])
def test_weight_history(steps: int, n: int) -> None:
    rng = np.random.default_rng(steps + n)
    start, gradients = residues(rng, 2, n), residues(rng, 2, steps * n)
    multipliers = residues(rng, steps)
    moves = pairs(gradients)
    expected, weights = [], pairs(start)
    for t in range(steps):
        expected += weights
        m = (int(multipliers[t]), 0)
        weights = [oracle.sub(w, oracle.mul(m, moves[t * n + j])) for j, w in enumerate(weights)]
    assert pairs(weight_history(start, multipliers, gradients)) == expected


def test_scatter_adds_up_where_indices_repeat() -> None:
    rng = np.random.default_rng(1)
    index = rng.integers(0, 9, size=(6, 7))
    values = residues(rng, 2, 42)
    expected = [(0, 0)] * 16
    for i, value in zip(index.reshape(-1).tolist(), pairs(values), strict=True):
        expected[i] = oracle.add(expected[i], value)
    out = np.zeros((2, 16), dtype=np.uint64)
    scatter(index, values, out)
    assert pairs(out) == expected
    assert pairs(out)[9:] == [(0, 0)] * 7
