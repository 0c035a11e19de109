"""Dataset commitments: strict headers, honest certificates, owners who cheat."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from zktrain.arguments import lookup
from zktrain.dataset.commitment import DatasetHeader
from zktrain.dataset.readers import Records
from zktrain.dataset.scaling import Scaling
from zktrain.errors import (
    InputError,
    LookupMismatch,
    MalformedProof,
    OpeningMismatch,
    Rejected,
    ZktrainError,
)
from zktrain.protocol.certificate import verify_certificate, work_bits
from zktrain.prover.arguments import lookup as prover_lookup
from zktrain.prover.dataset.commitment import CommittedDataset, commit_columns, commit_records
from zktrain.prover.protocol.certificate import certify
from zktrain.tables import TABLES

HEADER = DatasetHeader(100, 17, 3, bytes(range(32)))


def fields(**changes: Any) -> bytes:
    """The canonical JSON of ``HEADER`` with other values; ``None`` leaves a field out."""
    document = {
        "classes": 3,
        "features": 17,
        "format": "zktrain-dataset-1",
        "high": "406fe00000000000",
        "low": "0000000000000000",
        "merkle_root": bytes(range(32)).hex(),
        "records": 100,
    }
    document.update(changes)
    kept = {key: value for key, value in document.items() if value is not None}
    return json.dumps(kept, sort_keys=True, separators=(",", ":")).encode()


def test_header_text() -> None:
    assert HEADER.to_json() == fields()
    assert DatasetHeader.from_json(fields()) == HEADER
    root = hashlib.sha256(b"zktrain dataset root v1\0" + fields()).digest()
    assert HEADER.root == root


MALFORMED: dict[str, bytes] = {
    "empty": b"",
    "no JSON": b"records",
    "no object": b"[100,17,3]",
    "a number": b"7",
    "null": b"null",
    "text": b'"zktrain-dataset-1"',
    "no UTF-8": b"\xff\xfe{}",
    "UTF-16": fields().decode().encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf" + fields(),
    "deep nesting": b"[" * 4000,
    "spaces": json.dumps(json.loads(fields()), sort_keys=True).encode(),
    "newline at the end": fields() + b"\n",
    "trailing bytes": fields() + b"{}",
    "another order": json.dumps(
        dict(reversed(json.loads(fields()).items())), separators=(",", ":")
    ).encode(),
    "a field twice": fields().replace(b'"records":100', b'"records":100,"records":100'),
    "two values of a field": fields().replace(b'"records":100', b'"records":7,"records":100'),
    "a field more": fields(note="x"),
    "another format": fields(format="zktrain-dataset-4"),
    "escaped text": fields().replace(b"zktrain-dataset", b"zktrain\\u002ddataset"),
    "too long": fields(note="x" * 5000),
    "upper case root": fields(merkle_root=bytes(range(32)).hex().upper()),
    "short root": fields(merkle_root="00" * 31),
    "long root": fields(merkle_root="00" * 33),
    "spaced root": fields(merkle_root=" " + bytes(range(32)).hex()),
    "no hexadecimal root": fields(merkle_root="zz" * 32),
    "surrogate root": fields(merkle_root="\ud800" * 64),
    "root a number": fields(merkle_root=0),
    "root a list": fields(merkle_root=["00" * 32]),
    "negative zero": fields().replace(b'"records":100', b'"records":-0'),
    "exponent": fields().replace(b'"records":100', b'"records":1e2'),
    "leading zero": fields().replace(b'"records":100', b'"records":0100'),
    "plus sign": fields().replace(b'"records":100', b'"records":+100'),
    "infinite": fields().replace(b'"records":100', b'"records":Infinity'),
    "4000 digits": fields().replace(b'"records":100', b'"records":1' + b"0" * 3900),
    "records beyond 2^24": fields(records=(1 << 24) + 1),
    "features beyond 2^16": fields(features=(1 << 16) + 1),
    "classes beyond 2^14": fields(classes=(1 << 14) + 1),
    "2^31 input cells": fields(records=1 << 24, features=65),
    "2^31 label cells": fields(records=1 << 24, classes=65),
    "infinite high": fields(high="7ff0000000000000"),
    "high no number": fields(high="7ff8000000000000"),
    "low no number": fields(low="7ff8000000000000"),
    "a span beyond float64": fields(low="ffe0000000000000", high="7fe0000000000000"),
    "low above high": fields(low="4070000000000000"),
    "low as high": fields(low="406fe00000000000"),
    "the other zero": fields(low="8000000000000000"),
    "upper case range": fields(high="406FE00000000000"),
    "spaces in the range": fields(high="406fe00000000 00"),
    "a short range": fields(high="406fe0000000000"),
    "a long range": fields(high="406fe000000000000"),
    "no hexadecimal range": fields(high="zz6fe00000000000"),
    "a surrogate": fields(high="\ud800" * 16),
    "range a number": fields(high=255),
    "range a float": fields(high=255.0),
    "range a list": fields(high=["406fe00000000000"]),
}
for _size in ("records", "features", "classes"):
    MALFORMED |= {
        f"no {_size}": fields(**{_size: None}),
        f"{_size} 0": fields(**{_size: 0}),
        f"{_size} negative": fields(**{_size: -1}),
        f"{_size} true": fields(**{_size: True}),
        f"{_size} a float": fields(**{_size: 3.0}),
        f"{_size} text": fields(**{_size: "3"}),
        f"{_size} a list": fields(**{_size: [3]}),
        f"{_size} huge": fields(**{_size: 1 << 70}),
    }
for _key in ("format", "merkle_root", "low", "high"):
    MALFORMED[f"no {_key}"] = fields(**{_key: None})


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_headers(name: str) -> None:
    with pytest.raises(MalformedProof):
        DatasetHeader.from_json(MALFORMED[name])


@pytest.mark.parametrize(
    ("records", "features", "classes"),
    [(1, 1, 1), (1 << 24, 64, 64), (1 << 14, 1 << 16, 1 << 14), (1 << 16, 1 << 14, 2)],
)
def test_headers_at_the_limits(records: int, features: int, classes: int) -> None:
    text = fields(records=records, features=features, classes=classes)
    assert DatasetHeader.from_json(text).to_json() == text


@pytest.mark.parametrize(
    "changed",
    [
        {"records": 5},
        {"features": 5},
        {"classes": 5},
        {"merkle_root": bytes(32)},
        {"scaling": Scaling(0, 256)},
        {"scaling": Scaling(-5e-324, 255)},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_roots_bind_every_field(changed: dict[str, Any]) -> None:
    header = replace(HEADER, **changed)
    assert header.root != HEADER.root
    assert DatasetHeader.from_json(header.to_json()) == header


def records_of(count: int, features: int, classes: int, seed: int = 0) -> Records:
    rng = np.random.default_rng(seed)
    inputs = rng.integers(0, 256, size=(count, features)).astype(np.uint8)
    labels = rng.integers(0, classes, size=count).astype(np.uint8)
    return Records(inputs, labels, classes, "test")


def test_the_same_records_give_the_same_root() -> None:
    first = commit_records(records_of(20, 7, 3))
    assert commit_records(records_of(20, 7, 3)).header == first.header
    assert certify(commit_records(records_of(20, 7, 3))) == certify(first)


def test_every_change_of_the_records_changes_the_root() -> None:
    records = records_of(20, 7, 3)
    roots = {commit_records(records).header.root}
    for at in ((0, 0), (19, 6)):
        inputs = records.inputs.copy()
        inputs[at] ^= 1
        roots.add(commit_records(replace(records, inputs=inputs)).header.root)
    labels = records.labels.copy()
    labels[19] = (labels[19] + 1) % 3
    roots.add(commit_records(replace(records, labels=labels)).header.root)
    order = np.arange(20)[::-1]
    swapped = replace(records, inputs=records.inputs[order].copy(), labels=records.labels[order])
    roots.add(commit_records(swapped).header.root)
    roots.add(commit_records(replace(records, classes=4)).header.root)
    assert len(roots) == 6


@pytest.mark.parametrize(
    ("count", "features", "classes"),
    [(1, 1, 1), (1, 3, 2), (1, 1, 5), (2, 1, 1), (5, 3, 3), (64, 16, 8), (100, 17, 3), (33, 1, 10),
     (1000, 3, 10), (900, 65, 10), (1, 300, 1)],
)  # fmt: skip
def test_certificates_of_honest_owners(count: int, features: int, classes: int) -> None:
    dataset = commit_records(records_of(count, features, classes))
    header = DatasetHeader.from_json(dataset.header.to_json())
    assert (header.records, header.features, header.classes) == (count, features, classes)
    proof = certify(dataset)
    verify_certificate(header, proof)
    with pytest.raises(ZktrainError):
        verify_certificate(replace(header, merkle_root=bytes(32)), proof)


def test_columns_hold_the_records() -> None:
    records = records_of(5, 3, 3)
    dataset = commit_records(records)
    inputs, labels = dataset.columns["inputs"], dataset.columns["labels"]
    assert labels.shape == (4, 8)
    assert inputs[:3, :5].T.tolist() == records.inputs.tolist()
    assert not inputs[3:].any() and not inputs[:, 5:].any()
    one_hot = [[int(j == label) for j in range(4)] for label in records.labels.tolist()]
    assert labels[:, :5].T.tolist() == one_hot and not labels[:, 5:].any()


def test_extreme_records() -> None:
    for value in (0, 255):
        inputs = np.full((9, 5), value, dtype=np.uint8)
        records = Records(inputs, np.full(9, 2, dtype=np.uint8), 3, "test")
        dataset = commit_records(records)
        verify_certificate(dataset.header, certify(dataset))


def test_too_many_cells_cannot_be_committed() -> None:
    wide = np.lib.stride_tricks.as_strided(np.zeros(1, np.uint8), (1, 65537), (0, 0))
    with pytest.raises(InputError, match="more than a commitment holds"):
        commit_records(Records(wide, np.zeros(1, np.uint8), 1, "test"))
    tall = np.lib.stride_tricks.as_strided(np.zeros(1, np.uint8), (1 << 22, 300), (0, 0))
    with pytest.raises(InputError, match="more than a commitment holds"):
        commit_records(Records(tall, np.zeros(1 << 22, np.uint8), 1, "test"))


# cheating owners: columns by hand, multiplicities clipped into the table

SIZES = (900, 65, 10)
PADDED = 1024


def clipped_counts(
    entries: Sequence[lookup.Entry], values: Sequence[prover_lookup.Values]
) -> dict[str, np.ndarray]:
    """What an owner whose values are in no row can best commit to."""
    counts = np.zeros(1 << TABLES["byte"].log_size, dtype=np.int64)
    for value in values:
        rows, shift = TABLES["byte"].row(list(value.columns))
        np.add.at(counts, np.clip(rows.astype(np.int64) + shift, 0, counts.shape[0] - 1), 1)
    return {"multiplicity.byte": counts}


def columns(sizes: tuple[int, int, int] = SIZES) -> tuple[DatasetHeader, np.ndarray, np.ndarray]:
    """Blank header and honest columns, wide enough for wrong values."""
    dataset = commit_records(records_of(*sizes))
    header = replace(dataset.header, merkle_root=bytes(32))
    inputs, labels = (dataset.columns[name].astype(np.int16) for name in ("inputs", "labels"))
    return header, inputs, labels


def refused(
    header: DatasetHeader, inputs: np.ndarray, labels: np.ndarray, error: type[ZktrainError]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prover_lookup, "count_lookups", clipped_counts)
        dataset: CommittedDataset = commit_columns(header, {"inputs": inputs, "labels": labels})
    proof = certify(dataset)
    with pytest.raises(error):
        verify_certificate(dataset.header, proof)


def test_honest_columns_by_hand_are_accepted() -> None:
    header, inputs, labels = columns()
    assert inputs.shape == (80, PADDED) and labels.shape == (16, PADDED)
    dataset = commit_columns(header, {"inputs": inputs, "labels": labels})
    verify_certificate(dataset.header, certify(dataset))
    assert dataset.header.root == commit_records(records_of(*SIZES)).header.root


def test_label_with_two_ones() -> None:
    header, inputs, labels = columns()
    labels[:10, 37] = 0
    labels[[3, 5], 37] = 1
    refused(header, inputs, labels, OpeningMismatch)


def test_record_without_label() -> None:
    header, inputs, labels = columns()
    labels[:, 899] = 0
    refused(header, inputs, labels, OpeningMismatch)


def test_label_of_two() -> None:
    header, inputs, labels = columns()
    labels[:, 0] *= 2
    refused(header, inputs, labels, OpeningMismatch)


def test_two_records_with_labels_that_cancel() -> None:
    """One record has none, its neighbour two: the sum over all records is right."""
    header, inputs, labels = columns()
    labels[:, 4:6] = 0
    labels[[1, 2], 5] = 1
    refused(header, inputs, labels, OpeningMismatch)


def test_label_of_minus_one_in_a_sum_of_one() -> None:
    header, inputs, labels = columns()
    labels[:, 7] = 0
    labels[[0, 1, 2], 7] = 1, 1, -1
    refused(header, inputs, labels, LookupMismatch)


def test_label_in_a_padded_class() -> None:
    header, inputs, labels = columns()
    labels[:, 11] = 0
    labels[12, 11] = 1
    refused(header, inputs, labels, LookupMismatch)


def test_label_of_a_padded_record() -> None:
    header, inputs, labels = columns()
    labels[2, 900] = 1
    refused(header, inputs, labels, LookupMismatch)


@pytest.mark.parametrize("value", [256, 257, 511, 512, 32767, -1, -256])
def test_pixel_that_is_no_byte(value: int) -> None:
    header, inputs, labels = columns()
    inputs[64, 500] = value
    refused(header, inputs, labels, LookupMismatch)


@pytest.mark.parametrize("at", [(0, 900), (64, 1023), (3, 1000)])
def test_filled_padding_row(at: tuple[int, int]) -> None:
    header, inputs, labels = columns()
    inputs[at] = 1
    refused(header, inputs, labels, LookupMismatch)


@pytest.mark.parametrize("at", [(65, 0), (67, 899), (66, 1023)])
def test_filled_padding_column_in_a_committed_lane(at: tuple[int, int]) -> None:
    header, inputs, labels = columns()
    inputs[at] = 1
    refused(header, inputs, labels, LookupMismatch)


@pytest.mark.parametrize("sizes", [(1, 1, 1), (3, 5, 1), (5, 3, 3)])
def test_cheating_with_few_records(sizes: tuple[int, int, int]) -> None:
    header, inputs, labels = columns(sizes)
    inputs[0, 0] = 256
    refused(header, inputs, labels, LookupMismatch)
    header, inputs, labels = columns(sizes)
    labels[:, 0] = 0
    refused(header, inputs, labels, OpeningMismatch)
    header, inputs, labels = columns(sizes)
    labels[0, 0] = 2
    refused(header, inputs, labels, OpeningMismatch)


@pytest.fixture(scope="module")
def certified() -> tuple[DatasetHeader, bytes]:
    dataset = commit_records(records_of(100, 17, 3))
    return dataset.header, certify(dataset)


def test_certificate_of_other_sizes(certified: tuple[DatasetHeader, bytes]) -> None:
    header, proof = certified
    for size, values in (("records", (99, 101, 128)), ("features", (16, 18)), ("classes", (2, 4))):
        for value in values:
            with pytest.raises(ZktrainError):
                verify_certificate(replace(header, **{size: value}), proof)


def test_certificate_of_another_dataset(certified: tuple[DatasetHeader, bytes]) -> None:
    _, proof = certified
    other = commit_records(records_of(100, 17, 3, seed=1))
    with pytest.raises(Rejected):
        verify_certificate(other.header, proof)


def test_truncated_and_extended_certificates(certified: tuple[DatasetHeader, bytes]) -> None:
    header, proof = certified
    for keep in (0, 7, len(proof) // 3, len(proof) - 1):
        with pytest.raises(MalformedProof):
            verify_certificate(header, proof[:keep])
    with pytest.raises(MalformedProof):
        verify_certificate(header, proof + b"\0")


def test_certificate_without_its_work(certified: tuple[DatasetHeader, bytes]) -> None:
    header, proof = certified
    assert work_bits(header) > 0
    nonce = int.from_bytes(proof[:8], "little")
    for other in (nonce + 1, nonce + 2):
        with pytest.raises(ZktrainError):
            verify_certificate(header, other.to_bytes(8, "little") + proof[8:])


def test_more_classes_than_a_header_states_are_refused_at_once() -> None:
    """Committing does not write what no verifier reads."""
    records = Records(np.zeros((1, 1), np.uint8), np.zeros(1, np.uint16), 20000, "x")
    with pytest.raises(InputError, match="20000 classes"):
        commit_records(records)
