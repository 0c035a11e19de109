"""The transform against evaluation by Horner's rule in Python integers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from field_oracle import P, residues

from zktrain.field.goldilocks import bit_reverse, root_of_unity
from zktrain.prover.kernels import ntt
from zktrain.prover.kernels.ntt import transform


def reversed_bits(index: int, bits: int) -> int:
    out = 0
    for _ in range(bits):
        out, index = 2 * out + (index & 1), index >> 1
    return out


def horner(coefficients: list[int], x: int) -> int:
    out = 0
    for c in reversed(coefficients):
        out = (out * x + c) % P
    return out


def check(matrix: np.ndarray, lanes: list[int], positions: list[int]) -> None:
    """Position ``i`` of a lane holds its polynomial's value at ``omega^reversed(i)``."""
    length = matrix.shape[0]
    log = length.bit_length() - 1
    omega = pow(7, (P - 1) // length, P)
    assert omega == root_of_unity(log)
    code = matrix.copy()
    transform(code)
    assert int(code.max()) < P
    for lane in lanes:
        coefficients = matrix[:, lane].tolist()
        for i in positions:
            x = pow(omega, reversed_bits(i, log), P)
            assert int(code[i, lane]) == horner(coefficients, x)


@pytest.mark.parametrize("lanes", [1, 2, 3, 7, 16, 33])
@pytest.mark.parametrize("log", range(8))
def test_every_value_of_small_transforms(log: int, lanes: int) -> None:
    matrix = residues(np.random.default_rng(100 * log + lanes), 1 << log, lanes)
    check(matrix, list(range(lanes))[-5:], list(range(1 << log)))


@pytest.mark.parametrize(
    ("log", "lanes"),
    [(6, 1 << 12), (7, 1 << 12), (8, 1 << 12), (9, 1 << 10), (10, 1 << 10), (12, 64), (13, 66),
     (4, 1 << 15), (3, 1 << 16), (14, 1), (17, 2), (18, 1)],
)  # fmt: skip
def test_transforms_larger_than_the_caches(log: int, lanes: int) -> None:
    """Wide and long matrices take the passes over the whole array, one and two layers at a time."""
    rng = np.random.default_rng(log)
    matrix = residues(rng, 1 << log, lanes)
    length = 1 << log
    positions = {0, 1, 2, 3, length // 2, length // 2 + 1, length // 4, length - 2, length - 1}
    positions |= set(rng.integers(0, length, size=4).tolist())
    some = sorted(p for p in positions if p < length)
    check(matrix, sorted({0, lanes // 2, lanes - 1}), some if log < 15 else some[::3])


def test_lanes_of_the_largest_residue() -> None:
    for value in (P - 1, 0xFFFFFFFEFFFFFFFF):
        check(np.full((64, 3), value, dtype=np.uint64), [0, 2], list(range(64)))


def test_shorter_message_then_zeros_is_a_code_word() -> None:
    """A message of half the length, padded with zeros: rate 1/2."""
    matrix = np.zeros((128, 4), dtype=np.uint64)
    matrix[:64] = residues(np.random.default_rng(5), 64, 4)
    check(matrix, [0, 1, 2, 3], list(range(128)))


@pytest.mark.parametrize("filled", [1, 31, 32, 33, 63, 64, 65, 100, 127, 128])
@pytest.mark.parametrize("log", [7, 14])
def test_rows_beyond_the_message_are_taken_for_zero(log: int, filled: int) -> None:
    rng = np.random.default_rng(filled)
    filled <<= log - 7
    full = residues(rng, 1 << log, 33)
    message = full.copy()
    message[filled:] = 0
    transform(message)
    transform(full, filled)
    assert np.array_equal(full, message)


def test_bit_reverse() -> None:
    for bits in range(9):
        for index in range(1 << bits):
            assert bit_reverse(index, bits) == reversed_bits(index, bits)


@pytest.mark.parametrize("buffer", [1 << 12, 1 << 18, 1 << 20])
@pytest.mark.parametrize("log", [11, 14])
def test_the_size_of_the_cache_does_not_matter(
    monkeypatch: pytest.MonkeyPatch, buffer: int, log: int
) -> None:
    """More or fewer passes, of a message of a quarter of the code word and a little more."""
    rng = np.random.default_rng(log)
    given = rng.integers(0, P, (1 << log, 8), dtype=np.uint64)
    given[(1 << log - 2) + 3 :] = 0
    expected, found = given.copy(), given.copy()
    transform(expected)
    monkeypatch.setattr(ntt, "_buffer_bytes", lambda: buffer)
    transform(found, (1 << log - 2) + 3)
    assert np.array_equal(found, expected)


@pytest.mark.parametrize(
    ("text", "size"),
    [("1024K\n", 3 << 18), ("512K", 3 << 17), ("64K", 1 << 18), ("2M", 1 << 18), ("", 1 << 18)],
)
def test_the_cache_that_the_system_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, size: int
) -> None:
    (tmp_path / "size").write_text(text)
    monkeypatch.setattr(ntt, "_CACHE", tmp_path / "size")
    assert ntt._buffer_bytes.__wrapped__() == size


def test_no_cache_that_the_system_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ntt, "_CACHE", tmp_path / "none")
    assert ntt._buffer_bytes.__wrapped__() == 1 << 18
