"""What is remembered of a file that was checked: one JSON object in a folder of this user.

    check       "zktrain-srs-check-1"
    sha256      of the file, 64 hexadecimal digits
    logrows     k: the file has 2^k powers
    insecure    whether it is one of ``zktrain ezkl srs generate``, whose tau everybody knows

It is ``$XDG_CACHE_HOME/zktrain/srs/SHA256.json``, and saves this user checking again. It is not
beside the file, since whoever hands out the file could hand out its record too; and is neither
written nor read where others could have written it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from ...caches import own_folder, weakness
from ...disk import write
from ...errors import InputError
from ...files import opened, read_bytes
from .format import G1_BYTES, G2_BYTES, HEADER_BYTES, MAX_LOGROWS, encoded, file_bytes
from .insecure import S_H

CHECK = "zktrain-srs-check-1"
PIECE = 1 << 20
_MAX_RECORD_BYTES = 4096


@dataclass(frozen=True, slots=True)
class CheckedSrs:
    """A file of ``2^logrows`` powers of some tau that was checked, and the SHA-256 that it had.

    ``insecure`` is true for the strings that ``generate`` makes. False says nothing of who may know
    tau.
    """

    path: Path
    logrows: int
    digest: str
    insecure: bool


@dataclass(frozen=True, slots=True)
class ReadSrs:
    """What one reading of a file gives: its SHA-256, its ``beginning`` with two powers, and its
    ``end``, the two points of G2. Both are shorter in a file that is shorter."""

    path: Path
    size: int
    digest: str
    beginning: bytes
    end: bytes


def read_once(path: str | Path) -> ReadSrs:
    """Read the whole file, which need not be a string of powers. Raises ``InputError``."""
    state = hashlib.sha256()
    beginning, end = b"", b""
    first, last = HEADER_BYTES + 2 * G1_BYTES, 2 * G2_BYTES
    with opened(path, "SRS", file_bytes(MAX_LOGROWS)) as file:
        for at in range(0, file.size, PIECE):
            data = file.read(at, min(PIECE, file.size - at))
            state.update(data)
            beginning = (beginning + data[:first])[:first]
            end = (end + data)[-last:]
    return ReadSrs(Path(path), file.size, state.hexdigest(), beginning, end)


def write_record(found: CheckedSrs) -> None:
    """Remember a file that was checked, where that can be (see ``own_folder``). Raises
    ``InputError``."""
    folder = own_folder("srs")
    if folder is not None:
        text = json.dumps(_fields(found), indent=2) + "\n"
        write(folder / f"{found.digest}.json", text.encode(), private=True)


def checked(path: str | Path) -> CheckedSrs | None:
    """What this user found out about these very bytes when they were checked; None if they were
    not.

    Hashes the whole file. Raises ``InputError`` if it cannot be read.
    """
    return known(read_once(path))


def known(file: ReadSrs) -> CheckedSrs | None:
    """``checked`` for a file that was read."""
    folder = own_folder("srs")
    if folder is None:
        return None
    record = folder / f"{file.digest}.json"
    if weakness(record) is not None:
        return None
    insecure = file.end[G2_BYTES:] == encoded(S_H)
    try:
        fields = json.loads(read_bytes(record, "record of a check", _MAX_RECORD_BYTES))
        found = CheckedSrs(file.path, fields["logrows"], file.digest, insecure)
    except (InputError, ValueError, TypeError, KeyError, RecursionError):
        return None
    if type(found.logrows) is not int or not 1 <= found.logrows <= MAX_LOGROWS:
        return None
    return found if fields == _fields(found) and file.size == file_bytes(found.logrows) else None


def _fields(found: CheckedSrs) -> dict[str, str | int | bool]:
    return {
        "check": CHECK,
        "sha256": found.digest,
        "logrows": found.logrows,
        "insecure": found.insecure,
    }
