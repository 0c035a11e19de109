"""Folders whose files decide a verdict, and who else could have written them.

What is read from a cache is an input of whoever reads it. A digest in the same folder finds
accidents alone: whoever can write the file can write its digest too. So it is the folder's owner
and mode that count, and those of all folders above it.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from .notices import say

_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_MOST_LINKS = 40


def weakness(path: Path, *, shared: bool = False) -> str | None:
    """Who could have changed the folder or file ``path`` besides this user and root, in a clause;
    None if nobody could. What does not exist yet is not looked at.

    Everything on the way has to belong to this user or to root, symbolic links too, and only its
    owner may write it. A folder above with the sticky bit may be written by others, since they
    cannot rename what is in it; ``path`` itself may be such a folder, or a link, if ``shared``.
    """
    if not hasattr(os, "geteuid"):  # a system without such owners
        return None
    trusted = {0, os.geteuid()}
    left = list(reversed(Path(os.path.abspath(path)).parts))
    at, links = Path(left.pop()), 0
    while True:
        try:
            found = os.lstat(at)
            link = stat.S_ISLNK(found.st_mode)
            target = os.readlink(at) if link else ""
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            return f"{at} cannot be looked at: {error.strerror}"
        if found.st_uid not in trusted:
            return f"{at} belongs to another user"
        if link:
            links += 1
            if links > _MOST_LINKS or not (left or shared):
                return f"{at} is a symbolic link"
            left += reversed(Path(target).parts)
            at = at.parent
        elif found.st_mode & _OTHERS and not ((left or shared) and found.st_mode & stat.S_ISVTX):
            mode = stat.S_IMODE(found.st_mode)
            return f"{at} can be written by other users (mode {mode:o})"
        if not left:
            return None
        part = left.pop()
        at = at.parent if part == ".." else at / part


def cache_home() -> Path:
    """``$XDG_CACHE_HOME/zktrain``. Raises ``RuntimeError`` where there is no home folder."""
    base = os.environ.get("XDG_CACHE_HOME") or ""
    folder = Path(base) if Path(base).is_absolute() else Path.home() / ".cache"
    return folder / "zktrain"


def own_folder(*names: str) -> Path | None:
    """``$XDG_CACHE_HOME/zktrain/...``, made with mode 0700 where it is missing; None, with a
    notice that says why, where it cannot be made or others could have written in it."""
    try:
        folder = cache_home().joinpath(*names)
        problem = weakness(folder)
        if problem is None:
            _make(folder)
            problem = weakness(folder)
        if problem is None and not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            problem = f"{folder} cannot be written"
    except (OSError, RuntimeError, ValueError) as error:  # no home folder; a null byte
        problem = f"{getattr(error, 'filename', None) or 'it'}: "
        problem += getattr(error, "strerror", None) or str(error)
    if problem is None:
        return folder
    say(
        f"the cache of {' '.join(names)} is not used, {problem}; let XDG_CACHE_HOME be a folder "
        "that only you can write"
    )
    return None


def _make(folder: Path) -> None:
    missing = [at for at in (folder, *folder.parents) if not at.exists()]
    for at in reversed(missing):
        at.mkdir(mode=0o700, exist_ok=True)
