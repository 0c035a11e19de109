"""The verb ``commit``: the root that stands for a dataset."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeGuard

from ._prove import Planned, unheard
from .checked import checked
from .dataset.public_file import header_of
from .dataset.readers import Like, Records, read_dataset
from .disk import publish, require_writable, waiting, write
from .errors import InputError, MalformedProof, Rejected, StatementMismatch
from .extras import require
from .files import read_bytes
from .locks import claimed
from .progress import Progress, silent
from .prover.randomness import new_secret
from .scratch import IN_MEMORY, Scratch

if TYPE_CHECKING:
    from .dataset.commitment import DatasetHeader
    from .prover.dataset.commitment import CommittedDataset
    from .prover.dataset.secret_file import Owned
    from .prover.memory_plan import Plan


@dataclass(frozen=True, slots=True)
class DatasetCommitment:
    """A committed dataset. ``root`` is 64 hexadecimal digits; ``path`` is where the public file
    with sizes and certificate was written, if it was, and ``secret`` where what hides the records
    is; ``source`` says where the records come from, and inputs from ``low`` to ``high`` became
    bytes. ``openings`` is 0 for a commitment that does not hide; ``warnings`` are sentences about
    what may not be meant. ``kept``: the very same commitment was there already, and nothing was
    written. ``plan``: how it was made, where the memory was limited."""

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
    kept: bool = False
    plan: Plan | None = None


@checked
def commit(
    data: str | Path,
    *,
    out: str | Path | None = None,
    check: str | Path | None = None,
    split: str = "train",
    public: bool = False,
    openings: int | None = None,
    like: str | Path | None = None,
    memory: int | None = None,
    planned: Planned = unheard,
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
        owner keeps for proving. If ``out`` is this commitment already, it is kept; one that was
        begun and not finished is completed; a commitment to other records is not replaced.
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
    memory
        How many bytes the process may take (None: what it takes). Files without a name are beside
        ``out``, or in the current folder; the commitment does not depend on it.
    planned
        Told before the work begins what follows from ``memory``.
    progress
        Called with the stages ``commit dataset`` and ``certify dataset``.

    Raises
    ------
    InputError
        ``data`` cannot be read or committed, ``out`` cannot be written or is something else that
        is there, another process is writing it, ``check`` is no root, or there is too little memory
        or disk.
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
        memory=memory,
        planned=planned,
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
    memory: int | None = None,
    plan: Plan | None = None,
    planned: Planned = unheard,
    progress: Progress = silent,
) -> DatasetCommitment:
    """:func:`commit` in the way of data that are known, and as a ``plan`` says if there is one."""
    require("prove", "committing", "numba")
    from .prover.dataset.secret_file import Owned, owned

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
    folder = Path() if out is None else Path(out).absolute().parent
    room = _Room(folder, memory, planned, plan)
    with room.scratch.settling():
        if out is None:
            records = read_dataset(str(data), split, like, room.scratch)
            made = _Made(_committed(records, known, progress, room).header, None, False)
        else:
            busy = f"another process is committing to {out}; wait for it, or end it"
            with claimed(out, busy=busy):
                require_writable(out, "dataset file", b"ZKTDATA")
                records = read_dataset(str(data), split, like, room.scratch)
                made = _written(Path(out), records, known, progress, room)
    return DatasetCommitment(
        made.header.root.hex(),
        made.header.records,
        made.header.features,
        made.header.classes,
        records.source,
        records.scaling.low,
        records.scaling.high,
        None if out is None else Path(out),
        time.perf_counter() - started,
        made.header.openings,
        made.secret,
        records.warnings,
        made.kept,
        room.plan,
    )


@dataclass(slots=True)
class _Room:
    """The memory that there is for a commitment. Where it is limited, records are read into files:
    how many there are is known afterwards."""

    folder: Path
    memory: int | None
    planned: Planned
    plan: Plan | None
    scratch: Scratch = field(init=False)

    def __post_init__(self) -> None:
        limited = self.memory is not None or (self.plan is not None and self.plan.files)
        self.scratch = Scratch(self.folder) if limited else IN_MEMORY

    def given(self, records: Records, openings: int) -> tuple[int | None, Scratch]:
        """Memory and scratch for these records. Raises ``InputError``."""
        from .prover.dataset.commitment import header_of_records
        from .prover.memory_plan import commit_plan

        if self.memory is not None:
            header = header_of_records(records, openings)
            self.plan = commit_plan(records.source, self.folder, header, self.memory)
            self.planned(self.plan)
            self.plan.begin()
        if self.plan is None:
            return None, IN_MEMORY
        return self.plan.memory, self.scratch if self.plan.files else IN_MEMORY


@dataclass(frozen=True, slots=True)
class _Made:
    """What is at ``out`` now."""

    header: DatasetHeader
    secret: Path | None
    kept: bool


def _committed(
    records: Records,
    known: Owned,
    progress: Progress,
    room: _Room,
    seed: bytes | None = None,
) -> CommittedDataset:
    """The records with the root that they should have, if any."""
    from .prover.dataset.commitment import commit_records

    given = room.given(records, known.openings)
    progress("commit dataset", 0, 1)
    committed = commit_records(records, seed or known.seed, known.openings, *given)
    progress("commit dataset", 1, 1)
    root = committed.header.root.hex()
    if known.root is not None and root != known.root:
        raise StatementMismatch(
            f"{records.source} is not the dataset with this root", expected=known.root, got=root
        )
    return committed


def _written(path: Path, records: Records, known: Owned, progress: Progress, room: _Room) -> _Made:
    """The files of a commitment, where they are not there yet.

    The public file waits, whole and on the disk, until the secret file is written, which counts
    its certificate, and only then gets its name. Whoever is stopped in between finds both.
    """
    from .dataset.public_file import MAX_FILE_BYTES
    from .protocol.certificate import certificate_plan
    from .prover.dataset.public_file import encoded
    from .prover.dataset.secret_file import Secret, create, read, secret_path, spend, spending
    from .prover.protocol.certificate import certify

    there = None
    if path.exists() and path.stat().st_size:
        there = _header(read_bytes(path, "dataset file", MAX_FILE_BYTES))
    if not known.openings:
        if there is not None and there.hiding:
            raise InputError(
                f"{path} is a commitment that hides its records; choose another name for a "
                "public one"
            )
        committed = _committed(records, known, progress, room)
        if there != committed.header:
            progress("certify dataset", 0, 1)
            write(path, encoded(committed.header, certify(committed)))
            progress("certify dataset", 1, 1)
        return _Made(committed.header, None, there == committed.header)

    secret = secret_path(path)
    seed = new_secret()
    if secret.exists():
        found = read(secret)
        if (found.records, found.openings) != (records.digest, known.openings):
            raise InputError(
                f"{secret} exists and opens an earlier commitment, to other records or for another "
                "number of openings; choose another name, or remove it if that one is not needed "
                "any more"
            )
        seed = found.seed
        if _is(there, found.root, records):
            return _Made(there, secret, True)
        left = waiting(path, MAX_FILE_BYTES) or b""
        header = _header(left, certified=True)
        if _is(header, found.root, records):
            positions = certificate_plan(header).commitments[0].queries
            publish(path, left, spending(secret, header, positions=positions))
            return _Made(header, secret, False)
    if there is not None and there.hiding:
        raise InputError(
            f"{path} is a commitment that hides its records, and its secret file is not beside it; "
            "choose another name, or remove it if that commitment is not needed any more"
        )
    committed = _committed(records, known, progress, room, seed)
    header, positions = committed.header, certificate_plan(committed.header).commitments[0].queries
    progress("certify dataset", 0, 1)
    data = encoded(header, certify(committed))
    progress("certify dataset", 1, 1)

    def count(opened: str) -> None:
        if not secret.exists():
            root = header.root.hex()
            create(secret, Secret(root, records.digest, seed.hex(), header.openings, 0))
        spend(secret, header, opened, positions=positions)

    publish(path, data, count)
    return _Made(header, secret, False)


def _header(data: bytes, *, certified: bool = False) -> DatasetHeader | None:
    """The header of a public file; None if it is damaged, or ``certified`` and does not verify."""
    from .dataset.public_file import parse_public
    from .protocol.certificate import verify_certificate

    try:
        header, certificate = parse_public(data, "it")
        if certified:
            verify_certificate(header, certificate)
    except (MalformedProof, Rejected):
        return None
    return header


def _is(header: DatasetHeader | None, root: str, records: Records) -> TypeGuard[DatasetHeader]:
    return (
        header is not None
        and header.root.hex() == root
        and (header.classes, header.scaling) == (records.classes, records.scaling)
    )


def _openings(wanted: int | None, *, hiding: bool) -> int:
    """The number of openings to provide for; 0 for a commitment that does not hide."""
    from .dataset.commitment import MAX_OPENINGS
    from .prover.dataset.commitment import DEFAULT_OPENINGS

    if wanted is None:
        return DEFAULT_OPENINGS if hiding else 0
    if not hiding:
        raise InputError("a public commitment may be opened at will: leave --openings out")
    if not 1 <= wanted <= MAX_OPENINGS:
        raise InputError(f"--openings is {wanted}; it must be from 1 to {MAX_OPENINGS}")
    return wanted
