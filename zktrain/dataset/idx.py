"""Strict reader of IDX files, the format of the MNIST family, plain or gzipped."""

from __future__ import annotations

import gzip
import re
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from ..errors import InputError

_IMAGES = re.compile(r"images[-.]idx3-ubyte(\.gz)?$")
_SPLIT_WORDS = {"train": ("train",), "test": ("t10k", "test")}
_CHUNK = 1 << 24


def read_idx(path: Path, dimensions: int) -> npt.NDArray[np.uint8]:
    """The unsigned bytes of an IDX file with exactly ``dimensions`` axes.

    Raises ``InputError`` for another type, shape or length than the header says.
    """
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            return _parse(file, path, dimensions)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} cannot be read: {error}; get the file again") from None


def _parse(file: BinaryIO | gzip.GzipFile, path: Path, dimensions: int) -> npt.NDArray[np.uint8]:
    header = file.read(4 + 4 * dimensions)
    if len(header) < 4 + 4 * dimensions or header[:4] != bytes([0, 0, 8, dimensions]):
        raise InputError(
            f"{path} is not an IDX file of unsigned bytes with {dimensions} dimensions: its header "
            f"begins with {header[:4].hex() or 'nothing'}; get the file again"
        )
    shape = struct.unpack(f">{dimensions}I", header[4:])
    expected = int(np.prod([int(size) for size in shape], dtype=object))
    # Read in pieces: a forged header must not make us allocate what the file does not have.
    data = bytearray()
    while len(data) <= expected:
        piece = file.read(min(_CHUNK, expected + 1 - len(data)))
        if not piece:
            break
        data += piece
    if len(data) != expected:
        found = f"only {len(data)}" if len(data) < expected else "more"
        raise InputError(
            f"{path}: the header announces {expected} bytes of data and there are {found}; "
            f"get the file again"
        )
    return np.frombuffer(data, dtype=np.uint8).reshape(shape)


def find_pair(folder: Path, split: str) -> tuple[Path, Path]:
    """The image and the label file of ``split`` in ``folder``; a plain file goes before its .gz.

    Raises ``InputError`` when there is none or more than one.
    """
    names = {entry.name for entry in folder.iterdir() if entry.is_file()}
    stems = {
        name.removesuffix(".gz")
        for name in names
        if _IMAGES.search(name) and any(word in name for word in _SPLIT_WORDS[split])
    }
    words = " or ".join(_SPLIT_WORDS[split])
    if len(stems) != 1:
        found = f"several ({', '.join(sorted(stems))})" if stems else "none"
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
