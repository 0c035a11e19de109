"""Committing a dataset: its columns, its blinding records and their randomness."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...dataset.commitment import (
    MAX_CELLS_LOG,
    MAX_CLASSES,
    MAX_RECORDS,
    DatasetHeader,
    blinding,
    lookups,
    parts_of,
)
from ...dataset.readers import Records
from ...errors import InputError
from ...field.goldilocks import P
from ...profile import mark
from ..arguments import lookup
from ..commitment.commit import Committed, commit
from ..randomness import Randomness, expand

DEFAULT_OPENINGS = 64


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
    largest = max(size for _, size, _ in blank.tensors(0))
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
    entries, values = lookups(blank), lookup_values(blank, inputs, labels)
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


def lookup_values(
    header: DatasetHeader, inputs: NDArray[np.uint8], labels: NDArray[np.uint8]
) -> list[lookup.Values]:
    out = []
    padded = 1 << header.log_records
    for part in parts_of(header):
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
