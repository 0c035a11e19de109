"""Standard output and standard error as commands need them.

What is printed as a result must arrive, or the command fails: :class:`OutputLost`. What is said on
the side may be lost: whoever closed standard error does not want to read it. Nothing that is
printed is refused by an encoding, and a descriptor that was closed is never that of another file.
"""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class OutputLost(OSError):
    """Standard output takes nothing more: it is closed, full, or nobody reads it."""


class _Output(io.RawIOBase):
    """A descriptor to write to; ``required``: the first failure raises :class:`OutputLost`, and
    later ones are silent, as all are where nothing is required."""

    def __init__(self, descriptor: int, *, required: bool) -> None:
        self._descriptor = descriptor
        self._required = required

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return os.write(self._descriptor, data)
        except OSError as error:
            if self._required:
                self._required = False
                raise OutputLost(error.errno, error.strerror) from None
            return memoryview(data).nbytes


def prepare() -> None:
    """Replace both streams, but those that a caller has replaced already."""
    _open_closed()
    if sys.stdout is sys.__stdout__:
        sys.stdout = _stream(sys.stdout, 1, required=True)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _stream(sys.stderr, 2, required=False)


def _open_closed() -> None:
    """Descriptors 0 to 2 that are closed become those of the null device: 1 for reading, so that
    writing to it fails."""
    for descriptor, flags in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            found = os.open(os.devnull, flags)
            if found != descriptor:
                os.dup2(found, descriptor)
                os.close(found)


def _stream(before: TextIO | None, descriptor: int, *, required: bool) -> TextIO:
    if before is not None:
        before.flush()
    raw = _Output(descriptor, required=required)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding="utf-8" if before is None else before.encoding,
        errors="backslashreplace",
        line_buffering=not required or raw.isatty(),
    )


__all__ = ["OutputLost", "prepare"]
