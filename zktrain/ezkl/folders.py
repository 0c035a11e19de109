"""Temporary folders, which hold proving keys of gigabytes: gone however their process ends.

A folder is locked by the process that made it, for as long as it lives. A signal that asks the
process to end removes it on the way; what was left by one that was killed has no lock any more, and
is removed by the next one that looks.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from ..caches import weakness
from ..errors import InputError

PREFIX = "zktrain-ezkl-"
_NEW_SECONDS = 60
"""A folder this young may not have been locked yet."""
_ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


@contextmanager
def private_folder(within: Path | None = None) -> Iterator[Path]:
    """A new folder of mode 0700 in ``within`` (None: where the system has such files).

    Raises ``InputError`` if it cannot be made, or others could put another in its place.
    """
    parent = Path(tempfile.gettempdir()) if within is None else within
    if (problem := weakness(parent, shared=True)) is not None:
        raise InputError(
            f"temporary files have no safe place: {problem}; let TMPDIR be a folder that only you "
            "can write"
        )
    _sweep(parent)
    with _ending_is_an_exception():
        try:
            folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        except OSError as error:
            raise InputError(
                f"no temporary folder can be made in {parent}: {error.strerror}; let TMPDIR be a "
                "folder that you can write"
            ) from None
        lock = _lock(folder)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            if lock is not None:
                os.close(lock)


def _lock(folder: Path) -> int | None:
    """A descriptor that holds the folder's lock; None if another process holds it, or there are no
    such locks."""
    try:
        import fcntl

        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except (ImportError, OSError):
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _sweep(parent: Path) -> None:
    """Remove what processes left that are dead."""
    before = time.time() - _NEW_SECONDS
    for folder in parent.glob(f"{PREFIX}*"):
        try:
            found = os.lstat(folder)
        except OSError:
            continue
        if found.st_uid != os.geteuid() or found.st_mtime > before:
            continue
        lock = _lock(folder)
        if lock is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)


@contextmanager
def _ending_is_an_exception() -> Iterator[None]:
    """Where a signal would end the process at once, raise ``SystemExit`` with the code that shells
    give it, so that everything on the way out is done. Signals that the program handles or ignores
    stay as they are."""

    def end(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    changed = []
    if threading.current_thread() is threading.main_thread():
        changed = [number for number in _ENDING if signal.getsignal(number) is signal.SIG_DFL]
    for number in changed:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in changed:
            with suppress(ValueError):
                signal.signal(number, signal.SIG_DFL)
