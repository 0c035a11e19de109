"""Provers that train under another momentum or weight decay than the circuit states.

The run is that of ``harness``, with the update replaced by a filter: Python integers from
``filter_oracle``, so that a lie can be told in any coefficient. With momentum alone the velocity
must be zero at the start of every 4 steps; under weight decay all 11 steps are one stretch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from unittest import mock

import filter_oracle
import harness as h
import numpy as np
import pytest
from numpy.typing import NDArray

from zktrain.arguments.time_filter import FilteredSteps
from zktrain.circuit.circuit import Circuit
from zktrain.circuit.initialisation import Initialisation
from zktrain.circuit.weights import digest
from zktrain.errors import HiddenMismatch, LookupMismatch, SumcheckMismatch
from zktrain.operations.base import Context

Table = tuple[list[int], list[list[int]]]
"""``D`` and ``M`` of one stretch."""
Coefficients = Callable[[int, Table], Table]
"""``(first step, true table) -> table that the prover uses``."""

KEEP, DECAY = "momentum", "decay"
KINDS = (KEEP, DECAY)
STATED = {
    KEEP: filter_oracle.stated(0.75, nesterov=True, restart_steps=4),
    DECAY: filter_oracle.stated(0.75, 0.02, restart_steps=16),
}


@cache
def initial_weights() -> h.Weights:
    """Those of ``harness`` with two more bits, rounded to multiples of ``2^12``."""
    return {name: values >> 10 << 12 for name, values in _INITIAL().items()}


_INITIAL, _CIRCUIT = h.initial_weights, h.circuit


def base() -> Circuit:
    """That of ``harness`` under cross entropy, from these weights."""
    start = Initialisation("file", digest(initial_weights()))
    return replace(_CIRCUIT("cross_entropy"), initialisation=start)


def circuit(kind: str) -> Circuit:
    """The same, filtered."""
    return filter_oracle.filtered(base(), STATED[kind])


@contextmanager
def world(kind: str) -> Iterator[None]:
    """``harness`` with this circuit."""
    with (
        mock.patch.object(h, "circuit", return_value=circuit(kind)),
        mock.patch.object(h, "initial_weights", initial_weights),
    ):
        yield


class Training(h.Training):
    """Updates by tables that a lie may have changed; ``carries``: the velocity survives."""

    def __init__(
        self,
        kind: str,
        lie: Coefficients,
        carries: Circuit | None = None,
        lies: Mapping[str, h.Lie] | None = None,
    ) -> None:
        super().__init__("cross_entropy", {"multiplier": lambda *_: 0, **(lies or {})})
        self.restart = 1 << 20 if carries else STATED[kind].restart_steps
        self.stated, self.lie = carries or self.circuit, lie
        self.gradients: list[h.Weights] = []

    def _rescale(self, place: str, step: int, accumulator: NDArray[np.int64]) -> h.Tensors:
        shifted = accumulator + (1 << 33)
        limbs = (shifted >> 34, shifted >> 18 & 0xFFFF, shifted >> 16 & 3, shifted & 0xFFFF)
        limbs = self._say(place, step, limbs)
        names = (place, f"{place}.high", f"{place}.middle", f"{place}.low")
        return dict(zip(names, limbs, strict=True))

    def step(self, step: int) -> h.Tensors:
        at = step % self.restart
        if not at:
            self.first, self.gradients = self.copy(), []
            count = min(self.restart, h.STEPS - step)
            table = filter_oracle.integers(self.stated, step, count)
            self.shrink, self.rows = self.lie(step, table)
        out = super().step(step)
        layers = self.circuit.layers
        gradients: h.Weights = {}
        for index, layer in enumerate(layers, 1):
            a, e = out["x" if index == 1 else f"a{index - 1}"], out[f"e{index}"]
            gradients[layer.weight] = a.T @ e
            gradients[str(layer.bias)] = e.sum(axis=0) << 8
        self.gradients.append(gradients)
        decays = filter_oracle.filtered(base(), STATED[DECAY]).optimizer == self.circuit.optimizer
        for name, start in self.first.items():
            new = self.shrink[at + 1] * (start >> 12) if decays else start.copy()
            for factor, past in zip(self.rows[at + 1], self.gradients, strict=True):
                new = new - factor * past[name]
            self.weights[name] = new
        self.past[-1] = self.copy()
        return out


def train(
    kind: str,
    lie: Coefficients = lambda _, table: table,
    carries: Circuit | None = None,
    lies: Mapping[str, h.Lie] | None = None,
) -> h.Run:
    """Train under the lie and publish the result."""
    with world(kind):
        training = Training(kind, lie, carries, lies)
        steps = [training.step(t) for t in range(h.STEPS)]
        virtual = {f"{letter}{i}" for letter in "ae" for i in range(1, len(h.WIDTHS))} | {"d"}
        for tensors in steps:
            for name in virtual - set(lies or ()):
                tensors.pop(name, None)
        stacked = h._stack(steps, h.PADDED_STEPS, 4)
        return h.publish("cross_entropy", (training.past[0], training.past[-1]), stacked)


@cache
def honest(kind: str) -> h.Run:
    return train(kind)


def refuse(run: h.Run, proof: bytes, message: str) -> None:
    with pytest.raises(SumcheckMismatch, match=message):
        h.accept(run, proof)


@cache
def _accepted(kind: str) -> bool:
    run = honest(kind)
    h.accept(run, h.prove(run))
    return True


@contextmanager
def proving_with(kind: str, lie: Coefficients) -> Iterator[None]:
    """The prover's own public filter is the false one too, so that its messages fit its steps."""

    def false(context: Context) -> Context:
        known = context.time_filters("fc1.weight")
        assert isinstance(known, FilteredSteps)
        at, tau, by = [], [], []
        for first in range(0, h.STEPS, STATED[kind].restart_steps):
            steps = min(STATED[kind].restart_steps, h.STEPS - first)
            start, rows = lie(first, filter_oracle.integers(circuit(kind), first, steps))
            for t in range(1, steps + 1):
                for s in range(t):
                    change = rows[t][s] - (rows[t - 1][s] if s < t - 1 else 0)
                    if change:
                        at.append(first + t)
                        tau.append(first + s)
                        by.append(change)
        if kind == KEEP:
            start = [1 << 12] * (h.STEPS + 1)
        arrays = (np.array(values, dtype=np.int64) for values in (start, at, tau, by))
        lied = FilteredSteps(type(known.coefficients)(h.STEPS, *arrays), known.log_steps)
        return replace(context, time_filters=lambda _: lied)

    with h.lying(false):
        yield


@pytest.mark.parametrize("kind", KINDS)
def test_honest_run_is_accepted(kind: str) -> None:
    assert _accepted(kind)


def _one_more(tau: int, since: int) -> Coefficients:
    """The gradient of step ``tau`` counts one unit more from step ``since`` on."""

    def lie(_: int, table: Table) -> Table:
        start, rows = table
        changed = [
            [m + (s == tau and t >= since) for s, m in enumerate(row)] for t, row in enumerate(rows)
        ]
        return start, changed

    return lie


PLACES = [(KEEP, 0, 1), (KEEP, 2, 3), (DECAY, 3, 5), (DECAY, 9, 11)]


@pytest.mark.parametrize("follows", [False, True], ids=["steps only", "messages too"])
@pytest.mark.parametrize(("kind", "tau", "since"), PLACES)
def test_filter_coefficient_changed(kind: str, tau: int, since: int, follows: bool) -> None:
    """One coefficient is off by one unit from one step on, until the end of its stretch."""
    assert _accepted(kind)
    lie = _one_more(tau, since)
    run = train(kind, lie)
    if follows:
        with proving_with(kind, lie):
            proof = h.prove(run)
    else:
        proof = h.prove(run)
    refuse(run, proof, "the (product|update)")


@pytest.mark.parametrize(("kind", "tau", "since"), PLACES)
def test_filter_coefficient_is_caught_by_the_update_alone(kind: str, tau: int, since: int) -> None:
    """Whose messages fit the steps is refused by the check of weights and by no other."""
    lie = _one_more(tau, since)
    run = train(kind, lie)
    with proving_with(kind, lie):
        proof = h.prove(run)
    refuse(run, proof, h.WEIGHTS.message)
    with h.without(h.WEIGHTS):
        h.accept(run, proof)


def test_coefficient_changed_and_changed_back() -> None:
    """For one step in the middle; the weights at the end follow from what they led to."""

    def lie(_: int, table: Table) -> Table:
        start, rows = table
        changed = [[m + (t == 6 and s == 2) for s, m in enumerate(r)] for t, r in enumerate(rows)]
        return start, changed

    run = train(DECAY, lie)
    with proving_with(DECAY, lie):
        proof = h.prove(run)
    refuse(run, proof, h.WEIGHTS.message)


def test_velocity_carried_over_a_boundary() -> None:
    """The second stretch goes on with the velocity of the first, as torch without restarts does."""
    assert _accepted(KEEP)
    stated = replace(STATED[KEEP], restart_steps=16)
    with world(KEEP):
        carries = filter_oracle.filtered(base(), stated)
    run = train(KEEP, carries=carries)
    assert digest(run.weights[-1]) != digest(honest(KEEP).weights[-1])
    refuse(run, h.prove(run), "the (product|update)")


MORE, HARDLY_ANY = {"momentum": (3 << 38) + (1 << 34)}, {"momentum": 1 << 30}
OTHERS = [
    (KEEP, MORE),
    (KEEP, HARDLY_ANY),
    (KEEP, {"nesterov": False}),
    (DECAY, MORE),
    (DECAY, HARDLY_ANY),
    (DECAY, {"nesterov": True}),
    (DECAY, {"weight_decay": 1 << 36}),
    (DECAY, {"weight_decay": 0}),
]


@pytest.mark.parametrize(("kind", "change"), OTHERS)
def test_trained_with_another_optimizer(kind: str, change: dict[str, int]) -> None:
    assert _accepted(kind)
    other = filter_oracle.filtered(base(), replace(STATED[kind], **change))

    def lie(first: int, table: Table) -> Table:
        return filter_oracle.integers(other, first, len(table[0]) - 1)

    run = train(kind, lie)
    with proving_with(kind, lie):
        proof = h.prove(run)
    refuse(run, proof, h.WEIGHTS.message)


def test_first_weights_not_decayed() -> None:
    """Gradients feel the weight decay, the first weights do not."""
    assert _accepted(DECAY)

    def lie(_: int, table: Table) -> Table:
        return [table[0][0]] * len(table[0]), table[1]

    run = train(DECAY, lie)
    with proving_with(DECAY, lie):
        proof = h.prove(run)
    refuse(run, proof, h.WEIGHTS.message)


def test_first_weights_decayed_one_unit_less_at_the_end() -> None:
    """Only the last weights are those of another ``D``: no product uses them."""

    def lie(_: int, table: Table) -> Table:
        return [*table[0][:-1], table[0][-1] + 1], table[1]

    run = train(DECAY, lie)
    with proving_with(DECAY, lie):
        proof = h.prove(run)
    refuse(run, proof, h.WEIGHTS.message)


@pytest.mark.parametrize(("kind", "step"), [(KEEP, 1), (DECAY, 10)])
def test_update_skipped(kind: str, step: int) -> None:
    """After one step the weights stay what they were, and the filter goes on from there."""
    assert _accepted(kind)

    def lie(_: int, table: Table) -> Table:
        start, rows = list(table[0]), [list(row) for row in table[1]]
        if step + 1 < len(rows):
            start[step + 1] = start[step]
            rows[step + 1] = [*rows[step], 0]
        return start, rows

    run = train(kind, lie)
    with proving_with(kind, lie):
        proof = h.prove(run)
    refuse(run, proof, h.WEIGHTS.message)


def test_filter_stops_at_the_last_step() -> None:
    """In the padded step after the last the velocity would move the weights once more."""
    assert _accepted(KEEP)
    run = honest(KEEP)

    def longer(context: Context) -> Context:
        known = context.time_filters("fc1.weight")
        assert isinstance(known, FilteredSteps)
        more = replace(run.statement.circuit, steps=12)
        lied = more.optimizer.of(more, "fc1.weight").time_filter(more, 0, 12, known.log_steps)
        return replace(context, time_filters=lambda _: lied)

    with h.lying(longer):
        proof = h.prove(run)
    refuse(run, proof, h.WEIGHTS.message)


@pytest.mark.parametrize("kind", KINDS)
def test_hidden_run_and_lie(kind: str) -> None:
    """With zero knowledge: the honest run passes, a changed coefficient does not."""
    with world(kind):
        true = h.conceal(honest(kind))
        h.accept(true, h.prove(true))
        lie = _one_more(1, 3)
        run = h.conceal(train(kind, lie))
        with proving_with(kind, lie):
            proof = h.prove(run)
        h.refuse(run, proof, HiddenMismatch)


LIMBS: dict[str, Callable[[int, int, int, int], tuple[int, int, int, int]]] = {
    "middle above three": lambda z, high, middle, low: (z, high - 1, middle + 4, low),
    "middle below zero": lambda z, high, middle, low: (z, high + 1, middle - 4, low),
    "low below zero": lambda z, high, middle, low: (z, high, middle + 1, low - (1 << 16)),
    "low above its limb": lambda z, high, middle, low: (z, high, middle - 1, low + (1 << 16)),
    "quotient one more": lambda z, high, middle, low: (z + 1, high - (1 << 16), middle, low),
    "quotient one less": lambda z, high, middle, low: (z - 1, high, middle, low + (1 << 34)),
}
"""Other limbs of the same accumulator: quotient, high, middle, low."""


@pytest.mark.parametrize("place", ["z1", "q1", "z3"])
@pytest.mark.parametrize("name", LIMBS)
def test_remainder_with_other_limbs(place: str, name: str) -> None:
    """The equation holds, and one limb leaves its range; all that follows is computed from it."""
    assert _accepted(KEEP)
    run = train(KEEP, lies={place: h.in_cell(5, (1, 2), LIMBS[name])})
    proof = h.prove(run)
    with pytest.raises(LookupMismatch, match=h.ROOT_SUM.message):
        h.accept(run, proof)


@pytest.mark.parametrize(
    "cell", [(h.STEPS, 0, 0), (0, 3, 1), (1, 0, 5)], ids=["step", "sample", "unit"]
)
def test_middle_of_a_padded_cell(cell: tuple[int, int, int]) -> None:
    """Bits in a step, a sample or a unit that is not there."""
    assert _accepted(KEEP)

    def edit(tensors: h.Tensors) -> None:
        tensors["z1.middle"][cell] = 2
        if "z1.low" in tensors:
            tensors["z1.low"][cell] = -(2 << 16)

    run = honest(KEEP)
    proof = h.prove(run, run.edited(edit))
    with pytest.raises((LookupMismatch, SumcheckMismatch)):
        h.accept(run, proof)
