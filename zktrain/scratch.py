"""Large arrays that need not be in memory: in files without a name, which are gone with the
process."""

from __future__ import annotations

import mmap
import shutil
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import InputError

SMALL = 1 << 20
"""Bytes from which on an array is worth a file."""
_SETTLED_SECONDS = 0.02
_settling: list[Scratch] = []


class Scratch:
    """Where arrays are: in memory, or with a ``folder`` in files there that nobody else can open,
    as compact as on a disk: what is never written takes no room. A file goes with its array."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._maps: list[weakref.ref[mmap.mmap]] = []

    @property
    def in_files(self) -> bool:
        """Whether large arrays are."""
        return self._folder is not None

    @property
    def free(self) -> int | None:
        """Bytes that the folder has left; None where arrays are in memory."""
        return None if self._folder is None else shutil.disk_usage(self._folder).free

    def zeros(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """A new array. Raises ``InputError`` where the folder takes no such file."""
        return self._made(np.zeros, shape, np.dtype(dtype), None)

    def scattered(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """As ``zeros``, of any values, for an array of which rows are read here and there: each
        brings some pages from its file, not megabytes."""
        return self._made(np.empty, shape, np.dtype(dtype), getattr(mmap, "MADV_RANDOM", None))

    def taken(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The array itself, or a ``scattered`` copy where arrays are in files."""
        if self._folder is None:
            return array
        found = self.scattered(array.shape, array.dtype)
        found[...] = array
        return found

    def _made(
        self,
        new: Callable[..., npt.NDArray[Any]],
        shape: tuple[int, ...],
        kind: np.dtype[Any],
        advice: int | None,
    ) -> npt.NDArray[Any]:
        size = int(np.prod(shape)) * kind.itemsize
        if self._folder is None or size < SMALL:
            return new(shape, dtype=kind)
        try:
            with tempfile.TemporaryFile(dir=self._folder) as file:
                file.truncate(size)
                found = mmap.mmap(file.fileno(), size)
        except OSError as error:
            raise InputError(
                f"{self._folder} takes no temporary file of {size / 1e9:.1f} GB "
                f"({error.strerror}); make room there, or give more --memory"
            ) from None
        if advice is not None:
            found.madvise(advice)
        self._maps = [*(known for known in self._maps if known() is not None), weakref.ref(found)]
        return np.frombuffer(found, dtype=kind).reshape(shape)

    def settle(self) -> None:
        """What was read or written need not stay in memory."""
        advice = getattr(mmap, "MADV_DONTNEED", None)
        if advice is not None:
            for known in self._maps:
                found = known()
                if found is not None:
                    found.madvise(advice)

    @contextmanager
    def settling(self) -> Iterator[None]:
        """Arrays settle again and again, whoever reads or writes them meanwhile."""
        if self._folder is None:
            yield
            return
        done = threading.Event()

        def settle() -> None:
            while not done.wait(_SETTLED_SECONDS):
                self.settle()

        thread = threading.Thread(target=settle, daemon=True)
        thread.start()
        _settling.append(self)
        try:
            yield
        finally:
            _settling.remove(self)
            done.set()
            thread.join()


def settles() -> bool:
    """Whether arrays are in files now, so that what reads or writes much of them should
    :func:`pause` now and then: a thread beside it may come too late."""
    return bool(_settling)


def pause(*, at_once: bool = False) -> None:
    """Arrays settle, if that was not done a moment ago, or ``at_once``."""
    global _settled
    if _settling and (at_once or time.monotonic() > _settled + _SETTLED_SECONDS / 2):
        for scratch in tuple(_settling):
            scratch.settle()
        _settled = time.monotonic()


_settled = 0.0
IN_MEMORY = Scratch()
