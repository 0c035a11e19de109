"""Temporary folders, which hold proving keys of gigabytes: gone however their process ends.

A signal that asks the process to end removes them on the way; what was left by one that was killed
is removed by the next one that looks (``disk.temporary_folder``).
"""

from __future__ import annotations

import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from .. import disk
from ..caches import weakness
from ..errors import InputError

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
    with _ending_is_an_exception(), disk.temporary_folder(parent) as folder:
        yield folder


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
