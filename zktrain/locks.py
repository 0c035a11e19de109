"""One process at a time in a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import InputError


@contextmanager
def locked(folder: Path, *, busy: str | None = None) -> Iterator[None]:
    """Hold the folder's lock. While another process has it wait, or with ``busy`` raise
    ``InputError`` with that message."""
    try:
        import fcntl
    except ImportError:  # no such locks on this system
        yield
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise InputError(f"{folder} cannot be opened: {error.strerror}") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (fcntl.LOCK_NB if busy else 0))
        except BlockingIOError:
            raise InputError(busy or "") from None
        yield
    finally:
        os.close(descriptor)
