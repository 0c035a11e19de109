"""Writing the public file of a committed dataset."""

from __future__ import annotations

import struct
from pathlib import Path

from ... import disk
from ...dataset.commitment import DatasetHeader
from ...dataset.public_file import MAGIC


def encoded(header: DatasetHeader, certificate: bytes) -> bytes:
    """The file's bytes."""
    text = header.to_json()
    data = MAGIC + struct.pack("<Q", len(text)) + text
    return data + struct.pack("<Q", len(certificate)) + certificate


def write_public(path: str | Path, header: DatasetHeader, certificate: bytes) -> None:
    """Write durably and all at once. Raises InputError."""
    disk.write(path, encoded(header, certificate))
