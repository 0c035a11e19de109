"""Malicious provers of an evaluation: wrong predictions, wrong counts, padding, other records and
weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import evaluation_harness as e
import harness as h
import numpy as np
import pytest
from evaluation_harness import FIXED, MAP, RECORDS, TALLY, WIDTHS, Counts, Tensors

from zktrain.errors import (
    HiddenMismatch,
    LookupMismatch,
    MalformedProof,
    OpeningMismatch,
    Rejected,
    SumcheckMismatch,
)
from zktrain.protocol import proof as proofs

CLASSES = WIDTHS[-1]
HIDING = pytest.mark.parametrize("hiding", [False, True], ids=["clear", "hiding"])


def test_the_honest_prover_is_accepted() -> None:
    """In clear, hiding, and with negative logits."""
    for claim in (e.statement(), e.statement(hiding=True), e.statement(negative=True)):
        assert claim.statement.problem() is None
        h.accept(claim, e.prove(claim))
    assert e.tensors(claim)["z2"][0, :RECORDS, :CLASSES].max() < 0


def _refuse(
    edit: Callable[[Tensors], None],
    error: type[Exception],
    message: str,
    *,
    hiding: bool = False,
    negative: bool = False,
    counts: Callable[[Counts], Counts] = lambda found: found,
) -> None:
    """Edited tensors, with the counts that follow from them (changed by ``counts``), are
    refused."""
    arrays = e.tensors(e.statement(hiding=hiding, negative=negative))
    edit(arrays)
    claim = e.statement(counts(e.counts_of(arrays)), hiding=hiding, negative=negative)
    proof = e.prove(claim, arrays)
    if hiding:
        error, message = HiddenMismatch, "."
    h.refuse(claim, proof, error, message)  # type: ignore[arg-type]


def _record(wanted: Callable[[np.ndarray], bool]) -> int:
    """A record whose logits are such."""
    z = e.tensors(e.statement())["z2"][0, :RECORDS, :CLASSES]
    return next(n for n in range(RECORDS) if wanted(z[n]))


def _predict(arrays: Tensors, record: int, winner: int) -> None:
    arrays["h"][0, record] = 0
    arrays["h"][0, record, winner] = 1


@HIDING
def test_prediction_that_is_not_the_largest(*, hiding: bool) -> None:
    """Class 0 is chosen although class 1 is larger, and the other way round."""
    for winner, wanted in (
        (0, lambda z: z[0] < z[1]),
        (1, lambda z: z[0] > z[1]),
        (2, lambda z: z[0] > z[1]),
    ):
        record = _record(wanted)
        _refuse(
            lambda a, n=record, k=winner: _predict(a, n, k),  # type: ignore[misc]
            LookupMismatch,
            h.ROOT_SUM.message,
            hiding=hiding,
        )


@HIDING
def test_tie_broken_towards_the_later_class(*, hiding: bool) -> None:
    """Classes 1 and 2 are equal and the largest: the second of both is chosen."""
    record = _record(lambda z: z[1] == z[2] > z[0])
    assert e.tensors(e.statement())["h"][0, record, 1] == 1

    def edit(arrays: Tensors) -> None:
        _predict(arrays, record, 2)

    _refuse(edit, LookupMismatch, h.ROOT_SUM.message, hiding=hiding)


def test_both_of_two_equal_classes() -> None:
    """The record counts twice."""
    record = _record(lambda z: z[1] == z[2] > z[0])

    def edit(arrays: Tensors) -> None:
        arrays["h"][0, record, 2] = 1

    _refuse(edit, LookupMismatch, h.ROOT_SUM.message)


@pytest.mark.parametrize("value", [2, -1, 1 << 20])
def test_prediction_that_is_no_bit(value: int) -> None:
    """A record votes several times, or against a class."""

    def edit(arrays: Tensors) -> None:
        arrays["h"][0, 3, int(arrays["h"][0, 3].argmax())] = value

    _refuse(edit, LookupMismatch, h.ROOT_SUM.message)


@HIDING
def test_record_without_a_prediction(*, hiding: bool) -> None:
    """Where all logits are negative, no class at all passes the table; the sum of the predictions
    does not."""

    def edit(arrays: Tensors) -> None:
        arrays["h"][0, 4] = 0

    _refuse(edit, OpeningMismatch, h.OPENING.message, hiding=hiding, negative=True)


def test_record_without_a_prediction_is_the_sums_to_refuse() -> None:
    """Nothing but the claim that every record has one prediction stands against it: with a graph
    that does not say so the proof is accepted."""
    arrays = e.tensors(e.statement(negative=True))
    arrays["h"][0, 4] = 0
    claim = e.statement(e.counts_of(arrays), negative=True)
    assert claim.statement.problem() is not None
    with e.without_vanish():
        h.accept(claim, e.prove(claim, arrays))


@HIDING
def test_padded_class_wins(*, hiding: bool) -> None:
    """The prediction is a class beyond the last one, so that no published count has the record."""

    def edit(arrays: Tensors) -> None:
        _predict(arrays, 2, CLASSES)

    _refuse(edit, LookupMismatch, h.ROOT_SUM.message, hiding=hiding)


def test_padded_class_wins_beside_the_real_one() -> None:
    """One prediction more, where only a padded count could see it."""

    def edit(arrays: Tensors) -> None:
        arrays["h"][0, 2, CLASSES] = 1

    _refuse(edit, LookupMismatch, h.ROOT_SUM.message)


def test_padded_record_votes() -> None:
    """A record beyond the last one has a prediction, and a label that gives it a count."""

    def vote(arrays: Tensors) -> None:
        arrays["h"][0, RECORDS, 1] = 1

    def vote_labelled(arrays: Tensors) -> None:
        vote(arrays)
        arrays["y"][0, RECORDS, 1] = 1

    for edit in (vote, vote_labelled):
        _refuse(edit, LookupMismatch, h.ROOT_SUM.message)


@cache
def _committed() -> tuple[str, ...]:
    return tuple(t.name for t in e.statement().statement.graph.tensors if t.committed)


@pytest.mark.parametrize("name", _committed())
def test_every_padded_cell_is_forced(name: str) -> None:
    """A 1 in a padded record, and in a padded unit of a real record, wherever there is one."""
    claim = e.statement()
    width = claim.statement.graph.tensor(name).width
    arrays = e.tensors(claim)
    places = [(0, RECORDS, 0), (0, e.PADDED - 1, width - 1)]
    places += [(0, 0, width)] if width < arrays[name].shape[2] else []
    for place in places:
        changed = {key: tensor.copy() for key, tensor in arrays.items()}
        changed[name][place] = 1
        proof = e.prove(claim, changed)
        with pytest.raises((LookupMismatch, SumcheckMismatch, OpeningMismatch)):
            h.accept(claim, proof)


@HIDING
def test_wrong_answer_counted_as_right(*, hiding: bool) -> None:
    """The published counts differ from those of the proven predictions in one record."""
    true = e.true_counts()
    label, guess = next((i, k) for i, k in np.ndindex(true.shape) if i != k and true[i, k])
    forged = true.copy()
    forged[label, guess] -= 1
    forged[label, label] += 1
    claim = e.statement(forged, hiding=hiding)
    assert claim.statement.problem() is None
    proof = e.prove(claim)
    if hiding:
        h.refuse(claim, proof, HiddenMismatch)
    else:
        h.refuse_by_one_check(claim, proof, SumcheckMismatch, TALLY)


def test_counts_transposed() -> None:
    """Label and prediction are not to be exchanged."""
    true = e.true_counts()
    assert not np.array_equal(true, true.T)
    claim = e.statement(true.T.copy())
    h.refuse_by_one_check(claim, e.prove(claim), SumcheckMismatch, TALLY)


@pytest.mark.parametrize(("record", "other"), [(0, 1), (10, 9), (4, 7)])
def test_record_left_out_for_another_one(record: int, other: int) -> None:
    """One record is not evaluated and another one twice: counted as such, with its data."""
    honest = e.statement()
    data = e.records()
    assert not np.array_equal(data.inputs[record], data.inputs[other])
    arrays = e.tensors(honest)
    for name in arrays:
        arrays[name][0, record] = arrays[name][0, other]
    claim = e.statement(e.counts_of(arrays))

    def lie(order: np.ndarray) -> np.ndarray:
        changed = order.copy()
        changed[0, record] = other
        return changed

    proof = e.prove(claim, arrays, order=lie)
    h.refuse(claim, proof, SumcheckMismatch, h.BATCHES.message)


def test_labels_of_the_provers_choice() -> None:
    """Every label is said to be the prediction."""
    honest = e.statement()
    arrays = e.tensors(honest)
    arrays["y"][0, :RECORDS] = arrays["h"][0, :RECORDS]
    claim = e.statement(e.counts_of(arrays))
    assert claim.statement.task.accuracy == 1.0 and claim.statement.problem() is None
    h.refuse_by_one_check(claim, e.prove(claim, arrays), SumcheckMismatch, h.BATCHES)


@HIDING
def test_other_records(*, hiding: bool) -> None:
    """The labels that the prover shows are not the committed ones."""
    honest = e.statement(hiding=hiding)
    arrays = e.tensors(honest)
    arrays["y"][0, :RECORDS] = arrays["h"][0, :RECORDS]
    claim = e.statement(e.counts_of(arrays), hiding=hiding)
    columns = {name: column.copy() for name, column in e.dataset(hiding=hiding).columns.items()}
    columns["labels"][:CLASSES, :RECORDS] = arrays["h"][0, :RECORDS, :CLASSES].T
    data = replace(claim.data, columns=columns)
    proof = e.prove(claim, arrays, data=data)
    if hiding:
        h.refuse(claim, proof, HiddenMismatch)
    else:
        h.refuse_by_one_check(claim, proof, OpeningMismatch, h.OPENING)


@HIDING
def test_other_weights(*, hiding: bool) -> None:
    """The network that is evaluated is not that of the published file."""
    other = {name: tensor.copy() for name, tensor in e.weights().items()}
    other["fc2.bias"] += np.array([e.UNIT, 0, 0])
    with e.evaluated_with(other):
        false = e.statement(hiding=hiding)
    arrays = e.tensors(false)
    claim = e.statement(e.counts_of(arrays), hiding=hiding)
    proof = e.prove(claim, arrays, public=false.public)
    if hiding:
        h.refuse(claim, proof, HiddenMismatch)
    else:
        h.refuse_by_one_check(claim, proof, SumcheckMismatch, FIXED)


@pytest.mark.parametrize("name", ["fc1.weight", "fc1.bias", "fc2.weight"])
def test_other_weights_anywhere(name: str) -> None:
    """One parameter differs by its least unit, which changes no logit."""
    other = {key: tensor.copy() for key, tensor in e.weights().items()}
    other[name].reshape(-1)[1] += 1
    claim = e.statement()
    with e.evaluated_with(other):
        false = e.statement()
    arrays = e.tensors(false)
    assert np.array_equal(arrays["z2"], e.tensors(claim)["z2"])
    proof = e.prove(claim, arrays, public=false.public)
    h.refuse_by_one_check(claim, proof, SumcheckMismatch, FIXED)


@pytest.mark.parametrize("name", ["d", "top", "hz"])
def test_distances_that_the_table_likes(name: str) -> None:
    """A wrong class is chosen, with a distance of 0 where the true one is negative, or with the
    largest logit for that of the chosen class."""
    record = _record(lambda z: z[0] > z[1])
    honest = e.statement()
    arrays = e.tensors(honest)
    _predict(arrays, record, 1)
    z, chosen = arrays["z2"], arrays["h"]
    top = (chosen * z).sum(axis=2)
    before = np.cumsum(chosen, axis=2) - chosen
    real = np.zeros_like(z)
    real[0, :RECORDS, :CLASSES] = 1
    d = real * (top[..., None] - z - 1 + before) + chosen
    assert d[0, record, 0] < 0
    if name == "d":
        d[0, record, 0] = 0
        arrays["d"] = d
    elif name == "top":
        arrays["top"] = top.copy()
        arrays["top"][0, record] = z[0, record, 0] + 1
    else:
        arrays["hz"] = chosen * z
        arrays["hz"][0, record, 1] = z[0, record, 0] + 1
    claim = e.statement(e.counts_of(arrays))
    proof = e.prove(claim, arrays)
    if name == "d":
        h.refuse_by_one_check(claim, proof, SumcheckMismatch, MAP)
    else:
        h.refuse(claim, proof, LookupMismatch, h.ROOT_SUM.message)


def test_activation_moved_within_its_limbs() -> None:
    """A logit raised by one against its remainder."""

    def edit(arrays: Tensors) -> None:
        arrays["z2"][0, 1, 0] += 1

    with pytest.raises((LookupMismatch, SumcheckMismatch, OpeningMismatch)):
        honest = e.statement()
        arrays = e.tensors(honest)
        edit(arrays)
        h.accept(honest, e.prove(honest, arrays))


def test_proof_of_other_counts() -> None:
    """A proof is good for its own statement only."""
    claim = e.statement()
    proof = e.prove(claim)
    h.accept(claim, proof)
    forged = e.true_counts().copy()
    i, k = next(m for m in np.ndindex(forged.shape) if forged[m])
    forged[i, k] -= 1
    forged[i, (k + 1) % CLASSES] += 1
    with pytest.raises((SumcheckMismatch, LookupMismatch, OpeningMismatch)):
        h.accept(e.statement(forged), proof)


@HIDING
def test_every_message_is_bound(*, hiding: bool) -> None:
    """One bit of every message of the proof, and of the last byte of long ones."""
    claim = e.statement(hiding=hiding)
    proof, trace = e.prove(claim), []
    proofs.verify(claim.statement, proof, claim.public, trace=trace)
    sizes = [size for action, _, size in trace if action == "absorb"][2:]
    assert sum(sizes) == len(proof)
    starts = np.cumsum([0, *sizes[:-1]])
    labels = [label for action, label, _ in trace if action == "absorb"][2:]
    places = [
        int(start) for start, label in zip(starts, labels, strict=True) if "path" not in label
    ]
    ends = [int(start + size) - 1 for start, size in zip(starts, sizes, strict=True) if size > 100]
    assert len(places) > 150
    for place in sorted({*places, *ends}):
        forged = bytearray(proof)
        forged[place] ^= 1
        with pytest.raises((MalformedProof, Rejected)):
            h.accept(claim, bytes(forged))
