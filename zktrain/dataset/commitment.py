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

A commitment *hides* unless it is made to be recomputed by everybody: its lanes have random tails
for a stated number of openings, its leaves salts, and it holds random *blinding records* that no
batch selects, so that values of the dataset at random points are uniform (``operations.batch``).
All randomness is expanded from one secret of the owner.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..arguments import lookup
from ..commitment import opening
from ..commitment.commit import Committed, commit
from ..commitment.packing import Claim, Packing, Term, claim_on, pack, total_log
from ..commitment.parameters import (
    HIDING_LANE_LOG_MIN,
    LANE_LOG_MIN,
    ROW_LOG,
    SCHEME,
    Plan,
    carried_tail_for,
)
from ..errors import InputError, MalformedProof
from ..field import multilinear as ml
from ..field.extension import HALF, ONE, ZERO, Ext, Point
from ..field.goldilocks import P
from ..operations.batch import DatasetClaim, RecordAxis
from ..profile import mark
from ..protocol import soundness
from ..protocol.parameters import VERSION, parameter_digest
from ..prover.randomness import Randomness, expand
from ..transcript.challenger import Challenger, Trace
from ..transcript.channel import VerifierChannel
from ..transcript.hiding import DryChannel, Layout, prover_channel, verifier_channel
from ..transcript.spans import Bytes
from .scaling import BYTES, Scaling

if TYPE_CHECKING:
    from .readers import Records

FORMAT = {False: f"zktrain-dataset-{VERSION}", True: f"zktrain-dataset-hiding-{VERSION}"}
PROTOCOL = {
    False: f"zktrain dataset certificate v{VERSION}",
    True: f"zktrain hiding certificate v{VERSION}",
}
_ROOT = f"zktrain dataset root v{VERSION}\0".encode()
MAX_RECORDS = 1 << 24
MAX_CLASSES = 1 << 14
MAX_CELLS_LOG = 30
MULTIPLICITY = lookup.multiplicity("byte")
DEFAULT_OPENINGS = 64
MAX_OPENINGS = 1 << 12
SEGMENTS_PER_OPENING = 8
"""Blinding records suffice for this many segments per opening, on average."""
SPARE_RECORDS = 16
"""More blinding records than are used: combinations of them at random points are independent but
with a probability that falls by a factor p with each."""


@dataclass(frozen=True, slots=True)
class DatasetHeader:
    """The public description: sizes, the Merkle root of the commitment, and how numbers became
    bytes, which is what the owner says: bytes alone are committed.

    ``openings`` is how often it may be opened before its randomness is used up; 0: it does not
    hide.
    """

    records: int
    features: int
    classes: int
    merkle_root: bytes
    openings: int = 0
    scaling: Scaling = BYTES

    @property
    def hiding(self) -> bool:
        return self.openings > 0

    @property
    def blinding_log(self) -> int:
        """log2 of the blinding records, -1 without: two for each segment that is proved (a value
        of E has two cells), and a few to spare."""
        if not self.hiding:
            return -1
        return ml.log2_ceil(2 * self.segment_limit + SPARE_RECORDS)

    @property
    def segment_limit(self) -> int:
        """Segments that may be proved before the blinding records are used up."""
        return SEGMENTS_PER_OPENING * self.openings

    @property
    def record_axis(self) -> RecordAxis:
        return RecordAxis(self.log_records, self.blinding_log)

    @property
    def tail(self) -> int:
        """Random coefficients per lane: as many as positions are opened, the certificate's too."""
        return _lanes(self)[1]

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
        return _lanes(self)[0]

    def _tensors(self, covered: int) -> list[tuple[str, int, int]]:
        """``(name, log size, used cells)``; ``covered`` input columns are committed."""
        inputs, labels = self._sizes()
        out = [
            ("inputs", inputs, covered << self.log_records),
            ("labels", labels, 1 << labels),
        ]
        if self.hiding:
            for source, width in (("inputs", self.features), ("labels", self.classes)):
                size = ml.log2_ceil(width) + self.blinding_log
                out.append((blinding(source), size, width << self.blinding_log))
        return [*out, (MULTIPLICITY, 9, 512)]

    @property
    def covered_features(self) -> int:
        """Input columns that are committed: the real ones, up to a whole lane."""
        whole = max(1, 1 << max(0, self.lane_log - self.log_records))
        return min(1 << self.log_features, -(-self.features // whole) * whole)

    def packing(self) -> Packing:
        return pack(
            self._tensors(self.covered_features), self.lane_log, self.tail, SCHEME.dataset_rate_log
        )

    def to_json(self) -> bytes:
        fields: dict[str, Any] = {
            "format": FORMAT[self.hiding],
            "records": self.records,
            "features": self.features,
            "classes": self.classes,
            "merkle_root": self.merkle_root.hex(),
            **self.scaling.to_json(),
        }
        if self.hiding:
            fields["openings"] = self.openings
        return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()

    @staticmethod
    def from_json(data: bytes) -> DatasetHeader:
        """Strict; raises :class:`MalformedProof`."""
        try:
            if len(data) > 4096:
                raise ValueError("too long")
            fields = json.loads(data)
            sizes = (fields["records"], fields["features"], fields["classes"])
            if any(type(n) is not int for n in sizes):
                raise ValueError("wrong type")
            openings = 0
            if fields["format"] == FORMAT[True]:
                openings = fields["openings"]
                if type(openings) is not int or not 1 <= openings <= MAX_OPENINGS:
                    raise ValueError("openings out of range")
            root, scaling = fields["merkle_root"], Scaling.from_json(fields["low"], fields["high"])
            header = DatasetHeader(*sizes, bytes.fromhex(root), openings, scaling)
        except (ValueError, KeyError, TypeError, RecursionError):
            raise MalformedProof("the dataset header is not valid", stage="dataset") from None
        limits = (MAX_RECORDS, 1 << 16, MAX_CLASSES)
        if any(not 1 <= n <= top for n, top in zip(sizes, limits, strict=True)):
            raise MalformedProof("the dataset header has a size out of range", stage="dataset")
        if len(header.merkle_root) != 32 or header.to_json() != data:
            raise MalformedProof("the dataset header is not canonical", stage="dataset")
        if max(size for _, size, _ in header._tensors(0)) > MAX_CELLS_LOG:
            raise MalformedProof("the dataset is too large", stage="dataset")
        return header

    @property
    def root(self) -> bytes:
        """What the world calls the dataset: 32 bytes."""
        return hashlib.sha256(_ROOT + self.to_json()).digest()


@lru_cache(maxsize=64)
def _lanes(header: DatasetHeader) -> tuple[int, int]:
    """log2 of a lane's cells, and random coefficients above it, which are no more."""
    lane_log = total_log([(name, size, 0) for name, size, _ in header._tensors(0)]) - ROW_LOG
    if not header.hiding:
        return max(LANE_LOG_MIN, lane_log), 0
    lane_log = max(HIDING_LANE_LOG_MIN, lane_log)
    bits, openings, rate_log = _positions_bits(), header.openings + 1, SCHEME.dataset_rate_log
    while (tail := carried_tail_for(lane_log, bits, openings, rate_log)) > 1 << lane_log:
        lane_log += 1
    return lane_log, tail


@dataclass(frozen=True, slots=True)
class CommittedDataset:
    """The owner's side: header, integer columns ``(features, 2^log N)`` and ``(2^log classes,
    2^log N)``, code word and tree; where it hides, blinding records ``(units, 2^blinding_log)`` by
    source."""

    header: DatasetHeader
    inputs: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    committed: Committed
    blinding: dict[str, NDArray[np.int64]] | None = None

    @property
    def columns(self) -> dict[str, NDArray[np.uint8]]:
        """By source."""
        return {"inputs": self.inputs, "labels": self.labels}


def blinding(source: str) -> str:
    """Name of the committed blinding records of ``inputs`` or ``labels``."""
    return f"{source}.blinding"


@dataclass(frozen=True, slots=True)
class DatasetColumns:
    """What segments need of the owner's records: ``inputs``, ``labels`` and ``blinding`` of
    :class:`CommittedDataset`, before anything is committed."""

    inputs: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    blinding: dict[str, NDArray[np.int64]] | None

    @property
    def by_source(self) -> dict[str, NDArray[np.uint8]]:
        """Inputs and labels."""
        return {"inputs": self.inputs, "labels": self.labels}


_TRANSPOSED = 1 << 8
"""Records that become columns at once."""


def columns_of(
    header: DatasetHeader, records: Records, secret: bytes | None = None
) -> DatasetColumns:
    """Columns of the records that ``header`` describes; its Merkle root is not looked at."""
    mark("columns")
    padded = 1 << header.log_records
    inputs = np.zeros((header.covered_features, padded), dtype=np.uint8)
    for first in range(0, header.records, _TRANSPOSED):  # a stretch that stays in cache
        here = slice(first, min(header.records, first + _TRANSPOSED))
        inputs[: header.features, here] = records.inputs[here].T
    labels = np.zeros((1 << header.log_classes, padded), dtype=np.uint8)
    labels[records.labels.astype(np.int64), np.arange(header.records)] = 1
    mark("randomness")
    hidden = None if secret is None else _blinding_records(header, _random(secret))
    mark(None)
    return DatasetColumns(inputs, labels, hidden)


def _random(secret: bytes) -> Randomness:
    """All randomness of a commitment."""
    return expand(secret, "dataset")


def _blinding_records(header: DatasetHeader, random: Randomness) -> dict[str, NDArray[np.int64]]:
    """The first cells that are drawn of a secret."""
    return {
        source: _signed(random.cells(width, 1 << header.blinding_log))
        for source, width in (("inputs", header.features), ("labels", header.classes))
    }


def commit_records(
    records: Records, secret: bytes | None = None, openings: int = DEFAULT_OPENINGS
) -> CommittedDataset:
    """Without ``secret`` deterministic: the same records give the same root everywhere. With one,
    hiding, for so many ``openings``. Raises :class:`InputError`."""
    count, features = records.inputs.shape
    openings = 0 if secret is None else openings
    blank = DatasetHeader(count, features, records.classes, bytes(32), openings, records.scaling)
    if records.classes > MAX_CLASSES:
        raise InputError(
            f"{records.source} has {records.classes} classes; a dataset may have {MAX_CLASSES}"
        )
    largest = max(size for _, size, _ in blank._tensors(0))
    if count > MAX_RECORDS or features > 1 << 16 or largest > MAX_CELLS_LOG:
        raise InputError(
            f"{count} records of {features} inputs are more than a commitment holds; "
            f"commit at most 2^{MAX_CELLS_LOG} padded cells"
        )
    columns = columns_of(blank, records)
    return commit_columns(blank, columns.inputs, columns.labels, secret)


def commit_columns(
    blank: DatasetHeader,
    inputs: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    secret: bytes | None = None,
) -> CommittedDataset:
    mark("columns")
    entries, values = _entries(blank), _values(blank, inputs, labels)
    tensors: dict[str, NDArray[Any]] = {"inputs": inputs, "labels": labels}
    tensors |= lookup.count_lookups(entries, values)
    random, hidden = None, None
    if secret is not None:
        mark("randomness")
        random = _random(secret)
        hidden = _blinding_records(blank, random)
        tensors |= {blinding(source): rows for source, rows in hidden.items()}
    committed = commit(blank.packing(), tensors, random)
    header = replace(blank, merkle_root=committed.root)
    return CommittedDataset(header, inputs, labels, committed, hidden)


def _signed(cells: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Residues as integers between ``-p/2`` and ``p/2``, as tensors have them."""
    out: NDArray[np.int64] = np.where(cells > P // 2, cells - np.uint64(P), cells).view(np.int64)
    return out


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


def lookups(header: DatasetHeader) -> list[lookup.Entry]:
    """The lookups of the certificate."""
    return _entries(header)


def _values(
    header: DatasetHeader, inputs: NDArray[np.uint8], labels: NDArray[np.uint8]
) -> list[lookup.Values]:
    out = []
    padded = 1 << header.log_records
    for part in _parts(header):
        source = inputs if part.source == "inputs" else labels
        width = header.features if part.source == "inputs" else header.classes
        stop = part.first + (1 << part.log_rows)
        cells = 1 << part.log_rows + header.log_records
        if width >= stop and header.records == padded:  # all are real
            ones = np.broadcast_to(np.uint8(1), cells)
            out.append(lookup.Values((source[part.first : stop].reshape(-1), ones)))
            continue
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
            out.append(claim_on(0, name, point, value))
            continue
        part = parts[name]
        total = header.log_features if part.source == "inputs" else header.log_classes
        prefix = ml.bits(part.first >> part.log_rows, total - part.log_rows)
        whole = point + tuple(ONE if bit else ZERO for bit in prefix)
        out.append(claim_on(0, part.source, whole, value))
    return out


def _label_sums(header: DatasetHeader, record: Point) -> Claim:
    """``2^n labels(record, 1/2, ..., 1/2) = LT_N(record)``."""
    value = ml.less_than(record, header.records)
    for _ in range(header.log_classes):
        value = value * HALF
    return claim_on(0, "labels", record + (HALF,) * header.log_classes, value)


def query_bits() -> float:
    """Security of each query term of the certificate and of openings of the dataset."""
    return soundness.CERTIFICATE_BITS + 4.0


def _positions_bits() -> float:
    """Of those, what the positions of a code word give."""
    return query_bits() - SCHEME.work_bits


def certificate_plan(header: DatasetHeader) -> Plan:
    """The levels of the certificate's opening."""
    return opening.level_plan([header.packing()], query_bits(), hiding=header.hiding)


def work_bits(header: DatasetHeader) -> int:
    """Proof of work before the lookup keys."""
    return soundness.lookup_work_bits(lookup.leaf_count(_entries(header)), query_bits())


def certificate_terms(header: DatasetHeader) -> list[soundness.Term]:
    """Every error term of the certificate."""
    part = "dataset certificate"
    terms = soundness.lookup_terms(part, lookup.leaf_count(_entries(header)), work_bits(header))
    terms.append(soundness.sumcheck_term(part, "label sums", header.log_records))
    terms += soundness.opening_terms(part, certificate_plan(header), _dry_run(header)[1])
    return terms + soundness.hidden_terms(part, certificate_layout(header), query_bits())


@lru_cache(maxsize=16)
def certificate_layout(header: DatasetHeader) -> Layout | None:
    """The padded scalars of the certificate; None: nothing is hidden."""
    if not header.hiding:
        return None
    return _dry_run(header)[0].more(certificate_plan(header).scalars(True))


@lru_cache(maxsize=16)
def _dry_run(header: DatasetHeader) -> tuple[Layout, int]:
    """The padded scalars of the certificate's lookups, and how many claims it opens: on columns,
    and on the sums of labels."""
    channel = DryChannel()
    claims = lookup.verify(channel, "lookup", _entries(header))
    return channel.layout(), len(claims) + 1


def _challenger(header: DatasetHeader, trace: Trace | None) -> Challenger:
    challenger = Challenger(PROTOCOL[header.hiding], trace)
    challenger.absorb("parameters", parameter_digest(header.hiding))
    challenger.absorb("header", header.to_json())
    return challenger


def certify(
    dataset: CommittedDataset, *, trace: Trace | None = None, random: Randomness | None = None
) -> bytes:
    """The proof that the dataset is well formed; of one that hides, it is the first opening."""
    header = dataset.header
    layout = certificate_layout(header)
    mark("pads")
    channel = prover_channel(_challenger(header, trace), layout, query_bits(), random)
    channel.send_work("work", work_bits(header))  # P -> V
    mark("columns")
    values = _values(header, dataset.inputs, dataset.labels)
    counts = {MULTIPLICITY: dataset.committed.tensors[MULTIPLICITY][:512]}
    claims = _locate(header, lookup.prove(channel, "lookup", _entries(header), values, counts))
    record = tuple(channel.challenger.elements("labels/record", header.log_records))  # V -> P
    claims.append(_label_sums(header, record))
    opening.prove(channel, "opening", [dataset.committed], claims, query_bits(), random)
    if channel.hiding:
        mark("hiding: replay")
        replay = verifier_channel(_challenger(header, None), channel.proof(), layout, query_bits())
        _check(replay, header)
        mark("hiding: proof")
        channel.close(replay)
        mark(None)
    return channel.proof()


def verify_certificate(header: DatasetHeader, proof: Bytes, *, trace: Trace | None = None) -> None:
    """Raises unless the committed dataset is well formed."""
    challenger = _challenger(header, trace)
    channel = verifier_channel(challenger, proof, certificate_layout(header), query_bits())
    _check(channel, header)
    channel.close()
    channel.finish()


def _check(channel: VerifierChannel, header: DatasetHeader) -> None:
    """All messages but those about pads."""
    channel.receive_work("work", work_bits(header))  # P -> V
    claims = _locate(header, lookup.verify(channel, "lookup", _entries(header)))
    record = tuple(channel.challenger.elements("labels/record", header.log_records))  # V -> P
    claims.append(_label_sums(header, record))
    opening.verify(
        channel, "opening", [header.merkle_root], [header.packing()], claims, query_bits()
    )


def opening_claims(header: DatasetHeader, claims: list[DatasetClaim]) -> list[Claim]:
    """Claims that segments leave on the dataset, for the closing proof: each on real and, where
    there are any, on blinding records."""
    axis = header.record_axis
    out = []
    for left in claims:
        record, unit = left.point[: axis.variables], left.point[axis.variables :]
        (point, factor), hidden = axis.parts(record)
        terms = [Term(0, left.source, point + unit, factor)]
        if hidden is not None:
            terms.append(Term(0, blinding(left.source), hidden[0] + unit, hidden[1]))
        out.append(Claim(tuple(terms), left.value))
    return out
