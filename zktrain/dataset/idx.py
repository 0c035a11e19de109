"""Strict reader of IDX files, the format of the MNIST family, plain or gzipped."""

from __future__ import annotations

import gzip
import re
import struct
import zlib
from math import prod
from pathlib import Path
from typing import BinaryIO, NoReturn

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..files import opened
from ..scratch import IN_MEMORY, Scratch
from .arrays import Unreadable, require_room

_IMAGES = re.compile(r"images[-.]idx3-ubyte(\.gz)?$")
_SPLIT_WORDS = {"train": ("train",), "test": ("t10k", "test")}
_CHUNK = 1 << 24


def read_idx(path: Path, dimensions: int, scratch: Scratch = IN_MEMORY) -> npt.NDArray[np.uint8]:
    """The unsigned bytes of an IDX file with exactly ``dimensions`` axes.

    Raises ``InputError`` for another type, shape or length than the header says.
    """
    try:
        with opened(path, "IDX file") as file:
            if path.suffix != ".gz":
                return _parse(file.stream, path, dimensions, file.size, scratch)
            with gzip.GzipFile(fileobj=file.stream) as unpacked:
                return _parse(unpacked, path, dimensions, file.size, scratch)
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise InputError(f"{path} cannot be read: {error}; get the file again") from None


def _parse(
    file: BinaryIO | gzip.GzipFile, path: Path, dimensions: int, packed: int, scratch: Scratch
) -> npt.NDArray[np.uint8]:
    """``packed`` bytes are in the file."""
    header = file.read(4 + 4 * dimensions)
    if len(header) < 4 + 4 * dimensions or header[:4] != bytes([0, 0, 8, dimensions]):
        raise InputError(
            f"{path} is not an IDX file of unsigned bytes with {dimensions} dimensions: its header "
            f"begins with {header[:4].hex() or 'nothing'}; get the file again"
        )
    shape = struct.unpack(f">{dimensions}I", header[4:])
    expected = prod(shape)
    try:
        require_room(expected, packed, scratch)
    except Unreadable as problem:
        raise InputError(
            f"{path}: the header announces {expected} bytes of data: {problem}"
        ) from None
    values = scratch.scattered((expected,), np.uint8)
    done = 0
    while done < expected and (piece := file.read(min(_CHUNK, expected - done))):
        values[done : done + len(piece)] = np.frombuffer(piece, dtype=np.uint8)
        done += len(piece)
    if done < expected:
        _wrong_length(path, expected, done, more=False)
    if file.read(1):
        _wrong_length(path, expected, done, more=True)
    return values.reshape(shape)


def _wrong_length(path: Path, expected: int, found: int, *, more: bool) -> NoReturn:
    raise InputError(
        f"{path}: the header announces {expected} bytes of data and there are "
        f"{'more' if more else f'only {found}'}; get the file again"
    )


def find_pair(folder: Path, split: str) -> tuple[Path, Path]:
    """The image and the label file of ``split`` in ``folder``; a plain file goes before its .gz.

    Raises ``InputError`` when there is none or more than one.
    """
    try:
        names = {entry.name for entry in folder.iterdir() if entry.is_file()}
    except OSError as error:
        raise InputError(f"the folder {folder} cannot be read: {error.strerror}") from None
    stems = {
        name.removesuffix(".gz")
        for name in names
        if _IMAGES.search(name) and any(word in name for word in _SPLIT_WORDS[split])
    }
    words = " or ".join(_SPLIT_WORDS[split])
    if len(stems) != 1:
        found = f"several ({', '.join(sorted(stems)[:8])})" if stems else "none"
        raise InputError(
            f"{folder} should have one file *{words}*images-idx3-ubyte (or .gz) for the "
            f"{split} split and has {found}; give a folder with one dataset of the MNIST family"
        )
    images = stems.pop()
    labels = images.replace("images", "labels").replace("idx3", "idx1")
    return _existing(folder, images, names), _existing(folder, labels, names)


def _existing(folder: Path, name: str, names: set[str]) -> Path:
    for candidate in (name, f"{name}.gz"):
        if candidate in names:
            return folder / candidate
    raise InputError(f"{folder} has no {name} or {name}.gz; put the file beside its images")
