"""Row hashing against hashlib."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from zktrain.commitment.merkle import LEAF, NODE
from zktrain.prover.kernels import sha256_x86
from zktrain.prover.kernels.sha256 import hash_rows

PREFIX = bytes(range(64))
NATIVE = sha256_x86.available()


@pytest.fixture(autouse=True, params=["portable", "native"])
def processor(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test runs without the processor's SHA instructions and, if it has them, with them."""
    if request.param == "native" and not NATIVE:
        pytest.skip("this processor has no SHA instructions")
    monkeypatch.setattr(sha256_x86, "available", lambda: request.param == "native")


def expected(rows: np.ndarray, prefix: bytes) -> list[bytes]:
    return [hashlib.sha256(prefix + b"".join(int(c).to_bytes(8, "little") for c in row)).digest()
            for row in rows]  # fmt: skip


def digests(rows: np.ndarray, prefix: bytes) -> list[bytes]:
    out = hash_rows(rows, prefix)
    assert out.shape == (rows.shape[0], 4) and out.dtype == np.uint64
    return [row.astype("<u8").tobytes() for row in out]


@pytest.mark.parametrize("count", [1, 2, 15, 16, 17, 31, 33, 64, 128, 200])
def test_counts_that_do_not_fill_the_lanes(count: int) -> None:
    rows = np.random.default_rng(count).integers(0, 2**64, size=(count, 5), dtype=np.uint64)
    assert digests(rows, PREFIX) == expected(rows, PREFIX)


@pytest.mark.parametrize("cells", [*range(1, 27), 31, 32, 33, 63, 64, 65, 100, 127, 128, 257])
def test_widths_around_every_block_boundary(cells: int) -> None:
    """The padding needs nine bytes: six cells leave room in a block, seven do not."""
    rows = np.random.default_rng(cells).integers(0, 2**64, size=(19, cells), dtype=np.uint64)
    assert digests(rows, LEAF) == expected(rows, LEAF)


@pytest.mark.parametrize("value", [0, 1, 0x80, 2**32 - 1, 2**32, 2**63, 2**64 - 1])
def test_cells_are_read_least_significant_byte_first(value: int) -> None:
    rows = np.full((3, 8), value, dtype=np.uint64)
    assert digests(rows, NODE) == expected(rows, NODE)


def test_many_rows_over_all_threads() -> None:
    rows = np.random.default_rng(7).integers(0, 2**64, size=(3001, 8), dtype=np.uint64)
    assert digests(rows, NODE) == expected(rows, NODE)


def test_salts_continue_the_rows() -> None:
    cells = np.random.default_rng(8).integers(0, 2**64, size=(37, 9), dtype=np.uint64)
    out = hash_rows(cells[:, :7].copy(), LEAF, cells[:, 7:].copy())
    assert [row.astype("<u8").tobytes() for row in out] == expected(cells, LEAF)


@pytest.mark.parametrize("size", [0, 63, 65])
def test_prefix_fills_one_block(size: int) -> None:
    with pytest.raises(ValueError, match="64"):
        hash_rows(np.zeros((1, 1), dtype=np.uint64), bytes(size))
