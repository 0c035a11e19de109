"""Steps that follow another training rule: updates, weights, batches."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import harness as h
import numpy as np
import pytest
from harness import LOSSES, at_step
from numpy.typing import NDArray
from patched import everywhere

from zktrain.circuit.weights import digest
from zktrain.dataset.readers import Records
from zktrain.errors import CommitmentMismatch, OpeningMismatch, SumcheckMismatch
from zktrain.prover.commitment import opening as prover_opening
from zktrain.prover.dataset.commitment import CommittedDataset, commit_records

U64 = NDArray[np.uint64]


def _with_multiplier(step: int, value: int) -> tuple[h.Run, bytes]:
    """A prover who also proves with the multiplier that he trained with."""
    run = h.train("cross_entropy", {"multiplier": at_step(step, lambda _: value)})

    def lie(multipliers: U64) -> U64:
        out = multipliers.copy()
        out[step] = value
        return out

    return run, h.prove(run, multipliers=lie)


@pytest.mark.parametrize(("step", "value"), [(1, 0), (7, 0), (5, 4), (6, 1)])
def test_skipped_update_or_wrong_rate(step: int, value: int) -> None:
    """``m_t = 0`` or another rate in one step; the prover's own sums are consistent with it."""
    assert h.honest_is_accepted("cross_entropy")
    run, proof = _with_multiplier(step, value)
    h.refuse_by_one_check(run, proof, SumcheckMismatch, h.WEIGHTS)


@pytest.mark.parametrize("weight", ["fc1.weight", "fc2.weight", "fc3.weight"])
def test_wrong_rate_in_one_layer(weight: str) -> None:
    """All steps, in training and in the prover's own sums."""
    assert h.honest_is_accepted("cross_entropy")
    run = h.train("cross_entropy", {f"multiplier/{weight}": lambda _, true: true + 1})
    proof = h.prove(run, multipliers=_one_more, layer=weight)
    h.refuse_by_one_check(run, proof, SumcheckMismatch, h.WEIGHTS)


def _one_more(multipliers: U64) -> U64:
    """In the real steps."""
    return multipliers + (multipliers > 0)


@pytest.mark.parametrize("loss", LOSSES)
def test_skipped_update_proved_with_the_true_rate(loss: str) -> None:
    """The next step's products are those of weights that were not updated."""
    assert h.honest_is_accepted(loss)
    run = h.train(loss, {"multiplier": at_step(1, lambda _: 0)})
    h.refuse(run, h.prove(run), SumcheckMismatch, "the product 'acc")


def test_skipped_update_of_the_last_step() -> None:
    """Nothing after the step depends on it but the published weights."""
    assert h.honest_is_accepted("mse")
    run = h.train("mse", {"multiplier": at_step(h.STEPS - 1, lambda _: 0)})
    h.refuse_by_one_check(run, h.prove(run), SumcheckMismatch, h.WEIGHTS)


@pytest.mark.parametrize("place", ["forward", "backward"])
@pytest.mark.parametrize("age", [1, 2])
@pytest.mark.parametrize("loss", LOSSES)
def test_stale_weights(loss: str, place: str, age: int) -> None:
    """One pass uses the weights of one or two steps before."""
    assert h.honest_is_accepted(loss)
    training = h.Training(loss, {})
    for t in range(3):
        training.step(t)
    stale = training.past[3 - age]
    run = h.train(loss, {place: at_step(3, lambda _: stale)})
    check = h.AFFINE if place == "forward" else h.TRANSPOSED
    h.refuse_by_one_check(run, h.prove(run), SumcheckMismatch, check)


@pytest.mark.parametrize("place", ["forward", "backward"])
def test_first_weights_in_every_step(place: str) -> None:
    """One pass uses ``W_0`` throughout."""
    assert h.honest_is_accepted("mse")
    run = h.train("mse", {place: lambda _, __: h.initial_weights()})
    check = h.AFFINE if place == "forward" else h.TRANSPOSED
    h.refuse_by_one_check(run, h.prove(run), SumcheckMismatch, check)


@pytest.mark.parametrize("scale", [1, 0, 1 << 9])
def test_bias_updated_at_another_scale(scale: int) -> None:
    """The bias moves by ``m sum e`` instead of ``2^8 m sum e``."""
    assert h.honest_is_accepted("cross_entropy")
    run = h.train("cross_entropy", {"bias_scale": lambda _, __: scale})
    h.refuse(run, h.prove(run), SumcheckMismatch, "the product 'acc")


def test_bias_updated_at_another_scale_in_the_last_step() -> None:
    """Only the published bias is wrong."""
    assert h.honest_is_accepted("mse")
    run = h.train("mse", {"bias_scale": at_step(h.STEPS - 1, lambda _: 1)})
    h.refuse_by_one_check(run, h.prove(run), SumcheckMismatch, h.WEIGHTS)


@pytest.mark.parametrize("own_order", [False, True])
def test_rows_of_a_batch_replaced(own_order: bool) -> None:
    """One step trains on other records than the public order says."""
    assert h.honest_is_accepted("cross_entropy")
    run = h.train("cross_entropy", {"rows": at_step(2, lambda order: (order + 1) % h.RECORDS)})

    def lie(order: NDArray[np.int64]) -> NDArray[np.int64]:
        out = order.copy()
        out[2] = (out[2] + 1) % h.RECORDS
        return out

    proof = h.prove(run, order=lie if own_order else None)
    h.refuse_by_one_check(run, proof, SumcheckMismatch, h.BATCHES)


def test_two_batches_exchanged() -> None:
    """The records are the right ones, two steps use each other's."""
    assert h.honest_is_accepted("mse")
    first, second = (h.batch_indices("order", h.RECORDS, h.BATCH, step, 1)[0] for step in (1, 2))
    lies = {"rows": lambda t, order: {1: second, 2: first}.get(t, order)}
    run = h.train("mse", lies)
    h.refuse_by_one_check(run, h.prove(run), SumcheckMismatch, h.BATCHES)


@pytest.mark.parametrize("loss", LOSSES)
def test_label_of_one_sample_changed(loss: str) -> None:
    """One sample of one batch has another class than its record."""
    assert h.honest_is_accepted(loss)

    def change(labels: NDArray[np.int64]) -> NDArray[np.int64]:
        out = labels.copy()
        out[1] = (out[1] + 1) % 3
        return out

    run = h.train(loss, {"labels": at_step(5, change)})
    h.refuse_by_one_check(run, h.prove(run), SumcheckMismatch, h.BATCHES)


def _other_records() -> Records:
    """Record 3 is a copy of record 7."""
    data = h.records()
    inputs, labels = data.inputs.copy(), data.labels.copy()
    inputs[3], labels[3] = inputs[7], labels[7]
    return replace(data, inputs=inputs, labels=labels)


@pytest.mark.parametrize("own_opening", [False, True])
def test_trained_on_another_dataset(own_opening: bool) -> None:
    """A run that is right for other records leaves claims that the committed ones refute."""
    assert h.honest_is_accepted("mse")
    other = commit_records(_other_records())
    run = h.train("mse", {"rows": lambda _, order: np.where(order == 3, 7, order)})
    proof = h.prove(run, data=other)
    if own_opening:
        h.refuse_by_one_check(run, proof, CommitmentMismatch, h.MERKLE)
    else:
        with everywhere(prover_opening, "prove", partial(_open, h.dataset())):
            proof = h.prove(run, data=other)
        h.refuse(run, proof, OpeningMismatch)


def _open(true: CommittedDataset, channel: Any, label: str, committed: Any, *rest: Any) -> None:
    """The dataset that the statement names is opened, whatever was used."""
    _PROVE(channel, label, [committed[0], true.committed], *rest)


_PROVE = prover_opening.prove


@pytest.mark.parametrize("parameter", ["fc1.weight", "fc3.bias"])
def test_published_weights_that_no_step_led_to(parameter: str) -> None:
    """The published file differs from the trained weights by one unit in one cell."""
    assert h.honest_is_accepted("cross_entropy")
    run = h.honest("cross_entropy")
    ends = [dict(weights) for weights in run.weights]
    ends[-1][parameter] = ends[-1][parameter].copy()
    ends[-1][parameter].reshape(-1)[2] += 1
    forged = h.publish("cross_entropy", (ends[0], ends[1]), run.tensors)
    assert forged.statement.task.final == digest(ends[-1])
    h.refuse_by_one_check(forged, h.prove(forged), SumcheckMismatch, h.WEIGHTS)
