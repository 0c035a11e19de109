"""The owner's secret file beside a public one: what hides the dataset, and how much is used up.

    format        "zktrain-secret-4"
    root          the dataset's root, 64 hexadecimal digits
    records       digest of the records, 64 hexadecimal digits: training need not commit again
    secret        32 bytes in hexadecimal digits; all randomness of the commitment follows from them
    openings      how many openings the randomness was sized for
    positions     code word positions opened so far
    opened        digests of what these were counted for: 32 hexadecimal digits each

It is JSON, readable by its owner alone (mode 0600). Whoever has it and the public file can test
guesses about the dataset. The counters are on the disk before anything that opens the dataset gets
its name, and nothing is opened beyond what the randomness allows. What was counted is not counted
again, so that a command that was stopped in between goes on with the same bytes.

Counters are those of one file: symbolic links lead to it, hard links are refused. A copy counts for
itself, which nothing here can see: do not prove with copies.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from dataclasses import fields as dataclass_fields
from pathlib import Path

from ... import disk, files
from ...dataset.commitment import MAX_OPENINGS, DatasetHeader
from ...dataset.public_file import given_dataset, read_public
from ...dataset.readers import Records
from ...errors import InputError
from ...locks import held, require_one_name
from ..randomness import SECRET_BYTES

FORMAT = "zktrain-secret-4"
_WHAT = "secret file"
_MAX_BYTES = 1 << 22
_DIGEST_DIGITS = 32


@dataclass(frozen=True, slots=True)
class Secret:
    """Contents of a secret file."""

    root: str
    records: str
    secret: str
    openings: int
    positions: int
    opened: tuple[str, ...] = ()

    @property
    def seed(self) -> bytes:
        """What randomness is expanded from."""
        return bytes.fromhex(self.secret)


@dataclass(frozen=True, slots=True)
class Owned:
    """What a user names a commitment by: its root, and where it hides the path and the secret of
    its secret file. ``openings`` is 0 where it does not hide; ``header`` and ``records`` are those
    of a commitment that does, as its files say."""

    root: str | None = None
    secret: Path | None = None
    seed: bytes | None = None
    openings: int = 0
    header: DatasetHeader | None = None
    records: str | None = None

    def known_header(self, records: Records) -> DatasetHeader | None:
        """The header of the commitment, if its secret file says that it is to ``records``."""
        if self.header is None or self.records != records.digest:
            return None
        known = (self.header.classes, self.header.scaling)
        return self.header if known == (records.classes, records.scaling) else None


def owned(given: str | Path) -> Owned:
    """A root, or a public file with its secret file beside it. Raises ``InputError``."""
    root = given_dataset(given).root.hex()
    if not Path(given).is_file():
        return Owned(root)
    header, _ = read_public(given)
    if not header.hiding:
        return Owned(root)
    path = secret_path(given)
    found = read(path, root)
    return Owned(root, path, found.seed, header.openings, header, found.records)


def secret_path(public: str | Path) -> Path:
    """Where the secret file of a public file is: ``fashion.zkd.secret`` beside ``fashion.zkd``.

    Beside the file that a symbolic link leads to, or beside the link if it is only there. Raises
    ``InputError`` where both exist and are two files.
    """
    beside_link = Path(f"{public}.secret")
    beside = Path(f"{os.path.realpath(public)}.secret")
    if not beside.exists():
        return beside_link if beside_link.exists() else beside
    if beside_link.exists() and not os.path.samefile(beside, beside_link):
        raise InputError(
            f"{public} has two secret files, {beside_link} and {beside}, whose counts go apart; "
            "keep the one with the higher counts"
        )
    return beside


def create(path: Path, secret: Secret) -> None:
    """Write a secret file, durably. Raises ``InputError``."""
    disk.write(path, _text(secret), private=True)


def read(path: Path, root: str | None = None) -> Secret:
    """The secret of the commitment ``root``, None: of any. Raises ``InputError`` for a file
    that is missing, damaged or another commitment's."""
    try:
        require_one_name(path, _WHAT)
        data = files.read_bytes(path, _WHAT, _MAX_BYTES)
    except InputError as error:
        raise InputError(
            f"{error.message}; it is written beside the public file, and without it nobody can "
            "prove on this commitment"
        ) from None
    return _parsed(data, path, root)


def _parsed(data: bytes, path: Path, root: str | None) -> Secret:
    try:
        fields = json.loads(data)
        if fields.pop("format") != FORMAT:
            raise ValueError("another format")
        if set(fields) != {field.name for field in dataclass_fields(Secret)}:
            raise ValueError("other keys")
        secret = Secret(**{**fields, "opened": tuple(fields["opened"])})
        counts = (secret.openings, secret.positions)
        if any(type(n) is not int or n < 0 for n in counts) or secret.openings > MAX_OPENINGS:
            raise ValueError("a count is out of range")
        digests = (bytes.fromhex(secret.root), bytes.fromhex(secret.records))
        if len(secret.seed) != SECRET_BYTES or any(len(digest) != 32 for digest in digests):
            raise ValueError("a value has the wrong length")
        if any(len(bytes.fromhex(digest)) != _DIGEST_DIGITS // 2 for digest in secret.opened):
            raise ValueError("a digest has the wrong length")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise InputError(
            f"{path} is no secret file of this version, or is damaged; commit again"
        ) from None
    if root is not None and secret.root != root:
        raise InputError(
            f"the secret file {path} belongs to another commitment than {root[:16]}...; put "
            "back the one that was written with it"
        )
    return secret


def read_for(path: Path, header: DatasetHeader) -> Secret:
    """The secret of the commitment that ``header`` describes. Raises ``InputError``."""
    return _suits(read(path, header.root.hex()), path, header)


def _suits(secret: Secret, path: Path, header: DatasetHeader) -> Secret:
    if secret.openings != header.openings:
        raise InputError(
            f"{path} says {secret.openings} openings where the commitment is made for "
            f"{header.openings}; put back the file that was written with it"
        )
    return secret


def require_left(path: Path, header: DatasetHeader, positions: int) -> None:
    """Say before proving that so much more cannot be opened. Raises ``InputError``."""
    _with(read_for(path, header), path, header, positions)


def spend(path: Path, header: DatasetHeader, opened: str, positions: int) -> None:
    """Count, durably, what is about to be opened, of which ``opened`` is the digest: once.

    Raises ``InputError`` when the randomness is used up.
    """
    with held(path, _WHAT, _MAX_BYTES) as file:
        known = _suits(_parsed(file.read(), path, header.root.hex()), path, header)
        mark = opened[:_DIGEST_DIGITS]
        if mark not in known.opened:
            after = _with(known, path, header, positions)
            file.write(_text(replace(after, opened=(*known.opened, mark))))


def spending(path: Path | None, header: DatasetHeader, positions: int) -> Callable[[str], None]:
    """``spend`` as ``files.publish`` wants it; nothing is counted where nothing hides."""

    def count(opened: str) -> None:
        if path is not None:
            spend(path, header, opened, positions)

    return count


def _with(known: Secret, path: Path, header: DatasetHeader, positions: int) -> Secret:
    after = replace(known, positions=known.positions + positions)
    if after.positions > header.tail:
        raise InputError(
            f"the randomness in {path} is used up: {known.positions} of {header.tail} positions "
            f"are opened, and {positions} more are needed; commit to the dataset again, with a "
            "larger --openings if it is proved on often"
        )
    return after


def _text(secret: Secret) -> bytes:
    return (json.dumps({"format": FORMAT, **asdict(secret)}, indent=2) + "\n").encode()
