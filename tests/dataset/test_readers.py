"""Records from .npz files, IDX folders and built-in names."""

from __future__ import annotations

import gzip
import struct
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zktrain.dataset.idx import find_pair
from zktrain.dataset.readers import Like, read_dataset, read_test_split
from zktrain.dataset.scaling import BYTES, Scaling
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
    assert records.scaling == BYTES and records.source.endswith("data.npz")


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
    assert records.scaling == Scaling(-1, 1)


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int64, np.uint64, np.float32])
def test_numbers_mean_the_same_in_every_type(kind: type[np.generic], tmp_path: Path) -> None:
    """Zeros and ones with low = 0 and high = 1 become 0 and 255, whatever they are stored as."""
    inputs = np.array([[0, 1, 1], [1, 0, 0]]).astype(kind)
    records = read_dataset(npz(tmp_path, inputs=inputs, labels=np.array([0, 1]), low=0, high=1))
    assert records.inputs.tolist() == [[0, 255, 255], [255, 0, 0]]
    assert records.scaling == Scaling(0, 1) and not records.warnings


def test_integers_beyond_a_byte_with_a_range(tmp_path: Path) -> None:
    inputs = np.array([[-300, 300, 0]])
    records = read_dataset(npz(tmp_path, inputs=inputs, labels=np.array([0]), low=-300, high=300))
    assert records.inputs.tolist() == [[0, 255, 128]]


def test_bytes_of_zeros_and_ones_are_kept_with_a_warning(tmp_path: Path) -> None:
    inputs = np.array([[0, 1], [1, 0]], np.uint8)
    records = read_dataset(npz(tmp_path, inputs=inputs, labels=np.array([0, 1])))
    assert records.inputs.tolist() == inputs.tolist() and records.scaling == BYTES
    (warning,) = records.warnings
    assert "low=0, high=1" in warning


def test_every_byte_comes_back_from_its_own_range(tmp_path: Path) -> None:
    """Floats 0..255 are those bytes, and the digits' sixteenths are multiples of 15."""
    every = np.arange(256.0)
    assert Scaling(0, 255).to_bytes(every).tolist() == list(range(256))
    assert Scaling(0, 17).to_bytes(np.arange(17)).tolist() == [15 * n for n in range(17)]
    rng = np.random.default_rng(1)
    for low, high in ((-3.0, 3.0), (1e-310, 1e300), (-1e307, 1e307), (0.0, 5e-324)):
        values = np.append(rng.uniform(low, high, 100), [low, high])
        got = Scaling(low, high).to_bytes(values)
        exact = [(Fraction(v) - Fraction(low)) / (Fraction(high) - Fraction(low)) * 255
                 for v in values.tolist()]  # fmt: skip
        assert all(abs(int(g) - e) <= Fraction(501, 1000) for g, e in zip(got, exact, strict=True))
        assert got[-2:].tolist() == [0, 255]


LIKE = Like(Scaling(-3, 3), 3)


def test_other_data_are_read_by_the_training_datas_scaling(tmp_path: Path) -> None:
    inputs, labels = np.array([[-3.0, 0.0], [1.0, 3.0]]), np.array([0, 1])
    for more in ({}, {"low": -3, "high": 3.0}):
        records = read_dataset(npz(tmp_path, inputs=inputs, labels=labels, **more), "test", LIKE)
        assert records.inputs.tolist() == [[0, 128], [170, 255]]
        assert records.scaling == LIKE.scaling and records.classes == 3
    whole = npz(tmp_path, inputs=inputs.astype(int), labels=labels, classes=2)
    records = read_dataset(whole, "test", LIKE)
    assert records.inputs.tolist() == [[0, 128], [170, 255]] and records.classes == 2


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"low": -3, "high": 4}, r"scaled from -3\.\.4.*training data from -3\.\.3"),
        ({"low": 0, "high": 255}, r"scaled from 0\.\.255.*training data from -3\.\.3"),
        ({"inputs": np.array([[-3.0], [3.5]])}, "input 0 of record 1 .* is 3.5, outside"),
        ({"inputs": np.array([[200], [3]], np.uint8)}, "is 200, outside"),
        ({"inputs": np.zeros((2, 1)), "like": Like(BYTES)}, "must state their range"),
    ],
)
def test_data_that_would_be_read_otherwise_are_refused(
    more: dict[str, Any], message: str, tmp_path: Path
) -> None:
    like = more.pop("like", LIKE)
    arrays = {"inputs": np.array([[-3.0], [3.0]]), "labels": np.array([0, 1]), **more}
    with pytest.raises(InputError, match=message):
        read_dataset(npz(tmp_path, **arrays), "test", like)


def test_folders_and_digits_have_the_scaling_that_they_have(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    folder = str(folder_of(tmp_path))
    assert read_dataset(folder, "test", Like(BYTES)).scaling == BYTES
    for data, like in ((folder, LIKE), ("digits", LIKE), ("digits", Like(BYTES))):
        with pytest.raises(InputError, match="the network would see other numbers"):
            read_dataset(data, "test", like)
        with pytest.raises(InputError, match="the network would see other numbers"):
            read_test_split(data, like)
    assert read_dataset("digits", "test").scaling == Scaling(0, 17)


_X, _Y = np.zeros((2, 3), np.uint8), np.array([0, 1])
_NAN = np.where(np.arange(6) == 5, np.nan, 0.5).reshape(2, 3)
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no inputs": ({"labels": _Y}, "no array 'inputs'"),
    "no labels": ({"inputs": _X}, "no array 'labels'"),
    "counts": ({"inputs": _X, "labels": np.array([0])}, "as many"),
    "empty": ({"inputs": _X[:0], "labels": _Y[:0]}, "no records"),
    "no values": ({"inputs": _X[:, :0], "labels": _Y}, "without values"),
    "scalar": ({"inputs": np.array(1), "labels": _Y}, "single number"),
    "too bright": ({"inputs": np.array([[0], [256]]), "labels": _Y}, "low=0, high=256"),
    "negative": ({"inputs": np.array([[0], [-1]]), "labels": _Y}, "low=-1, high=0"),
    "bool": ({"inputs": np.zeros((2, 3), bool), "labels": _Y}, "inputs are bool"),
    "no range": ({"inputs": _X * 1.0, "labels": _Y}, "must state their range"),
    "half a range": ({"inputs": _X, "labels": _Y, "low": 0}, "states low but not high"),
    "no range at all": ({"inputs": _X * 1.0, "labels": _Y, "low": 1, "high": 1}, "not a range"),
    "outside": ({"inputs": _X + 1.5, "labels": _Y, "low": 0, "high": 1}, r"1\.5, outside low = 0"),
    "no finite range": ({"inputs": _X, "labels": _Y, "low": -1e308, "high": 1e308}, "not a range"),
    "one value": (
        {"inputs": _X + np.arange(3.0), "labels": _Y, "low": -1e9, "high": 1e9},
        "go from 0 to 2.* all of them become the byte 128",
    ),
    "nan": ({"inputs": _NAN, "labels": _Y, "low": 0, "high": 1}, "input 2 of record 1 .* is nan"),
    "nan range": ({"inputs": _X * 1.0, "labels": _Y, "low": 0, "high": np.nan}, "not a range"),
    "negative label": ({"inputs": _X, "labels": np.array([0, -1])}, "labels go from -1"),
    "float labels": ({"inputs": _X, "labels": _Y * 1.0}, "labels are float64"),
    "one-hot labels": ({"inputs": _X, "labels": np.eye(2, dtype=int)}, r"shape \(2, 2\)"),
    "label number": ({"inputs": _X, "labels": np.array(1)}, r"shape \(\)"),
    "label range": ({"inputs": _X, "labels": _Y, "classes": 1}, "must be 0 to 0"),
    "huge label": ({"inputs": _X, "labels": np.array([0, 1 << 40])}, "must be 0 to 65535"),
    "classes": ({"inputs": _X, "labels": _Y, "classes": 2.5}, "one integer"),
    "several classes": ({"inputs": _X, "labels": _Y, "classes": [2, 2]}, "one integer"),
    "several ranges": ({"inputs": _X, "labels": _Y, "low": [0, 0], "high": 1}, "low must be one"),
    "a range of flags": (
        {"inputs": _X, "labels": _Y, "low": 0, "high": True},
        "high must be one",
    ),
    "objects": ({"inputs": np.array([{}, {}]), "labels": _Y}, "holds objects, not plain numbers"),
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
        ("bad.npz", "is no zip file"),
        ("x" * 5000, "does not exist"),
        ("a\0b.npz", "does not exist"),
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


def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"the folder .* cannot be read: No such file"):
        find_pair(tmp_path / "gone", "train")


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
