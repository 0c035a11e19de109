"""Files of arrays: what numpy writes comes back, and nothing else costs time or memory."""

from __future__ import annotations

import gzip
import io
import random
import resource
import struct
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zktrain.dataset.arrays import read_npy, read_npz
from zktrain.dataset.idx import read_idx
from zktrain.errors import InputError, ZktrainError
from zktrain.scratch import Scratch

ARRAYS: dict[str, Any] = {
    "bytes": np.arange(24, dtype=np.uint8).reshape(2, 3, 4),
    "fortran": np.asfortranarray(np.arange(12.0).reshape(3, 4)),
    "big endian": np.arange(5, dtype=">i4"),
    "half": np.arange(5, dtype=np.float16),
    "one": np.array(3),
    "empty": np.zeros((0, 4)),
    "flags": np.array([True, False]),
    "large": np.arange(300_000, dtype=np.int64),
}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_what_numpy_writes_comes_back(save: Any, tmp_path: Path) -> None:
    save(tmp_path / "a.npz", **ARRAYS)
    found, names = read_npz(tmp_path / "a.npz", "file", tuple(ARRAYS))
    assert names == set(ARRAYS)
    for name, array in ARRAYS.items():
        assert found[name].shape == array.shape and found[name].dtype == array.dtype
        assert np.array_equal(found[name], array)
        np.save(tmp_path / "a.npy", array)
        assert np.array_equal(read_npy(tmp_path / "a.npy", "file"), array)


def test_every_version_of_the_header(tmp_path: Path) -> None:
    for version in ((1, 0), (2, 0), (3, 0)):
        with (tmp_path / "a.npy").open("wb") as file:
            np.lib.format.write_array(file, np.arange(6.0).reshape(2, 3), version)
        assert np.array_equal(read_npy(tmp_path / "a.npy", "file"), np.arange(6.0).reshape(2, 3))


def npy(header: bytes, data: bytes = b"", version: int = 1) -> bytes:
    size = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + size + header + data


def described(descr: str = "'<f8'", shape: str = "(2,)", order: str = "False") -> bytes:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n".encode()


REFUSED: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "cut short"),
    "no array": (b"hello, world", "no .npy file"),
    "another mark": (b"\x93NUMPX" + npy(described(), bytes(16))[6:], "no .npy file"),
    "later version": (npy(described(), bytes(16))[:6] + b"\4\0", "no .npy file"),
    "pickle": (npy(described("'|O'", "()"), b"\x80\4N."), "holds objects"),
    "texts": (npy(described("'<U9'"), bytes(72)), "holds texts"),
    "complex": (npy(described("'<c16'"), bytes(32)), "holds complex numbers"),
    "long double": (npy(described("'<f16'"), bytes(32)), "values of type f16"),
    "dates": (npy(described("'<M8[ns]'"), bytes(16)), "not plain numbers"),
    "records": (npy(described("[('a', '<f8')]"), bytes(16)), "not one of an array of numbers"),
    "expression": (npy(described(shape="(2**60,)"), bytes(16)), "not one of an array"),
    "negative": (npy(described(shape="(-2,)"), bytes(16)), "not one of an array"),
    "two numbers": (npy(described(shape="(1 2,)"), bytes(16)), "not one of an array"),
    "deep": (npy(b"(" * 9000), "not one of an array"),
    "digits": (npy(described(shape="(" + "1" * 9000 + ",)")), "not one of an array"),
    "huge shape": (npy(described(shape="(9999999999999999999, 0)")), "a shape that no array has"),
    "many axes": (npy(described(shape="(" + "1," * 99 + ")"), bytes(8)), "a shape that no array"),
    "huge header": (npy(b" ", version=2)[:8] + b"\xff\xff\xff\x7f", "2,147,483,647 bytes"),
    "announced": (npy(described(shape="(1000000000000,)"), bytes(16)), "announces 8,000,000"),
    "too short": (npy(described(), bytes(15)), "there are 15"),
    "too long": (npy(described(), bytes(17)), "there are 17"),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("method", [None, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_arrays_that_are_refused(name: str, method: int | None, tmp_path: Path) -> None:
    data, message = REFUSED[name]
    path = tmp_path / "a.npz"
    if method is None:
        path.write_bytes(data)
    else:
        with zipfile.ZipFile(path, "w", method) as file:
            file.writestr("a.npy", data)
    with pytest.raises(InputError, match=message):
        if method is None:
            read_npy(path, "file")
        else:
            read_npz(path, "file", ("a",))


def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as file:
        for name, data in members:
            with pytest.warns() if name in file.namelist() else open("/dev/null"):
                file.writestr(name, data)
    return buffer.getvalue()


ONE = npy(described(), bytes(range(16)))


def test_an_array_that_is_there_twice(tmp_path: Path) -> None:
    """Another reader may take the other one."""
    other = npy(described(), bytes(16))
    (tmp_path / "a.npz").write_bytes(zipped(("a.npy", ONE), ("a.npy", other)))
    with pytest.raises(InputError, match="'a' is there twice"):
        read_npz(tmp_path / "a.npz", "file", ("a",))


def changed(data: bytes, at: int, value: bytes) -> bytes:
    return data[:at] + value + data[at + len(value) :]


GOOD = zipped(("a.npy", ONE))
ENTRY, END = GOOD.index(b"PK\1\2"), GOOD.index(b"PK\5\6")


def entry(at: int, value: bytes, data: bytes = GOOD) -> bytes:
    """With another value in the directory's entry."""
    return changed(data, data.rindex(b"PK\1\2") + at, value)


def member(packed: bytes) -> bytes:
    """A file whose directory tells of ``ONE``, deflated, and which has these bytes for it."""
    data = zipped(("a.npy", packed), method=zipfile.ZIP_STORED)
    sizes = struct.pack("<III", zlib.crc32(ONE), len(packed), len(ONE))
    return entry(10, b"\x08\0", entry(16, sizes, data))


def deflated(data: bytes, *, whole: bool = True) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush(zlib.Z_FINISH if whole else zlib.Z_SYNC_FLUSH)


def large(data: bytes = GOOD) -> bytes:
    """With a directory as files beyond 4 GB have it."""
    at = data.index(b"PK\5\6")
    count, size, start = struct.unpack("<HII", data[at + 10 : at + 20])
    record = b"PK\6\6" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, count, count, size, start)
    locator = b"PK\6\7" + struct.pack("<IQI", 0, at, 1)
    return data[:at] + record + locator + changed(data[at:], 8, b"\xff" * 12)


def long_size(extra: bytes) -> bytes:
    """With the unpacked size in an extra field."""
    said = entry(24, b"\xff" * 4, entry(30, struct.pack("<H", len(extra))))
    size = struct.pack("<I", END - ENTRY + len(extra))
    return changed(said[:END] + extra + said[END:], END + len(extra) + 12, size)


LIES = {
    "no zip file": (bytes(100), "no zip file, or cut short"),
    "end cut short": (GOOD[:-1], "no zip file, or cut short"),
    "encrypted": (entry(8, b"\1\0"), "encrypted"),
    "lzma": (entry(10, b"\x0e\0"), "another method than deflate"),
    "stored": (entry(10, b"\0\0"), "damaged"),
    "checksum": (entry(16, b"\1\2\3\4"), "the array 'a': it is damaged: its checksum"),
    "packed": (entry(20, b"\xff\xff\xff\x7f"), "ends too early"),
    "size": (entry(24, b"\xff\xff\xff\x7f"), "2,147,483,647 bytes"),
    "larger": (entry(24, struct.pack("<I", len(ONE) + 1)), "there are 17"),
    "smaller": (entry(24, struct.pack("<I", len(ONE) - 1)), "there are 15"),
    "place": (entry(42, b"\xff\xff\xff\x7f"), "ends too early"),
    "long": (entry(24, b"\xff" * 4), "more than 20 times"),
    "another entry": (entry(0, b"PK\1\3"), "directory is damaged"),
    "another member": (changed(GOOD, 0, b"PK\3\5"), "directory is damaged"),
    "long name": (entry(28, b"\xff\0"), "directory is cut short"),
    "long extra field": (entry(30, b"\xff\0"), "directory is cut short"),
    "long comment": (entry(32, b"\xff\0"), "directory is cut short"),
    "cut entry": (changed(GOOD, END + 12, b"\x2d\0\0\0"), "directory is cut short"),
    "entries": (changed(GOOD, END + 10, b"\2\0"), "directory is cut short"),
    "many entries": (changed(GOOD, END + 10, b"\xfe\xff"), "65,534 entries"),
    "large directory": (
        changed(GOOD[:END] + bytes(1 << 20) + GOOD[END:], END + (1 << 20) + 14, b"\x10"),
        "1 entries in 1,048,",
    ),
    "directory beyond the end": (changed(GOOD, END + 16, b"\xff\xff\xff\x7f"), "ends too early"),
    "no directory": (changed(GOOD, END + 16, b"\xff" * 4), "directory cannot be found"),
    "other locator": (changed(large(), END + 56, b"PK\6\6"), "directory cannot be found"),
    "record beyond the end": (changed(large(), END + 64, b"\xff" * 8), "ends too early"),
    "short long size": (long_size(b"\1\0\4\0abcd"), "directory is damaged"),
    "more than it says": (member(deflated(ONE + b"x")), "more than it says"),
    "bytes after the last": (member(deflated(ONE) + b"x"), "more than it says"),
    "no last block": (member(deflated(ONE, whole=False)), "more than it says"),
    "less than it says": (member(deflated(ONE[:-1])), "cut short"),
    "no blocks": (member(b"\xff" * 8), "the array 'a': it is damaged: Error"),
    "damaged": (changed(GOOD, 60, b"\xff\xff\xff"), "damaged|cut short"),
}


@pytest.mark.parametrize("name", LIES)
def test_zip_files_that_lie(name: str, tmp_path: Path) -> None:
    data, message = LIES[name]
    (tmp_path / "a.npz").write_bytes(data)
    with pytest.raises(InputError, match=message):
        read_npz(tmp_path / "a.npz", "file", ("a",))


def test_bytes_after_the_last_in_another_piece(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stream ends where a piece does."""
    packed = deflated(ONE)
    (tmp_path / "a.npz").write_bytes(member(packed + b"x"))
    monkeypatch.setattr("zktrain.dataset.arrays._PIECE", len(packed))
    with pytest.raises(InputError, match="more than it says"):
        read_npz(tmp_path / "a.npz", "file", ("a",))


def test_zip_files_with_long_numbers(tmp_path: Path) -> None:
    size = struct.pack("<HHQ", 1, 8, len(ONE))
    for data in (member(deflated(ONE)), large(), long_size(size), large(long_size(size))):
        (tmp_path / "a.npz").write_bytes(data)
        found, _ = read_npz(tmp_path / "a.npz", "file", ("a",))
        assert found["a"].tobytes() == bytes(range(16))


def test_bombs_are_refused_before_they_are_unpacked(tmp_path: Path) -> None:
    """An array of 100 MB in 100 kB, of bytes in a zip and in a gzipped IDX file."""
    count = 100_000_000
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as file:
        data = npy(described("'|u1'", f"({count},)")) + bytes(count)
        file.writestr("a.npy", data)
    (tmp_path / "b.gz").write_bytes(
        gzip.compress(b"\0\0\x08\1" + struct.pack(">I", count) + bytes(count), 9)
    )
    del data
    before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    with pytest.raises(InputError, match="more than 20 times"):
        read_npz(tmp_path / "a.npz", "file", ("a",))
    with pytest.raises(InputError, match="more than 20 times"):
        read_idx(tmp_path / "b.gz", 1)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_utime - before < 0.1
    # One that says less than it has is not unpacked further than it says.
    (tmp_path / "c.gz").write_bytes(
        gzip.compress(b"\0\0\x08\1" + struct.pack(">I", 9) + bytes(count), 9)
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    with pytest.raises(InputError, match="there are more"):
        read_idx(tmp_path / "c.gz", 1)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_utime - before < 0.1


def test_arrays_beyond_the_memory_that_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez(tmp_path / "a.npz", a=np.zeros(1000))
    monkeypatch.setattr("zktrain.dataset.arrays.available_memory", lambda: 8000)
    with pytest.raises(InputError, match="8,000 of memory are left"):
        read_npz(tmp_path / "a.npz", "file", ("a",))


def test_arrays_beyond_the_disk_that_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where arrays go into files, memory does not matter."""
    np.savez(tmp_path / "a.npz", a=np.zeros(1000))
    monkeypatch.setattr("zktrain.dataset.arrays.available_memory", lambda: 0)
    monkeypatch.setattr(Scratch, "free", 8000)
    with pytest.raises(InputError, match="the disk for them has 8,000 left"):
        read_npz(tmp_path / "a.npz", "file", ("a",), Scratch(tmp_path))
    monkeypatch.setattr(Scratch, "free", 9000)
    arrays, _ = read_npz(tmp_path / "a.npz", "file", ("a",), Scratch(tmp_path))
    assert arrays["a"].shape == (1000,)


def test_arrays_for_which_a_folder_takes_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"takes no temporary file of 0\.0 GB"):
        Scratch(tmp_path / "gone").zeros((1 << 21,), "uint8")


@pytest.mark.parametrize("packed", [False, True])
def test_changed_bytes_anywhere(packed: bool, tmp_path: Path) -> None:
    generator = random.Random(7)
    good = io.BytesIO()
    (np.savez_compressed if packed else np.savez)(good, a=np.arange(9.0), b=np.arange(3))
    for _ in range(400):
        data = bytearray(good.getvalue())
        for _ in range(generator.randrange(1, 4)):
            at = generator.randrange(len(data))
            data[at : at + generator.choice([0, 1, 4])] = generator.randbytes(
                generator.choice([0, 1, 1, 4])
            )
        (tmp_path / "a.npz").write_bytes(data[: generator.choice([None, None, -1, -20, 50])])
        with suppress(ZktrainError):
            read_npz(tmp_path / "a.npz", "file", ("a", "b"))
