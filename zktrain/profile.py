"""Where time goes: nested spans around the parts of long work, kept only while somebody records.

``with span("encode"):`` or ``mark("encode")`` cost a few hundred nanoseconds when nobody does. A
mark lasts until the next mark beside it, ``mark(None)``, or the end of the span around it. Spans of
one name inside one span are one node. Other threads are not recorded: kernels belong to the span
that calls them.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .progress import Progress

Place = tuple[str, ...]
"""Names of spans from the outermost on."""

SAMPLE_SECONDS = 0.01


@dataclass(slots=True)
class Node:
    """Seconds of all spans of one name in one place, parts included; ``peak_bytes`` is the largest
    resident memory seen meanwhile, 0 where it was not sampled."""

    name: str
    seconds: float = 0.0
    calls: int = 0
    peak_bytes: int = 0
    parts: dict[str, Node] = field(default_factory=dict)

    @property
    def own_seconds(self) -> float:
        """Seconds in no part."""
        return max(0.0, self.seconds - sum(part.seconds for part in self.parts.values()))

    def walk(self, path: Place = ()) -> Iterator[tuple[Place, Node]]:
        """Every part with its path, parents first."""
        for name, part in self.parts.items():
            yield (*path, name), part
            yield from part.walk((*path, name))

    def to_json(self) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "name": self.name,
            "seconds": round(self.seconds, 6),
            "calls": self.calls,
        }
        if self.peak_bytes:
            fields["peak_bytes"] = self.peak_bytes
        if self.parts:
            fields["parts"] = [part.to_json() for part in self.parts.values()]
        return fields


@dataclass(slots=True)
class _Open:
    node: Node
    since: float
    marked: bool


class Recorder:
    """``with Recorder() as recorder:`` records the spans of the block under ``recorder.root``.

    ``memory`` samples the resident memory of the process every 10 ms, where the system tells it.
    """

    def __init__(self, *, memory: bool = False) -> None:
        self.root = Node("all")
        self._open: list[_Open] = []
        self._token: Token[Recorder | None] | None = None
        self._memory = memory and resident_bytes() > 0
        self._done = threading.Event()
        self._sampler: threading.Thread | None = None

    def __enter__(self) -> Recorder:
        self._token = _ACTIVE.set(self)
        self._open = [_Open(self.root, time.perf_counter(), False)]
        self.root.calls += 1
        if self._memory:
            self._done.clear()
            self._sampler = threading.Thread(target=self._sample, daemon=True)
            self._sampler.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._leave(0)
        if self._token is not None:
            _ACTIVE.reset(self._token)
        if self._sampler is not None:
            self._done.set()
            self._sampler.join()

    def enter(self, name: str, *, marked: bool = False) -> int:
        """Open a span; returns its depth, for :meth:`leave`."""
        parts = self._open[-1].node.parts
        node = parts.get(name)
        if node is None:
            node = parts[name] = Node(name)
        node.calls += 1
        self._open.append(_Open(node, time.perf_counter(), marked))
        return len(self._open) - 1

    def leave(self, depth: int) -> None:
        """Close the span at this depth and what is still open inside it."""
        self._leave(max(1, depth))

    def mark(self, name: str | None) -> None:
        """End the mark that is open here, if one is; begin the next one, if it has a name."""
        if self._open[-1].marked:
            self._leave(len(self._open) - 1)
        if name is not None:
            self.enter(name, marked=True)

    def _leave(self, depth: int) -> None:
        now = time.perf_counter()
        resident = resident_bytes() if self._memory else 0
        for entry in self._open[depth:]:
            entry.node.seconds += now - entry.since
            entry.node.peak_bytes = max(entry.node.peak_bytes, resident)
        del self._open[depth:]

    def _sample(self) -> None:
        while not self._done.wait(SAMPLE_SECONDS):
            resident = resident_bytes()
            for entry in list(self._open):
                entry.node.peak_bytes = max(entry.node.peak_bytes, resident)


_ACTIVE: ContextVar[Recorder | None] = ContextVar("zktrain_profile", default=None)


class _Span:
    """A span of a recorder."""

    def __init__(self, recorder: Recorder, name: str) -> None:
        self._recorder = recorder
        self._name = name
        self._depth = 0

    def __enter__(self) -> None:
        self._depth = self._recorder.enter(self._name)

    def __exit__(self, *_: object) -> None:
        self._recorder.leave(self._depth)


_NOTHING = nullcontext()
"""The span of nobody."""


def span(name: str) -> AbstractContextManager[None]:
    """A context that is recorded as ``name``, if somebody records."""
    recorder = _ACTIVE.get()
    return _NOTHING if recorder is None else _Span(recorder, name)


def mark(name: str | None) -> None:
    """From here to the next mark is ``name``, or nothing in particular."""
    recorder = _ACTIVE.get()
    if recorder is not None:
        recorder.mark(name)


@dataclass(slots=True)
class Clock:
    """Forwards progress and adds up the seconds between one stage and the next."""

    progress: Progress
    stages: dict[str, float] = field(default_factory=dict)
    _stage: str | None = None
    _since: float = 0.0
    _span: AbstractContextManager[None] | None = None

    def __call__(self, stage: str, done: int, total: int, **figures: float) -> None:
        self._enter(stage)
        self.progress(stage, done, total, **figures)

    def _enter(self, stage: str | None) -> None:
        now = time.perf_counter()
        if stage == self._stage:
            return
        if self._span is not None:
            self._span.__exit__(None, None, None)
        self._span = None
        if stage is not None:
            self._span = span(stage)
            self._span.__enter__()
        if self._stage is not None:
            self.stages[self._stage] = self.stages.get(self._stage, 0.0) + now - self._since
        self._stage, self._since = stage, now

    @contextmanager
    def running(self) -> Iterator[None]:
        try:
            yield
        finally:
            self._enter(None)


def resident_bytes() -> int:
    """Memory of this process now, 0 where the system does not tell."""
    try:
        pages = int(_STATM.read_bytes().split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * _PAGE


_STATM = Path("/proc/self/statm")
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
