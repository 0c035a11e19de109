"""Writing: all at once, through links, never over what is no file, private whatever the umask."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from zktrain import disk
from zktrain.errors import InputError
from zktrain.locks import claimed, held, locked, require_one_name


def _names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(params=[0o000, 0o022, 0o777], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_private_files_are_private_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    disk.make_folder(tmp_path / "a" / "run", private=True)
    assert _mode(tmp_path / "a" / "run") == 0o700
    path = tmp_path / "a" / "run" / "x"
    disk.write(path, b"1", private=True)
    assert _mode(path) == 0o600
    path.chmod(0o644)
    disk.write(path, b"2", private=True)
    assert _mode(path) == 0o600 and path.read_bytes() == b"2"


def test_public_files_follow_the_umask_or_keep_their_mode(tmp_path: Path, umask: int) -> None:
    path = tmp_path / "x"
    disk.write(path, b"1")
    assert _mode(path) == 0o666 & ~umask
    path.chmod(0o640)
    disk.write(path, b"2")
    assert _mode(path) == 0o640 and path.read_bytes() == b"2"


def test_links_are_written_through(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link, chain, target = tmp_path / "link", tmp_path / "chain", tmp_path / "real" / "x"
    link.symlink_to("real/x")
    chain.symlink_to(link)
    for path in (link, chain):  # the first time the target does not exist yet
        disk.write(path, str(path).encode())
        assert path.is_symlink() and not target.is_symlink()
        assert target.read_bytes() == str(path).encode()
    assert _names(tmp_path / "real") == ["x"]


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def _fifo(path: Path) -> Path:
    os.mkfifo(path)
    return path


def _null(path: Path) -> Path:
    path.symlink_to("/dev/null")
    return path


IRREGULAR: dict[str, tuple[Callable[[Path], Path], str]] = {
    "null": (lambda _: Path("/dev/null"), "a device, not a file"),
    "full": (lambda _: Path("/dev/full"), "a device, not a file"),
    "link to null": (_null, "a device, not a file"),
    "folder": (_folder, "a folder, not a file"),
    "fifo": (_fifo, "a pipe, not a file"),
    "nothing": (lambda _: Path("."), "a folder"),
    "no folder": (lambda path: path / "y", "No such file"),
    "null byte": (lambda path: Path(f"{path}\0"), "null"),
}


@pytest.mark.parametrize("case", IRREGULAR)
def test_only_regular_files_are_replaced(case: str, tmp_path: Path) -> None:
    make, message = IRREGULAR[case]
    path = make(tmp_path / "x")
    kind = None if "\0" in str(path) else os.lstat(path).st_mode if path.exists() else None
    for attempt in (
        lambda: disk.write(path, b"data"),
        lambda: disk.require_writable(path, "proof", b"ZKT"),
        lambda: disk.publish(path, b"data", print),
    ):
        with pytest.raises(InputError, match=f"cannot be written: .*{message}"):
            attempt()
    if kind is not None:
        assert os.lstat(path).st_mode == kind


@pytest.mark.parametrize("name", ["", "x/"])
def test_a_name_of_no_file(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="it is no name of a file"):
        disk.destination(name)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"")
    with pytest.raises(InputError, match="cannot be made: it is a file, not a folder"):
        disk.make_folder(tmp_path / "x")


def test_what_is_no_proof_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    disk.require_writable(path, "proof", b"ZKT")
    path.write_bytes(b"")
    disk.require_writable(path, "proof", b"ZKT")
    path.write_bytes(b"ZKTRAIN")
    disk.require_writable(path, "proof", b"ZKT")
    path.write_bytes(b"PK\3\4")
    with pytest.raises(InputError, match="exists and is no proof"):
        disk.require_writable(path, "proof", b"ZKT")
    assert _names(tmp_path) == ["data.npz"]


@pytest.mark.parametrize("call", ["write", "fsync", "replace", "chmod"])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
def test_a_failed_write_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, error: BaseException
) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"before")

    def failing(*arguments: object) -> None:
        raise error

    expected: type[BaseException] = InputError if isinstance(error, OSError) else KeyboardInterrupt
    with monkeypatch.context() as patch:
        patch.setattr(os, call, failing)
        with pytest.raises(expected):
            disk.write(path, b"after")
    assert path.read_bytes() == b"before" and _names(tmp_path) == ["x"]
    disk.write(path, b"after")
    assert path.read_bytes() == b"after"


_DIES = """
import os, sys
from pathlib import Path
from zktrain import disk, locks
what, folder = sys.argv[1], Path(sys.argv[2])
os.fsync = lambda descriptor: os.kill(os.getpid(), 9)
if what == "write":
    disk.write(folder / "x", b"data")
if what == "folder":
    with disk.temporary_folder(folder) as made:
        (made / "key").write_bytes(b"data")
        os.fsync(0)
with locks.claimed(folder / "x", busy="busy"):
    os.fsync(0)
"""


@pytest.mark.parametrize("what", ["write", "folder", "claim"])
def test_what_dead_processes_left_is_swept(tmp_path: Path, what: str) -> None:
    """Not what living ones have: a file that is being written stays."""
    disk._swept.discard(str(tmp_path))
    with disk.writing(tmp_path / "mine") as part, disk.temporary_folder(tmp_path) as mine:
        part.write(b"half")
        done = subprocess.run([sys.executable, "-c", _DIES, what, str(tmp_path)], check=False)
        assert done.returncode == -9 and len(_names(tmp_path)) == 3
        disk.sweep(tmp_path, again=True)
        assert mine.is_dir() and len(_names(tmp_path)) == 2
        part.write(b"whole")
    assert _names(tmp_path) == ["mine"] and (tmp_path / "mine").read_bytes() == b"halfwhole"


def test_a_sweep_touches_nothing_of_others(tmp_path: Path) -> None:
    for name in (".zktrain-x", "x.part", "run.zktrain-1.part"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / f"{disk.PREFIX}1{disk.SUFFIX}").symlink_to(tmp_path / "x.part")
    before = _names(tmp_path)
    disk.sweep(tmp_path, again=True)
    assert _names(tmp_path) == before


def test_published_bytes_are_counted_first(tmp_path: Path) -> None:
    path, counted = tmp_path / "x", []

    def count(digest: str) -> None:
        assert not path.exists() and disk.waiting(path, 100) == b"data"
        assert _mode(tmp_path / ".x.waiting") == 0o600
        counted.append(digest)

    disk.publish(path, b"data", count)
    assert counted == [disk.digest(b"data")]
    assert path.read_bytes() == b"data" and disk.waiting(path, 100) is None
    assert _names(tmp_path) == ["x"]


def test_bytes_that_were_not_counted_wait(tmp_path: Path) -> None:
    def used_up(digest: str) -> None:
        raise InputError("used up")

    path = tmp_path / "x"
    with pytest.raises(InputError, match="used up"):
        disk.publish(path, b"data", used_up)
    assert not path.exists() and disk.is_waiting(path) and disk.waiting(path, 4) == b"data"
    assert _names(tmp_path) == [".x.waiting"]


_HOLDS = """
import sys, time
from zktrain import locks
with getattr(locks, sys.argv[1])(sys.argv[2], **({"busy": "busy"} if len(sys.argv) > 3 else {})):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("through", ["name", "link"])
@pytest.mark.parametrize("lock", [locked, claimed])
def test_one_process_at_a_time(tmp_path: Path, lock: Callable[..., object], through: str) -> None:
    """Whichever link leads there; and as soon as it is dead, another may."""
    path, link = tmp_path / "x", tmp_path / "elsewhere" / "y"
    link.parent.mkdir()
    if lock is locked:
        path.mkdir()
    link.symlink_to(path)
    name = path if through == "name" else link
    command = [sys.executable, "-c", _HOLDS, lock.__name__, str(path), "busy"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        with pytest.raises(InputError, match="not now"), lock(name, busy="not now"):  # type: ignore[attr-defined]
            pass
        other.kill()
    with lock(name, busy="not now"):  # type: ignore[attr-defined]
        pass
    assert _names(tmp_path) == (["elsewhere", "x"] if lock is locked else ["elsewhere"])


def test_a_held_file_is_held_after_it_was_replaced(tmp_path: Path) -> None:
    path, link = tmp_path / "x", tmp_path / "y"
    path.write_bytes(b"1")
    link.symlink_to(path)
    with held(link, "secret file", 100) as found:
        assert found.read() == b"1"
        found.write(b"2")
        assert path.read_bytes() == b"2" and link.is_symlink() and _mode(path) == 0o600
        with pytest.raises(InputError, match="not now"), locked(path, busy="not now"):
            pass
        found.write(b"3")
        with pytest.raises(InputError, match="not now"), locked(path, busy="not now"):
            pass
        assert found.read() == b"3"
    with locked(path, busy="not now"):
        pass


def test_the_lock_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be opened: No such file"), locked(tmp_path / "x"):
        pytest.fail("locked")


def test_hard_links_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"1")
    require_one_name(path, "secret file")
    os.link(path, tmp_path / "y")
    for name in ("x", "y"):
        with pytest.raises(InputError, match=r"has 2 names \(hard links\)"):
            require_one_name(tmp_path / name, "secret file")
        with (
            pytest.raises(InputError, match=r"has 2 names \(hard links\)"),
            held(tmp_path / name, "secret file", 100),
        ):
            pass
