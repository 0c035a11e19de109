"""Datasets that are none: values that are no bytes, labels that are not one-hot, filled padding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import harness as h
import numpy as np
import pytest
from numpy.typing import NDArray
from patched import everywhere

from zktrain.arguments import lookup
from zktrain.commitment.packing import Claim, claim_on
from zktrain.dataset import commitment as data
from zktrain.dataset.commitment import DatasetHeader
from zktrain.errors import (
    CommitmentMismatch,
    LookupMismatch,
    MalformedProof,
    OpeningMismatch,
    Rejected,
    ZktrainError,
)
from zktrain.field import multilinear as ml
from zktrain.field.extension import HALF, Point
from zktrain.protocol import certificate as certificates
from zktrain.protocol.certificate import verify_certificate
from zktrain.prover.commitment.commit import commit
from zktrain.prover.dataset import commitment as prover_data
from zktrain.prover.dataset.commitment import CommittedDataset
from zktrain.prover.protocol.certificate import certify
from zktrain.tables import TABLES

Columns = NDArray[np.int64]
Edit = Callable[[Columns, Columns], None]


def _forge(edit: Edit) -> CommittedDataset:
    """Commit to changed columns, with multiplicities as if every value were the nearest byte."""
    honest = h.dataset()
    columns = {name: column.astype(np.int64) for name, column in honest.columns.items()}
    edit(columns["inputs"], columns["labels"])
    table = TABLES["byte"]
    counts = np.zeros(512, dtype=np.int64)
    for values in prover_data.lookup_values(honest.header, columns):  # type: ignore[arg-type]
        rows, _ = table.row(list(values.columns))
        counts += np.bincount(np.clip(rows.astype(np.int64), 0, 511), None, 512)
    committed = commit(honest.header.packing(), {**columns, data.MULTIPLICITY: counts})
    header = replace(honest.header, merkle_root=committed.root)
    return CommittedDataset(header, columns, committed)  # type: ignore[arg-type]


@cache
def _honest_is_accepted() -> bool:
    same = _forge(lambda inputs, labels: None)
    assert same.header == h.dataset().header
    verify_certificate(same.header, certify(same))
    return True


def _refuse(edit: Edit, error: type[ZktrainError], message: str) -> None:
    assert _honest_is_accepted()
    forged = _forge(edit)
    with pytest.raises(error, match=message) as caught:
        verify_certificate(forged.header, certify(forged))
    assert type(caught.value) is error


def _set(source: int, place: tuple[int, int], value: int) -> Edit:
    def edit(*columns: Columns) -> None:
        columns[source][place] = value

    return edit


@pytest.mark.parametrize("value", [256, 300, -1, 1 << 40])
def test_input_that_is_no_byte(value: int) -> None:
    """A pixel out of range."""
    _refuse(_set(0, (2, 5), value), LookupMismatch, h.ROOT_SUM.message)


@pytest.mark.parametrize("value", [-1, 256])
def test_label_that_is_no_byte(value: int) -> None:
    """A label out of range."""
    _refuse(_set(1, (1, 5), value), LookupMismatch, h.ROOT_SUM.message)


PADDING = {
    "record of the inputs": (0, (1, h.RECORDS)),
    "record of the labels": (1, (1, h.RECORDS + 2)),
    "feature": (0, (h.WIDTHS[0], 3)),
    "class": (1, (h.WIDTHS[-1], 3)),
}


@pytest.mark.parametrize("place", PADDING)
def test_padding_filled(place: str) -> None:
    """A record, feature or class beyond the stated number."""
    _refuse(_set(*PADDING[place], 1), LookupMismatch, h.ROOT_SUM.message)


def _two_ones(_: Columns, labels: Columns) -> None:
    labels[:3, 4] = 1


def _no_label(_: Columns, labels: Columns) -> None:
    labels[:3, 4] = 0


def _two_instead_of_one(_: Columns, labels: Columns) -> None:
    labels[:3, 4] *= 2


def _label_moved_to_another_record(_: Columns, labels: Columns) -> None:
    """The sum over all records is right."""
    _two_ones(_, labels)
    labels[int(labels[:3, 5].argmax()), 5] = 0
    labels[0, 4] = 0


@pytest.mark.parametrize(
    "edit", [_two_ones, _no_label, _two_instead_of_one, _label_moved_to_another_record]
)
def test_labels_that_are_not_one_hot(edit: Edit) -> None:
    """Labels of bytes whose sum over the classes is not 1 in some record."""
    _refuse(edit, OpeningMismatch, h.OPENING.message)
    forged = _forge(edit)

    def true_sum(header: DatasetHeader, record: Point) -> Claim:
        point = record + (HALF,) * header.log_classes
        labels = np.ascontiguousarray(forged.columns["labels"])
        value = ml.evaluate_integers(labels.reshape(-1), point)
        return claim_on(0, "labels", point, value)

    with everywhere(certificates, "label_sums", true_sum):  # the relation is dropped
        verify_certificate(forged.header, certify(forged))


def test_labels_with_a_negative_part() -> None:
    """``(1, 1, -1)`` adds up to 1."""

    def edit(_: Columns, labels: Columns) -> None:
        labels[:3, 4] = (1, 1, -1)

    _refuse(edit, LookupMismatch, h.ROOT_SUM.message)


@pytest.mark.parametrize("rows", [(3, 4), (255, 256), (300, 511)])
def test_multiplicities_moved_between_rows(rows: tuple[int, int]) -> None:
    """One more at one row, one less at another; rows of one value may share their count."""
    assert _honest_is_accepted()
    honest = h.dataset()
    counts = honest.committed.tensors[data.MULTIPLICITY][:512].copy()
    counts[rows[0]] += 1
    counts[rows[1]] -= 1
    committed = commit(honest.header.packing(), {**honest.columns, data.MULTIPLICITY: counts})
    header = replace(honest.header, merkle_root=committed.root)
    forged = CommittedDataset(header, honest.columns, committed)
    if min(rows) >= 256:  # the table has the row (0, 0) many times
        verify_certificate(header, certify(forged))
        return
    with pytest.raises(LookupMismatch):
        verify_certificate(header, certify(forged))


@pytest.mark.parametrize(
    "change",
    [
        {"records": 10},
        {"records": 12},
        {"features": 5},
        {"features": 7},
        {"classes": 2},
        {"classes": 4},
    ],
    ids=str,
)
def test_header_with_other_sizes(change: dict[str, int]) -> None:
    """The same commitment described as more or fewer records, features or classes."""
    assert _honest_is_accepted()
    honest = h.dataset()
    header = replace(honest.header, **change)
    assert header.root != honest.header.root
    with pytest.raises((Rejected, MalformedProof)):
        verify_certificate(header, certify(honest))
    with pytest.raises((Rejected, MalformedProof)):
        verify_certificate(header, certify(replace(honest, header=header)))


def test_certificate_of_another_dataset() -> None:
    """A good certificate beside another commitment."""
    assert _honest_is_accepted()
    other = _forge(_set(0, (0, 0), 77))
    verify_certificate(other.header, certify(other))
    with pytest.raises(Rejected):
        verify_certificate(other.header, certify(h.dataset()))
    with pytest.raises((CommitmentMismatch, Rejected)):
        verify_certificate(h.dataset().header, certify(other))


def test_the_byte_table_is_what_it_says() -> None:
    """256 bytes marked real, and zeros that are not."""
    value, real = (np.asarray(column, dtype=np.int64) for column in TABLES["byte"].columns())
    assert np.array_equal(value[real == 1], np.arange(256))
    assert not value[real == 0].any() and set(real) == {0, 1}
    assert lookup.multiplicity("byte") == data.MULTIPLICITY
