"""The filter of momentum and weight decay against exact fractions, and what circuits may state."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from fractions import Fraction
from typing import Any

import filter_oracle as oracle
import numpy as np
import pytest
from circuit_networks import circuit_of
from hypothesis import given, settings
from hypothesis import strategies as st

from zktrain.arguments.time_filter import Coefficients
from zktrain.circuit import canonical
from zktrain.circuit.circuit import Circuit
from zktrain.circuit.initial import start_violation
from zktrain.circuit.initialisation import Initialisation
from zktrain.errors import MalformedProof
from zktrain.field.extension import Ext
from zktrain.field.goldilocks import P
from zktrain.optimizers import response
from zktrain.optimizers.filtered_sgd import MAX_MOMENTUM, FilteredSgd
from zktrain.optimizers.response import dither


def dense(known: Coefficients) -> list[list[int]]:
    """Rows ``M[t]`` from the differences."""
    row, rows = [0] * known.steps, []
    for t in range(known.steps + 1):
        for i in range(int(known.offsets[t]), int(known.offsets[t + 1])):
            assert known.at[i] == t and known.tau[i] < t and known.by[i]
            row[known.tau[i]] += int(known.by[i])
        assert not any(row[t:])
        rows.append(row[:t])
    return rows


@st.composite
def circuits(draw: st.DrawFn) -> Circuit:
    """Circuits of up to 20 steps with valid filters and random schedules."""
    mu = draw(st.sampled_from([0.0, 0.3, 0.9, 0.97]))
    nesterov = mu > 0 and draw(st.booleans())
    steps = draw(st.integers(1, 20))
    restart = draw(st.sampled_from([4, 16, 32]))
    decay = draw(st.sampled_from([0.0, 1e-4, 1e-2])) if steps <= restart else 0.0
    if not mu and not decay:
        mu = 0.5
    starts = sorted({0, *draw(st.lists(st.integers(0, steps - 1), max_size=3))})
    schedule = tuple((first, draw(st.integers(1 << 17, 1 << 23))) for first in starts)
    stated = oracle.stated(mu, decay, nesterov=nesterov, restart_steps=restart)
    base = circuit_of(3, 2, batch_size=draw(st.sampled_from([1, 5, 64])), steps=steps)
    return replace(
        base, optimizer=replace(stated, multipliers=schedule), fixed_point=FilteredSgd.FORMAT
    )


@st.composite
def extreme(draw: st.DrawFn) -> Circuit:
    """At or near every limit at once: momentum up to the largest, decay almost 1, batches of up to
    2^14, rates from the smallest to those beyond which weights oscillate."""
    one = 1 << 40
    mu = draw(st.one_of(st.integers(0, MAX_MOMENTUM), st.just(MAX_MOMENTUM)))
    decay = draw(st.one_of(st.integers(1, one - 1), st.just(one - 1)))
    nesterov = mu > 0 and draw(st.booleans())
    batch = draw(st.sampled_from([1, 2048, 4096, 16384]))
    steps = draw(st.sampled_from([1, 7, 16, 48]))
    restart = 1 << (steps - 1).bit_length()
    most = (one - mu) ** 2 * (1 << 12) // (4 * decay * batch << 20)
    share = draw(st.sampled_from([1, 2, 16]))
    top = max(1, min(most // share, 1 << 40))
    starts = sorted({0, draw(st.integers(0, steps - 1))})
    schedule = tuple((first, draw(st.integers(max(1, top // 2), top))) for first in starts)
    stated = FilteredSgd((), mu, nesterov, decay, restart)
    base = circuit_of(3, 2, batch_size=batch, steps=steps)
    return replace(
        base, optimizer=replace(stated, multipliers=schedule), fixed_point=FilteredSgd.FORMAT
    )


OVERFLOWED = replace(
    circuit_of(3, 2, batch_size=4096, steps=128), fixed_point=FilteredSgd.FORMAT,
    optimizer=replace(
        oracle.stated(0.95, 0.9, nesterov=True, restart_steps=128), multipliers=((0, 716),)
    ),
)  # fmt: skip
"""``D[128]`` was 3191 in 64-bit arithmetic that wrapped."""


def test_filters_that_left_64_bits() -> None:
    assert canonical.violation(OVERFLOWED) is None
    start, rows = oracle.integers(OVERFLOWED, 0, 128)
    known = OVERFLOWED.optimizer.coefficients(OVERFLOWED, 0, 128)
    assert known.start.tolist() == start and start[-1] == 734
    assert dense(known) == rows


@given(st.integers(-(1 << 60), 1 << 60), st.integers(0, (1 << 42) - 1))
@settings(max_examples=200)
def test_products_are_exact(value: int, factor: int) -> None:
    (found,) = response.times(np.array([value]), factor).tolist()
    assert found == value * factor >> 40


LONG = {
    "momentum": (oracle.stated(0.9, restart_steps=2048), 24),
    "nesterov": (oracle.stated(0.97, nesterov=True, restart_steps=2048), 2),
    "decay": (oracle.stated(0.0, 0.01, restart_steps=2048), 200),
    "both": (oracle.stated(0.8, 0.02, nesterov=True, restart_steps=2048), 9),
    "small": (oracle.stated(0.5, 1e-3, restart_steps=2048), 1),
}


@pytest.mark.parametrize("name", LONG)
def test_gradients_of_one_rate_need_no_computation_each(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Followed by their age, as long as the rate stays, they count what they do one by one; rates
    of many steps, of few, and of one."""
    stated, rate = LONG[name]
    firsts = (0, 700, 720, 721, 722, 1100, 1117, 1500)
    schedule = tuple((first, (rate << 20) + (k * 977 << 10)) for k, first in enumerate(firsts))
    circuit = oracle.perceptron(1900, stated, schedule)
    assert circuit.optimizer.violation(circuit) is None
    found = []
    for short in (response.SHORT, 4096):
        monkeypatch.setattr(response, "SHORT", short)
        response.response.cache_clear()
        found.append(circuit.optimizer.coefficients(circuit, 0, 1900))
    response.response.cache_clear()
    for values, expected in zip(*(vars(known).items() for known in found), strict=True):
        assert np.array_equal(values[1], expected[1]), values[0]


@pytest.mark.parametrize("first", [0, 28])
def test_changes_by_age_are_those_of_all_pairs(first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    of = response.Response(9 << 36, True, 1 << 33, 2, 128)
    _, c = of.ages(3 << 37, 100)
    pairs = of.changes_of_pairs(c, first)
    monkeypatch.delattr(response.Response, "changes_of_pairs")
    by_age = of.changes_by_age(c, first)
    assert len(pairs[0]) > 100
    assert {*zip(*map(list, by_age), strict=True)} == {*zip(*map(list, pairs), strict=True)}


@given(st.one_of(circuits(), extreme()))
@settings(max_examples=120)
def test_coefficients_are_those_of_the_documentation(circuit: Circuit) -> None:
    if circuit.optimizer.violation(circuit) is not None:
        return
    restart = circuit.optimizer.restart_steps  # type: ignore[union-attr]
    for first in range(0, circuit.steps, restart):
        steps = min(restart, circuit.steps - first)
        known = circuit.optimizer.coefficients(circuit, first, steps)
        start, rows = oracle.integers(circuit, first, steps)
        assert known.start.tolist() == start
        assert dense(known) == rows
        assert known.end.tolist() == rows[steps]
        assert known.loads.sum() == np.abs(known.by).sum()


@given(circuits())
@settings(max_examples=40)
def test_coefficients_round_those_of_torch(circuit: Circuit) -> None:
    """Against exact fractions: less than 1 off each, and as the dither says."""
    if circuit.optimizer.violation(circuit) is not None:
        return
    restart = circuit.optimizer.restart_steps  # type: ignore[union-attr]
    steps = min(restart, circuit.steps)
    known = circuit.optimizer.coefficients(circuit, 0, steps)
    exact_start, exact = oracle.fractions(circuit, 0, steps)
    for mine, true in zip(known.start.tolist(), exact_start, strict=True):
        assert abs(Fraction(mine, 1 << 12) - true) <= Fraction(1, 1 << 13) + Fraction(1, 1 << 32)
    slack = Fraction(1, 1 << 12)  # of 40-bit arithmetic, on coefficients up to 2^13
    phi = oracle.dithers(restart)
    for row, true_row in zip(dense(known), exact, strict=True):
        for tau, (mine, true) in enumerate(zip(row, true_row, strict=True)):
            assert phi[tau] - 1 - slack < mine - true <= phi[tau] + slack


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("decay", [0.0, 5e-4])
def test_roundings_of_neighbouring_steps_cancel(nesterov: bool, decay: float) -> None:
    """Over any 64 consecutive gradients the mean coefficient is off by less than 1/16 of a unit,
    although single ones are off by up to 1."""
    stated = oracle.stated(0.9, decay, nesterov=nesterov, restart_steps=256)
    base = circuit_of(3, 2, batch_size=64, steps=256)
    circuit = replace(
        base,
        optimizer=replace(stated, multipliers=((0, round(0.8 * (1 << 20))),)),
        fixed_point=FilteredSgd.FORMAT,
    )
    known = circuit.optimizer.coefficients(circuit, 0, 256)
    mu, rate = 0.9, 0.8 * 64 / 4096
    exact = np.zeros(256)
    for tau in range(256):
        c, v = 0.0, 1.0
        for t in range(tau, 256):
            g = -decay * c * (t > tau)
            v = mu * v + g if t > tau else 1.0
            push = (g + mu * v if t > tau else 1.0 + mu) if nesterov else v
            c += rate * push
        exact[tau] = c * 4096 / 64
    off = known.end - exact
    assert np.abs(off).max() <= 1
    assert np.abs(off).max() > 0.3  # they are coarse
    sums = np.concatenate([[0.0], np.cumsum(off)])
    means = (sums[64:] - sums[:-64]) / 64
    assert np.abs(means).max() < 1 / 16
    assert abs(off.mean()) < 1 / 64


def test_dither_is_the_bit_reversed_counter() -> None:
    for steps in (1, 2, 8, 1024):
        expected = [int(phi * oracle.UNIT) for phi in oracle.dithers(steps)]
        assert dither(steps).tolist() == expected


def test_plain_momentum_comes_to_rest() -> None:
    """Without weight decay ``M`` ends at the rate over ``1 - mu``, and ``D`` stays 1."""
    base = circuit_of(3, 2, batch_size=4, steps=512)
    stated = oracle.stated(0.75, restart_steps=512)
    circuit = replace(
        base, optimizer=replace(stated, multipliers=((0, 5 << 20),)), fixed_point=FilteredSgd.FORMAT
    )
    known = circuit.optimizer.coefficients(circuit, 0, 512)
    assert set(known.start.tolist()) == {1 << 12}
    assert set(known.end[:400].tolist()) == {20}
    assert known.reach < 120


def test_building_a_long_filter_is_fast() -> None:
    stated = oracle.stated(0.9, 5e-4, restart_steps=4096)
    base = circuit_of(3, 2, batch_size=64, steps=4096)
    circuit = replace(
        base, optimizer=replace(stated, multipliers=((0, 3 << 19),)), fixed_point=FilteredSgd.FORMAT
    )
    started = time.process_time()
    known = circuit.optimizer.coefficients(circuit, 0, 4096)
    assert time.process_time() - started < 5  # far from it on an idle machine
    assert len(known.by) < 200_000


FILTERED = oracle.filtered(circuit_of(6, 5, 3, steps=16), oracle.stated(0.9, 1e-3, nesterov=True))


def test_canonical_text_of_a_filter() -> None:
    data = FILTERED.canonical_json()
    assert Circuit.from_json(data) == FILTERED
    document = json.loads(data)
    assert document["format"] == "zktrain-circuit-3"
    assert document["optimizer"] == {
        "kind": "filtered_sgd",
        "rate_bits": 12,
        "multipliers": [[0, 2 << 20]],
        "multiplier_bits": 20,
        "coefficient_bits": 40,
        "start_bits": 12,
        "momentum": round(0.9 * 2**40),
        "nesterov": True,
        "weight_decay": round(1e-3 * 2**40),
        "restart_steps": 16,
    }
    assert "last_batch" not in document


def test_dropped_batches_are_stated() -> None:
    plain = circuit_of(3, 2)
    dropping = replace(plain, drop_last=True)
    assert "last_batch" not in json.loads(plain.canonical_json())
    assert json.loads(dropping.canonical_json())["last_batch"] == "drop"
    assert Circuit.from_json(dropping.canonical_json()) == dropping
    assert dropping.id != plain.id


def _edited(change: dict[str, Any], circuit: Circuit = FILTERED) -> bytes:
    document = json.loads(circuit.canonical_json())
    document["optimizer"].update(change)
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "sgd"},
        {"kind": "adam"},
        {"momentum": True},
        {"momentum": "0.9"},
        {"nesterov": 1},
        {"weight_decay": -1},
        {"restart_steps": None},
        {"restart_steps": 12},
        {"coefficient_bits": 41},
        {"multiplier_bits": 10},
        {"start_bits": 11},
        {"dampening": 0},
        {"multipliers": [[0, 0]]},
        {"multipliers": [[0, (1 << 40) + 1]]},
    ],
    ids=str,
)
def test_decoder_refuses_other_filters(change: dict[str, Any]) -> None:
    with pytest.raises(MalformedProof):
        Circuit.from_json(_edited(change))


@pytest.mark.parametrize("value", ["wrap", None, 1])
def test_decoder_refuses_other_last_batches(value: Any) -> None:
    document = json.loads(replace(circuit_of(3, 2), drop_last=True).canonical_json())
    document["last_batch"] = value
    with pytest.raises(MalformedProof):
        Circuit.from_json(json.dumps(document, sort_keys=True, separators=(",", ":")).encode())


def _with(circuit: Circuit = FILTERED, **changes: Any) -> Circuit:
    return replace(circuit, optimizer=replace(circuit.optimizer, **changes))


ONE = 1 << 40
LARGE = _with(multipliers=((0, 16 << 20),))


@pytest.mark.parametrize(
    ("circuit", "words"),
    [
        (_with(momentum=ONE), "momentum must be from 0 to"),
        (_with(momentum=-1), "momentum must be from 0 to"),
        (_with(weight_decay=ONE), "weight_decay must be"),
        (_with(weight_decay=-1), "weight_decay must be"),
        (_with(momentum=0), "nesterov needs a momentum"),
        (_with(momentum=0, nesterov=False, weight_decay=0), "nesterov needs a momentum"),
        (_with(restart_steps=0), "power of two up to 131072"),
        (_with(restart_steps=24), "power of two up to 131072"),
        (_with(restart_steps=1 << 18), "power of two up to 131072"),
        (_with(restart_steps=8), "weight_decay cannot begin anew"),
        (_with(multipliers=((0, 1 << 40),)), "too large for this momentum"),
        (_with(LARGE, weight_decay=ONE // 2), "beyond which weights oscillate"),
        (
            replace(
                FILTERED,
                steps=8192,
                optimizer=FilteredSgd(((0, 40 << 20),), round(0.9 * ONE), False, 0, 8192),
            ),
            "more than 4194304 changes",
        ),
        (
            replace(
                FILTERED,
                steps=20_000,
                optimizer=FilteredSgd(
                    tuple((step, 1000 + step // 1000) for step in range(0, 20_000, 1000)),
                    round(0.9 * ONE),
                    False,
                    ONE >> 15,
                    1 << 15,
                ),
            ),
            "the rate changes too often in 20000 steps",
        ),
        (
            replace(
                FILTERED,
                steps=9000,
                optimizer=FilteredSgd(((0, 40 << 20),), round(0.9 * ONE), False, 0, 4096),
            ),
            "a filter of 9000 steps",
        ),
        (
            _with(_with(multipliers=((0, 3000),)), restart_steps=16),
            "coefficient of every gradient rounds to 0",
        ),
        (_with(multipliers=((1, FILTERED.optimizer.peak),)), "the first at step 0"),
    ],
    ids=range(17),
)
def test_limits_of_filters(circuit: Circuit, words: str) -> None:
    problem = canonical.violation(circuit)
    assert problem is not None and words in problem


def test_stable_filters_neither_overshoot_nor_oscillate() -> None:
    """At the very limit of ``eta lambda``, and under a schedule that changes at every step."""
    rng = np.random.default_rng(3)
    for mu, nesterov in ((0.0, False), (0.5, True), (0.9, False), (0.9, True)):
        schedule = tuple((t, int(m)) for t, m in enumerate(rng.integers(1 << 22, 1 << 26, 256)))
        base = circuit_of(3, 2, batch_size=64, steps=256)
        limit = (1 - mu) ** 2 / 4 / (max(m for _, m in schedule) / 2**20 * 64 / 4096)
        stated = oracle.stated(mu, 0.999 * limit, nesterov=nesterov, restart_steps=256)
        circuit = replace(
            base, optimizer=replace(stated, multipliers=schedule), fixed_point=FilteredSgd.FORMAT
        )
        assert circuit.optimizer.violation(circuit) is None
        known = circuit.optimizer.coefficients(circuit, 0, 256)
        assert known.start.min() >= 0 and known.start.max() == 1 << 12
        assert (np.diff(known.start) <= 0).all()
        table = [[row[tau] for row in dense(known)[tau + 1 :]] for tau in range(0, 256, 17)]
        most = 1 << circuit.optimizer.scale
        for counts in table:
            top = int(np.argmax(counts))
            assert min(counts) >= 0 and max(counts) <= most
            assert (np.diff(counts[: top + 1]) >= 0).all()
            assert (np.diff(counts[top:]) <= 0).all()


def test_filter_begins_at_restarts_only() -> None:
    circuit = oracle.filtered(circuit_of(3, 2, steps=40), oracle.stated(0.9))
    assert circuit.optimizer.coefficients(circuit, 16, 16).steps == 16
    for first, steps in ((4, 8), (0, 17), (16, 20)):
        with pytest.raises(ValueError, match="no filter of"):
            circuit.optimizer.coefficients(circuit, first, steps)


def test_first_weights_under_weight_decay_are_multiples() -> None:
    weights = {"w": np.array([[4096, -8192]]), "b": np.array([0])}
    assert start_violation(FILTERED, weights) is None
    odd = {"w": np.array([[4096, -8191]]), "b": np.array([0])}
    assert start_violation(FILTERED, odd) == (
        "parameter 'w' has a value that is no multiple of 2^-22"
    )
    assert start_violation(_with(weight_decay=0), odd) is None
    assert start_violation(circuit_of(3, 2), odd) is None
    names = {name: np.array([1]) for name in FILTERED.parameter_shapes()}
    assert "'fc1.weight'" in str(start_violation(FILTERED, names))
    held = replace(FILTERED, frozen=("fc1",))  # nothing acts on it
    assert "'fc2.weight'" in str(start_violation(held, names))


def test_bound_of_a_filtered_run_counts_its_largest_coefficient() -> None:
    """One layer, one step: ``W_0`` below ``2^52``, and a gradient times ``2 / (1 - 0.9) + 1``."""
    start = Initialisation("file", "0" * 64)
    base = circuit_of(3, 2, batch_size=1, steps=1, multipliers=((0, 2),), initialisation=start)
    circuit = oracle.filtered(base, oracle.stated(0.9))
    bound = 3 * 255 * ((1 << 52) - 1 + 21 * 255 * (1 << 14)) + (1 << 33)
    bias = 256 * ((1 << 52) - 1 + 21 * 256 * (1 << 14))
    assert circuit.no_wrap_bound_bits == (bound + bias).bit_length()


@pytest.mark.parametrize("decay", [0, ONE >> 14])
@pytest.mark.parametrize(
    "schedule",
    [
        ((0, 900),),
        ((0, 900), (1000, 800)),
        tuple((step, 900 + step % 3) for step in range(0, 3000, 5)),
        ((0, 900), (20, 800), (23, 900), (2000, 700), (2001, 600)),
    ],
    ids=range(4),
)
def test_what_is_followed_is_bounded(
    schedule: tuple[tuple[int, int], ...], decay: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bound that canonical circuits keep is one on what is computed."""
    circuit = replace(
        FILTERED,
        steps=3000,
        optimizer=FilteredSgd(schedule, round(0.9 * ONE), False, decay, 4096),
    )
    seen = []
    after = response.Response.after

    def counted(of: response.Response, v: Any, c: Any, rate: int) -> Any:
        seen.append(v.size if isinstance(v, np.ndarray) else 0)
        return after(of, v, c, rate)

    monkeypatch.setattr(response.Response, "after", counted)
    response.response.cache_clear()
    circuit.optimizer.coefficients(circuit, 0, 3000)
    bound = circuit.optimizer.followed(circuit)
    assert bound // 4 <= sum(seen) <= bound
    assert (bound > 0) == (len(schedule) > 1)


def test_long_runs_of_one_rate_are_quickly_known() -> None:
    """60,000 steps without a restart, under weight decay as well."""
    for decay in (0, ONE >> 14):
        optimizer = FilteredSgd(((0, 1500),), round(0.9 * ONE), False, decay, 1 << 16)
        circuit = replace(FILTERED, steps=60_000, optimizer=optimizer)
        assert optimizer.violation(circuit) is None
        began = time.process_time()
        known = optimizer.coefficients(circuit, 0, 60_000)
        assert time.process_time() - began < 10
        assert len(known.by) <= optimizer.most_changes(circuit)


@given(circuits())
@settings(max_examples=30, deadline=None)
def test_weights_after_one_step_are_a_row_of_the_filter(circuit: Circuit) -> None:
    """What a checkpoint is compared with: ``D[t]`` and ``M[t]`` of every step before the last."""
    steps, log_steps = circuit.steps, (circuit.steps - 1).bit_length()
    rule = circuit.optimizer.of(circuit, "")
    found = rule.time_filter(circuit, 0, steps, log_steps)
    stretch = min(steps, circuit.optimizer.stretch(circuit, 0)[1])
    start, rows = oracle.integers(circuit, 0, stretch)
    for t in range(min(stretch + 1, steps)):
        assert found.start(t) * (1 << 12) == Ext(start[t] % P)
        omega = np.zeros((2, 1 << log_steps), dtype=np.uint64)
        omega[:, t] = 3, 5
        wanted = [row % P for row in rows[t]] + [0] * ((1 << log_steps) - t)
        for part, times in zip(found.decay(omega), (3, 5), strict=True):
            assert part.tolist() == [times * value % P for value in wanted]
