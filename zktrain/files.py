"""Reading: every file of the package is read here.

A file is opened once, without waiting, and only if it is a regular one: a pipe, a device, a socket
or a folder is refused at once. Symbolic links are followed. Nothing is mapped into memory, where a
file that somebody shortens would end the process. Errors are ``InputError``, whose message names
what the file should have been (``what``, such as ``bundle``) and what is wrong with it.

It needs the standard library alone.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NoReturn

from .errors import InputError

READ = os.O_RDONLY | sum(
    getattr(os, name, 0) for name in ("O_NONBLOCK", "O_NOCTTY", "O_CLOEXEC", "O_BINARY")
)
_PIECE = 1 << 20
KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}

AnyPath = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class Opened:
    """A regular file, open for reading; ``size`` is the one that it had when it was opened.

    ``stream`` reads it from its beginning on, for readers that want a file object.
    """

    path: str
    what: str
    size: int
    stream: io.BufferedReader

    def read(self, offset: int, count: int) -> bytes:
        """Exactly ``count`` bytes from ``offset`` on, wherever ``stream`` is.

        Raises ``InputError`` when the file has fewer; more than ``size`` are never asked for.
        """
        if not 0 <= offset <= offset + count <= self.size:
            _unreadable(self.path, self.what, "it ends too early")
        data = bytearray(count)
        self.read_into(offset, memoryview(data))
        return bytes(data)

    def read_into(self, offset: int, target: memoryview) -> None:
        """Fill ``target``, a contiguous buffer, from ``offset`` on. Raises ``InputError``."""
        left = target.cast("B")
        while left:
            try:
                got = _read_at(self.stream.fileno(), left[:_PIECE], offset)
            except OSError as error:
                _unreadable(self.path, self.what, error.strerror or str(error))
            if not got:
                _unreadable(self.path, self.what, "it ends too early")
            left, offset = left[got:], offset + got


@contextmanager
def opened(path: AnyPath, what: str, limit: int | None = None) -> Iterator[Opened]:
    """The regular file ``path``, of at most ``limit`` bytes. Raises ``InputError``.

    ``OSError`` of reading its ``stream`` is the caller's.
    """
    name = os.fspath(path)
    descriptor, size = _open(name, what)
    with os.fdopen(descriptor, "rb") as stream:
        if limit is not None and size > limit:
            _too_large(name, what, limit)
        yield Opened(name, what, size, stream)


def read_bytes(path: AnyPath, what: str, limit: int) -> bytes:
    """All bytes of the regular file ``path``.

    Raises ``InputError`` when there is no such file, it is no regular one, it cannot be read, or it
    has more than ``limit`` bytes; nothing is allocated before that is known, and never more than
    ``limit`` bytes, even for a file that grows meanwhile.
    """
    name = os.fspath(path)
    descriptor, size = _open(name, what)
    with io.FileIO(descriptor) as file:
        if size > limit:
            _too_large(name, what, limit)
        data = b""
        wanted = size + 1
        try:
            while more := file.read(min(wanted, limit + 1 - len(data))):
                data += more
                wanted = max(_PIECE, size - len(data))
        except OSError as error:
            _unreadable(name, what, error.strerror or str(error))
    if len(data) > limit:
        _too_large(name, what, limit)
    return data


def beginning(path: AnyPath, count: int) -> bytes:
    """The first ``count`` bytes of a regular file, fewer if it is shorter; none of what cannot be
    read."""
    try:
        with opened(path, "file") as found:
            return found.read(0, min(count, found.size))
    except InputError:
        return b""


def _open(path: str, what: str) -> tuple[int, int]:
    """Descriptor and size of a regular file."""
    try:
        _require_regular(path, what, os.stat(path).st_mode)  # opening a device may do something
        descriptor = os.open(path, READ)
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        _unreadable(path, what, getattr(error, "strerror", None) or str(error))
    try:
        found = os.fstat(descriptor)
        _require_regular(path, what, found.st_mode)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, found.st_size


def _require_regular(path: str, what: str, mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = KINDS.get(stat.S_IFMT(mode), "something else")
        _unreadable(path, what, f"it is {kind}, not a file; give the path of a file")


def _read_at(descriptor: int, target: memoryview, offset: int) -> int:
    if hasattr(os, "preadv"):
        return os.preadv(descriptor, [target], offset)
    data = os.pread(descriptor, len(target), offset)
    target[: len(data)] = data
    return len(data)


def _unreadable(path: str, what: str, problem: str) -> NoReturn:
    raise InputError(f"the {what} {path!r:.200} cannot be read: {problem}") from None


def _too_large(path: str, what: str, limit: int) -> NoReturn:
    raise InputError(
        f"the {what} {path!r:.200} is larger than any {what} ({limit} bytes); is it the right file?"
    )
