"""Committing a dataset, and certifying that it is one: inputs in 0..255, labels one-hot, padding
zero.

Columns are stored feature by feature: ``inputs[i, n]`` and ``labels[j, n]`` with the record
``n`` as the fast axis, padded to powers of two; the commitment also holds the byte table's
multiplicities. The root hashes the public header with the Merkle root, so sizes and classes are
bound. What the certificate proves:

* every cell with ``n < N`` and a real column is a byte, every other cell is 0 (lookups in the
``byte`` table,
  ``(v, 1)`` for bytes and ``(0, 0)``, whose second column is the public indicator);
* ``sum_j labels(n, j) = [n < N]`` at a random ``n``: bytes that add up to 1 are one-hot.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .. import soundness
from ..arguments import lookup
from ..arguments.batches import DatasetClaim
from ..challenger import Challenger, Trace
from ..channel import ProverChannel, VerifierChannel
from ..commitment import opening
from ..commitment.commit import Committed, commit
from ..commitment.packing import Claim, Packing, arrange, pack, total_log
from ..commitment.parameters import LANE_LOG_MIN, ROW_LOG
from ..errors import InputError, MalformedProof
from ..field import multilinear as ml
from ..field.extension import HALF, ONE, ZERO, Ext, Point
from ..parameters import parameter_digest
from .readers import Records

FORMAT = "zktrain-dataset-1"
PROTOCOL = "zktrain dataset certificate v1"
MAX_RECORDS = 1 << 24
MAX_CLASSES = 1 << 14
MAX_CELLS_LOG = 30
MULTIPLICITY = lookup.multiplicity("byte")


@dataclass(frozen=True, slots=True)
class DatasetHeader:
    """The public description: sizes and the Merkle root of the commitment."""

    records: int
    features: int
    classes: int
    merkle_root: bytes

    @property
    def log_records(self) -> int:
        return ml.log2_ceil(self.records)

    @property
    def log_features(self) -> int:
        return ml.log2_ceil(self.features)

    @property
    def log_classes(self) -> int:
        return ml.log2_ceil(self.classes)

    def _sizes(self) -> tuple[int, int]:
        return self.log_features + self.log_records, self.log_classes + self.log_records

    @property
    def lane_log(self) -> int:
        inputs, labels = self._sizes()
        total = total_log([("inputs", inputs, 0), ("labels", labels, 0), (MULTIPLICITY, 9, 0)])
        return max(LANE_LOG_MIN, total - ROW_LOG)

    @property
    def covered_features(self) -> int:
        """Input columns that are committed: the real ones, up to a whole lane."""
        whole = max(1, 1 << max(0, self.lane_log - self.log_records))
        return min(1 << self.log_features, -(-self.features // whole) * whole)

    def packing(self) -> Packing:
        inputs, labels = self._sizes()
        return pack(
            [
                ("inputs", inputs, self.covered_features << self.log_records),
                ("labels", labels, 1 << labels),
                (MULTIPLICITY, 9, 512),
            ],
            self.lane_log,
        )

    def to_json(self) -> bytes:
        fields = {
            "format": FORMAT,
            "records": self.records,
            "features": self.features,
            "classes": self.classes,
            "merkle_root": self.merkle_root.hex(),
        }
        return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()

    @staticmethod
    def from_json(data: bytes) -> DatasetHeader:
        """Strict; raises :class:`MalformedProof`."""
        try:
            if len(data) > 4096:
                raise ValueError("too long")
            fields = json.loads(data)
            sizes = (fields["records"], fields["features"], fields["classes"])
            if any(type(n) is not int for n in sizes) or type(fields["merkle_root"]) is not str:
                raise ValueError("wrong type")
            header = DatasetHeader(*sizes, merkle_root=bytes.fromhex(fields["merkle_root"]))
        except (ValueError, KeyError, TypeError, RecursionError):
            raise MalformedProof("the dataset header is not valid", stage="dataset") from None
        limits = (MAX_RECORDS, 1 << 16, MAX_CLASSES)
        if any(not 1 <= n <= top for n, top in zip(sizes, limits, strict=True)):
            raise MalformedProof("the dataset header has a size out of range", stage="dataset")
        if len(header.merkle_root) != 32 or header.to_json() != data:
            raise MalformedProof("the dataset header is not canonical", stage="dataset")
        if max(header._sizes()) > MAX_CELLS_LOG:
            raise MalformedProof("the dataset is too large", stage="dataset")
        return header

    @property
    def root(self) -> bytes:
        """What the world calls the dataset: 32 bytes."""
        return hashlib.sha256(b"zktrain dataset root v1\0" + self.to_json()).digest()


@dataclass(frozen=True, slots=True)
class CommittedDataset:
    """The owner's side: header, integer columns ``(features, 2^log N)`` and ``(2^log classes,
    2^log N)``, code word and tree."""

    header: DatasetHeader
    inputs: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    committed: Committed


def _columns(
    header: DatasetHeader, records: Records
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    padded = 1 << header.log_records
    inputs = np.zeros((header.covered_features, padded), dtype=np.uint8)
    inputs[: header.features, : header.records] = records.inputs.T
    labels = np.zeros((1 << header.log_classes, padded), dtype=np.uint8)
    labels[records.labels.astype(np.int64), np.arange(header.records)] = 1
    return inputs, labels


def commit_records(records: Records) -> CommittedDataset:
    """Deterministic: the same records give the same root everywhere. Raises :class:`InputError`."""
    count, features = records.inputs.shape
    blank = DatasetHeader(count, features, records.classes, bytes(32))
    if records.classes > MAX_CLASSES:
        raise InputError(
            f"{records.source} has {records.classes} classes; a dataset may have {MAX_CLASSES}"
        )
    if count > MAX_RECORDS or features > 1 << 16 or max(blank._sizes()) > MAX_CELLS_LOG:
        raise InputError(
            f"{count} records of {features} inputs are more than a commitment holds; "
            f"commit at most 2^{MAX_CELLS_LOG} padded cells"
        )
    inputs, labels = _columns(blank, records)
    return commit_columns(blank, inputs, labels)


def commit_columns(
    blank: DatasetHeader, inputs: NDArray[np.uint8], labels: NDArray[np.uint8]
) -> CommittedDataset:
    entries, values = _entries(blank), _values(blank, inputs, labels)
    counts = lookup.count_lookups(entries, values)
    committed = commit(blank.packing(), {"inputs": inputs, "labels": labels, **counts})
    header = DatasetHeader(blank.records, blank.features, blank.classes, committed.root)
    return CommittedDataset(header, inputs, labels, committed)


@dataclass(frozen=True, slots=True)
class _Part:
    """Aligned run of ``2^log_rows`` columns of one source, from column ``first`` on."""

    source: str
    first: int
    log_rows: int

    @property
    def name(self) -> str:
        return f"{self.source}[{self.first}:{self.first + (1 << self.log_rows)}]"


def _parts(header: DatasetHeader) -> list[_Part]:
    parts, first = [], 0
    for bit in range(header.covered_features.bit_length() - 1, -1, -1):
        if header.covered_features >> bit & 1:
            parts.append(_Part("inputs", first, bit))
            first += 1 << bit
    parts.append(_Part("labels", 0, header.log_classes))
    return parts


def _indicator(header: DatasetHeader, part: _Part, point: Point) -> Ext:
    width = header.features if part.source == "inputs" else header.classes
    real = max(0, width - part.first)
    columns = point[header.log_records :]
    inside = ml.less_than(columns, real) if real else ZERO
    return inside * ml.less_than(point[: header.log_records], header.records)


def _entries(header: DatasetHeader) -> list[lookup.Entry]:
    return [
        lookup.Entry(
            "byte",
            (part.name,),
            part.log_rows + header.log_records,
            indicator=lambda point, part=part: _indicator(header, part, point),  # type: ignore[misc]
        )
        for part in _parts(header)
    ]


def _values(
    header: DatasetHeader, inputs: NDArray[np.uint8], labels: NDArray[np.uint8]
) -> list[lookup.Values]:
    out = []
    padded = 1 << header.log_records
    for part in _parts(header):
        source = inputs if part.source == "inputs" else labels
        width = header.features if part.source == "inputs" else header.classes
        stop = part.first + (1 << part.log_rows)
        real = np.zeros((1 << part.log_rows, padded), dtype=np.uint8)
        real[: max(0, width - part.first), : header.records] = 1
        out.append(lookup.Values((source[part.first : stop].reshape(-1), real.reshape(-1))))
    return out


def _locate(header: DatasetHeader, claims: list[lookup.ColumnClaim]) -> list[Claim]:
    """Claims on parts as claims on whole sources."""
    parts = {part.name: part for part in _parts(header)}
    out = []
    for name, point, value in claims:
        if name == MULTIPLICITY:
            out.append(Claim(0, name, point, value))
            continue
        part = parts[name]
        total = header.log_features if part.source == "inputs" else header.log_classes
        prefix = ml.bits(part.first >> part.log_rows, total - part.log_rows)
        whole = point + tuple(ONE if bit else ZERO for bit in prefix)
        out.append(Claim(0, part.source, whole, value))
    return out


def _label_sums(header: DatasetHeader, record: Point) -> Claim:
    """``2^n labels(record, 1/2, ..., 1/2) = LT_N(record)``."""
    value = ml.less_than(record, header.records)
    for _ in range(header.log_classes):
        value = value * HALF
    return Claim(0, "labels", record + (HALF,) * header.log_classes, value)


def query_bits() -> float:
    """Security of each query term of the certificate and of openings of the dataset."""
    return soundness.CERTIFICATE_BITS + 4.0


def work_bits(header: DatasetHeader) -> int:
    """Proof of work before the lookup keys."""
    return soundness.lookup_work_bits(lookup.leaf_count(_entries(header)), query_bits())


def certificate_terms(header: DatasetHeader) -> list[soundness.Term]:
    """Every error term of the certificate."""
    part = "dataset certificate"
    terms = soundness.lookup_terms(part, lookup.leaf_count(_entries(header)), work_bits(header))
    terms.append(soundness.sumcheck_term(part, "label sums", header.log_records))
    row_log = arrange([header.packing()])[1]
    return terms + soundness.opening_terms(part, header.lane_log, row_log, 32, query_bits())


def _challenger(header: DatasetHeader, trace: Trace | None) -> Challenger:
    challenger = Challenger(PROTOCOL, trace)
    challenger.absorb("parameters", parameter_digest())
    challenger.absorb("header", header.to_json())
    return challenger


def certify(dataset: CommittedDataset, *, trace: Trace | None = None) -> bytes:
    """The proof that the dataset is well formed."""
    header = dataset.header
    channel = ProverChannel(_challenger(header, trace))
    channel.send_work("work", work_bits(header))  # P -> V
    values = _values(header, dataset.inputs, dataset.labels)
    counts = {MULTIPLICITY: dataset.committed.tensors[MULTIPLICITY][:512]}
    claims = _locate(header, lookup.prove(channel, "lookup", _entries(header), values, counts))
    record = tuple(channel.challenger.elements("labels/record", header.log_records))  # V -> P
    claims.append(_label_sums(header, record))
    opening.prove(channel, "opening", [dataset.committed], claims, query_bits())
    return channel.proof()


def verify_certificate(header: DatasetHeader, proof: bytes, *, trace: Trace | None = None) -> None:
    """Raises unless the committed dataset is well formed."""
    channel = VerifierChannel(_challenger(header, trace), proof)
    channel.receive_work("work", work_bits(header))  # P -> V
    claims = _locate(header, lookup.verify(channel, "lookup", _entries(header)))
    record = tuple(channel.challenger.elements("labels/record", header.log_records))  # V -> P
    claims.append(_label_sums(header, record))
    opening.verify(
        channel, "opening", [header.merkle_root], [header.packing()], claims, query_bits()
    )
    channel.finish()


def opening_claims(claims: list[DatasetClaim]) -> list[Claim]:
    """Claims that segments leave on the dataset, for the closing proof."""
    return [Claim(0, claim.source, claim.point, claim.value) for claim in claims]
