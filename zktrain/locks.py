"""One process at a time, for a folder, a file, or a name that does not exist yet.

Locks belong to inodes: whichever link leads to a file, it is the same one. They end with the
process that holds them.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from . import disk, files
from .errors import InputError
from .files import AnyPath

_ALWAYS = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
_TRIES, _PAUSE = 30, 0.01
"""A lock that somebody has only to look at is free again within this time."""


@contextmanager
def locked(folder: AnyPath, *, busy: str | None = None) -> Iterator[None]:
    """Hold the folder's lock, and remove from it what dead processes have left.

    While another process has it wait, or with ``busy`` raise ``InputError`` with that message.
    """
    descriptor = _hold(folder, os.O_RDONLY, busy)
    try:
        disk.sweep(os.path.realpath(folder), again=True)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def claimed(path: AnyPath, *, busy: str | None) -> Iterator[None]:
    """Be the only one who writes the file ``path``, which need not exist.

    Raises ``InputError`` with the message ``busy`` if another process is (None: wait), and where
    nothing can be written. The lock is that of a temporary file named after it.
    """
    target = disk.destination(path)
    folder, name = os.path.split(target)
    mark = hashlib.sha256(os.fsencode(name)).hexdigest()[:16]
    claim = os.path.join(folder, f"{disk.PREFIX}{mark}{disk.SUFFIX}")
    with disk.said(path):
        disk.sweep(folder, again=True)
        descriptor = _hold(claim, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), busy)
    try:
        yield
    finally:
        with disk.said(path, "released"):
            try:
                os.unlink(claim)
            finally:
                os.close(descriptor)


class Held:
    """A private file that this process alone reads and writes, through all links to it."""

    def __init__(self, path: str, what: str, limit: int, descriptor: int) -> None:
        self._path, self._what, self._limit = path, what, limit
        self._descriptors = [descriptor]

    def read(self) -> bytes:
        """All of it. Raises ``InputError``."""
        return files.read_bytes(self._path, self._what, self._limit)

    def write(self, data: bytes) -> None:
        """Replace it, durably; the lock goes on. Raises ``InputError``."""
        with disk.said(self._path):
            part = disk.Part(self._path)
            try:
                part.write(data)
                part.replace(private=True)
                self._descriptors.append(os.dup(part.descriptor))
            finally:
                part.close()

    def close(self) -> None:
        """Let go of the lock."""
        for descriptor in self._descriptors:
            os.close(descriptor)


@contextmanager
def held(path: AnyPath, what: str, limit: int) -> Iterator[Held]:
    """Wait for the lock of the file that ``path`` leads to. Raises ``InputError``."""
    target = os.path.realpath(path)
    found = Held(target, what, limit, _hold(target, os.O_RDONLY, None))
    try:
        require_one_name(path, what)
        yield found
    finally:
        found.close()


def require_one_name(path: AnyPath, what: str) -> None:
    """Refuse a file with hard links: replacing it would leave an old one under its other names.

    Raises ``InputError``.
    """
    with files.opened(path, what) as found:
        names = os.fstat(found.stream.fileno()).st_nlink
    if names > 1:
        raise InputError(
            f"the {what} {disk.name_of(path)} has {names} names (hard links), whose counts would "
            "go apart; keep one of them, and make symbolic links to it where others are needed"
        )


def _hold(path: AnyPath, flags: int, busy: str | None) -> int:
    """Open and lock what ``path`` names once the lock is ours."""
    target = os.path.realpath(path)
    tries = 0
    while True:
        try:
            descriptor = os.open(target, flags | _ALWAYS, 0o600)
        except OSError as error:
            raise InputError(f"{disk.name_of(path)} cannot be opened: {error.strerror}") from None
        try:
            ours = disk.lock(descriptor, wait=busy is None)
            if ours and disk.is_at(descriptor, target):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        tries += not ours
        if not ours and tries >= _TRIES:
            raise InputError(busy or "")
        if not ours:
            time.sleep(_PAUSE)
