"""Twin of ``kernels.sha256``: one thread per message."""

from __future__ import annotations

import numpy as np
from numba import cuda, uint32
from numpy.typing import NDArray

from ..sha256 import midstate
from ..sha256_words import ROUND_CONSTANTS
from .grid import empty, fetch, launch, send
from .scalars import device_function, kernel

_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_EVEN_BYTES = np.uint32(0xFF00FF)
_ODD_BYTES = np.uint32(0xFF00FF00)
_END = np.uint32(0x80000000)
_NONE = np.uint32(0)


@device_function
def _rotate(x, n):  # type: ignore[no-untyped-def]
    return np.uint32(x >> np.uint32(n)) | np.uint32(x << np.uint32(32 - n))


@device_function
def _swap(x):  # type: ignore[no-untyped-def]
    """The bytes of a word in the opposite order."""
    return np.uint32(_rotate(x, 8) & _ODD_BYTES) | np.uint32(_rotate(x, 24) & _EVEN_BYTES)


@kernel
def _hash(rows, salts, start, length, constants, out):  # type: ignore[no-untyped-def]
    """``length`` is that of a whole message in bits."""
    own = rows.shape[1]
    cells = own + salts.shape[1]
    blocks = (cells * 8 + 9 + 63) // 64
    w = cuda.local.array(16, uint32)
    h = cuda.local.array(8, uint32)
    v = cuda.local.array(8, uint32)
    for row in range(cuda.grid(1), rows.shape[0], cuda.gridsize(1)):
        for i in range(8):
            h[i] = start[i]
        for block in range(blocks):
            for j in range(8):
                cell = block * 8 + j
                w[2 * j] = _END if cell == cells else _NONE
                w[2 * j + 1] = _NONE
                if cell < cells:
                    value = rows[row, cell] if cell < own else salts[row, cell - own]
                    w[2 * j] = _swap(np.uint32(value & _LOW))
                    w[2 * j + 1] = _swap(np.uint32(value >> _HALF))
            if block == blocks - 1:
                w[14] = np.uint32(length >> _HALF)
                w[15] = np.uint32(length & _LOW)
            for i in range(8):
                v[i] = h[i]
            for t in range(64):
                if t >= 16:  # the schedule in a ring of sixteen words
                    x = w[(t - 15) & 15]
                    y = w[(t - 2) & 15]
                    s0 = _rotate(x, 7) ^ _rotate(x, 18) ^ np.uint32(x >> np.uint32(3))
                    s1 = _rotate(y, 17) ^ _rotate(y, 19) ^ np.uint32(y >> np.uint32(10))
                    w[t & 15] = np.uint32(
                        np.uint32(w[t & 15] + s0) + np.uint32(w[(t - 7) & 15] + s1)
                    )
                a = v[0]
                e = v[4]
                choice = (e & v[5]) ^ (~e & v[6])
                t1 = np.uint32(
                    np.uint32(v[7] + (_rotate(e, 6) ^ _rotate(e, 11) ^ _rotate(e, 25)))
                    + np.uint32(np.uint32(choice + constants[t]) + w[t & 15])
                )
                majority = (a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2])
                t2 = np.uint32((_rotate(a, 2) ^ _rotate(a, 13) ^ _rotate(a, 22)) + majority)
                for i in range(7, 0, -1):
                    v[i] = v[i - 1]
                v[4] = np.uint32(v[4] + t1)
                v[0] = np.uint32(t1 + t2)
            for i in range(8):
                h[i] = np.uint32(h[i] + v[i])
        for i in range(4):
            low = np.uint64(_swap(h[2 * i]))
            out[row, i] = low | (np.uint64(_swap(h[2 * i + 1])) << _HALF)


def hash_rows(
    rows: NDArray[np.uint64], prefix: bytes, salts: NDArray[np.uint64] | None = None
) -> NDArray[np.uint64]:
    """See ``kernels.sha256``."""
    count, cells = rows.shape
    tail = np.empty((count, 0), dtype=np.uint64) if salts is None else salts
    length = np.uint64((len(prefix) + 8 * (cells + tail.shape[1])) * 8)
    out = empty(count, 4)
    arguments = (send(rows), send(tail), send(midstate(prefix)), length, send(ROUND_CONSTANTS), out)
    launch(_hash, count, *arguments)
    return fetch(out)
