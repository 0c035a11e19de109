"""A disk that remembers: every write, fsync, rename, removal and new folder below one folder, and
what a power loss in between would leave.

A file system keeps what was written to a file once that file was synced, and names once their
folder was. Without, it may keep them or lose them, each for itself.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

Hook = Callable[[str, str], None]
CHANGES = ("open", "write", "fsync", "replace", "unlink", "mkdir", "chmod")


@contextmanager
def watched(root: Path, before: Hook, after: Callable[..., None] | None = None) -> Iterator[None]:
    """Call ``before(name, path)`` ahead of every call that changes something below ``root``, and
    ``after(name, path, ...)`` with what it changed."""
    honest = {name: getattr(os, name) for name in (*CHANGES, "close", "dup")}
    paths: dict[int, str] = {}
    inside = os.path.realpath(root)

    def below(path: object) -> bool:
        return isinstance(path, (str, os.PathLike)) and os.path.abspath(path).startswith(inside)

    def tell(name: str, path: str, *what: object) -> None:
        if after is not None:
            after(name, path, *what)

    def open_(path: Any, flags: int, *rest: Any, **named: Any) -> int:
        if not below(path):
            return honest["open"](path, flags, *rest, **named)
        name = os.path.abspath(path)
        new = bool(flags & os.O_CREAT) and not os.path.lexists(name)
        if new:
            before("open", name)
        descriptor: int = honest["open"](path, flags, *rest, **named)
        paths[descriptor] = name
        if new:
            tell("open", name, descriptor)
        else:
            tell("reopen", name, descriptor)
        return descriptor

    def write(descriptor: int, data: Any) -> int:
        if descriptor not in paths:
            return honest["write"](descriptor, data)
        before("write", paths[descriptor])
        done: int = honest["write"](descriptor, data)
        tell("write", paths[descriptor], descriptor, bytes(data[:done]))
        return done

    def fsync(descriptor: int) -> None:
        if descriptor not in paths:
            honest["fsync"](descriptor)
        else:
            before("fsync", paths[descriptor])
            tell("fsync", paths[descriptor], descriptor)

    def close(descriptor: int) -> None:
        paths.pop(descriptor, None)
        honest["close"](descriptor)

    def named(name: str) -> Callable[..., Any]:
        def call(path: Any, *rest: Any, **options: Any) -> Any:
            if not below(path):
                return honest[name](path, *rest, **options)
            before(name, os.path.abspath(path))
            found = honest[name](path, *rest, **options)
            tell(name, os.path.abspath(path), *rest)
            return found

        return call

    patched = {"open": open_, "write": write, "fsync": fsync, "close": close}
    patched |= {name: named(name) for name in ("replace", "unlink", "mkdir", "chmod")}
    with mock.patch.multiple(os, **patched):
        yield


@dataclass(slots=True)
class _Inode:
    written: bytes
    synced: bytes


@dataclass(frozen=True)
class State:
    """What is below the folder: contents by relative path, None for a folder."""

    files: dict[str, bytes | None]

    def write(self, root: Path) -> None:
        """Make ``root`` so."""
        for entry in root.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        for name, data in sorted(self.files.items()):
            if data is None:
                (root / name).mkdir()
                (root / name).chmod(0o700)
            else:
                (root / name).write_bytes(data)
                (root / name).chmod(0o600)

    def key(self) -> frozenset[tuple[str, bytes | None]]:
        """The same for states that differ in temporary files alone."""
        return frozenset(
            (name, data) for name, data in self.files.items() if "/.zktrain-" not in f"/{name}"
        )


def state_of(root: Path) -> State:
    """What is there."""
    return State(
        {
            str(path.relative_to(root)): None if path.is_dir() else path.read_bytes()
            for path in root.rglob("*")
            if not path.is_symlink()
        }
    )


@dataclass(frozen=True)
class Loss:
    """A power loss after a call: what was visible before it, and what may be there after it."""

    call: str
    visible: State
    left: dict[str, State]


@dataclass
class Disk:
    """Records what happens below ``root``; ``losses`` are all moments between two calls."""

    root: Path
    losses: list[Loss] = field(default_factory=list)
    _inodes: dict[int, _Inode] = field(default_factory=dict)
    _names: dict[str, int | None] = field(default_factory=dict)
    _synced: dict[str, int | None] = field(default_factory=dict)
    _open: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, data in state_of(self.root).files.items():
            if data is None:
                self._names[name] = None
            else:
                self._inodes[len(self._inodes)] = _Inode(data, data)
                self._names[name] = len(self._inodes) - 1
        self._synced = dict(self._names)

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record what the body does."""
        with watched(self.root, lambda name, path: None, self._note):
            yield

    def _note(self, name: str, path: str, *what: Any) -> None:
        short = os.path.relpath(path, os.path.realpath(self.root))
        if name == "open":
            self._inodes[len(self._inodes)] = _Inode(b"", b"")
            self._names[short] = self._open[what[0]] = len(self._inodes) - 1
        elif name == "reopen":
            inode = self._names.get(short)
            self._open.pop(what[0], None)
            if inode is not None:
                self._open[what[0]] = inode
        elif name == "write":
            self._inodes[self._open[what[0]]].written += what[1]
        elif name == "fsync" and what[0] in self._open:
            inode_ = self._inodes[self._open[what[0]]]
            inode_.synced = inode_.written
        elif name == "fsync":
            folder = "" if short == "." else short
            self._synced = {
                **{n: i for n, i in self._synced.items() if os.path.dirname(n) != folder},
                **{n: i for n, i in self._names.items() if os.path.dirname(n) == folder},
            }
        elif name == "replace":
            target = os.path.relpath(what[0], os.path.realpath(self.root))
            self._names[target] = self._names.pop(short)
        elif name == "unlink":
            del self._names[short]
        elif name == "mkdir":
            self._names[short] = None
        if name not in ("reopen", "chmod"):
            self._lose(f"{name} {short}")

    def _lose(self, call: str) -> None:
        left = {
            "all kept": self._state(self._names, synced=False),
            "names kept, contents lost": self._state(self._names, synced=True),
            "all lost": self._state(self._synced, synced=True),
            "names lost, contents kept": self._state(self._synced, synced=False),
        }
        self.losses.append(Loss(call, left["all kept"], left))

    def _state(self, names: dict[str, int | None], *, synced: bool) -> State:
        found: dict[str, bytes | None] = {}
        for name, inode in sorted(names.items()):
            above = os.path.dirname(name)
            if above and above not in found:
                continue  # the folder is lost with all in it
            if inode is None:
                found[name] = None
            else:
                found[name] = getattr(self._inodes[inode], "synced" if synced else "written")
        return State(found)
