"""Files of arrays: what numpy writes comes back, and nothing else costs time or memory."""

from __future__ import annotations

import gzip
import io
import random
import resource
import struct
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zktrain.dataset.arrays import read_npy, read_npz
from zktrain.dataset.idx import read_idx
from zktrain.errors import InputError, ZktrainError

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
    "later version": (npy(described(), bytes(16))[:6] + b"\4\0", "no .npy file"),
    "pickle": (npy(described("'|O'", "()"), b"\x80\4N."), "holds objects"),
    "texts": (npy(described("'<U9'"), bytes(72)), "holds texts"),
    "complex": (npy(described("'<c16'"), bytes(32)), "holds complex numbers"),
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


def test_directories_that_lie(tmp_path: Path) -> None:
    good = zipped(("a.npy", ONE))
    entry, end = good.index(b"PK\1\2"), good.index(b"PK\5\6")
    cases = {
        "encrypted": (changed(good, entry + 8, b"\1\0"), "encrypted"),
        "lzma": (changed(good, entry + 10, b"\x0e\0"), "another method than deflate"),
        "stored": (changed(good, entry + 10, b"\0\0"), "damaged"),
        "checksum": (changed(good, entry + 16, b"\1\2\3\4"), "checksum"),
        "packed": (changed(good, entry + 20, b"\xff\xff\xff\x7f"), "cut short"),
        "size": (changed(good, entry + 24, b"\xff\xff\xff\x7f"), "2,147,483,647 bytes"),
        "larger": (changed(good, entry + 24, struct.pack("<I", len(ONE) + 1)), "there are 17"),
        "smaller": (changed(good, entry + 24, struct.pack("<I", len(ONE) - 1)), "there are 15"),
        "place": (changed(good, entry + 42, b"\xff\xff\xff\x7f"), "cut short"),
        "long": (changed(good, entry + 24, b"\xff" * 4), "more than 20 times"),
        "entries": (changed(good, end + 10, b"\2\0"), "damaged"),
        "many entries": (changed(good, end + 10, b"\xfe\xff"), "65,534 entries"),
        "no directory": (changed(good, end + 16, b"\xff" * 4), "directory cannot be found"),
        "damaged": (changed(good, 60, b"\xff\xff\xff"), "damaged|cut short"),
    }
    for name, (data, message) in cases.items():
        (tmp_path / "a.npz").write_bytes(data)
        with pytest.raises(InputError, match=message):
            read_npz(tmp_path / "a.npz", "file", ("a",))
            pytest.fail(name)


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
