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
from ...scratch import IN_MEMORY, Scratch, pause
from ..arguments import lookup
from ..commitment.commit import Committed, commit
from ..randomness import Randomness, expand

DEFAULT_OPENINGS = 64
Columns = dict[str, NDArray[np.uint8]]
"""Integer columns by source: ``inputs (features, 2^log N)`` and ``labels (2^log classes, 2^log
N)``."""


@dataclass(frozen=True, slots=True)
class CommittedDataset:
    """The owner's side: header, columns, what opens the commitment, and where all that is."""

    header: DatasetHeader
    columns: Columns
    committed: Committed
    scratch: Scratch = IN_MEMORY


_TRANSPOSED = 1 << 8
"""Records that become columns at once."""


def columns_of(header: DatasetHeader, records: Records, scratch: Scratch = IN_MEMORY) -> Columns:
    """Columns of the records that ``header`` describes; its Merkle root is not looked at. They are
    in ``scratch``."""
    mark("columns")
    padded = 1 << header.log_records
    inputs = scratch.zeros((header.covered_features, padded), np.uint8)
    labels = scratch.zeros((1 << header.log_classes, padded), np.uint8)
    for first in range(0, header.records, _TRANSPOSED):  # a stretch that stays in cache
        here = slice(first, min(header.records, first + _TRANSPOSED))
        inputs[: header.features, here] = records.inputs[here].T
        labels[records.labels[here].astype(np.int64), np.arange(here.start, here.stop)] = 1
        pause()
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
    scratch: Scratch = IN_MEMORY,
) -> CommittedDataset:
    """Without ``secret`` deterministic: the same records give the same root everywhere. With one,
    hiding, for so many ``openings``. ``memory`` is that of ``commit``; columns and tree are in
    ``scratch``. Raises :class:`InputError`."""
    blank = header_of_records(records, 0 if secret is None else openings)
    return commit_columns(blank, columns_of(blank, records, scratch), secret, memory, scratch)


def header_of_records(records: Records, openings: int) -> DatasetHeader:
    """Without its root. Raises :class:`InputError` for more than can be committed."""
    count, features = records.inputs.shape
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
    return blank


def commit_columns(
    blank: DatasetHeader,
    columns: Columns,
    secret: bytes | None = None,
    memory: int | None = None,
    scratch: Scratch = IN_MEMORY,
) -> CommittedDataset:
    """``blank`` describes the records of the columns; its Merkle root is not looked at."""
    mark("columns")
    tensors: dict[str, NDArray[Any]] = dict(columns)
    tensors |= lookup.count_lookups(lookups(blank), lookup_values(blank, columns, scratch))
    random = None if secret is None else _random(secret)
    committed = commit(blank.packing(), tensors, random, memory, scratch)
    header = replace(blank, merkle_root=committed.root)
    return CommittedDataset(header, columns, committed, scratch)


def all_real(header: DatasetHeader, part: Part) -> bool:
    """Whether the committed columns hold nothing but what records say."""
    width = header.features if part.source == "inputs" else header.classes
    return width >= part.first + (1 << part.log_rows) and header.records == 1 << header.log_records


def lookup_values(
    header: DatasetHeader, columns: Columns, scratch: Scratch = IN_MEMORY
) -> list[lookup.Values]:
    """What the certificate looks up; which cells are real is in ``scratch``."""
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
        real = scratch.zeros((1 << part.log_rows, padded), np.uint8)
        for row in real[: max(0, width - part.first)]:
            row[: header.records] = 1
        out.append(lookup.Values((source[part.first : stop].reshape(-1), real.reshape(-1))))
    return out
