"""What every file of this package is made of: a version byte, and sections with their lengths."""

from __future__ import annotations

import struct
from typing import NoReturn

from .errors import MalformedProof
from .spans import Bytes, cut

MAX_TEXT_BYTES = 1 << 12
"""Of statements and dataset headers."""


class Reader:
    """Reads sections front to back; never asks for more bytes than there are, nor for more than a
    section of that name may have."""

    def __init__(self, data: Bytes, what: str) -> None:
        self._data = data
        self._at = 0
        self._what = what

    def take(self, size: int, name: str) -> bytes:
        return bytes(self._cut(size, name))

    def _cut(self, size: int, name: str) -> Bytes:
        if size > len(self._data) - self._at:
            left = len(self._data) - self._at
            raise _malformed(f"the {self._what} ends inside its {name}", f"{size} bytes", left)
        out = cut(self._data, self._at, size)
        self._at += size
        return out

    def section(self, name: str, most: int) -> bytes:
        """Its length and so many bytes, which are read."""
        size = self._length(name)
        if size > most:
            problem = f"the {name} of the {self._what} is longer than any"
            raise _malformed(problem, f"at most {most} bytes", size)
        return self.take(size, name)

    def proof(self, name: str) -> Bytes:
        """Its length and so many bytes, which stay where they are until they are checked."""
        return self._cut(self._length(name), name)

    def _length(self, name: str) -> int:
        (size,) = struct.unpack("<Q", self.take(8, f"{name} length"))
        return int(size)

    def finish(self) -> None:
        if self._at != len(self._data):
            raise MalformedProof(
                f"{len(self._data) - self._at} bytes follow the end of the {self._what}",
                stage="bundle",
            )


def _malformed(problem: str, expected: str, got: int) -> MalformedProof:
    return MalformedProof(problem, stage="bundle", expected=expected, got=got)


def refuse_version(what: str, found: int) -> NoReturn:
    """Raises :class:`MalformedProof` for a file of another version."""
    raise MalformedProof(
        f"the {what} is of version {found} of the format and this zktrain reads version {VERSION}: "
        "make it again, or use the release that made it",
        stage="bundle",
    )


VERSION = 1
"""Of bundles, statements, dataset files and transcripts."""
