"""Strict reader of numpy's files of arrays, ``.npy`` and ``.npz``.

It reads what ``numpy.save``, ``savez`` and ``savez_compressed`` write of booleans, integers and
floats, and nothing else: no pickles, no text that is evaluated, no compression but deflate, no
array twice. All sizes are known from headers before anything of that size is allocated: an array
has exactly the bytes that its shape says, and no more than ``MOST_TIMES`` those of the file
(compressed small files: ``ALWAYS``), nor than the memory that is left, or the disk where arrays go
into files.

    zip           https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, 4.3 and 4.5.3
    npy           https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..files import Opened, opened
from ..machine import available_memory
from ..scratch import IN_MEMORY, Scratch

MOST_TIMES = 20
"""Bytes of arrays per byte of a file."""
ALWAYS = 1 << 26
"""Bytes of arrays that any file may have: small files compress well."""
_MEMBERS = 1 << 10
_DIRECTORY = 1 << 20
_HEADER = 1 << 14
_AXES = 32
_PIECE = 1 << 20
_NPY = re.compile(
    rb"\{\s*'descr':\s*'([<>|=]?)([A-Za-z])([0-9]{0,4})[^']{0,40}',\s*"
    rb"'fortran_order':\s*(True|False),\s*"
    rb"'shape':\s*\(((?:\s*[0-9]{1,19}L?\s*,)*(?:\s*[0-9]{1,19}L?)?\s*)\)\s*,?\s*\}\s*"
)
_SIZES = {"b": (1,), "i": (1, 2, 4, 8), "u": (1, 2, 4, 8), "f": (2, 4, 8)}
_STORED, _DEFLATED = 0, 8
_FULL32, _FULL16 = 0xFFFFFFFF, 0xFFFF
_ENTRY = struct.Struct("<4s4xHH4xIIIHHH8xI")
"""Of the directory: mark, flags, method, checksum, packed and unpacked size, the sizes of name,
extra fields and comment, which follow, and where the member begins."""


@dataclass(frozen=True, slots=True)
class _Member:
    """An entry of a zip file: where its bytes begin, how many there are, and unpacked."""

    method: int
    start: int
    packed: int
    size: int
    crc: int | None


class Unreadable(Exception):
    """What is wrong with the file; readers add its name and what to do."""


def read_npy(path: str | Path, what: str, scratch: Scratch = IN_MEMORY) -> npt.NDArray[Any]:
    """The array of an ``.npy`` file. Raises ``InputError``."""
    with _reading(path, what) as file:
        return _Reader(file, _Member(_STORED, 0, file.size, file.size, None)).array(scratch)


def read_npz(
    path: str | Path, what: str, names: tuple[str, ...], scratch: Scratch = IN_MEMORY
) -> tuple[dict[str, npt.NDArray[Any]], set[str]]:
    """The arrays of an ``.npz`` file with these names, where it has them, and the names of all.

    Raises ``InputError``.
    """
    with _reading(path, what) as file:
        members = _members(file)
        wanted = {name: members[name] for name in names if name in members}
        require_room(sum(member.size for member in wanted.values()), file.size, scratch)
        arrays = {}
        for name, member in wanted.items():
            try:
                arrays[name] = _Reader(file, member).array(scratch)
            except Unreadable as problem:
                raise Unreadable(f"the array {name!r}: {problem}") from None
        return arrays, set(members)


@contextmanager
def _reading(path: str | Path, what: str) -> Iterator[Opened]:
    """The open file, whose errors name it. Raises ``InputError``."""
    try:
        with opened(path, what) as file:
            yield file
    except Unreadable as problem:
        raise InputError(f"the {what} {str(path)!r:.200} cannot be read: {problem}") from None


def require_room(count: int, file_size: int, scratch: Scratch = IN_MEMORY) -> None:
    """Raise ``Unreadable`` for arrays of ``count`` bytes that are out of proportion."""
    if count > max(ALWAYS, MOST_TIMES * file_size):
        raise Unreadable(
            f"its arrays are said to have {count:,} bytes, more than {MOST_TIMES} times the "
            f"{file_size:,} of the file; write it with numpy.savez, without compression"
        )
    free = scratch.free
    if free is not None:
        if count > free:
            raise Unreadable(
                f"its arrays have {count:,} bytes, and the disk for them has {free:,} left; make "
                "room there, or give more --memory"
            )
        return
    left = available_memory()
    if left is not None and count > left:
        raise Unreadable(
            f"its arrays have {count:,} bytes, and {left:,} of memory are left; give fewer "
            "records, or bytes instead of floats"
        )


def _members(file: Opened) -> dict[str, _Member]:
    """The arrays of a zip file by name."""
    tail = min(file.size, 22 + 65535)
    end = file.read(file.size - tail, tail)
    at = end.rfind(b"PK\5\6")
    if at < 0 or len(end) - at < 22:
        raise Unreadable("it is no zip file, or cut short")
    count, size, start = struct.unpack("<HII", end[at + 10 : at + 20])
    if count == _FULL16 or _FULL32 in (size, start):
        locator = file.read(file.size - tail + at - 20, 20)
        if locator[:4] != b"PK\6\7":
            raise Unreadable("its directory cannot be found")
        (record,) = struct.unpack("<Q", locator[8:16])
        count, size, start = struct.unpack("<QQQ", file.read(record, 56)[32:56])
    if count > _MEMBERS or size > _DIRECTORY:
        raise Unreadable(f"its directory is said to have {count:,} entries in {size:,} bytes")
    found: dict[str, _Member] = {}
    for name, member in _entries(file, file.read(start, size), count):
        if name.endswith(".npy"):
            name = name.removesuffix(".npy")
            if name in found:
                raise Unreadable(f"the array {name!r:.80} is there twice")
            found[name] = member
    return found


def _entries(file: Opened, directory: bytes, count: int) -> Iterator[tuple[str, _Member]]:
    at = 0
    for _ in range(count):
        if len(directory) < at + _ENTRY.size:
            raise Unreadable("its directory is cut short")
        magic, flags, method, crc, packed, size, *lengths, start = _ENTRY.unpack_from(directory, at)
        if magic != b"PK\1\2":
            raise Unreadable("its directory is damaged")
        named, described, commented, at = accumulate(lengths, initial=at + _ENTRY.size)
        if len(directory) < at:
            raise Unreadable("its directory is cut short")
        name, extra = directory[named:described], directory[described:commented]
        if flags & 1:
            raise Unreadable("it is encrypted")
        size, packed, start = _long(extra, (size, packed, start))
        if method not in (_STORED, _DEFLATED):
            raise Unreadable("it is compressed by another method than deflate")
        if method == _STORED and size != packed:
            raise Unreadable("its directory is damaged")
        local = file.read(start, 30)
        if local[:4] != b"PK\3\4":
            raise Unreadable("its directory is damaged")
        begin = start + 30 + sum(struct.unpack("<HH", local[26:30]))
        yield name.decode("utf-8", "replace"), _Member(method, begin, packed, size, crc)


def _long(extra: bytes, values: tuple[int, int, int]) -> tuple[int, int, int]:
    """Sizes and offset, those that need it from the field for 64-bit numbers."""
    found, at = list(values), 0
    while at + 4 <= len(extra):
        kind, size = struct.unpack("<HH", extra[at : at + 4])
        if kind == 1:
            numbers = extra[at + 4 : at + 4 + size]
            for place, value in enumerate(values):
                if value == _FULL32:
                    if len(numbers) < 8:
                        raise Unreadable("its directory is damaged")
                    (found[place],) = struct.unpack("<Q", numbers[:8])
                    numbers = numbers[8:]
        at += 4 + size
    return found[0], found[1], found[2]


class _Reader:
    """Unpacks one member from its beginning on, never more than it is said to have."""

    def __init__(self, file: Opened, member: _Member) -> None:
        self._file, self._member = file, member
        self._at, self._left = member.start, member.packed
        self._unpacker = zlib.decompressobj(-15) if member.method == _DEFLATED else None
        self._crc = 0

    def array(self, scratch: Scratch) -> npt.NDArray[Any]:
        size = self._member.size
        beginning = self._exactly(8)
        if beginning[:6] != b"\x93NUMPY" or beginning[6] not in (1, 2, 3):
            raise Unreadable("it is no .npy file of a known version")
        width = 2 if beginning[6] == 1 else 4
        length = int.from_bytes(self._exactly(width), "little")
        if length > _HEADER:
            raise Unreadable(f"its header is said to have {length:,} bytes")
        dtype, fortran, shape = _described(self._exactly(length))
        count = prod(shape)
        if dtype.itemsize * count != size - 8 - width - length:
            raise Unreadable(
                f"its header announces {dtype.itemsize * count:,} bytes of {dtype}, and there are "
                f"{size - 8 - width - length:,}"
            )
        make = scratch.scattered if dtype.itemsize == 1 else scratch.zeros  # records, or not yet
        values = make((count,), dtype)
        target, done = values.view(np.uint8), 0
        while done < target.size:
            piece = self._exactly(min(_PIECE, target.size - done))
            target[done : done + len(piece)] = np.frombuffer(piece, np.uint8)
            done += len(piece)
        unpacker = self._unpacker
        if (
            self._piece(1)
            or self._left
            or (unpacker and (unpacker.unused_data or not unpacker.eof))
        ):
            raise Unreadable("it has more than it says")
        if self._member.crc not in (None, self._crc):
            raise Unreadable("it is damaged: its checksum is another")
        return values.reshape(shape, order="F" if fortran else "C")

    def _exactly(self, count: int) -> bytes:
        found = b""
        while len(found) < count and (piece := self._piece(count - len(found))):
            found += piece
        if len(found) < count:
            raise Unreadable("it is cut short")
        self._crc = zlib.crc32(found, self._crc)
        return found

    def _piece(self, most: int) -> bytes:
        """Some more bytes, at most so many; none at the end."""
        if self._unpacker is None:
            return self._packed(most)
        while not self._unpacker.eof:
            packed = self._unpacker.unconsumed_tail or self._packed(_PIECE)
            try:
                found = self._unpacker.decompress(packed, most)
            except zlib.error as error:
                raise Unreadable(f"it is damaged: {error}") from None
            if found:
                return found
            if not packed:
                break
        return b""

    def _packed(self, most: int) -> bytes:
        count = min(most, self._left)
        found = self._file.read(self._at, count)
        self._at, self._left = self._at + count, self._left - count
        return found


def _described(header: bytes) -> tuple[np.dtype[Any], bool, tuple[int, ...]]:
    """Type, order and shape of an array."""
    found = _NPY.fullmatch(header)
    if found is None:
        raise Unreadable("its header is not one of an array of numbers")
    order, kind, size, fortran, axes = (part.decode() for part in found.groups())
    if kind not in _SIZES or int(size or 0) not in _SIZES[kind]:
        names = {"O": "objects", "U": "texts", "S": "texts", "c": "complex numbers"}
        raise Unreadable(
            f"it holds {names.get(kind, 'values of type ' + kind + size)}, not plain numbers; "
            "convert it, for example with .astype(numpy.float32)"
        )
    shape = tuple(int(axis.strip("L ")) for axis in axes.split(",") if axis.strip())
    if len(shape) > _AXES or prod(max(1, axis) for axis in shape) >= 1 << 60:
        raise Unreadable("its header has a shape that no array has")
    return np.dtype(f"{'<' if order == '|' else order}{kind}{size}"), fortran == "True", shape
