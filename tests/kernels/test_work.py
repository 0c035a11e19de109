"""The search for a proof of work against a plain one."""

from __future__ import annotations

import hashlib
from itertools import count

import numpy as np
import pytest

from zktrain.prover.kernels import sha256, sha256_words, sha256_x86, work
from zktrain.prover.kernels.work import find_work
from zktrain.transcript.challenger import work_done

NATIVE = sha256_x86.available()
SEEDS = [bytes(32), b"\xff" * 32, *(hashlib.sha256(bytes([k])).digest() for k in range(6))]
native = pytest.mark.skipif(not NATIVE, reason="this processor has no SHA instructions")


def zero_bits(seed: bytes, nonce: int) -> int:
    """Leading zero bits of what format.md hashes."""
    data = b"zktrain challenger work v1" + seed + nonce.to_bytes(8, "little")
    return 256 - int.from_bytes(hashlib.sha256(data).digest(), "big").bit_length()


@pytest.fixture(params=["portable", "native"])
def processor(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the processor's SHA instructions and, if it has them, with them."""
    if request.param == "native" and not NATIVE:
        pytest.skip("this processor has no SHA instructions")
    monkeypatch.setattr(sha256_x86, "available", lambda: request.param == "native")


@pytest.mark.usefixtures("processor")
@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: seed.hex()[:6])
@pytest.mark.parametrize("bits", [0, 1, 2, 7, 8, 11])
def test_nonce_is_the_first_one(seed: bytes, bits: int) -> None:
    assert find_work(seed, bits) == next(n for n in count() if zero_bits(seed, n) >= bits)


@native
@pytest.mark.parametrize("seed", SEEDS[:3], ids=lambda seed: seed.hex()[:6])
def test_nonce_of_a_later_wave_is_the_first_one(seed: bytes) -> None:
    """17 bits take about two waves of 2^16 nonces; another half of one may have a later nonce."""
    nonce = find_work(seed, 17)
    assert work_done(seed, nonce, 17)
    assert not any(work_done(seed, n, 17) for n in range(nonce))


@native
@pytest.mark.parametrize("threads", ["1", "2", "7"])
def test_threads_do_not_matter(threads: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each looks at a part of a wave; the smallest of what they find is taken."""
    from zktrain import machine as module

    monkeypatch.setattr(module, "thread_count", lambda: int(threads))
    for seed in SEEDS:
        assert find_work(seed, 12) == next(n for n in count() if work_done(seed, n, 12))


@pytest.mark.parametrize("start", [0, (1 << 32) - 50, (1 << 40) + 12345, (1 << 48) - 4000])
def test_nonces_of_up_to_six_bytes_without_instructions(start: int) -> None:
    """Sixteen at a time, from any start; the range ends before its last nonce."""
    seed, state = SEEDS[3], sha256.INITIAL_STATE
    words = work._message(seed).view(">u4").astype(np.uint32).reshape(-1)
    rest = words, state, np.uint32(32 - 6), -1, sha256_words.ROUND_CONSTANTS
    for first in (start, start + 1):
        expected = next(n for n in range(first, 1 << 48) if zero_bits(seed, n) >= 6)
        assert work._search_lanes(first, 1 << 48, *rest) == expected
        assert work._search_lanes(first, expected + 1, *rest) == expected
        assert work._search_lanes(first, expected, *rest) == -1


@pytest.mark.parametrize("bits", [-1, 33])
def test_more_bits_than_a_word_has(bits: int) -> None:
    with pytest.raises(ValueError, match="at most 32"):
        find_work(SEEDS[0], bits)


@native
@pytest.mark.parametrize("start", [0, (1 << 32) - 50, (1 << 40) + 12345, (1 << 48) - 4000])
def test_nonces_of_up_to_six_bytes(start: int) -> None:
    """Odd and even starts; the range ends before its last nonce."""
    seed = SEEDS[3]
    blocks, state = work._message(seed), sha256.INITIAL_STATE.view(np.uint64)
    for first in (start, start + 1):
        expected = next(n for n in range(first, 1 << 48) if zero_bits(seed, n) >= 6)
        shift = np.uint32(32 - 6)
        assert work._search(first, 1 << 48, blocks, state, shift, -1) == expected
        assert work._search(first, expected + 1, blocks, state, shift, -1) == expected
        assert work._search(first, expected, blocks, state, shift, -1) == -1


def test_a_seed_of_another_length_is_no_message() -> None:
    with pytest.raises(ValueError, match="66 bytes"):
        work._message(bytes(31))
