"""The weight file: exact round trip, and refusal of everything else."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from safetensors.numpy import load_file, save, save_file

from zktrain.errors import InputError, StatementMismatch
from zktrain.training.weights import digest, read_metadata, read_weights, write_weights

SHAPES: dict[str, tuple[int, ...]] = {"a.weight": (3, 2), "a.bias": (2,)}
LIMIT = 1 << 52


def weights() -> dict[str, npt.NDArray[np.int64]]:
    return {
        "a.weight": np.array([[1, -2], [LIMIT - 1, 0], [-LIMIT + 1, 1 << 40]]),
        "a.bias": np.array([7, -(1 << 33)]),
    }


def test_round_trip_is_exact_and_the_file_is_torchs_layout(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    write_weights(path, weights(), 32, {"circuit": "abc"})
    back = read_weights(path, SHAPES, 32)
    assert list(back) == list(SHAPES)
    for name, values in weights().items():
        assert back[name].dtype == np.int64 and back[name].flags.c_contiguous
        assert np.array_equal(back[name], values)
    stored = load_file(path)
    assert stored["a.weight"].shape == (2, 3) and stored["a.weight"].dtype == np.float64
    assert stored["a.weight"][1, 0] == -2 / 2**32
    assert read_metadata(path) == {"circuit": "abc"}
    assert list(tmp_path.iterdir()) == [path]


def test_digest_is_the_hash_of_the_definition() -> None:
    def le8(number: int) -> bytes:
        return (number % 2**64).to_bytes(8, "little")

    data = b"zktrain weights v1"
    data += le8(8) + b"a.weight" + le8(2) + le8(3) + le8(2)
    data += b"".join(map(le8, [1, -2, LIMIT - 1, 0, -LIMIT + 1, 1 << 40]))
    data += le8(6) + b"a.bias" + le8(1) + le8(2) + le8(7) + le8(-(1 << 33))
    assert digest(weights()) == hashlib.sha256(data).hexdigest()
    assert digest({name: np.asfortranarray(v) for name, v in weights().items()}) == digest(
        weights()
    )


def _stored(**changes: Any) -> dict[str, npt.NDArray[Any]]:
    tensors: dict[str, npt.NDArray[Any]] = {"a.weight": np.zeros((2, 3)), "a.bias": np.zeros(2)}
    for name, value in changes.items():
        if value is None:
            del tensors[f"a.{name}"]
        else:
            tensors[f"a.{name}"] = value
    return tensors


MISMATCHES: dict[str, tuple[dict[str, npt.NDArray[Any]], str]] = {
    "missing": (_stored(bias=None), "names"),
    "extra": (_stored(more=np.zeros(1)), "names"),
    "transposed": (_stored(weight=np.zeros((3, 2))), "another type or shape"),
    "flat": (_stored(weight=np.zeros(6)), "another type or shape"),
    "float32": (_stored(bias=np.zeros(2, np.float32)), "another type or shape"),
    "integers": (_stored(bias=np.zeros(2, np.int64)), "another type or shape"),
    "off the grid": (_stored(bias=np.array([0, 2.0**-33])), r"no multiple of 2\^-32"),
    "tiny": (_stored(bias=np.array([0, 5e-324])), r"no multiple of 2\^-32"),
    "too large": (_stored(bias=np.array([0, -(2.0**20)])), "not below"),
    "nan": (_stored(bias=np.array([0, np.nan])), "not finite"),
    "infinite": (_stored(bias=np.array([0, np.inf])), "not finite"),
    "huge": (_stored(bias=np.array([0, 1e308])), "not finite or not below"),
}


@pytest.mark.parametrize("case", MISMATCHES)
def test_a_weight_file_of_something_else_is_a_mismatch(case: str, tmp_path: Path) -> None:
    tensors, message = MISMATCHES[case]
    path = tmp_path / "w.safetensors"
    save_file(tensors, path)
    with pytest.raises(StatementMismatch, match=message):
        read_weights(path, SHAPES, 32)


VALID = save(_stored())
BROKEN: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "text": lambda: b"these are not weights at all, but some text",
    "truncated": lambda: VALID[:-1],
    "padded": lambda: VALID + b"\0",
    "huge header": lambda: struct.pack("<Q", 1 << 60) + VALID[8:],
    "long header": lambda: struct.pack("<Q", 1 << 21) + b"{" + b" " * (1 << 21),
    "huge shape": lambda: VALID.replace(b'"shape":[2]', b'"shape":[9' + b"9" * 15 + b"]"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_no_safetensors_file_is_an_input_error(case: str, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(BROKEN[case]())
    with pytest.raises(InputError, match=r"weight file|safetensors"):
        read_weights(path, SHAPES, 32)
    with pytest.raises(InputError):
        read_metadata(path)


def test_missing_files_and_folders_are_input_errors(tmp_path: Path) -> None:
    for path in (tmp_path / "none.safetensors", tmp_path):
        with pytest.raises(InputError, match="does not exist or is no file"):
            read_weights(path, SHAPES, 32)
    with pytest.raises(InputError, match="cannot be written"):
        write_weights(tmp_path / "none" / "w.safetensors", weights(), 32, {})
    too_large = {"a.bias": np.array([LIMIT])}
    with pytest.raises(InputError, match="not below"):
        write_weights(tmp_path / "w.safetensors", too_large, 32, {})
    assert list(tmp_path.iterdir()) == []


def test_one_unit_changes_the_integers_read(tmp_path: Path) -> None:
    changed = weights()
    changed["a.weight"][2, 1] += 1
    path = tmp_path / "w.safetensors"
    write_weights(path, changed, 32, {})
    assert digest(read_weights(path, SHAPES, 32)) == digest(changed) != digest(weights())
