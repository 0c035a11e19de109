"""Speed of the kernels beside their budgets.

    python -m pytest benchmarks/test_kernels.py                       measure
    python -m pytest benchmarks/test_kernels.py --benchmark-disable   run each once

A budget is what an element should cost on two cores (docs/bench.md); ``extra_info`` of every
benchmark has it, and a table at the end shows the distance from it. That kernels are right is
tested in ``tests/kernels``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from zktrain.commitment import merkle
from zktrain.field.extension import Ext, ExtVec
from zktrain.field.goldilocks import P
from zktrain.prover.kernels import field as kf
from zktrain.prover.kernels.arithmetic import kernel, mul
from zktrain.prover.kernels.fractions import combine, round_sums, weight_tables
from zktrain.prover.kernels.ntt import transform
from zktrain.prover.kernels.sha256 import hash_rows
from zktrain.prover.kernels.sumcheck import round_message
from zktrain.prover.kernels.threads import run
from zktrain.prover.kernels.training import contract_samples

LOG = 20
SIZE = 1 << LOG
LANES = 64
CHALLENGE = Ext(0x123456789ABCDEF0, 0x0FEDCBA987654321)

Measure = Callable[[str, Callable[[], Any], float, float], None]


@pytest.fixture
def measure(benchmark: BenchmarkFixture) -> Measure:
    """``measure(unit, work, units, budget)``: the budget in ns per unit."""

    def run_it(unit: str, work: Callable[[], Any], units: float, budget: float) -> None:
        benchmark.extra_info |= {"unit": unit, "units": units, "budget_ns": budget}
        benchmark.pedantic(work, rounds=5, warmup_rounds=1)
        if benchmark.stats is not None:
            benchmark.extra_info["ns"] = benchmark.stats.stats.min / units * 1e9

    return run_it


def cells(*shape: int) -> np.ndarray:
    """Random residues."""
    return np.random.default_rng(len(shape)).integers(0, P, shape, dtype=np.uint64)


def vector(count: int = SIZE) -> ExtVec:
    """Random elements of E."""
    return cells(2, count)


def points(count: int) -> tuple[Ext, ...]:
    return tuple(Ext(int(a), int(b)) for a, b in cells(count, 2))


@kernel
def _multiply(x, y, out):  # type: ignore[no-untyped-def]
    for i in range(out.shape[0]):
        out[i] = mul(x[i], y[i])


def test_multiply(measure: Measure) -> None:
    x, y, out = cells(SIZE), cells(SIZE), np.empty(SIZE, dtype=np.uint64)

    def work() -> None:
        run(SIZE, lambda lo, hi: _multiply(x[lo:hi], y[lo:hi], out[lo:hi]))

    measure("product", work, SIZE, 0.285)
    assert int(out[0]) == int(x[0]) * int(y[0]) % P


def test_ntt(measure: Measure) -> None:
    log = 14
    matrix = cells(1 << log, LANES)
    measure("butterfly", lambda: transform(matrix), LANES * log * (1 << log) / 2, 0.6)
    assert int(matrix.max()) < P


def test_fold(measure: Measure) -> None:
    table = vector()
    measure("input element of E", lambda: kf.fold(table, CHALLENGE), SIZE, 2.0)
    assert kf.fold(table, Ext(0))[0, 0] == table[0, 0]


@pytest.mark.parametrize(("factors", "budget"), [(2, 3.0), (3, 6.0)])
def test_round(measure: Measure, factors: int, budget: float) -> None:
    tables = tuple(vector() for _ in range(factors))
    measure("element of a table", lambda: round_message(tables), SIZE, budget)
    assert len(round_message(tables)) == factors


def test_layer_combine(measure: Measure) -> None:
    half = [vector(SIZE // 2) for _ in range(4)]
    measure("leaf", lambda: combine(*half), SIZE, 4.6)
    assert combine(*half)[0].shape == (4, SIZE // 4)


def test_layer_round(measure: Measure) -> None:
    tables = (vector(SIZE // 2), vector(SIZE // 2), vector(SIZE // 2), vector(SIZE // 2))
    none = np.zeros((2, 0), dtype=np.uint64)
    weights = weight_tables(points(LOG - 2))
    work = lambda: round_sums((none, none), tables, CHALLENGE, weights)  # noqa: E731
    measure("leaf", work, SIZE, 4.6)
    assert len(work()) == 2


def test_layer_fold(measure: Measure) -> None:
    tables = [vector(SIZE // 2) for _ in range(4)]
    measure("leaf", lambda: [kf.fold(table, CHALLENGE) for table in tables], SIZE, 3.0)
    assert kf.fold(tables[0], CHALLENGE).shape == (2, SIZE // 4)


def test_merkle_leaves(measure: Measure) -> None:
    rows = cells(1 << 13, 256)
    measure("byte", lambda: hash_rows(rows, merkle.LEAF), rows.nbytes, 1 / 2.4)
    assert hash_rows(rows, merkle.LEAF).shape == (1 << 13, 4)


def test_merkle_nodes(measure: Measure) -> None:
    pairs = cells(1 << 16, 8)
    measure("node", lambda: hash_rows(pairs, merkle.NODE), 1 << 16, 215.0)
    assert hash_rows(pairs, merkle.NODE).shape == (1 << 16, 4)


def test_eq_table(measure: Measure) -> None:
    point = points(LOG)
    measure("element of E", lambda: kf.eq_table(point), SIZE, 1.14 + 0.57)
    assert kf.eq_table(point).shape == (2, SIZE)


@pytest.mark.parametrize("kind", ["first", "last", "samples"])
def test_contraction(measure: Measure, kind: str) -> None:
    integers = np.random.default_rng(0).integers(-(1 << 15), 1 << 15, 4 * SIZE, dtype=np.int16)
    if kind == "first":
        tensor, weights = integers.reshape(64, -1), vector(64)
        work = lambda: kf.contract_first(tensor, weights)  # noqa: E731
    elif kind == "last":
        tensor, weights = integers.reshape(-1, 128), vector(128)
        work = lambda: kf.contract_last(tensor, weights)  # noqa: E731
    else:
        tensor, weights = integers.reshape(-1, 64, 128), vector(4 * SIZE // 128)
        work = lambda: contract_samples(tensor, weights)  # noqa: E731
    measure("cell", work, 4 * SIZE, 0.57)
    assert work().shape[0] == 2
