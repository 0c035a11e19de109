"""Bytes that stay in their file until they are looked at.

A proof is read front to back in pieces whose sizes follow from its statement. So a file of any
size takes no more memory and time than its statement asks for.
"""

from __future__ import annotations

from dataclasses import dataclass

from .files import Opened


@dataclass(frozen=True, slots=True)
class Span:
    """``size`` bytes of an open file from ``first`` on; slices are read when they are taken, and
    raise ``InputError`` where the file has become shorter."""

    file: Opened
    first: int
    size: int

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, part: slice) -> bytes:
        start, stop, _ = part.indices(self.size)
        return self.file.read(self.first + start, max(0, stop - start))

    def __bytes__(self) -> bytes:
        return self[:]

    def cut(self, start: int, size: int) -> Span:
        """A part of it, not read."""
        return Span(self.file, self.first + start, size)


Bytes = bytes | Span
"""In memory, or in a file."""


def whole(file: Opened) -> Span:
    """All bytes of a file."""
    return Span(file, 0, file.size)


def cut(data: Bytes, start: int, size: int) -> Bytes:
    """``size`` bytes from ``start`` on; of a file, not read."""
    return data.cut(start, size) if isinstance(data, Span) else data[start : start + size]
