"""Files of named tensors in the format of safetensors, with numpy alone.

    u64 length of the header, little-endian; header; cells

The header is a JSON object, padded with spaces: ``name -> {dtype, shape, data_offsets}``, and
``__metadata__``, texts by text. What is read is stricter than the format: whatever two loaders may
read differently is refused. No key comes twice, at any depth; numbers are plain digits; the tensors
cover the cells after the header one after the other, without overlap, gap or rest.

Nothing is mapped into memory: a file that is cut short while it is read is an error, not the end
of the process.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from . import files
from .errors import InputError

MAX_HEADER_BYTES = 1 << 20
MAX_AXES = 8
METADATA = "__metadata__"
_LENGTH_BYTES = 8
ALIGNED = 8
_SIZES = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2"), 1),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 2),
    **dict.fromkeys(("U32", "I32", "F32"), 4),
    **dict.fromkeys(("U64", "I64", "F64"), 8),
}
"""Bytes of a cell."""
_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True)
class Entry:
    """What the header says of a tensor; ``first`` is its first byte after the header."""

    dtype: str
    shape: tuple[int, ...]
    first: int

    @property
    def size(self) -> int:
        """In bytes."""
        return _SIZES[self.dtype] * math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class TensorFile:
    """An open file whose header and size are checked; ``entries`` in the header's order."""

    entries: dict[str, Entry]
    metadata: dict[str, str]
    _file: files.Opened
    _cells: int

    def floats(self, name: str) -> npt.NDArray[np.float64]:
        """The cells of a tensor of type ``F64``. Raises ``InputError`` where the file has become
        shorter, ``TypeError`` for another type."""
        entry = self.entries[name]
        if entry.dtype != "F64":
            raise TypeError(f"{name} has the type {entry.dtype}")
        out = np.empty(entry.shape, dtype="<f8")
        self._file.read_into(self._cells + entry.first, out.reshape(-1).view(np.uint8).data)
        return out.astype(np.float64, copy=False)


@contextmanager
def opened(path: files.AnyPath) -> Iterator[TensorFile]:
    """Raises ``InputError`` for what is no regular file, or no file of this format."""
    with files.opened(path, "weight file") as file:
        try:
            if file.size < _LENGTH_BYTES:
                raise _Invalid("it ends inside its header")
            length = int.from_bytes(file.read(0, _LENGTH_BYTES), "little")
            if length > MAX_HEADER_BYTES:
                raise _Invalid(f"its header of {length} bytes is longer than {MAX_HEADER_BYTES}")
            if length > file.size - _LENGTH_BYTES:
                raise _Invalid("it ends inside its header")
            entries, metadata = _header(file.read(_LENGTH_BYTES, length))
            _check_layout(entries, file.size - _LENGTH_BYTES - length)
        except _Invalid as problem:
            raise InputError(
                f"the weight file {file.path!r:.200} cannot be read as a safetensors file: "
                f"{problem}; give one written by zktrain train"
            ) from None
        yield TensorFile(entries, metadata, file, _LENGTH_BYTES + length)


class _Invalid(Exception):
    """Why a file is not of this format, as a clause about it."""


def _header(text: bytes) -> tuple[dict[str, Entry], dict[str, str]]:
    fields = _parse(text)
    metadata = fields.pop(METADATA, {})
    if not isinstance(metadata, dict) or not all(type(v) is str for v in metadata.values()):
        raise _Invalid("its metadata are not texts")
    return {name: _entry(name, value) for name, value in fields.items()}, metadata


def _parse(text: bytes) -> dict[str, Any]:
    if not text.startswith(b"{") or not text.rstrip(b" ").endswith(b"}"):
        raise _Invalid("its header is no JSON object padded with spaces")
    try:
        found: dict[str, Any] = json.loads(  # it has braces around it
            text.decode(),
            parse_int=_integer,
            parse_float=_no_integer,
            parse_constant=_no_integer,
            object_pairs_hook=_unique,
        )
    except RecursionError:
        raise _Invalid("its header is nested too deeply") from None
    except ValueError:
        raise _Invalid("its header is no JSON object") from None
    return found


def _integer(text: str) -> int:
    if _NUMBER.fullmatch(text) is None:
        _no_integer(text)
    return int(text)


def _no_integer(text: str) -> NoReturn:
    raise _Invalid(f"{text!r:.40} in its header is no number of bytes or cells")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _Invalid(f"its header has {key!a:.100} twice")
        found[key] = value
    return found


def _entry(name: str, value: Any) -> Entry:
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        raise _Invalid(f"its header says not exactly type, shape and place of {name!a:.100}")
    dtype, shape, place = value["dtype"], value["shape"], value["data_offsets"]
    if type(dtype) is not str or dtype not in _SIZES:
        raise _Invalid(f"{name!a:.100} has a type that is not known")
    if not _numbers(shape) or len(shape) > MAX_AXES or not _numbers(place) or len(place) != 2:
        raise _Invalid(f"{name!a:.100} has no valid shape or place")
    entry = Entry(dtype, tuple(shape), place[0])
    if place[1] - place[0] != entry.size:
        raise _Invalid(f"{name!a:.100} has another number of bytes than its shape")
    return entry


def _numbers(value: Any) -> bool:
    return isinstance(value, list) and all(type(n) is int for n in value)


def _check_layout(entries: dict[str, Entry], size: int) -> None:
    """One after the other, from the first byte to the last."""
    at = 0
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].first, item[1].size)):
        if entry.first != at:
            problem = "overlaps another tensor" if entry.first < at else "follows a gap"
            raise _Invalid(f"{name!a:.100} {problem}")
        at += entry.size
    if at != size:
        raise _Invalid(f"its tensors take {at} bytes, but {size} follow the header")
