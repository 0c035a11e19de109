"""The verb ``commit``: the root that stands for a dataset."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from .dataset.readers import read_dataset
from .errors import StatementMismatch
from .extras import require
from .progress import Progress, silent


@dataclass(frozen=True, slots=True)
class DatasetCommitment:
    """A committed dataset. ``root`` is 64 hexadecimal digits; ``path`` is where the public file
    with sizes and certificate was written, if it was; ``source`` and ``scaling`` say where the
    records come from and how inputs became integers."""

    root: str
    records: int
    features: int
    classes: int
    source: str
    scaling: str
    path: Path | None
    seconds: float


def commit(
    data: str | Path,
    *,
    out: str | Path | None = None,
    check: str | Path | None = None,
    split: str = "train",
    progress: Progress = silent,
) -> DatasetCommitment:
    """Commit to the records of ``data``; the same records give the same root everywhere.

    Parameters
    ----------
    data
        An ``.npz`` file, a folder of IDX files or the name ``digits``; see
        ``zktrain.dataset.readers``.
    out
        Where to write the public file: the sizes, the Merkle root, and a proof that all inputs are
        bytes and all labels one-hot. It holds no record and may be published.
    check
        A root, or a public file, that ``data`` must have.
    split
        ``train`` or ``test``, where ``data`` has both.
    progress
        Called with the stages ``commit dataset`` and ``certify dataset``.

    Raises
    ------
    InputError
        ``data`` cannot be read or committed, ``out`` cannot be written, ``check`` is no root.
    StatementMismatch
        The root of ``data`` is another than ``check``.
    """
    require("prove", "committing", "numba")
    from .dataset.commitment import certify, commit_records
    from .dataset.public_file import root_of, write_public

    started = time.perf_counter()
    wanted = None if check is None else root_of(check).hex()
    records = read_dataset(str(data), split)
    progress("commit dataset", 0, 1)
    committed = commit_records(records)
    progress("commit dataset", 1, 1)
    root = committed.header.root.hex()
    if wanted is not None and root != wanted:
        raise StatementMismatch(
            f"{records.source} is not the dataset with this root", expected=wanted, got=root
        )
    path = None
    if out is not None:
        path = Path(out)
        progress("certify dataset", 0, 1)
        write_public(path, committed.header, certify(committed))
        progress("certify dataset", 1, 1)
    return DatasetCommitment(
        root,
        committed.header.records,
        committed.header.features,
        committed.header.classes,
        records.source,
        records.scaling,
        path,
        time.perf_counter() - started,
    )
