"""The record beside a file that was checked: ``FILE.checked``, one JSON object.

    check       "zktrain-srs-check-1"
    sha256      of the file, 64 hexadecimal digits
    logrows     k: the file has 2^k powers
    insecure    whether it is one of ``zktrain srs generate``, whose tau everybody knows

It saves checking again on the machine that checked. Whoever can write it can write the file too,
so that it tells nothing to others.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from .. import files
from ..errors import InputError
from .format import G2_BYTES, MAX_LOGROWS, encoded, file_bytes, readable
from .insecure import S_H

CHECK = "zktrain-srs-check-1"
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


def record_path(path: str | Path) -> Path:
    """Where the record of a file is."""
    return Path(f"{path}.checked")


def write_record(found: CheckedSrs) -> None:
    """Write the record of a file that was checked, atomically. Raises ``InputError``."""
    text = json.dumps(_fields(found), indent=2) + "\n"
    files.write(record_path(found.path), text.encode())


def checked(path: str | Path) -> CheckedSrs | None:
    """What was found out about these very bytes when they were checked; None if they were not.

    Hashes the whole file. Raises ``InputError`` if it cannot be read.
    """
    path = Path(path)
    with readable(path) as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - G2_BYTES))
        insecure = file.read() == encoded(S_H)
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    try:
        fields = json.loads(files.read_bytes(record_path(path), "record", _MAX_RECORD_BYTES))
        found = CheckedSrs(path, fields["logrows"], digest, insecure)
    except (InputError, ValueError, TypeError, KeyError, RecursionError):
        return None
    if type(found.logrows) is not int or not 1 <= found.logrows <= MAX_LOGROWS:
        return None
    return found if fields == _fields(found) and size == file_bytes(found.logrows) else None


def _fields(found: CheckedSrs) -> dict[str, str | int | bool]:
    return {
        "check": CHECK,
        "sha256": found.digest,
        "logrows": found.logrows,
        "insecure": found.insecure,
    }
