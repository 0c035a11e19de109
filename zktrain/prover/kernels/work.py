"""The search for a proof of work: a nonce whose hash begins with zero bits.

The message of ``challenger.work_done`` is 66 bytes, two blocks: a nonce below ``2^48`` has its low
six bytes at the end of the first one, so only the last word of that block changes.
"""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from ...transcript.challenger import WORK
from . import sha256, sha256_words, sha256_x86
from .arithmetic import kernel
from .threads import run

_WAVE = 1 << 16
"""Nonces that all threads look at before one of them is taken."""
_NONE = np.iinfo(np.int64).max
_U16 = np.uint64(16)
_U8, _BYTE = np.uint32(8), np.uint32(0xFF)
_LOW = np.uint64(0xFFFF)


@kernel
def _search(start, stop, blocks, initial, shift, none):  # type: ignore[no-untyped-def]
    """Smallest nonce of ``start..stop`` whose hash shifted right by ``shift`` is 0, else ``none``.

    ``blocks uint64[2, 8]``: the message with nonce 0; ``initial uint64[4]``: the state before it.
    """
    w = np.zeros((sha256_x86.PAIR, 8), dtype=np.uint64)
    s = np.zeros((sha256_x86.PAIR, 4), dtype=np.uint64)
    last = blocks[0, 7] & _LOW
    for first in range(start, stop, sha256_x86.PAIR):
        for k in range(sha256_x86.PAIR):
            s[k, :] = initial
            w[k, :] = blocks[0]
            w[k, 7] = last | (np.uint64(first + k) << _U16)
        sha256_x86.compress(s, w)
        for k in range(sha256_x86.PAIR):
            w[k, :] = blocks[1]
        sha256_x86.compress(s, w)
        for k in range(sha256_x86.PAIR):
            if np.uint32(s[k, 0]) >> shift == 0 and first + k < stop:
                return first + k
    return none


@kernel
def _search_lanes(start, stop, words, initial, shift, none, constants):  # type: ignore[no-untyped-def]
    """The same sixteen at a time, without the instructions: ``words uint32[32]`` and ``initial
    uint32[8]`` are big-endian words."""
    w = np.empty(64 * sha256.LANES, dtype=np.uint32)
    s = np.empty(16 * sha256.LANES, dtype=np.uint32)
    for first in range(start, stop, sha256.LANES):
        for lane in range(sha256.LANES):
            nonce = np.uint64(first + lane)
            for i in range(8):
                s[i * sha256.LANES + lane] = initial[i]
            for i in range(15):
                w[i * sha256.LANES + lane] = words[i]
            low = np.uint32(nonce & _LOW)
            w[14 * sha256.LANES + lane] |= ((low & _BYTE) << _U8) | (low >> _U8)
            w[15 * sha256.LANES + lane] = sha256.swap(np.uint32(nonce >> _U16))
        sha256.compress(w, s, constants)
        for i in range(16):
            for lane in range(sha256.LANES):
                w[i * sha256.LANES + lane] = words[16 + i]
        sha256.compress(w, s, constants)
        for lane in range(sha256.LANES):
            if s[lane] >> shift == 0 and first + lane < stop:
                return first + lane
    return none


def find_work(seed: bytes, bits: int) -> int:
    """Smallest nonce with ``bits`` leading zero bits of work, at most 32 of them."""
    if not 0 <= bits <= 32:
        raise ValueError("a proof of work has at most 32 bits")
    if bits == 0:
        return 0
    blocks, state, shift = _message(seed), sha256_words.INITIAL_STATE, np.uint32(32 - bits)
    native, words = sha256_x86.available(), blocks.view(">u4").astype(np.uint32).reshape(-1)
    for first in range(0, 1 << 48, _WAVE):

        def task(lo: int, hi: int, first: int = first) -> int:
            lo, hi = first + lo, first + hi
            if native:
                return int(_search(lo, hi, blocks, state.view(np.uint64), shift, _NONE))
            constants = sha256_words.ROUND_CONSTANTS
            return int(_search_lanes(lo, hi, words, state, shift, _NONE, constants))

        found: int = min(run(_WAVE, task))
        if found != _NONE:
            return found
    raise ArithmeticError("no nonce below 2^48 has enough zero bits")


def _message(seed: bytes) -> NDArray[np.uint64]:
    """Both blocks for nonce 0."""
    data = WORK + seed + bytes(8)
    if len(data) != 66:
        raise ValueError("a proof of work hashes 66 bytes")
    padded = (data + b"\x80").ljust(120, b"\0") + struct.pack(">Q", 8 * len(data))
    return np.frombuffer(padded, dtype="<u8").astype(np.uint64).reshape(2, 8)
