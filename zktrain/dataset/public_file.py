"""The public file of a committed dataset (``.zkd``): header and certificate, nothing of the
records.

magic "ZKTDATA" and the version byte; header, certificate: each u64 length, bytes
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError, MalformedProof
from ..files import read_bytes
from ..wire import MAX_TEXT_BYTES, VERSION, Reader, refuse_version
from .commitment import DatasetHeader

MAGIC = b"ZKTDATA" + bytes([VERSION])
MAX_FILE_BYTES = 1 << 24
"""Far more than the largest header and certificate, which have less than 1 MiB."""


def read_public(path: str | Path) -> tuple[DatasetHeader, bytes]:
    """Header and certificate, not verified. Raises InputError or MalformedProof."""
    return parse_public(read_bytes(path, "dataset file", MAX_FILE_BYTES), path)


def parse_public(data: bytes, path: str | Path) -> tuple[DatasetHeader, bytes]:
    """Header and certificate of the bytes of ``path``, not verified. Raises MalformedProof."""
    reader = Reader(data, "dataset file")
    magic = reader.take(len(MAGIC), "magic")
    if magic[:7] != MAGIC[:7]:
        raise MalformedProof(f"{path} is not a zktrain dataset file", stage="dataset")
    if magic != MAGIC:
        refuse_version(f"dataset file {path}", magic[7])
    header = DatasetHeader.from_json(reader.section("header", MAX_TEXT_BYTES))
    certificate = reader.section("certificate", MAX_FILE_BYTES)
    reader.finish()
    return header, certificate


def header_of(path: str | Path, what: str) -> DatasetHeader:
    """The header of the user's own public file of ``what``. Raises :class:`InputError`."""
    try:
        return read_public(path)[0]
    except MalformedProof as error:
        raise InputError(
            f"the dataset file {str(path)!r:.200} cannot be used: {error.message}; give the .zkd "
            f"file of {what}"
        ) from None


@dataclass(frozen=True, slots=True)
class GivenDataset:
    """A dataset that a user names: by its root, or by its public file, whose certificate is not
    checked yet."""

    root: bytes
    certificate: bytes | None = None


def given_dataset(given: str | Path) -> GivenDataset:
    """64 hexadecimal digits, or a public file; raises :class:`InputError` for anything else."""
    text = str(given)
    if len(text) == 64 and not set(text.lower()) - set("0123456789abcdef"):
        return GivenDataset(bytes.fromhex(text))
    try:
        header, certificate = read_public(text)
        return GivenDataset(header.root, certificate)
    except MalformedProof as error:
        raise InputError(
            f"the dataset file {text!r:.200} cannot be used: {error.message}"
        ) from None
    except InputError as error:
        raise InputError(
            f"{text!r:.200} is neither a dataset root of 64 hexadecimal digits nor a dataset file "
            f"({error.message}); give what zktrain commit printed or wrote"
        ) from None
