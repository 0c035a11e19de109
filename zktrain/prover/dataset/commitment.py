"""Committing a dataset: its columns, and their randomness."""

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
    Part,
    lookups,
    parts_of,
)
from ...dataset.readers import Records
from ...errors import InputError
from ...profile import mark
from ..arguments import lookup
from ..commitment.commit import Committed, commit
from ..randomness import Randomness, expand

DEFAULT_OPENINGS = 64
Columns = dict[str, NDArray[np.uint8]]
"""Integer columns by source: ``inputs (features, 2^log N)`` and ``labels (2^log classes, 2^log
N)``."""


@dataclass(frozen=True, slots=True)
class CommittedDataset:
    """The owner's side: header, columns, and what opens the commitment."""

    header: DatasetHeader
    columns: Columns
    committed: Committed


_TRANSPOSED = 1 << 8
"""Records that become columns at once."""


def columns_of(header: DatasetHeader, records: Records) -> Columns:
    """Columns of the records that ``header`` describes; its Merkle root is not looked at."""
    mark("columns")
    padded = 1 << header.log_records
    inputs = np.zeros((header.covered_features, padded), dtype=np.uint8)
    for first in range(0, header.records, _TRANSPOSED):  # a stretch that stays in cache
        here = slice(first, min(header.records, first + _TRANSPOSED))
        inputs[: header.features, here] = records.inputs[here].T
    labels = np.zeros((1 << header.log_classes, padded), dtype=np.uint8)
    labels[records.labels.astype(np.int64), np.arange(header.records)] = 1
    mark(None)
    return {"inputs": inputs, "labels": labels}


def _random(secret: bytes) -> Randomness:
    """All randomness of a commitment."""
    return expand(secret, "dataset")


def commit_records(
    records: Records,
    secret: bytes | None = None,
    openings: int = DEFAULT_OPENINGS,
    memory: int | None = None,
) -> CommittedDataset:
    """Without ``secret`` deterministic: the same records give the same root everywhere. With one,
    hiding, for so many ``openings``. ``memory`` is that of ``commit``. Raises
    :class:`InputError`."""
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
    return commit_columns(blank, columns_of(blank, records), secret, memory)


def commit_columns(
    blank: DatasetHeader,
    columns: Columns,
    secret: bytes | None = None,
    memory: int | None = None,
) -> CommittedDataset:
    """``blank`` describes the records of the columns; its Merkle root is not looked at."""
    mark("columns")
    tensors: dict[str, NDArray[Any]] = dict(columns)
    tensors |= lookup.count_lookups(lookups(blank), lookup_values(blank, columns))
    random = None if secret is None else _random(secret)
    committed = commit(blank.packing(), tensors, random, memory)
    return CommittedDataset(replace(blank, merkle_root=committed.root), columns, committed)


def all_real(header: DatasetHeader, part: Part) -> bool:
    """Whether the committed columns hold nothing but what records say."""
    width = header.features if part.source == "inputs" else header.classes
    return width >= part.first + (1 << part.log_rows) and header.records == 1 << header.log_records


def lookup_values(header: DatasetHeader, columns: Columns) -> list[lookup.Values]:
    """What the certificate looks up."""
    out = []
    padded = 1 << header.log_records
    for part in parts_of(header):
        source = columns[part.source]
        width = header.features if part.source == "inputs" else header.classes
        stop = part.first + (1 << part.log_rows)
        cells = 1 << part.log_rows + header.log_records
        if all_real(header, part):
            ones = np.broadcast_to(np.uint8(1), cells)
            out.append(lookup.Values((source[part.first : stop].reshape(-1), ones)))
            continue
        real = np.zeros((1 << part.log_rows, padded), dtype=np.uint8)
        real[: max(0, width - part.first), : header.records] = 1
        out.append(lookup.Values((source[part.first : stop].reshape(-1), real.reshape(-1))))
    return out
