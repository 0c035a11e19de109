"""Reading: regular files alone, never more than allowed, never waiting."""

from __future__ import annotations

import errno
import io
import os
import socket
import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from zktrain._inspect import inspect
from zktrain.errors import InputError
from zktrain.files import beginning, opened, read_bytes


def _fifo(path: Path) -> Path:
    os.mkfifo(path)
    return path


def _socket(path: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))
    return path


def _link_to_fifo(path: Path) -> Path:
    path.symlink_to(_fifo(path.with_name("pipe")))
    return path


def _circle(path: Path) -> Path:
    path.symlink_to(path)
    return path


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


IRREGULAR: dict[str, tuple[Callable[[Path], Path], str]] = {
    "nothing": (lambda path: path, "No such file"),
    "fifo": (_fifo, "a pipe, not a file"),
    "link to fifo": (_link_to_fifo, "a pipe, not a file"),
    "socket": (_socket, "a socket, not a file"),
    "folder": (_folder, "a folder, not a file"),
    "zeros": (lambda _: Path("/dev/zero"), "a device, not a file"),
    "null": (lambda _: Path("/dev/null"), "a device, not a file"),
    "circle": (_circle, "symbolic links"),
    "null byte": (lambda path: Path(f"{path}\0"), "null"),
    "long": (lambda path: path / ("x" * 300), "cannot be read"),
    "empty": (lambda _: Path(""), "a folder"),
}


@pytest.fixture
def short() -> Path:
    """A folder whose name fits in the address of a socket."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)  # type: ignore[misc]


@pytest.mark.parametrize("case", IRREGULAR)
def test_only_regular_files_are_read(case: str, short: Path) -> None:
    make, message = IRREGULAR[case]
    path = make(short / "x")
    with pytest.raises(InputError, match=f"the bundle .*{message}"):
        read_bytes(path, "bundle", 1 << 20)
    with pytest.raises(InputError, match=f"the bundle .*{message}"), opened(path, "bundle"):
        pass
    with pytest.raises(InputError, match=message):
        inspect(path)
    assert beginning(path, 7) == b""


def test_a_file_may_be_as_large_as_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(bytes(range(100)))
    assert read_bytes(path, "bundle", 100) == bytes(range(100))
    with pytest.raises(InputError, match="larger than any bundle"):
        read_bytes(path, "bundle", 99)
    with pytest.raises(InputError, match="larger than any bundle"), opened(path, "bundle", 99):
        pass
    assert beginning(path, 3) == bytes(range(3)) and beginning(path, 1000) == bytes(range(100))


def test_a_large_file_is_refused_before_anything_is_allocated(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.touch()
    os.truncate(path, 1 << 40)
    tracemalloc.start()
    with pytest.raises(InputError, match="larger than any bundle"):
        read_bytes(path, "bundle", 1 << 31)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_a_file_that_grows_is_read_up_to_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody appends to it whenever some of it was read."""
    path = tmp_path / "x"
    path.write_bytes(b"x" * 10)
    asked: list[int] = []

    class Growing(io.FileIO):
        def read(self, size: int | None = -1, /) -> bytes:
            asked.append(size or 0)
            with path.open("ab") as file:
                file.write(b"x" * 1000)
            return super().read(size)

    with monkeypatch.context() as patch:
        patch.setattr(io, "FileIO", Growing)
        with pytest.raises(InputError, match="larger than any bundle"):
            read_bytes(path, "bundle", 5000)
    assert all(0 <= size <= 5001 for size in asked)


def test_positions_are_read_wherever_the_stream_is(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(bytes(range(100)))
    with opened(path, "bundle") as found:
        assert found.stream.read(10) == bytes(range(10))
        assert found.read(50, 7) == bytes(range(50, 57)) and found.read(100, 0) == b""
        assert found.stream.read() == bytes(range(10, 100))
        for offset, count in ((95, 6), (-1, 3), (101, 0), (0, 1 << 50), (5, -2)):
            with pytest.raises(InputError, match="ends too early"):
                found.read(offset, count)


def test_a_file_that_is_shortened_meanwhile_is_an_error(tmp_path: Path) -> None:
    """And not the end of the process, as where it is mapped."""
    path = tmp_path / "x"
    path.write_bytes(bytes(1 << 21))

    with opened(path, "weight file") as found, pytest.raises(InputError, match="ends too early"):
        os.truncate(path, 4096)
        found.read(0, 1 << 21)


def test_a_disk_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*arguments: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    path = tmp_path / "x"
    path.write_bytes(bytes(100))
    monkeypatch.setattr(os, "preadv", failing, raising=False)
    monkeypatch.setattr(os, "pread", failing)
    message = "the bundle .* cannot be read: Input/output error"
    with opened(path, "bundle") as found, pytest.raises(InputError, match=message):
        found.read(0, 100)
    monkeypatch.setattr(io, "FileIO", type("Failing", (io.FileIO,), {"read": failing}))
    with pytest.raises(InputError, match=message):
        read_bytes(path, "bundle", 100)
