"""The weight file: exact round trip, and refusal of everything else."""

from __future__ import annotations

import hashlib
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from safetensors.numpy import load_file, save, save_file

from zktrain import tensor_file
from zktrain.circuit.weights import digest, read_metadata, read_weights
from zktrain.errors import InputError, StatementMismatch
from zktrain.training.weight_file import write_weights

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
_SIZE = 8 + int.from_bytes(VALID[:8], "little")
BODY = VALID[_SIZE:]
WEIGHT = '"a.weight":{"dtype":"F64","shape":[2,3],"data_offsets":[16,64]}'
BIAS = '"a.bias":{"dtype":"F64","shape":[2],"data_offsets":[0,16]}'


def _file(header: str | bytes, body: bytes = BODY) -> bytes:
    text = header if isinstance(header, bytes) else header.encode()
    return struct.pack("<Q", len(text)) + text + body


def _changed(before: str, after: str) -> bytes:
    text = f"{{{BIAS},{WEIGHT}}}"
    assert before in text
    return _file(text.replace(before, after))


BROKEN: dict[str, bytes] = {
    "empty": b"",
    "text": b"these are not weights at all, but some text",
    "truncated": VALID[:-1],
    "padded": VALID + b"\0",
    "huge header": struct.pack("<Q", 1 << 60) + VALID[8:],
    "long header": struct.pack("<Q", 1 << 21) + b"{" + b" " * (1 << 21),
    "header of nothing": _file(""),
    "header with a mark": _file(b"\xef\xbb\xbf{" + f"{BIAS},{WEIGHT}}}".encode()),
    "header after a space": _file(f" {{{BIAS},{WEIGHT}}}"),
    "header before a line": _file(f"{{{BIAS},{WEIGHT}}}\n"),
    "header before a zero": _file(f"{{{BIAS},{WEIGHT}}}\0"),
    "header that is a list": _file(f"[{{{BIAS},{WEIGHT}}}]"),
    "header twice": _file(f"{{{BIAS},{WEIGHT}}}{{}}"),
    "header that is not UTF-8": _file(b'{"\xff":0}', b""),
    "header that is nested": _file("{" + '"a":{' * 100_000 + "}" * 100_001, b""),
    "tensor twice": _file(f"{{{BIAS},{WEIGHT},{BIAS}}}"),
    "tensor twice, elsewhere": _file(
        f"{{{BIAS},{WEIGHT},{BIAS.replace('0,16', '64,80')}}}", BODY + bytes(16)
    ),
    "tensor twice, written otherwise": _file(
        f"{{{BIAS},{WEIGHT},{BIAS.replace('a.bias', chr(92) + 'u0061.bias')}}}"
    ),
    "key of a tensor twice": _changed('"shape":[2],', '"shape":[2],"shape":[2],'),
    "metadata twice": _file(f'{{"__metadata__":{{}},{BIAS},{WEIGHT},"__metadata__":{{}}}}'),
    "key of metadata twice": _file(f'{{"__metadata__":{{"a":"b","a":"b"}},{BIAS},{WEIGHT}}}'),
    "number as metadata": _file(f'{{"__metadata__":{{"a":1}},{BIAS},{WEIGHT}}}'),
    "list as metadata": _file(f'{{"__metadata__":["a"],{BIAS},{WEIGHT}}}'),
    "nothing as metadata": _file(f'{{"__metadata__":null,{BIAS},{WEIGHT}}}'),
    "one more key": _changed('"shape":[2],', '"shape":[2],"order":"F",'),
    "one key less": _changed('"shape":[2],', ""),
    "no object": _changed(BIAS, '"a.bias":[]'),
    "overlap": _changed("[16,64]", "[8,56]"),
    "the same place": _file(f"{{{BIAS},{WEIGHT.replace('16,64', '0,48')}}}", BODY[:48]),
    "gap": _file(f"{{{BIAS},{WEIGHT.replace('16,64', '24,72')}}}", BODY + bytes(8)),
    "gap before the first": _file(
        f"{{{BIAS.replace('0,16', '8,24')},{WEIGHT.replace('16,64', '24,72')}}}", BODY + bytes(8)
    ),
    "backwards": _changed("[0,16]", "[16,0]"),
    "less than nothing": _changed("[0,16]", "[-16,0]"),
    "huge shape": _changed('"shape":[2]', '"shape":[9' + "9" * 15 + "]"),
    "huger shape": _changed('"shape":[2]', '"shape":[' + "9" * 5000 + "]"),
    "many axes": _changed('"shape":[2]', '"shape":[2' + ",1" * 100 + "]"),
    "another number of bytes": _changed('"shape":[2]', '"shape":[3]'),
    "shape of text": _changed('"shape":[2]', '"shape":["2"]'),
    "shape of nothing": _changed('"shape":[2]', '"shape":null'),
    "shape of truth": _changed('"shape":[2]', '"shape":[true,2]'),
    "fraction": _changed('"shape":[2]', '"shape":[2.0]'),
    "power": _changed('"shape":[2]', '"shape":[2e0]'),
    "minus nothing": _changed("[0,16]", "[-0,16]"),
    "no number": _changed('"shape":[2]', '"shape":[NaN]'),
    "no place": _changed("[0,16]", "[0]"),
    "type of nobody": _changed('"F64","shape":[2]', '"F65","shape":[2]'),
    "list as type": _changed('"F64","shape":[2]', '["F64"],"shape":[2]'),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_no_safetensors_file_is_an_input_error(case: str, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(BROKEN[case])
    with pytest.raises(InputError, match="cannot be read as a safetensors file"):
        read_weights(path, SHAPES, 32)
    with pytest.raises(InputError):
        read_metadata(path)


def test_the_parts_that_are_broken_above_are_valid_together(tmp_path: Path) -> None:
    """In either order, with padding, and where a name is written with an escape."""
    path = tmp_path / "w.safetensors"
    escaped = BIAS.replace("a.bias", "\\u0061.bias")
    for header in (f"{{{BIAS},{WEIGHT}}}", f"{{{WEIGHT},{BIAS}}}   ", f"{{{WEIGHT},{escaped}}}"):
        path.write_bytes(_file(header))
        assert set(read_weights(path, SHAPES, 32)) == set(SHAPES)


def test_the_file_is_what_other_loaders_read_and_always_the_same(tmp_path: Path) -> None:
    """Whatever the order of tensors and texts; padded as the format's own writer does."""
    one, other = tmp_path / "one", tmp_path / "other"
    write_weights(one, weights(), 32, {"b": "2", "a": "1"})
    write_weights(other, dict(reversed(weights().items())), 32, {"a": "1", "b": "2"})
    assert one.read_bytes() == other.read_bytes()
    write_weights(one, weights(), 32, {})
    assert one.read_bytes() == save(load_file(one))
    assert int.from_bytes(one.read_bytes()[:8], "little") % 8 == 0


def test_a_file_that_becomes_shorter_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(VALID)
    with tensor_file.opened(path) as file:
        os.truncate(path, len(VALID) - 8)
        assert file.floats("a.bias").shape == (2,)
        with pytest.raises(InputError, match="it ends too early"):
            file.floats("a.weight")


def test_pipes_and_devices_are_refused_at_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, "/dev/zero", "/dev/full"):
        with pytest.raises(InputError, match=r"it is a (pipe|device)"):
            read_weights(path, SHAPES, 32)


def test_missing_files_and_folders_are_input_errors(tmp_path: Path) -> None:
    for path in (tmp_path / "none.safetensors", tmp_path):
        with pytest.raises(InputError, match="cannot be read"):
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
