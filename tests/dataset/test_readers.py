"""Records from .npz files, IDX folders and built-in names."""

from __future__ import annotations

import gzip
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zktrain.dataset.readers import read_dataset, read_test_split
from zktrain.errors import InputError


def npz(folder: Path, **arrays: Any) -> str:
    path = folder / "data.npz"
    np.savez(path, **arrays)
    return str(path)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.uint64, np.int8, np.int64])
def test_npz_of_integers(kind: type[np.integer[Any]], tmp_path: Path) -> None:
    inputs = np.arange(24).reshape(4, 3, 2)
    labels = np.array([0, 5, 2, 2], dtype=np.int32)
    records = read_dataset(npz(tmp_path, inputs=inputs.astype(kind), labels=labels))
    assert records.inputs.dtype == np.uint8 and records.inputs.flags.c_contiguous
    assert records.inputs.tolist() == inputs.reshape(4, 6).tolist()
    assert records.labels.dtype == np.uint8 and records.labels.tolist() == [0, 5, 2, 2]
    assert records.classes == 6
    assert "256" in records.scaling and records.source.endswith("data.npz")


def test_npz_with_many_classes(tmp_path: Path) -> None:
    path = npz(tmp_path, inputs=np.zeros((2, 1), int), labels=np.array([0, 256]), classes=1000)
    records = read_dataset(path, "test")
    assert records.classes == 1000 and records.labels.dtype == np.uint16
    assert records.labels.tolist() == [0, 256]
    assert read_test_split(path) is None


def test_npz_of_floats_with_a_stated_scaling(tmp_path: Path) -> None:
    inputs = np.array([[-1.0, 1.0, 0.0, 0.5, -0.999]], dtype=np.float32)
    records = read_dataset(npz(tmp_path, inputs=inputs, labels=np.array([0]), low=-1, high=1.0))
    assert records.inputs.tolist() == [[0, 255, 128, 191, 0]]
    assert "-1..1" in records.scaling


_X, _Y = np.zeros((2, 3), np.uint8), np.array([0, 1])
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no inputs": ({"labels": _Y}, "no array 'inputs'"),
    "no labels": ({"inputs": _X}, "no array 'labels'"),
    "counts": ({"inputs": _X, "labels": np.array([0])}, "as many"),
    "empty": ({"inputs": _X[:0], "labels": _Y[:0]}, "no records"),
    "no values": ({"inputs": _X[:, :0], "labels": _Y}, "without values"),
    "scalar": ({"inputs": np.array(1), "labels": _Y}, "single number"),
    "too bright": ({"inputs": np.array([[256], [0]]), "labels": _Y}, "0 to 256"),
    "negative": ({"inputs": np.array([[-1], [0]]), "labels": _Y}, "-1 to 0"),
    "bool": ({"inputs": np.zeros((2, 3), bool), "labels": _Y}, "inputs are bool"),
    "no range": ({"inputs": _X * 1.0, "labels": _Y}, "must state their range"),
    "half a range": ({"inputs": _X * 1.0, "labels": _Y, "low": 0}, "must state their range"),
    "no range at all": ({"inputs": _X * 1.0, "labels": _Y, "low": 1, "high": 1}, "not a range"),
    "outside": ({"inputs": _X + 1.5, "labels": _Y, "low": 0, "high": 1}, "values outside"),
    "nan": ({"inputs": _X + np.nan, "labels": _Y, "low": 0, "high": 1}, "not numbers"),
    "nan range": ({"inputs": _X * 1.0, "labels": _Y, "low": 0, "high": np.nan}, "not a range"),
    "negative label": ({"inputs": _X, "labels": np.array([0, -1])}, "labels go from -1"),
    "float labels": ({"inputs": _X, "labels": _Y * 1.0}, "labels are float64"),
    "one-hot labels": ({"inputs": _X, "labels": np.eye(2, dtype=int)}, r"shape \(2, 2\)"),
    "label number": ({"inputs": _X, "labels": np.array(1)}, r"shape \(\)"),
    "label range": ({"inputs": _X, "labels": _Y, "classes": 1}, "must be 0 to 0"),
    "huge label": ({"inputs": _X, "labels": np.array([0, 1 << 40])}, "must be 0 to 65535"),
    "classes": ({"inputs": _X, "labels": _Y, "classes": 2.5}, "one integer"),
    "objects": ({"inputs": np.array([{}, {}]), "labels": _Y}, "plain arrays"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_npz_refusals_name_file_and_remedy(case: str, tmp_path: Path) -> None:
    arrays, message = REFUSED[case]
    with pytest.raises(InputError, match=message) as caught:
        read_dataset(npz(tmp_path, **arrays))
    assert "data.npz" in str(caught.value)


def test_other_paths_are_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.npz").write_bytes(b"no zip")
    (tmp_path / "notes.txt").write_text("")
    np.savez(tmp_path / "good.npz", inputs=_X, labels=_Y)
    for name, message in (
        ("bad.npz", "cannot be read as an .npz"),
        ("notes.txt", "neither an .npz file nor a folder"),
        ("none", "does not exist"),
        ("good.npz:test", "has no splits"),
    ):
        with pytest.raises(InputError, match=message):
            read_dataset(str(tmp_path / name))
    with pytest.raises(InputError, match="no split 'valid'"):
        read_dataset("digits", "valid")


def idx(array: np.ndarray[Any, np.dtype[np.uint8]]) -> bytes:
    return (
        bytes([0, 0, 8, array.ndim])
        + struct.pack(f">{array.ndim}I", *array.shape)
        + (array.tobytes())
    )


def folder_of(folder: Path, prefix: str = "", separator: str = "-", packed: bool = True) -> Path:
    for split, count in (("train", 6), ("t10k", 4)):
        images = np.arange(count * 6, dtype=np.uint8).reshape(count, 2, 3)
        labels = (np.arange(count) % 3).astype(np.uint8)
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            name = f"{prefix}{split}-{kind.replace('-', separator)}-ubyte"
            if packed:
                (folder / f"{name}.gz").write_bytes(gzip.compress(idx(array)))
            else:
                (folder / name).write_bytes(idx(array))
    return folder


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize(("prefix", "separator"), [("", "-"), ("emnist-letters-", "-"), ("", ".")])
def test_idx_folder(prefix: str, separator: str, packed: bool, tmp_path: Path) -> None:
    folder = str(folder_of(tmp_path, prefix, separator, packed))
    train = read_dataset(folder)
    assert train.inputs.tolist() == np.arange(36).reshape(6, 6).tolist()
    assert train.labels.tolist() == [0, 1, 2, 0, 1, 2] and train.classes == 3
    for test in (read_dataset(f"{folder}:test"), read_dataset(folder, "test")):
        assert test.inputs.shape == (4, 6)
    assert read_dataset(f"{folder}:train", "test").inputs.shape == (6, 6)
    held_out = read_test_split(f"{folder}:train")
    assert held_out is not None and held_out.labels.tolist() == [0, 1, 2, 0]


def test_folder_without_test_split(tmp_path: Path) -> None:
    for path in folder_of(tmp_path).glob("t10k*"):
        path.unlink()
    assert read_test_split(str(tmp_path)) is None
    with pytest.raises(InputError, match=r"for the test split and has none"):
        read_dataset(f"{tmp_path}:test")


def test_folders_with_too_much_or_too_little_are_refused(tmp_path: Path) -> None:
    folder_of(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(InputError, match="has no train-labels-idx1-ubyte"):
        read_dataset(str(tmp_path))
    folder_of(tmp_path, "emnist-digits-")
    with pytest.raises(InputError, match="has several"):
        read_dataset(str(tmp_path))


_LABELS = idx(np.zeros(6, np.uint8))
BROKEN: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "begins with nothing"),
    "short header": (_LABELS[:7], "not an IDX file"),
    "signed": (b"\0\0\x09\x01" + _LABELS[4:], "not an IDX file"),
    "dimensions": (b"\0\0\x08\x03" + _LABELS[4:], "not an IDX file"),
    "truncated": (_LABELS[:-1], "announces 6 bytes of data and there are only 5"),
    "padded": (_LABELS + b"\0", "announces 6 bytes of data and there are more"),
    "huge": (_LABELS[:4] + b"\xff\xff\xff\xff" + _LABELS[8:], "announces 4294967295"),
    "other count": (idx(np.zeros(5, np.uint8)), "6 inputs and 5 labels"),
}


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("case", BROKEN)
def test_idx_files_are_read_strictly(case: str, packed: bool, tmp_path: Path) -> None:
    data, message = BROKEN[case]
    name = "train-labels-idx1-ubyte"
    folder_of(tmp_path, packed=packed)
    if packed:
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(data))
    else:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=message):
        read_dataset(str(tmp_path))


def test_damaged_gzip_is_an_input_error(tmp_path: Path) -> None:
    path = folder_of(tmp_path) / "train-images-idx3-ubyte.gz"
    good = path.read_bytes()
    for data in (b"plain", good[:-9], good[:20] + b"\xff\xff\xff" + good[23:]):
        path.write_bytes(data)
        with pytest.raises(InputError, match="cannot be read"):
            read_dataset(str(tmp_path))


def test_digits() -> None:
    pytest.importorskip("sklearn")
    train, test = read_dataset("digits"), read_test_split("digits")
    assert test is not None
    assert train.inputs.shape == (1500, 64) and test.inputs.shape == (297, 64)
    assert train.classes == test.classes == 10
    assert train.inputs.max() == 240 and not (train.inputs % 15).any()
    assert read_dataset("digits:test", "train").source == "digits (test)"
    assert train.labels[:4].tolist() == [0, 1, 2, 3]


def test_digits_without_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(InputError, match="pip install scikit-learn"):
        read_dataset("digits")
