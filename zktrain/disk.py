"""Writing: every file of the package is written here.

A file appears complete or not at all, also after a power loss: the bytes go to a temporary file
beside it and to the disk before the name is theirs, and the name is on the disk before the
function returns. Links are written through, never replaced; what is there and is no regular file is
refused. What is private can be read by its owner alone, whatever the umask. Temporary files are
locked as long as they are written; those of dead processes are removed by whoever writes in their
folder next.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import InputError
from .files import KINDS, READ, AnyPath, beginning, read_bytes

_NEW = (
    os.O_WRONLY
    | os.O_CREAT
    | os.O_EXCL
    | sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_CLOEXEC", "O_BINARY"))
)
_MORE = os.O_WRONLY | os.O_APPEND
_MORE |= sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_CLOEXEC", "O_BINARY"))

PREFIX, SUFFIX = ".zktrain-", ".part"
"""Of temporary files, and of those that stand for a claimed name (``locks``)."""
_WAITING, _JOURNAL = ".waiting", ".journal"


def write(path: AnyPath, data: bytes | memoryview, *, private: bool = False) -> None:
    """Write ``data`` to ``path``, durably and all at once; ``private``: for its owner alone.

    A file that is replaced keeps its permissions unless it is to be private. Raises ``InputError``.
    """
    with writing(path, private=private) as part:
        part.write(data)


def append(path: AnyPath, data: bytes) -> None:
    """Add ``data`` to the file ``path``, durably; a part of them may be there after a power loss.
    Raises ``InputError``."""
    with said(path):
        descriptor = os.open(path, _MORE)
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(descriptor, left) :]
            sync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def writing(path: AnyPath, *, private: bool = False) -> Iterator[Part]:
    """``write`` piece by piece. Raises ``InputError``, for an ``OSError`` of the body too."""
    target = destination(path)
    with said(path):
        part = Part(target)
        try:
            yield part
            part.replace(private=private)
        finally:
            part.close()


class Part:
    """A new, private, locked file beside ``target``, whose place it takes with ``replace``.

    It goes away with ``close`` if it has not. Raises ``OSError``.
    """

    def __init__(self, target: str) -> None:
        folder = os.path.dirname(target)
        sweep(folder)
        self.target = target
        while True:
            self.path = os.path.join(folder, f"{PREFIX}{secrets.token_hex(8)}{SUFFIX}")
            self.descriptor = os.open(self.path, _NEW, 0o600)
            if lock(self.descriptor) and is_at(self.descriptor, self.path):
                return
            os.close(self.descriptor)  # somebody who sweeps was faster

    def write(self, data: bytes | memoryview) -> None:
        """Append all of ``data``."""
        left = memoryview(data).cast("B")
        while left:
            left = left[os.write(self.descriptor, left) :]

    def replace(self, *, private: bool) -> None:
        """Take the place of the target, on the disk."""
        os.chmod(self.path, 0o600 if private else _mode(self.target))
        sync(self.descriptor)
        os.replace(self.path, self.target)
        self.path = ""
        sync_folder(os.path.dirname(self.target))

    def close(self) -> None:
        """Let go of the lock, and remove the file unless it took its place."""
        if self.path:
            with suppress(OSError):
                os.unlink(self.path)
        os.close(self.descriptor)


def destination(path: AnyPath) -> str:
    """Where ``path`` leads: a regular file, or a name that does not exist yet.

    Raises ``InputError`` for anything else.
    """
    name = os.fspath(path)
    with said(path):
        try:
            mode = os.stat(name).st_mode
        except FileNotFoundError:
            if not os.path.basename(name):
                raise OSError(errno.EISDIR, "it is no name of a file") from None
            mode = stat.S_IFREG
        if not stat.S_ISREG(mode):
            kind = KINDS.get(stat.S_IFMT(mode), "something else")
            raise OSError(errno.EINVAL, f"it is {kind}, not a file")
        return os.path.realpath(name)


def require_writable(path: AnyPath, what: str, *beginnings: bytes) -> str:
    """Say before the work what ``write`` would say after it, and refuse to replace a file that is
    no ``what``: one that is not empty and does not begin with any of ``beginnings``.

    Gives ``destination(path)``. Raises ``InputError``.
    """
    target = destination(path)
    with said(path):
        Part(target).close()
        if os.path.exists(target) and os.path.getsize(target):
            found = beginning(target, max(map(len, beginnings)))
            if not found.startswith(beginnings):
                raise InputError(
                    f"{name_of(path)} exists and is no {what}; choose another name, or remove it"
                )
    return target


def make_folder(path: AnyPath, *, private: bool = False) -> None:
    """Make a folder and those above it, durably; ``private``: for its owner alone, also one that
    is there already and empty. Raises ``InputError``."""
    with said(path, "made"):
        _make_folders(os.path.realpath(path), 0o700 if private else 0o777)
        if private and not os.listdir(path):
            with suppress(PermissionError):  # the folder is another's, the files in it are not
                os.chmod(path, 0o700)


def _make_folders(path: str, mode: int) -> None:
    if os.path.isdir(path):
        return
    above = os.path.dirname(path)
    _make_folders(above, 0o777)
    with suppress(FileExistsError):
        os.mkdir(path, mode)
        sync_folder(above)
    if not os.path.isdir(path):
        raise NotADirectoryError(errno.ENOTDIR, "it is a file, not a folder")


def remove(path: AnyPath) -> None:
    """Remove a file, durably, if it is there. Raises ``InputError``."""
    with said(path, "removed"), suppress(FileNotFoundError):
        os.unlink(path)
        sync_folder(os.path.dirname(os.path.realpath(path)))


# What is opened of a secret is counted before it can be seen. Bytes wait, private and on the disk,
# until they are; whoever is interrupted in between finds them, and opens nothing else.


def publish(
    path: AnyPath, data: bytes, count: Callable[[str], None], *, private: bool = False
) -> None:
    """Write ``data`` after ``count(digest)`` has made durable that they are opened.

    Interrupted, it is done again with the same bytes, which ``waiting`` gives; ``count`` has to
    count a digest once. Raises ``InputError`` and whatever ``count`` raises.
    """
    target = destination(path)
    known = _waiting(target)
    if waiting(path, len(data)) != data:
        write(known, data, private=True)
    count(digest(data))
    with said(path):
        if not private:
            os.chmod(known, _mode(target))
            descriptor = os.open(known, READ)
            try:
                sync(descriptor)
            finally:
                os.close(descriptor)
        os.replace(known, target)
        sync_folder(os.path.dirname(target))


def digest(data: bytes) -> str:
    """What ``publish`` gives ``count``: the SHA-256 of the bytes, in hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def waiting(path: AnyPath, limit: int) -> bytes | None:
    """What an interrupted ``publish`` of ``path`` has left, None if nothing. The caller checks
    that it is what it wants to publish."""
    try:
        return read_bytes(_waiting(destination(path)), "file", limit)
    except InputError:
        return None


def is_waiting(path: AnyPath) -> bool:
    """Whether ``waiting`` may give something."""
    return os.path.isfile(_waiting(destination(path)))


def _waiting(target: str) -> str:
    return _beside(target, _WAITING)


def journal_of(path: AnyPath) -> Path:
    """Where whoever makes the file ``path`` keeps what is done."""
    return Path(_beside(destination(path), _JOURNAL))


def _beside(target: str, ending: str) -> str:
    folder, name = os.path.split(target)
    return os.path.join(folder, f".{name}{ending}")


@contextmanager
def temporary_folder(parent: AnyPath) -> Iterator[Path]:
    """A private folder in ``parent`` that goes away; if this process dies, with the next sweep.

    Raises ``InputError`` when it cannot be made.
    """
    with said(parent, "given a temporary folder"):
        folder = os.path.realpath(parent)
        sweep(folder)
        while True:
            path = os.path.join(folder, f"{PREFIX}{secrets.token_hex(8)}{SUFFIX}")
            os.mkdir(path, 0o700)
            try:
                descriptor = os.open(path, READ)
            except FileNotFoundError:
                continue
            if lock(descriptor) and is_at(descriptor, path):
                break
            os.close(descriptor)  # somebody who sweeps was faster
    try:
        yield Path(path)
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(descriptor)


def take_place(folder: AnyPath, path: AnyPath) -> None:
    """Rename a folder to ``path``, in the place of whatever is there. Raises ``InputError``."""
    with said(path, "replaced"):
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            remove(path)
        os.replace(folder, path)
        sync_folder(os.path.dirname(os.path.realpath(path)))


_swept: set[str] = set()


def sweep(folder: AnyPath, *, again: bool = False) -> None:
    """Remove temporary files of dead processes from ``folder``, once per process."""
    name = os.fspath(folder)
    if name in _swept and not again:
        return
    _swept.add(name)
    with suppress(OSError), os.scandir(name) as entries:
        for entry in entries:
            if entry.name.startswith(PREFIX) and entry.name.endswith(SUFFIX):
                with suppress(OSError):
                    _sweep_one(entry.path)


def _sweep_one(path: str) -> None:
    found = os.lstat(path)
    ours = found.st_uid == os.geteuid() if hasattr(os, "geteuid") else True
    if not ours or not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
        return
    descriptor = os.open(path, READ | getattr(os, "O_NOFOLLOW", 0))
    try:
        if not (lock(descriptor, sure=True) and is_at(descriptor, path)):
            return
        if stat.S_ISDIR(found.st_mode):
            shutil.rmtree(path, ignore_errors=True)
        else:
            os.unlink(path)
    finally:
        os.close(descriptor)


def lock(descriptor: int, *, wait: bool = False, sure: bool = False) -> bool:
    """Take the exclusive lock of an open file or folder; False if another has it.

    Where there are no such locks, the answer is ``not sure``. Raises ``OSError``.
    """
    try:
        import fcntl
    except ImportError:
        return not sure
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
            return not sure
        raise
    return True


def is_at(descriptor: int, path: str) -> bool:
    """Whether the open file is the one that ``path`` names now."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path, follow_symlinks=False))
    except FileNotFoundError:
        return False


def sync(descriptor: int) -> None:
    """Wait until what was written is on the disk."""
    with suppress(ImportError, AttributeError, OSError):
        import fcntl

        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)  # type: ignore[attr-defined,unused-ignore]
        return  # macOS: fsync waits for the drive's cache only
    os.fsync(descriptor)


def sync_folder(path: str) -> None:
    """Wait until the names in a folder are on the disk."""
    try:
        descriptor = os.open(path or os.curdir, READ)
    except PermissionError:
        return  # systems that do not open folders
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # not on this file system
            raise
    finally:
        os.close(descriptor)


def _mode(target: str) -> int:
    """Permissions of the file that is replaced, or those of a new file."""
    try:
        return stat.S_IMODE(os.stat(target).st_mode) & 0o777
    except FileNotFoundError:
        umask = os.umask(0o077)
        os.umask(umask)
        return 0o666 & ~umask


@contextmanager
def said(path: AnyPath, done: str = "written") -> Iterator[None]:
    """Turn an ``OSError`` of the body into a sentence about ``path``."""
    try:
        yield
    except (OSError, ValueError) as error:
        if isinstance(error, ValueError) and "\0" not in os.fspath(path):
            raise
        reason = getattr(error, "strerror", None) or error
        remedy = "make room, or choose another place"
        if getattr(error, "errno", None) not in (errno.ENOSPC, errno.EDQUOT):
            remedy = "choose another place"
        raise InputError(f"{name_of(path)} cannot be {done}: {reason}; {remedy}") from None


def name_of(path: AnyPath) -> str:
    """A path in a sentence."""
    text = str(os.fspath(path))
    return text if len(text) <= 200 and text.isprintable() and text else f"{text!r:.200}"
