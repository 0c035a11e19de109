"""Provers who publish other weights on the way than the run had.

What such a prover may set freely: the stated digests and steps, and the values that he sends for
each of them. The values are bound to the run by the weight updates, whether files are given or
not; to the weights with the stated digest only by a file. So every lie is told twice: *with* the
value of the false weights, which the update refutes, and with the *true* value of the run, which
the file refutes and nothing else does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import Any
from unittest import mock

import harness as h
import numpy as np
import pytest
import test_lying_momentum as momentum

from zktrain.circuit.weights import digest
from zktrain.errors import HiddenMismatch, Rejected, SumcheckMismatch
from zktrain.field.extension import Ext
from zktrain.operations.base import Context
from zktrain.protocol.proof import side_of, trained_weights
from zktrain.protocol.tasks import Checkpoint
from zktrain.prover.transcript.channel import ProverChannel
from zktrain.transcript.challenger import Challenger

STEPS = (1, 4, 10)
"""The first and the last that a checkpoint can have, and one between."""
KINDS = ("mse", momentum.KEEP, momentum.DECAY)
FEW = ("one unit in the last weight", "the weights of the step after")
"""Lies that are also told of filtered runs."""


@cache
def past(kind: str) -> list[h.Weights]:
    """The weights before every step of the honest run, and after it."""
    if kind in h.LOSSES:
        training = h.Training(kind, {})
        for step in range(h.STEPS):
            training.step(step)
        return training.past
    with momentum.world(kind):
        filtered = momentum.Training(kind, lambda _, table: table)
        for step in range(h.STEPS):
            filtered.step(step)
        return filtered.past


def honest(kind: str) -> h.Run:
    return h.honest(kind) if kind in h.LOSSES else momentum.honest(kind)


def publish(
    kind: str,
    kept: Mapping[int, h.Weights] | None = None,
    *,
    given: Iterable[int] | None = None,
    hiding: bool = False,
) -> h.Run:
    """The run with these checkpoints stated, by default the true ones; a verifier has the files of
    the steps that are ``given``, by default of all."""
    kept = {step: past(kind)[step] for step in STEPS} if kept is None else kept
    run = h.conceal(honest(kind)) if hiding else honest(kind)
    stated = tuple(Checkpoint(step, digest(weights)) for step, weights in kept.items())
    task = replace(run.statement.task, checkpoints=stated)
    files = {step: kept[step].__getitem__ for step in (kept if given is None else given)}
    return replace(
        run,
        statement=replace(run.statement, task=task),
        public=trained_weights(task.circuit, *run.weights, files),
    )


def with_true_values(run: h.Run, kind: str) -> h.Run:
    """As the prover takes it who sends the values of the run, whatever he states."""
    steps = run.statement.task.checkpoint_steps
    true = {step: past(kind)[step].__getitem__ for step in steps}
    return replace(run, public=trained_weights(run.statement.circuit, *run.weights, true))


def one_unit(weights: h.Weights, name: str = "fc2.weight", cell: int = -1) -> h.Weights:
    out = {key: values.copy() for key, values in weights.items()}
    out[name].reshape(-1)[cell] += 1
    return out


@pytest.mark.parametrize("hiding", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_honest_checkpoints_with_any_of_their_files(kind: str, hiding: bool) -> None:
    """Whoever has none, one or all of the files accepts the same proof."""
    run = publish(kind, hiding=hiding)
    proof = h.prove(run)
    for given in ((), (1,), (4,), (10,), STEPS):
        h.accept(publish(kind, given=given, hiding=hiding), proof)


@pytest.mark.parametrize("hiding", [False, True])
def test_statement_without_checkpoints_is_as_it_was(hiding: bool) -> None:
    """Not a byte of statement or proof."""
    run, none = h.honest("mse", hiding=hiding), publish("mse", {}, hiding=hiding)
    assert none.statement.to_json() == run.statement.to_json()
    assert b"checkpoints" not in run.statement.to_json()
    assert h.prove(none) == h.prove(run)


LIES: dict[str, Callable[[list[h.Weights]], dict[int, h.Weights]]] = {
    "one unit in the last weight": lambda true: {**_true(true), 4: one_unit(true[4])},
    "one unit in a bias": lambda true: {**_true(true), 1: one_unit(true[1], "fc1.bias", 2)},
    "one unit in the last layer": lambda true: {**_true(true), 10: one_unit(true[10], "fc3.bias")},
    "the weights of the step after": lambda true: {**_true(true), 4: true[5]},
    "the weights of the step before": lambda true: {**_true(true), 4: true[3]},
    "the first weights": lambda true: {**_true(true), 1: true[0]},
    "the last weights": lambda true: {**_true(true), 10: true[11]},
    "two checkpoints exchanged": lambda true: {**_true(true), 4: true[10], 10: true[4]},
    "all checkpoints a step late": lambda true: {step: true[step + 1] for step in STEPS},
}

TOLD = [("mse", lie) for lie in LIES] + [(kind, lie) for kind in KINDS[1:] for lie in FEW]


def _true(weights: list[h.Weights]) -> dict[int, h.Weights]:
    return {step: weights[step] for step in STEPS}


@pytest.mark.parametrize(("kind", "lie"), TOLD)
def test_other_weights_with_their_own_value(kind: str, lie: str) -> None:
    """The file fits what was sent, the run does not; refuted even without any file."""
    run = publish(kind, LIES[lie](past(kind)))
    proof = h.prove(run)
    h.refuse_by_one_check(run, proof, SumcheckMismatch, h.WEIGHTS)
    none = replace(run, public=trained_weights(run.statement.circuit, *run.weights))
    h.refuse_by_one_check(none, proof, SumcheckMismatch, h.WEIGHTS)


@pytest.mark.parametrize(("kind", "lie"), TOLD)
def test_other_weights_with_the_value_of_the_run(kind: str, lie: str) -> None:
    """What was sent fits the run, the file does not. Without the file, the digest is bound to
    nothing: this is why an unchecked checkpoint is said to be unchecked."""
    kept = LIES[lie](past(kind))
    run = publish(kind, kept)
    proof = h.prove(with_true_values(run, kind))
    h.refuse_by_one_check(run, proof, SumcheckMismatch, h.CHECKPOINT)
    false = [step for step in STEPS if digest(kept[step]) != digest(past(kind)[step])]
    for step in false:
        one = publish(kind, kept, given=[step])
        h.refuse_by_one_check(one, proof, SumcheckMismatch, h.CHECKPOINT)
    h.accept(publish(kind, kept, given=[step for step in STEPS if step not in false]), proof)


@pytest.mark.parametrize("own", [False, True])
def test_checkpoint_of_another_run(own: bool) -> None:
    """Of the same network, data and start, trained with another loss."""
    run = publish("mse", {4: past("cross_entropy")[4]})
    proof = h.prove(run if own else with_true_values(run, "mse"))
    check = h.WEIGHTS if own else h.CHECKPOINT
    h.refuse_by_one_check(run, proof, SumcheckMismatch, check)


@pytest.mark.parametrize("kind", KINDS)
def test_another_step_than_the_stated_one(kind: str) -> None:
    """The weights of step 5 as those of step 4, by a prover who adds up five steps."""
    true = past(kind)
    run = publish(kind, {1: true[1], 4: true[5]})

    def later(context: Context) -> Context:
        return replace(context, checkpoints=(1, 5))

    early = replace(run, public={**run.public, side_of(5): run.public[side_of(4)]})
    with h.lying(later):
        proof = h.prove(early)
    h.refuse_by_one_check(run, proof, SumcheckMismatch, h.WEIGHTS)


# values on the way

Values = Callable[[str, list[Ext]], list[Ext]]


@contextmanager
def sending(change: Values) -> Iterator[None]:
    """The prover changes the values of checkpoints that he sends, and knows what he has sent."""
    true = ProverChannel.send_clear

    def send(self: ProverChannel, label: str, values: list[Ext]) -> None:
        if label.endswith("/checkpoints"):
            values[:] = change(label, values)
        true(self, label, values)

    with mock.patch.object(ProverChannel, "send_clear", send):
        yield


def _more(places: Mapping[int, Ext]) -> Values:
    """In the second layer, at these places."""

    def change(label: str, values: list[Ext]) -> list[Ext]:
        if "fc2" not in label:
            return values
        return [value + places.get(at, Ext(0)) for at, value in enumerate(values)]

    return change


ONE, LESS = Ext(1), Ext(0) - Ext(1)
WRONG = {
    "one value": {1: ONE},
    "a value of a bias": {5: ONE},
    "two that cancel": {0: ONE, 2: LESS},
    "weight and bias that cancel": {1: ONE, 4: LESS},
    "three that cancel": {0: ONE, 1: ONE, 2: LESS + LESS},
}


@pytest.mark.parametrize(
    ("kind", "name"), [*(("mse", name) for name in WRONG), (momentum.DECAY, "two that cancel")]
)
def test_values_that_are_not_those_of_the_run(kind: str, name: str) -> None:
    """Changed before ``gamma`` is drawn, so that no change of another value makes up for it."""
    run = publish(kind)
    with sending(_more(WRONG[name])):
        proof = h.prove(run)
    h.refuse_by_one_check(publish(kind, given=()), proof, SumcheckMismatch, h.WEIGHTS)
    h.refuse(run, proof, SumcheckMismatch, "does not hold the weights")
    with h.without(h.CHECKPOINT):
        h.refuse_by_one_check(run, proof, SumcheckMismatch, h.WEIGHTS)


@pytest.mark.parametrize("name", WRONG)
def test_hidden_values_that_are_not_those_of_the_run(name: str) -> None:
    """Values of checkpoints are in clear, and what they must fit is hidden."""
    run, none = publish("mse", hiding=True), publish("mse", given=(), hiding=True)
    with sending(_more(WRONG[name])), h.without(h.CHECKPOINT):
        proof = h.prove(run)
    h.refuse(none, proof, HiddenMismatch)
    h.refuse(run, proof, SumcheckMismatch, "does not hold the weights")


def test_hidden_run_with_another_checkpoint() -> None:
    run = publish("mse", {4: one_unit(past("mse")[4])}, hiding=True)
    h.refuse_by_one_hidden_check(run, lambda: h.prove(run), h.WEIGHTS)
    proof = h.prove(with_true_values(run, "mse"))
    h.refuse_by_one_check(run, proof, SumcheckMismatch, h.CHECKPOINT)


def test_values_that_make_up_for_each_other_once_gamma_is_known() -> None:
    """The lie that is possible where ``gamma`` does not depend on the values: it passes then, and
    fails with a real ``gamma``."""
    gamma = Ext(12345, 678)
    true = Challenger.elements

    def fixed(self: Challenger, label: str, *sizes: Any) -> list[Ext]:
        drawn = true(self, label, *sizes)
        return [gamma] if label.endswith("fc2.weight/gamma") else drawn

    # powers of two neighbours differ by the factor gamma
    change = _more({0: gamma, 1: LESS})
    none = publish("mse", given=())
    with mock.patch.object(Challenger, "elements", fixed), sending(change):
        h.accept(none, h.prove(publish("mse")))
    with sending(change):
        proof = h.prove(publish("mse"))
    h.refuse_by_one_check(none, proof, SumcheckMismatch, h.WEIGHTS)


# the statement

FORGED: dict[str, Callable[[tuple[Checkpoint, ...]], tuple[Checkpoint, ...]]] = {
    "another digest": lambda kept: (kept[0], replace(kept[1], weights="ab" * 32), kept[2]),
    "another step": lambda kept: (kept[0], replace(kept[1], step=5), kept[2]),
    "digests exchanged": lambda kept: (
        replace(kept[0], weights=kept[1].weights),
        replace(kept[1], weights=kept[0].weights),
        kept[2],
    ),
    "one left out": lambda kept: kept[:2],
    "one more": lambda kept: (*kept[:2], Checkpoint(7, "ab" * 32), kept[2]),
    "none": lambda kept: (),
}


@pytest.mark.parametrize("name", FORGED)
def test_statement_with_other_checkpoints_than_proven(name: str) -> None:
    """Every challenge depends on steps and digests, also of those that nobody checks."""
    run = publish("mse")
    proof = h.prove(run)
    task = replace(run.statement.task, checkpoints=FORGED[name](run.statement.task.checkpoints))
    forged = replace(
        run,
        statement=replace(run.statement, task=task),
        public=trained_weights(task.circuit, *run.weights),
    )
    with pytest.raises(Rejected):
        h.accept(forged, proof)


def test_weights_outside_of_any_real_cell() -> None:
    """Padding of a checkpoint's parameters is 0, as that of the run's weights is."""
    run = publish("mse")
    for step in STEPS:
        for name, values in run.public[side_of(step)].items():
            real = past("mse")[step][name]
            assert np.count_nonzero(values) == np.count_nonzero(real)
