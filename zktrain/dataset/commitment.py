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
for a stated number of openings, and its leaves salts. All randomness is expanded from one secret of
the owner.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ..arguments import lookup
from ..commitment.packing import Packing, pack, total_log
from ..commitment.parameters import (
    SCHEME,
    carried_tail_for,
    lane_log_for,
)
from ..errors import MalformedProof
from ..field import multilinear as ml
from ..field.extension import ZERO, Ext, Point
from ..wire import VERSION
from .scaling import BYTES, Scaling

if TYPE_CHECKING:
    pass

FORMAT = {False: f"zktrain-dataset-{VERSION}", True: f"zktrain-dataset-hiding-{VERSION}"}
_ROOT = f"zktrain dataset root v{VERSION}\0".encode()
MAX_RECORDS = 1 << 24
MAX_CLASSES = 1 << 14
MAX_CELLS_LOG = 30
MULTIPLICITY = lookup.multiplicity("byte")
MAX_OPENINGS = 1 << 12


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

    def tensors(self, covered: int) -> list[tuple[str, int, int]]:
        """``(name, log size, used cells)``; ``covered`` input columns are committed."""
        inputs, labels = self._sizes()
        out = [
            ("inputs", inputs, covered << self.log_records),
            ("labels", labels, 1 << labels),
        ]
        return [*out, (MULTIPLICITY, 9, 512)]

    @property
    def covered_features(self) -> int:
        """Input columns that are committed: the real ones, up to a whole lane."""
        whole = max(1, 1 << max(0, self.lane_log - self.log_records))
        return min(1 << self.log_features, -(-self.features // whole) * whole)

    def packing(self) -> Packing:
        return pack(
            self.tensors(self.covered_features), self.lane_log, self.tail, SCHEME.dataset_rate_log
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
        if max(size for _, size, _ in header.tensors(0)) > MAX_CELLS_LOG:
            raise MalformedProof("the dataset is too large", stage="dataset")
        return header

    @property
    def root(self) -> bytes:
        """What the world calls the dataset: 32 bytes."""
        return hashlib.sha256(_ROOT + self.to_json()).digest()


@lru_cache(maxsize=64)
def _lanes(header: DatasetHeader) -> tuple[int, int]:
    """log2 of a lane's cells, and random coefficients above it, which are no more."""
    cells_log = total_log(header.tensors(0))
    lane_log = lane_log_for(cells_log, header.hiding, SCHEME.dataset_lanes_log)
    if not header.hiding:
        return lane_log, 0
    bits, openings, rate_log = _positions_bits(), header.openings + 1, SCHEME.dataset_rate_log
    while (tail := carried_tail_for(lane_log, bits, openings, rate_log)) > 1 << lane_log:
        lane_log += 1
    return lane_log, tail


@dataclass(frozen=True, slots=True)
class Part:
    """Aligned run of ``2^log_rows`` columns of one source, from column ``first`` on."""

    source: str
    first: int
    log_rows: int

    @property
    def name(self) -> str:
        return f"{self.source}[{self.first}:{self.first + (1 << self.log_rows)}]"


def parts_of(header: DatasetHeader) -> list[Part]:
    parts, first = [], 0
    for bit in range(header.covered_features.bit_length() - 1, -1, -1):
        if header.covered_features >> bit & 1:
            parts.append(Part("inputs", first, bit))
            first += 1 << bit
    parts.append(Part("labels", 0, header.log_classes))
    return parts


def _indicator(header: DatasetHeader, part: Part, point: Point) -> Ext:
    width = header.features if part.source == "inputs" else header.classes
    real = max(0, width - part.first)
    columns = point[header.log_records :]
    inside = ml.less_than(columns, real) if real else ZERO
    return inside * ml.less_than(point[: header.log_records], header.records)


def lookups(header: DatasetHeader) -> list[lookup.Entry]:
    """The lookups of the certificate."""
    return [
        lookup.Entry(
            "byte",
            (part.name,),
            part.log_rows + header.log_records,
            indicator=lambda point, part=part: _indicator(header, part, point),  # type: ignore[misc]
        )
        for part in parts_of(header)
    ]


def _positions_bits() -> float:
    """Of those, what the positions of a code word give."""
    return query_bits() - SCHEME.work_bits


def query_bits() -> float:
    """Security of each query term of the certificate and of openings of the dataset."""
    return CERTIFICATE_BITS + 4.0


CERTIFICATE_BITS = 112
"""Security of a dataset's certificate, made before anybody knows what it will be used for."""
