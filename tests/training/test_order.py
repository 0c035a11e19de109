"""The order of training is public and never changes."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from numpy.typing import NDArray

from zktrain.circuit import order
from zktrain.circuit.order import batch_indices, epoch_permutation
from zktrain.errors import InputError


def test_known_answers() -> None:
    assert batch_indices("abc", 5, 3, 0, 4).tolist() == [[3, 2, 4], [1, 0, 3], [4, 1, 0], [2, 4, 2]]
    large = batch_indices("zktrain", 60_000, 64, 0, 1024)
    assert large.shape == (1024, 64) and large.dtype == np.int64
    assert (
        hashlib.sha256(large.astype("<i8").tobytes()).hexdigest()
        == "853b41140a4b2dd45d3cf54596907efa219fe01fc0ff3e1a6cca930077e36106"
    )


def test_keys_are_those_of_the_definition() -> None:
    seed = "größer".encode()
    stream = hashlib.shake_256(
        b"zktrain order v1" + bytes([len(seed)]) + bytes(7) + seed + bytes([2]) + bytes(7)
    ).digest(8 * 9)
    keys = [int.from_bytes(stream[8 * n : 8 * n + 8], "little") for n in range(9)]
    expected = sorted(range(9), key=lambda n: (keys[n], n))
    assert epoch_permutation("größer", 9, 2).tolist() == expected


def test_records_with_one_key_keep_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = np.tile(np.array([5, 3, 2**64 - 1, 0], dtype="<u8"), 500)

    class Stream:
        def digest(self, size: int) -> bytes:
            return keys.tobytes()[:size]

    monkeypatch.setattr(hashlib, "shake_256", lambda data: Stream())
    expected = sorted(range(keys.size), key=lambda n: (int(keys[n]), n))
    assert epoch_permutation("any", keys.size, 0).tolist() == expected


@pytest.mark.parametrize(("records", "batch"), [(10, 3), (7, 7), (3, 10), (1, 2)])
def test_the_stream_is_cut_anywhere_and_uses_records_equally(records: int, batch: int) -> None:
    whole = batch_indices("s", records, batch, 0, 20)
    for first, steps in ((0, 5), (5, 1), (6, 14), (20, 0)):
        part = batch_indices("s", records, batch, first, steps)
        assert np.array_equal(part, whole[first : first + steps])
    stream = whole.reshape(-1)
    for epoch in range(len(stream) // records):
        entries = stream[epoch * records : (epoch + 1) * records]
        assert np.array_equal(entries, epoch_permutation("s", records, epoch))
        assert sorted(entries.tolist()) == list(range(records))


def test_another_seed_gives_another_order() -> None:
    assert not np.array_equal(epoch_permutation("a", 50, 0), epoch_permutation("b", 50, 0))


def test_nothing_to_draw_from_is_refused() -> None:
    with pytest.raises(InputError, match="no records"):
        batch_indices("s", 0, 2, 0, 1)
    with pytest.raises(InputError, match="batch size 0"):
        batch_indices("s", 5, 0, 0, 1)


@pytest.mark.parametrize("drop_last", [False, True])
def test_every_epoch_is_drawn_once_however_the_run_is_cut(
    monkeypatch: pytest.MonkeyPatch, *, drop_last: bool
) -> None:
    """What is stated beforehand of the work for the order."""
    drawn: list[int] = []

    def counted(seed: str, records: int, epoch: int) -> NDArray[np.int64]:
        drawn.append(records)
        return epoch_permutation(seed, records, epoch)

    whole = batch_indices("cut", 50, 3, 0, 64, drop_last=drop_last)
    monkeypatch.setattr(order, "epoch_permutation", counted)
    order.last_permutation.cache_clear()
    parts = [batch_indices("cut", 50, 3, step, 1, drop_last=drop_last) for step in range(64)]
    assert np.array_equal(np.concatenate(parts), whole)
    assert sum(drawn) == order.permuted(50, 3, 64, drop_last=drop_last) == 4 * 50
