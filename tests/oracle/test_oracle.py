"""Honest runs of random circuits against the integers of the documentation and torch's autograd.

A failure prints how its circuit is drawn again. 180 circuits are the same every time, 20 are drawn
from a fresh seed, which is printed; ``ZKTRAIN_ORACLE_SEED`` sets it.
"""

from __future__ import annotations

import os
import secrets
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import pytest
import torch

from zktrain.circuit import canonical

from . import interpreter
from .autograd import Disagreement, agree
from .check import Failure, check, replay
from .circuits import FEATURES, Case, Coverage, draw, draws, features
from .interpreter import Filter, Interpreter, Pass, Run, Vector, Weights, filter_of

SEED, CIRCUITS, FRESH = "oracle 1", 180, 20
FILES = 45
"""Every so many circuits one goes through the public functions and files."""
MOST_STOPPED = 0.12
BATCHES = 30
SLOW = pytest.mark.slow("six honest runs like those of the first batches")


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Threads only wait for each other in networks so small."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return list(draws(SEED, CIRCUITS))


@pytest.fixture(scope="module")
def ended() -> Counter[str]:
    """How the runs ended: accepted, or stopped where the oracle stops."""
    return Counter()


def _check(case: Case, ended: Counter[str], *, files: bool = False) -> None:
    try:
        outcome = check(case, files=files)
    except Failure as failure:
        pytest.fail(f"{failure}\n{replay(case)}", pytrace=False)
    ended["stopped" if outcome.stopped else "accepted"] += 1


@pytest.mark.parametrize(
    "part", [0, 1, *(pytest.param(part, marks=SLOW) for part in range(2, BATCHES))]
)
def test_honest_runs(part: int, cases: list[Case], ended: Counter[str]) -> None:
    for number in range(part, CIRCUITS, BATCHES):
        _check(cases[number], ended, files=number % FILES == 0)


@pytest.mark.slow("twenty honest runs")
def test_fresh_circuits(ended: Counter[str]) -> None:
    seed = os.environ.get("ZKTRAIN_ORACLE_SEED") or secrets.token_hex(4)
    print(f"\nfresh circuits of seed {seed}")
    for case in draws(seed, FRESH):
        _check(case, ended)


def test_few_runs_leave_their_range(ended: Counter[str]) -> None:
    """A run that stops shows little; where this module ran as a whole, most did not."""
    total = sum(ended.values())
    print(f"\n{dict(ended)}")
    if total == CIRCUITS + FRESH:
        assert ended["stopped"] <= MOST_STOPPED * total


def test_every_pair_of_features_occurs(cases: list[Case]) -> None:
    coverage = Coverage()
    for case in cases:
        coverage.add(features(case))
    print("\n" + coverage.table())
    assert not coverage.missing
    assert set(coverage.features) == set(FEATURES)


def test_a_key_draws_its_case_again(cases: list[Case]) -> None:
    for case in cases[:10]:
        assert draw(case.key) == case
        assert canonical.violation(case.circuit) is None


def test_torch_gives_equal_maxima_to_the_first() -> None:
    """What the comparison with autograd relies on where values are equal."""
    values = torch.zeros((1, 1, 4, 4), dtype=torch.float64, requires_grad=True)
    torch.nn.functional.max_pool2d(values, 3, 1).sum().backward()  # type: ignore[no-untyped-call]
    assert values.grad is not None
    assert torch.equal(values.grad[0, 0, :2, :2], torch.ones((2, 2), dtype=torch.float64))


# The oracle itself: integers that train wrongly do not agree with torch


def _run(case: Case) -> Run:
    return Interpreter(case.circuit, case.inputs, case.labels).run(case.first)


@contextmanager
def _nothing_below(kind: type) -> Iterator[None]:
    """Errors stop at layers of a kind."""
    true = Interpreter._sent

    def sent(self: Interpreter, index: int, sample: Pass, e: Vector, weights: Weights) -> Vector:
        found = true(self, index, sample, e, weights)
        return [0] * len(found) if isinstance(self.circuit.layers[index - 1], kind) else found

    with mock.patch.object(Interpreter, "_sent", sent):
        yield


@contextmanager
def _last_largest() -> Iterator[None]:
    true = Interpreter._maximum

    def maximum(self: Interpreter, index: int, sample: Pass, a: Vector, units: int) -> Vector:
        found = true(self, index, sample, a, units)
        winners = []
        for seen in self.network.windows[index]:
            for i in range(units):
                cells = [place * units + i for _, place in seen]
                winners.append(max(reversed(cells), key=lambda cell: a[cell]))
        sample.winners[index] = winners
        return found

    with mock.patch.object(Interpreter, "_maximum", maximum):
        yield


@contextmanager
def _floors() -> Iterator[None]:
    """Rounds down instead of half up."""
    with mock.patch.object(interpreter, "rounded", lambda value, bits: value >> bits):
        yield


@contextmanager
def _velocities_go_on() -> Iterator[None]:
    """A filter that is not begun anew at a restart, but with the weights of the restart."""
    true = Interpreter._filtered

    def filtered(self: Interpreter, known: Filter, start: Vector, past: list[Vector]) -> Vector:
        known.rows = [row + (t > 0) * 4096 for t, row in enumerate(known.rows)]
        return true(self, known, start, past)

    with mock.patch.object(Interpreter, "_filtered", filtered):
        yield


@contextmanager
def _other(field: str, change: object) -> Iterator[None]:
    """The filter of another momentum."""
    from dataclasses import replace

    true = Filter.step

    def step(self: Filter, multiplier: int) -> None:
        stated = filter_of(self.circuit)
        assert stated is not None
        value = change(getattr(stated, field))  # type: ignore[operator]
        honest = self.circuit
        self.circuit = replace(honest, optimizer=replace(stated, **{field: value}))
        true(self, multiplier)
        self.circuit = honest

    with mock.patch.object(Filter, "step", step):
        yield


@contextmanager
def _frozen_decays() -> Iterator[None]:
    """Weights of frozen layers shrink as others do."""
    true = Interpreter.run

    def run(self: Interpreter, first: Weights) -> Run:
        found = true(self, first)
        for t, weights in enumerate(found.boundaries[1:]):
            for name in weights.keys() - found.steps[t].gradients.keys():
                start, _ = next(iter(found.filters[t].values()))
                weights[name] = [start * (w >> 12) for w in first[name]]
        return found

    with mock.patch.object(Interpreter, "run", run):
        yield


@contextmanager
def _one_rate() -> Iterator[None]:
    """All layers have the rates of those without their own."""
    true = interpreter.schedules
    common = lambda c: dict.fromkeys(true(c), c.optimizer.multipliers)  # noqa: E731
    with mock.patch.object(interpreter, "schedules", common):
        yield


@contextmanager
def _table(name: str, change: int) -> Iterator[None]:
    """One of the tables is off by some units."""
    true = getattr(interpreter, name)
    with mock.patch.object(interpreter, name, lambda z: true(z) + change):
        yield


MISTAKES = {
    "errors stop at an Unflatten": ("Unflatten inside", lambda: _nothing_below(
        interpreter.Unflatten)),
    "errors stop at a maximum": ("maximum", lambda: _nothing_below(interpreter.MaxPool)),
    "errors stop at a sum": ("sum without ReLU", lambda: _nothing_below(interpreter.Add)),
    "the last of equal values wins": ("maximum|equal inputs|weights from a file", _last_largest),
    "rounding down": ("convolution", _floors),
    "coefficients of a unit more": ("several restarts", _velocities_go_on),
    "Nesterov left out": ("Nesterov", lambda: _other("nesterov", lambda on: not on)),
    "momentum of another size": ("momentum", lambda: _other("momentum", lambda m: m * 3 // 4)),
    "decay of another size": ("weight decay", lambda: _other("weight_decay", lambda d: d // 2)),
    "one rate for all layers": ("rates of single layers", _one_rate),
    "one velocity for all layers": ("rates of single layers|momentum", _one_rate),
    "frozen layers that decay": ("frozen|weight decay", _frozen_decays),
    "a sigmoid of two units more": ("binary_cross_entropy", lambda: _table("chance", 2)),
    "an exponential of 300 units less": ("cross_entropy", lambda: _table("exponential", -300)),
}  # fmt: skip


MISTAKES_NOTICED = {"decay of another size": 5, "momentum of another size": 5}
"""Of six; all where nothing is said."""


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_noticed(mistake: str) -> None:
    """Wherever the mistake leads to other weights, and the integers without it agree with torch,
    those with it do not. (One that changes no more than a rounding does may pass.)"""
    wishes, wrong = MISTAKES[mistake]
    noticed = differ = 0
    for number in range(40):
        case = draw(f"mistake {number}|{wishes}")
        honest = _run(case)
        agree(case.circuit, honest, case.labels)
        with wrong():
            lie = _run(case)
        if lie.boundaries == honest.boundaries or lie.stopped or honest.stopped:
            continue
        differ += 1
        try:
            agree(case.circuit, lie, case.labels)
        except Disagreement:
            noticed += 1
        if differ == 6:
            break
    print(f"{noticed} of {differ}")
    assert differ >= 4
    assert noticed >= MISTAKES_NOTICED.get(mistake, differ)


def test_equal_maxima_matter(cases: list[Case]) -> None:
    """In some of the circuits above the weights depend on which of equal values wins."""
    found = 0
    for case in cases:
        if "maximum" in features(case):
            honest = _run(case)
            with _last_largest():
                found += _run(case).boundaries != honest.boundaries
    print(f"\nties decide {found} runs")
    assert found
