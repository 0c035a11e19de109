"""The file of a structured reference string, as halo2 and ezkl write and read it.

    k           u32, little endian, 1 to 28
    powers      2^k points of G1: tau^i G
    Lagrange    2^k points of G1: L_j(tau) G, with L_j of the domain of the powers of omega,
                omega of order 2^k
    H, tau H    2 points of G2

A point is its affine x, y; a coordinate of G2 is its c0, c1 of ``c0 + c1 u``; an element of ``F_q``
is the 32 bytes, little endian, of ``x 2^256 mod q``. Nothing follows. The reader accepts no other
bytes: elements are below ``q``, points of G1 are on the curve, and none is the identity, which
would be (0, 0). Whether points of G2 are points of the group is for the caller to check.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from ... import files
from ...errors import SrsRefused
from .curve import TWO_ADICITY, Affine, Q, on_curve

MAX_LOGROWS = TWO_ADICITY
HEADER_BYTES, ELEMENT_BYTES = 4, 32
G1_BYTES, G2_BYTES = 2 * ELEMENT_BYTES, 4 * ELEMENT_BYTES
BLOCK = 1 << 16
"""Points that are read at once: memory does not grow with the file."""

Part = Literal["power", "Lagrange point"]
Coordinates = tuple[int, int, int, int]
"""A point of G2: c0 and c1 of x, c0 and c1 of y."""

_TO_MONTGOMERY = (1 << 256) % Q
_FROM_MONTGOMERY = pow(_TO_MONTGOMERY, -1, Q)


def file_bytes(logrows: int) -> int:
    """The size of a file of ``2^logrows`` powers."""
    return HEADER_BYTES + 2 * (G1_BYTES << logrows) + 2 * G2_BYTES


def encoded(elements: Iterable[int]) -> bytes:
    """Elements of ``F_q`` as they stand in the file."""
    return b"".join(
        (value * _TO_MONTGOMERY % Q).to_bytes(ELEMENT_BYTES, "little") for value in elements
    )


def refused(path: Path, reason: str) -> SrsRefused:
    """The error of a file that is none; ``reason`` is a clause."""
    return SrsRefused(f"{path} is no usable SRS: {reason}; get it again from where it is published")


@contextmanager
def opened(path: Path) -> Iterator[SrsReader]:
    """The file, ready to be read from its first power on.

    Raises ``InputError`` if it cannot be read, ``SrsRefused`` if its size is not that of its ``k``;
    both before anything is allocated by its size.
    """
    with files.opened(path, "SRS") as file:
        yield SrsReader(path, file)


class SrsReader:
    """Takes a file apart from its beginning to its end, once, and digests what it has read.

    The caller takes all blocks of ``points("power")``, all of ``points("Lagrange point")``, twice
    ``group2()``, and ``finish()``.
    """

    def __init__(self, path: Path, file: files.Opened) -> None:
        self.path = path
        self._file, self._at = file, 0
        self._state = hashlib.sha256()
        if file.size < file_bytes(1):
            raise refused(path, f"it has {file.size} bytes, fewer than the smallest one")
        self.logrows = int.from_bytes(self._take(HEADER_BYTES), "little")
        if not 1 <= self.logrows <= MAX_LOGROWS:
            raise refused(path, f"its first bytes say k = {self.logrows}, not 1 to {MAX_LOGROWS}")
        wanted = file_bytes(self.logrows)
        if file.size != wanted:
            raise refused(path, f"it has {file.size} bytes, and k = {self.logrows} takes {wanted}")

    def points(self, part: Part) -> Iterator[list[Affine]]:
        """The points of a part, ``BLOCK`` at a time."""
        count = 1 << self.logrows
        for start in range(0, count, BLOCK):
            yield self._block(part, start, min(BLOCK, count - start))

    def _block(self, part: Part, start: int, count: int) -> list[Affine]:
        data = self._take(count * G1_BYTES)
        points = []
        for at in range(count):
            x, y = self._elements(data, at * G1_BYTES, 2, f"{part} {start + at}")
            if not on_curve(x, y):
                raise refused(self.path, f"{part} {start + at} is not on the curve")
            points.append((x, y))
        return points

    def group2(self, name: str) -> Coordinates:
        """The next point of G2; it may be off the curve or outside the group."""
        a, b, c, d = self._elements(self._take(G2_BYTES), 0, 4, name)
        return a, b, c, d

    def finish(self) -> str:
        """The SHA-256 of what was read, in hexadecimal digits."""
        return self._state.hexdigest()

    def _elements(self, data: bytes, start: int, count: int, name: str) -> list[int]:
        """The coordinates of a point, not all 0."""
        found = []
        for at in range(start, start + count * ELEMENT_BYTES, ELEMENT_BYTES):
            value = int.from_bytes(data[at : at + ELEMENT_BYTES], "little")
            if value >= Q:
                raise refused(self.path, f"a coordinate of {name} is not below q")
            found.append(value * _FROM_MONTGOMERY % Q)
        if not any(found):
            raise refused(self.path, f"{name} is the identity")
        return found

    def _take(self, size: int) -> bytes:
        data = self._file.read(self._at, size)
        self._at += size
        self._state.update(data)
        return data
