"""Steps that follow another training rule: updates, weights, batches, boundaries."""

from __future__ import annotations

from dataclasses import replace

import harness as h
import numpy as np
import pytest
from harness import FIRST, LAST, LOSSES, MIDDLE, at_step
from numpy.typing import NDArray

from zktrain.circuit.weights import digest
from zktrain.dataset.readers import Records
from zktrain.errors import ChainBroken, CommitmentMismatch, OpeningMismatch, SumcheckMismatch
from zktrain.protocol.bundle import check_chain
from zktrain.protocol.segment import pad_weights
from zktrain.prover.commitment.commit import commit
from zktrain.prover.dataset.commitment import commit_records
from zktrain.prover.protocol.segment import BoundaryWeights

U64 = NDArray[np.uint64]


def _with_multiplier(step: int, value: int) -> tuple[h.Run, bytes]:
    """A prover who also proves with the multiplier that he trained with, in the middle segment."""
    run = h.train("cross_entropy", {"multiplier": at_step(h.SEGMENT_STEPS + step, lambda _: value)})

    def lie(multipliers: U64) -> U64:
        out = multipliers.copy()
        out[step] = value
        return out

    return run, h.prove(run, MIDDLE, multipliers=lie)[0]


@pytest.mark.parametrize(("step", "value"), [(1, 0), (3, 0), (1, 4), (2, 1)])
def test_skipped_update_or_wrong_rate(step: int, value: int) -> None:
    """``m_t = 0`` or another rate in one step; the prover's own sums are consistent with it."""
    assert h.honest_is_accepted("cross_entropy", MIDDLE)
    run, proof = _with_multiplier(step, value)
    h.refuse_by_one_check(run, MIDDLE, proof, SumcheckMismatch, h.WEIGHTS)


@pytest.mark.parametrize("weight", ["fc1.weight", "fc2.weight", "fc3.weight"])
def test_wrong_rate_in_one_layer(weight: str) -> None:
    """All steps of the segment, in training and in the prover's own sums."""
    assert h.honest_is_accepted("cross_entropy", MIDDLE)
    run = h.train("cross_entropy", {f"multiplier/{weight}": lambda _, true: true + 1})
    proof = h.prove(run, MIDDLE, multipliers=_one_more, layer=weight)[0]
    h.refuse_by_one_check(run, MIDDLE, proof, SumcheckMismatch, h.WEIGHTS)


def _one_more(multipliers: U64) -> U64:
    """In the real steps."""
    return multipliers + (multipliers > 0)


@pytest.mark.parametrize("loss", LOSSES)
def test_skipped_update_proved_with_the_true_rate(loss: str) -> None:
    """The next step's products are those of weights that were not updated."""
    assert h.honest_is_accepted(loss, FIRST)
    run = h.train(loss, {"multiplier": at_step(1, lambda _: 0)})
    h.refuse(run, FIRST, h.prove(run, FIRST)[0], SumcheckMismatch, "the product 'acc")


def test_skipped_update_of_the_last_step() -> None:
    """Nothing after the step depends on it but the published weights."""
    assert h.honest_is_accepted("mse", LAST)
    run = h.train("mse", {"multiplier": at_step(h.STEPS - 1, lambda _: 0)})
    h.refuse_by_one_check(run, LAST, h.prove(run, LAST)[0], SumcheckMismatch, h.WEIGHTS)


@pytest.mark.parametrize("place", ["forward", "backward"])
@pytest.mark.parametrize("age", [1, 2])
@pytest.mark.parametrize("loss", LOSSES)
def test_stale_weights(loss: str, place: str, age: int) -> None:
    """One pass uses the weights of one or two steps before."""
    assert h.honest_is_accepted(loss, FIRST)
    training = h.Training(loss, {})
    for t in range(3):
        training.step(t)
    stale = training.past[3 - age]
    run = h.train(loss, {place: at_step(3, lambda _: stale)})
    check = h.AFFINE if place == "forward" else h.TRANSPOSED
    h.refuse_by_one_check(run, FIRST, h.prove(run, FIRST)[0], SumcheckMismatch, check)


@pytest.mark.parametrize("place", ["forward", "backward"])
def test_first_weights_in_every_step(place: str) -> None:
    """One pass uses ``W_0`` throughout."""
    assert h.honest_is_accepted("mse", FIRST)
    run = h.train("mse", {place: lambda _, __: h.initial_weights()})
    check = h.AFFINE if place == "forward" else h.TRANSPOSED
    h.refuse_by_one_check(run, FIRST, h.prove(run, FIRST)[0], SumcheckMismatch, check)


@pytest.mark.parametrize("scale", [1, 0, 1 << 9])
def test_bias_updated_at_another_scale(scale: int) -> None:
    """The bias moves by ``m sum e`` instead of ``2^8 m sum e``."""
    assert h.honest_is_accepted("cross_entropy", FIRST)
    run = h.train("cross_entropy", {"bias_scale": lambda _, __: scale})
    h.refuse(run, FIRST, h.prove(run, FIRST)[0], SumcheckMismatch, "the product 'acc")


def test_bias_updated_at_another_scale_in_the_last_step() -> None:
    """Only the published bias is wrong."""
    assert h.honest_is_accepted("mse", LAST)
    run = h.train("mse", {"bias_scale": at_step(h.STEPS - 1, lambda _: 1)})
    h.refuse_by_one_check(run, LAST, h.prove(run, LAST)[0], SumcheckMismatch, h.WEIGHTS)


@pytest.mark.parametrize("own_order", [False, True])
def test_rows_of_a_batch_replaced(own_order: bool) -> None:
    """One step trains on other records than the public order says."""
    assert h.honest_is_accepted("cross_entropy", FIRST)
    run = h.train("cross_entropy", {"rows": at_step(2, lambda order: (order + 1) % h.RECORDS)})

    def lie(order: NDArray[np.int64]) -> NDArray[np.int64]:
        out = order.copy()
        out[2] = (out[2] + 1) % h.RECORDS
        return out

    proof, _ = h.prove(run, FIRST, order=lie if own_order else None)
    h.refuse_by_one_check(run, FIRST, proof, SumcheckMismatch, h.BATCHES)


def test_two_batches_exchanged() -> None:
    """The records of a segment are the right ones, two steps use each other's."""
    assert h.honest_is_accepted("mse", FIRST)
    first, second = (h.batch_indices("order", h.RECORDS, h.BATCH, step, 1)[0] for step in (1, 2))
    lies = {"rows": lambda t, order: {1: second, 2: first}.get(t, order)}
    run = h.train("mse", lies)
    h.refuse_by_one_check(run, FIRST, h.prove(run, FIRST)[0], SumcheckMismatch, h.BATCHES)


@pytest.mark.parametrize("loss", LOSSES)
def test_label_of_one_sample_changed(loss: str) -> None:
    """One sample of one batch has another class than its record."""
    assert h.honest_is_accepted(loss, MIDDLE)

    def change(labels: NDArray[np.int64]) -> NDArray[np.int64]:
        out = labels.copy()
        out[1] = (out[1] + 1) % 3
        return out

    run = h.train(loss, {"labels": at_step(5, change)})
    h.refuse_by_one_check(run, MIDDLE, h.prove(run, MIDDLE)[0], SumcheckMismatch, h.BATCHES)


def _other_records() -> Records:
    """Record 3 is a copy of record 7."""
    data = h.records()
    inputs, labels = data.inputs.copy(), data.labels.copy()
    inputs[3], labels[3] = inputs[7], labels[7]
    return replace(data, inputs=inputs, labels=labels)


@pytest.mark.parametrize(
    ("own_opening", "error"), [(False, OpeningMismatch), (True, CommitmentMismatch)]
)
def test_trained_on_another_dataset(
    own_opening: bool, error: type[OpeningMismatch] | type[CommitmentMismatch]
) -> None:
    """Segments that are right for other records leave claims that the committed ones refute."""
    assert h.honest_is_accepted("mse", FIRST)
    other = commit_records(_other_records())
    run = h.train("mse", {"rows": lambda _, order: np.where(order == 3, 7, order)})
    columns = {"inputs": other.inputs, "labels": other.labels}
    proof, _ = h.prove(run, FIRST, columns=columns)
    claims = h.verify(run, FIRST, proof)
    with pytest.raises(error):
        h.close(run, claims, other if own_opening else None)


@pytest.mark.parametrize("parameter", ["fc1.weight", "fc3.bias"])
def test_published_weights_that_no_step_led_to(parameter: str) -> None:
    """The published file differs from the trained weights by one unit in one cell."""
    assert h.honest_is_accepted("cross_entropy", LAST)
    run = h.honest("cross_entropy")
    ends = [dict(weights) for weights in run.weights]
    ends[-1][parameter] = ends[-1][parameter].copy()
    ends[-1][parameter].reshape(-1)[2] += 1
    forged = h.publish("cross_entropy", ends, list(run.tensors))
    assert forged.statement.final == digest(ends[-1])
    h.refuse_by_one_check(forged, LAST, h.prove(forged, LAST)[0], SumcheckMismatch, h.WEIGHTS)


def _with_boundary(run: h.Run, place: tuple[str, tuple[int, ...]]) -> h.Run:
    """The boundary after the first segment changed by one unit in one padded or real cell."""
    padded = {name: tensor.copy() for name, tensor in pad_weights(run.weights[1]).items()}
    name, cell = place
    padded[name][cell] += 1
    committed = commit(run.statement.boundary_packing(), dict(padded))
    boundaries = list(run.boundaries)
    boundaries[1] = BoundaryWeights(padded, committed)
    return h.chain(run.statement, boundaries, list(run.weights), list(run.tensors))


PLACES = [
    ("fc2.weight", (1, 2)),
    ("fc2.bias", (0,)),
    ("fc1.weight", (6, 1)),
    ("fc1.weight", (1, 5)),
    ("fc1.bias", (7,)),
    ("fc3.weight", (0, 3)),
]
"""Two real cells, then padded rows, columns and units."""


@pytest.mark.parametrize("place", PLACES)
def test_boundary_weights_changed(place: tuple[str, tuple[int, ...]]) -> None:
    """A segment ends in a commitment to other weights than its steps lead to."""
    assert h.honest_is_accepted("cross_entropy", FIRST)
    run = _with_boundary(h.honest("cross_entropy"), place)
    h.refuse_by_one_check(run, FIRST, h.prove(run, FIRST)[0], SumcheckMismatch, h.WEIGHTS)


@pytest.mark.parametrize("place", PLACES[:2])
def test_segment_starts_from_changed_boundary_weights(place: tuple[str, tuple[int, ...]]) -> None:
    """The next segment's steps are those from the true weights."""
    assert h.honest_is_accepted("cross_entropy", MIDDLE)
    run = _with_boundary(h.honest("cross_entropy"), place)
    h.refuse(run, MIDDLE, h.prove(run, MIDDLE)[0], SumcheckMismatch, "the product ")


def test_segment_starts_from_another_commitment_than_the_chain_names() -> None:
    """The header names the true boundary, the prover opens a changed one."""
    assert h.honest_is_accepted("cross_entropy", MIDDLE)
    run = h.honest("cross_entropy")
    forged = _with_boundary(run, PLACES[0])
    proof, _ = h.prove(run, MIDDLE, start=forged.boundaries[1])
    with pytest.raises((SumcheckMismatch, CommitmentMismatch)):
        h.accept(run, MIDDLE, proof)
    with h.without(h.AFFINE, h.TRANSPOSED, h.WEIGHTS), pytest.raises(CommitmentMismatch):
        h.accept(run, MIDDLE, proof)


@pytest.mark.parametrize(("number", "side"), [(FIRST, "end"), (MIDDLE, "start")])
def test_boundary_replaced_in_a_chain_that_holds(number: int, side: str) -> None:
    """Both segments name another boundary and are proved with that name, with the true weights."""
    run = h.honest("mse")
    headers = list(run.headers)
    headers[0] = replace(headers[0], end=bytes(range(32)))
    headers[1] = replace(headers[1], start=headers[0].end, previous=headers[0].digest)
    headers[2] = replace(headers[2], previous=headers[1].digest)
    check_chain(run.statement, headers)
    assert getattr(headers[number], side) == bytes(range(32))
    forged = replace(run, headers=tuple(headers))
    proof, _ = h.prove(forged, number)
    h.refuse_by_one_check(forged, number, proof, CommitmentMismatch, h.MERKLE)


def test_segment_starts_from_other_weights_than_the_last_one_ended_in() -> None:
    """Two segments, each right in itself, do not share their boundary."""
    run = h.honest("cross_entropy")
    forged = _with_boundary(run, PLACES[0])
    check_chain(run.statement, list(run.headers))
    headers = list(run.headers)
    headers[1] = replace(headers[1], start=forged.headers[1].start)
    headers[2] = replace(headers[2], previous=headers[1].digest)
    with pytest.raises(ChainBroken, match="starts at other weights"):
        check_chain(run.statement, headers)
