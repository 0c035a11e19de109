"""The owner's secret file beside a public one: what hides the dataset, and how much is used up.

    format        "zktrain-secret-2"
    root          the dataset's root, 64 hexadecimal digits
    records       digest of the records, 64 hexadecimal digits: training need not commit again
    secret        32 bytes in hexadecimal digits; all randomness of the commitment follows from them
    openings      how many openings the randomness was sized for
    positions     code word positions opened so far
    segments      segments proved so far

It is JSON, readable by its owner alone (mode 0600). Whoever has it and the public file can test
guesses about the dataset. The counters are written before anything is opened, and nothing is
opened beyond what the randomness allows.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ..errors import InputError
from ..locks import locked
from ..randomness import SECRET_BYTES
from ..training.weights import write_atomically
from .commitment import MAX_OPENINGS, DatasetHeader
from .public_file import given_dataset, read_public
from .readers import Records

FORMAT = "zktrain-secret-2"


@dataclass(frozen=True, slots=True)
class Secret:
    """Contents of a secret file."""

    root: str
    records: str
    secret: str
    openings: int
    positions: int
    segments: int

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
    """Where the secret file of a public file is: ``fashion.zkd.secret`` beside ``fashion.zkd``."""
    return Path(f"{public}.secret")


def create(path: Path, secret: Secret) -> None:
    """Write a new secret file. Raises ``InputError`` where there is one already: it may be needed
    to open another commitment."""
    if path.exists():
        raise InputError(
            f"{path} exists and opens an earlier commitment; choose another name, or remove it if "
            "that commitment is not needed any more"
        )
    _write(path, secret)


def read(path: Path, root: str | None = None) -> Secret:
    """The secret of the commitment ``root``, None: of any. Raises ``InputError`` for a file
    that is missing, damaged or another commitment's."""
    try:
        fields = json.loads(path.read_bytes())
        if fields.pop("format") != FORMAT:
            raise ValueError("another format")
        secret = Secret(**fields)
        counts = (secret.openings, secret.positions, secret.segments)
        if any(type(n) is not int or n < 0 for n in counts) or secret.openings > MAX_OPENINGS:
            raise ValueError("a count is out of range")
        digests = (bytes.fromhex(secret.root), bytes.fromhex(secret.records))
        if len(secret.seed) != SECRET_BYTES or any(len(digest) != 32 for digest in digests):
            raise ValueError("a value has the wrong length")
    except OSError as error:
        raise InputError(
            f"the secret file {path} cannot be read: {error.strerror or error}; it is written "
            "beside the public file, and without it nobody can prove on this commitment"
        ) from None
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
    secret = read(path, header.root.hex())
    if secret.openings != header.openings:
        raise InputError(
            f"{path} says {secret.openings} openings where the commitment is made for "
            f"{header.openings}; put back the file that was written with it"
        )
    return secret


def spend(path: Path, header: DatasetHeader, *, positions: int = 0, segments: int = 0) -> None:
    """Count what is about to be opened. Raises ``InputError`` when the randomness is used up."""
    with locked(path.parent):
        known = read_for(path, header)
        after = replace(
            known, positions=known.positions + positions, segments=known.segments + segments
        )
        if after.positions > header.tail or after.segments > header.segment_limit:
            raise InputError(
                f"the randomness in {path} is used up ({known.segments} segments proved, "
                f"{known.positions} positions opened); commit to the dataset again, with a larger "
                "--openings if it is proved on often"
            )
        _write(path, after)


def _write(path: Path, secret: Secret) -> None:
    text = json.dumps({"format": FORMAT, **asdict(secret)}, indent=2) + "\n"
    write_atomically(path, text.encode(), mode=0o600)
