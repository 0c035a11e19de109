"""The verb ``commit``: the root that stands for a dataset."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from .dataset.public_file import header_of
from .dataset.readers import Like, read_dataset
from .errors import InputError, StatementMismatch
from .extras import require
from .progress import Progress, silent
from .randomness import new_secret


@dataclass(frozen=True, slots=True)
class DatasetCommitment:
    """A committed dataset. ``root`` is 64 hexadecimal digits; ``path`` is where the public file
    with sizes and certificate was written, if it was, and ``secret`` where what hides the records
    is; ``source`` says where the records come from, and inputs from ``low`` to ``high`` became
    bytes. ``openings`` is 0 for a commitment that does not hide; ``warnings`` are sentences about
    what may not be meant."""

    root: str
    records: int
    features: int
    classes: int
    source: str
    low: float
    high: float
    path: Path | None
    seconds: float
    openings: int = 0
    secret: Path | None = None
    warnings: tuple[str, ...] = ()


def commit(
    data: str | Path,
    *,
    out: str | Path | None = None,
    check: str | Path | None = None,
    split: str = "train",
    public: bool = False,
    openings: int | None = None,
    like: str | Path | None = None,
    progress: Progress = silent,
) -> DatasetCommitment:
    """Commit to the records of ``data``, hiding them, or (``public``) with the root that the same
    records have everywhere.

    Parameters
    ----------
    data
        An ``.npz`` file, a folder of IDX files or the name ``digits``; see
        ``zktrain.dataset.readers``.
    out
        Where to write the public file: the sizes, the Merkle root, and a proof that all inputs are
        bytes and all labels one-hot. It holds no record and may be published. What hides the
        records goes into a secret file beside it, ``out`` with ``.secret`` appended, which its
        owner keeps for proving.
    check
        A root that everybody can recompute, or a public file, that ``data`` must have. If the file
        hides, its secret file must be beside it.
    split
        ``train`` or ``test``, where ``data`` has both.
    public
        Hide nothing.
    openings
        How many times, at most, the commitment can be proved on; 64 unless told otherwise.
    like
        The public file of the data that a network was trained on: ``data`` are scaled as they
        are, and refused if they state another scaling.
    progress
        Called with the stages ``commit dataset`` and ``certify dataset``.

    Raises
    ------
    InputError
        ``data`` cannot be read or committed, ``out`` cannot be written, ``check`` is no root.
    StatementMismatch
        The root of ``data`` is another than ``check``.
    """
    known = None
    if like is not None:
        header = header_of(like, "the training data")
        known = Like(header.scaling, header.classes)
    return commit_as(
        known,
        data,
        out=out,
        check=check,
        split=split,
        public=public,
        openings=openings,
        progress=progress,
    )


def commit_as(
    like: Like | None,
    data: str | Path,
    *,
    out: str | Path | None = None,
    check: str | Path | None = None,
    split: str = "train",
    public: bool = False,
    openings: int | None = None,
    progress: Progress = silent,
) -> DatasetCommitment:
    """:func:`commit` in the way of data that are known."""
    require("prove", "committing", "numba")
    from .dataset.commitment import certificate_plan, certify, commit_records
    from .dataset.public_file import write_public
    from .dataset.secret_file import Owned, Secret, create, owned, secret_path, spend

    started = time.perf_counter()
    if check is None:
        known = Owned(openings=_openings(openings, hiding=not public))
        if not public and out is None:
            raise InputError(
                "a commitment that hides needs a place for its files: give --out FILE.zkd, or "
                "--public for the root that anybody can recompute"
            )
    else:
        known = owned(check)
        if known.secret is not None and out is not None:
            raise InputError("--check compares with a commitment that hides; it writes none")
    records = read_dataset(str(data), split, like)
    seed = new_secret() if known.openings and known.secret is None else known.seed
    progress("commit dataset", 0, 1)
    committed = commit_records(records, seed, known.openings)
    progress("commit dataset", 1, 1)
    header = committed.header
    root = header.root.hex()
    if known.root is not None and root != known.root:
        raise StatementMismatch(
            f"{records.source} is not the dataset with this root", expected=known.root, got=root
        )
    path, secret = None, None
    if out is not None:
        path = Path(out)
        if seed is not None:
            secret = secret_path(path)
            create(secret, Secret(root, records.digest, seed.hex(), header.openings, 0, 0))
            spend(secret, header, positions=certificate_plan(header).positions)
        progress("certify dataset", 0, 1)
        write_public(path, header, certify(committed))
        progress("certify dataset", 1, 1)
    return DatasetCommitment(
        root,
        header.records,
        header.features,
        header.classes,
        records.source,
        records.scaling.low,
        records.scaling.high,
        path,
        time.perf_counter() - started,
        header.openings,
        secret,
        records.warnings,
    )


def _openings(wanted: int | None, *, hiding: bool) -> int:
    """The number of openings to provide for; 0 for a commitment that does not hide."""
    from .dataset.commitment import DEFAULT_OPENINGS, MAX_OPENINGS

    if wanted is None:
        return DEFAULT_OPENINGS if hiding else 0
    if not hiding:
        raise InputError("a public commitment may be opened at will: leave --openings out")
    if not 1 <= wanted <= MAX_OPENINGS:
        raise InputError(f"--openings is {wanted}; it must be from 1 to {MAX_OPENINGS}")
    return wanted
