"""SHA-256 of many equally long messages.

By the processor's own instructions where it has them (``kernels.sha256_x86``), else sixteen at a
time, one vector lane per message: a compression of 16 blocks is 64 rounds over ``uint32[16]`` rows,
which LLVM turns into full-width vector code. Messages start from a midstate (a prefix block that
was hashed before), see ``commitment.merkle``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from . import sha256_x86
from .arithmetic import inline, kernel
from .device import with_twin
from .sha256_words import INITIAL_STATE, ROUND_CONSTANTS
from .threads import run

LANES = 16

_M32 = np.uint64(0xFFFFFFFF)
_S32 = np.uint64(32)
_R2, _R3, _R6, _R7 = np.uint32(2), np.uint32(3), np.uint32(6), np.uint32(7)
_R8, _R10, _R11, _R13 = np.uint32(8), np.uint32(10), np.uint32(11), np.uint32(13)
_R17, _R18, _R19, _R22, _R24, _R25 = (np.uint32(v) for v in (17, 18, 19, 22, 24, 25))
_R32 = np.uint32(32)
_FF00, _FF0000 = np.uint32(0xFF00), np.uint32(0xFF0000)


@inline
def _rotate(x, n):  # type: ignore[no-untyped-def]
    return np.uint32(x >> n) | np.uint32(x << (_R32 - n))


@inline
def swap(x):  # type: ignore[no-untyped-def]
    return np.uint32((x >> _R24) | ((x >> _R8) & _FF00) | ((x << _R8) & _FF0000) | (x << _R24))


@kernel
def compress(w, s, constants):  # type: ignore[no-untyped-def]
    """One block: ``w`` uint32[64*16] (first 16 rows filled), ``s`` uint32[16*16]: rows 0-7 the
    chaining state, rows 8-15 scratch."""
    for t in range(16, 64):
        for lane in range(LANES):
            x = w[(t - 15) * 16 + lane]
            y = w[(t - 2) * 16 + lane]
            s0 = _rotate(x, _R7) ^ _rotate(x, _R18) ^ (x >> _R3)
            s1 = _rotate(y, _R17) ^ _rotate(y, _R19) ^ (y >> _R10)
            w[t * 16 + lane] = w[(t - 16) * 16 + lane] + s0 + w[(t - 7) * 16 + lane] + s1
    for i in range(8 * LANES):
        s[8 * LANES + i] = s[i]
    for t in range(64):
        k = constants[t]
        # rows rotate in place of the registers: variable v of round t is row 8 + (v - t) mod 8
        a = (8 + ((0 - t) & 7)) * 16
        b = (8 + ((1 - t) & 7)) * 16
        c = (8 + ((2 - t) & 7)) * 16
        d = (8 + ((3 - t) & 7)) * 16
        e = (8 + ((4 - t) & 7)) * 16
        f = (8 + ((5 - t) & 7)) * 16
        g = (8 + ((6 - t) & 7)) * 16
        h = (8 + ((7 - t) & 7)) * 16
        for lane in range(LANES):
            ev = s[e + lane]
            av = s[a + lane]
            t1 = (
                s[h + lane]
                + (_rotate(ev, _R6) ^ _rotate(ev, _R11) ^ _rotate(ev, _R25))
                + ((ev & s[f + lane]) ^ (~ev & s[g + lane]))
                + k
                + w[t * 16 + lane]
            )
            t2 = (_rotate(av, _R2) ^ _rotate(av, _R13) ^ _rotate(av, _R22)) + (
                (av & s[b + lane]) ^ (av & s[c + lane]) ^ (s[b + lane] & s[c + lane])
            )
            s[d + lane] = s[d + lane] + t1
            s[h + lane] = t1 + t2
    for i in range(8 * LANES):
        s[i] = s[i] + s[8 * LANES + i]


@kernel
def _hash_rows(start, stop, rows, salts, states, bit_length, constants, out):  # type: ignore[no-untyped-def]
    own = rows.shape[1]
    cells = own + salts.shape[1]
    final = bit_length > 0
    blocks = (cells * 8 + 9 + 63) // 64 if final else cells // 8
    many = states.shape[0] > 1
    w = np.empty(64 * LANES, dtype=np.uint32)
    s = np.empty(16 * LANES, dtype=np.uint32)
    for first in range(start, stop, LANES):
        count = min(LANES, stop - first)
        for i in range(8):
            for lane in range(LANES):
                s[i * 16 + lane] = states[min(first + lane, stop - 1) if many else 0, i]
        for block in range(blocks):
            for lane in range(count):
                row = first + lane
                for j in range(8):
                    cell = block * 8 + j
                    if cell < cells:
                        v = rows[row, cell] if cell < own else salts[row, cell - own]
                        w[(2 * j) * 16 + lane] = swap(np.uint32(v & _M32))
                        w[(2 * j + 1) * 16 + lane] = swap(np.uint32(v >> _S32))
                    else:
                        w[(2 * j) * 16 + lane] = np.uint32(0x80000000 if cell == cells else 0)
                        w[(2 * j + 1) * 16 + lane] = np.uint32(0)
                if final and block == blocks - 1:
                    w[14 * 16 + lane] = np.uint32(bit_length >> _S32)
                    w[15 * 16 + lane] = np.uint32(bit_length & _M32)
            compress(w, s, constants)
        for lane in range(count):
            for i in range(4):
                low = s[(2 * i) * 16 + lane]
                high = s[(2 * i + 1) * 16 + lane]
                if final:
                    low, high = swap(low), swap(high)
                out[first + lane, i] = np.uint64(low) | (np.uint64(high) << _S32)


def midstate(prefix: bytes) -> NDArray[np.uint32]:
    """State after hashing one 64-byte block."""
    if len(prefix) != 64:
        raise ValueError("a midstate prefix has 64 bytes")
    w = np.zeros((64, LANES), dtype=np.uint32)
    w[:16] = np.frombuffer(prefix, dtype=">u4").astype(np.uint32)[:, None]
    s = np.zeros((16, LANES), dtype=np.uint32)
    s[:8] = INITIAL_STATE[:, None]
    flat = s.reshape(-1)
    compress(w.reshape(-1), flat, ROUND_CONSTANTS)
    return flat.reshape(16, LANES)[:8, 0].copy()


@with_twin
def hash_rows(
    rows: NDArray[np.uint64], prefix: bytes, salts: NDArray[np.uint64] | None = None
) -> NDArray[np.uint64]:
    """``SHA-256(prefix || row as little-endian bytes)`` for each row of ``(n, cells)``.

    ``prefix`` has 64 bytes; ``salts (n, m)`` continue the rows. Returns ``(n, 4)``
    uint64 whose little-endian bytes are the digests.
    """
    out = np.empty((rows.shape[0], 4), dtype=np.uint64)
    state = midstate(prefix).view(np.uint64).reshape(1, 4)
    cells = rows.shape[1] + (0 if salts is None else salts.shape[1])
    _advance(rows, salts, state, (len(prefix) + 8 * cells) * 8, out)
    return out


def begin(states: NDArray[np.uint64], prefix: bytes) -> None:
    """Let ``states (n, 4)`` be those of as many messages that begin with ``prefix`` and go on."""
    first = midstate(prefix).view(np.uint64)

    def fill(lo: int, hi: int) -> None:
        states[lo:hi] = first

    run(len(states), fill, grain=1 << 16)


def absorb(states: NDArray[np.uint64], rows: NDArray[np.uint64]) -> None:
    """Hash on, in place; ``rows`` are whole blocks of eight cells."""
    if rows.shape[1] % 8:
        raise ValueError("a block has eight cells")
    _advance(rows, None, states, 0, states)


def finish(
    states: NDArray[np.uint64],
    rows: NDArray[np.uint64],
    salts: NDArray[np.uint64] | None,
    message_bytes: int,
) -> None:
    """The last cells of messages of so many bytes in all; digests take the place of states."""
    _advance(rows, salts, states, 8 * message_bytes, states)


def _advance(
    rows: NDArray[np.uint64],
    salts: NDArray[np.uint64] | None,
    states: NDArray[np.uint64],
    bits: int,
    out: NDArray[np.uint64],
) -> None:
    """Hash the cells of each row after its state, or all after the only one. ``bits`` of a whole
    message, which ends; 0: it goes on, and ``out`` gets the states."""
    tail = np.empty((rows.shape[0], 0), dtype=np.uint64) if salts is None else salts
    native = sha256_x86.available()

    def task(lo: int, hi: int) -> None:
        if native:
            sha256_x86.hash_rows(lo, hi, rows, tail, states, bits, out)
        else:
            words = states.view(np.uint32)
            _hash_rows(lo, hi, rows, tail, words, np.uint64(bits), ROUND_CONSTANTS, out)

    run(rows.shape[0], task, grain=64)
