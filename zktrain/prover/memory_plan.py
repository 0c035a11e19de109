"""Before proving: what is in memory, and what is in files or computed again."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .. import machine
from ..cost import memory as held
from ..cost.calibration import load
from ..cost.counts import commit_work
from ..cost.estimate import estimate
from ..dataset.commitment import DatasetHeader
from ..errors import InputError
from ..memory import return_freed_memory
from ..profile import resident_bytes
from ..protocol.statement import Statement
from ..scratch import IN_MEMORY, Scratch
from .arguments.lookup import LEAST

LIBRARIES = 150_000_000
"""Bytes that a process takes when all kernels and what they need are loaded, besides what it has
when this is asked."""
_DISK = 64 << 20
"""Bytes that are left free on a disk."""
_SHARE = 0.75
"""Of the memory that is left, what a process takes that was not told how much."""
_TIGHT = 1.5
"""A limit that is so many times what is needed is not looked at any more."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How one proof or commitment is made; its bytes do not depend on it.

    ``memory`` bytes are for what is computed from the witness (None: as many as it takes), which is
    in memory itself, as are dataset and trees, or in ``files`` of ``disk_bytes``. Relations read it
    in ``passes``, of ``relations`` at least. ``limit`` is what the process may take (None: not
    known), ``peak_bytes`` and ``seconds`` are predicted.
    """

    memory: int | None = None
    files: bool = False
    limit: int | None = None
    disk_bytes: int = 0
    passes: int = 0
    relations: int = 0
    seconds: float = 0.0
    peak_bytes: int = 0

    @contextmanager
    def scratch(self, folder: Path) -> Iterator[Scratch]:
        """Where all of that goes."""
        found = Scratch(folder) if self.files else IN_MEMORY
        with found.settling():
            yield found

    def begin(self) -> None:
        """Freed memory goes back to the system from now on where the limit is near."""
        if self.limit is not None and self.peak_bytes * _TIGHT > self.limit:
            return_freed_memory()


def plan(
    path: Path, folder: Path, statement: Statement, memory: int | None, *, certified: bool
) -> Plan:
    """How the proof of what is at ``path`` keeps to ``memory`` bytes for the whole process (None:
    three quarters of what the machine has left, or all where less does not do); files are in
    ``folder``. Raises :class:`InputError` where even the least does not fit, or the disk takes no
    such files."""
    left = _available() if memory is None else memory
    available = left if left is None or memory is not None else round(_SHARE * left)
    sized = Sized(statement, certified, base())
    if left is None or available is None or sized.peak(None, False) <= available:
        return sized.plan(None, False, available)
    least = min(sized.peak(LEAST, files) for files in (False, True))
    if least > available:
        available = left
    if least > available:
        raise InputError(
            f"proving {path} needs at least {_at_least(least)} of memory and {_size(available)} "
            "are available; give more --memory, or use a machine that has more"
        )
    kept, filed = (sized.most(available, files) for files in (False, True))
    files, free = 2 * kept < filed, shutil.disk_usage(folder).free
    if files and sized.disk + _DISK > free:
        if not kept:
            raise InputError(
                f"proving {path} within {_size(available)} of memory puts {_size(sized.disk)} "
                f"into files and {folder} has {_size(free)} free; make room there, or give more "
                "--memory"
            )
        files = False
    return sized.plan(filed if files else kept, files, available)


def commit_plan(source: str, folder: Path, header: DatasetHeader, limit: int) -> Plan:
    """How the commitment to what is read from ``source`` keeps to ``limit`` bytes for the whole
    process; files are in ``folder``. Raises :class:`InputError` as ``plan`` does."""
    own = base()

    def peak(memory: int | None, files: bool) -> int:
        stages = held.dataset_stages(header, memory=memory, files=files)
        return own + round(max(sum(amounts.values()) for _, amounts in stages))

    seconds = sum(map(load().time, commit_work(header)))
    if peak(None, False) <= limit:
        return Plan(None, False, limit, 0, 0, 0, seconds, peak(None, False))
    memory = _most(lambda memory: peak(memory, True) <= limit, limit)
    if not memory:
        raise InputError(
            f"committing to {source} needs at least {_at_least(peak(LEAST, True))} of memory and "
            f"{_size(limit)} are available; give more --memory"
        )
    disk, free = held.dataset_files(header), shutil.disk_usage(folder).free
    if disk + _DISK > free:
        raise InputError(
            f"committing to {source} within {_size(limit)} of memory puts {_size(disk)} into files "
            f"and {folder} has {_size(free)} free; make room there, or give more --memory"
        )
    return Plan(memory, True, limit, disk, 0, 0, seconds, peak(memory, True))


def _most(fitting: Callable[[int], bool], available: int) -> int:
    """The most for what is computed, within some per cent; 0 if the least does not fit."""
    fits, too_much = LEAST, max(LEAST, available)
    if not fitting(fits):
        return 0
    for _ in range(8):
        middle = math.isqrt(fits * too_much)
        if fitting(middle):
            fits = middle
        else:
            too_much = middle
    return fits


@dataclass(frozen=True)
class Sized:
    """What a proof takes, with ``base`` bytes that the process has anyway."""

    statement: Statement
    certified: bool
    base: int

    @property
    def disk(self) -> int:
        """Bytes of files."""
        return held.proof_files(self.statement)

    def peak(self, memory: int | None, files: bool) -> int:
        stages = held.stages(self.statement, certified=self.certified, memory=memory, files=files)
        return round(max(sum(amounts.values()) for _, amounts in stages)) + self.base

    def most(self, available: int, files: bool) -> int:
        """As ``_most``."""
        return _most(lambda memory: self.peak(memory, files) <= available, available)

    def plan(self, memory: int | None, files: bool, limit: int | None) -> Plan:
        needs = held.relations(self.statement, memory)
        passes = {need.relation: need.passes for need in needs}
        known = estimate(self.statement, certified=self.certified)
        seconds = sum(
            taken * passes.get(work.place[-1], 1) if work.place[0] == "relations" else taken
            for work, taken in known.timed
        )
        return Plan(
            memory,
            files,
            limit,
            self.disk if files else 0,
            sum(passes.values()),
            len(passes),
            seconds,
            self.peak(memory, files),
        )


def base() -> int:
    """What the process takes before anything of the proof is there, libraries included."""
    return max(0, resident_bytes()) + LIBRARIES


def _size(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 9.5e8 else f"{count / 1e6:.0f} MB"


def _at_least(count: int) -> str:
    """Rounded up, and so much more that it is enough the next time too."""
    if count >= 9.5e8:
        return f"{math.ceil(count / 1e8 + 0.1) / 10} GB"
    return f"{math.ceil(count / 1e6 + 5)} MB"


def _available() -> int | None:
    """What this process has and may still take."""
    left = machine.available_memory()
    return None if left is None else left + resident_bytes()
