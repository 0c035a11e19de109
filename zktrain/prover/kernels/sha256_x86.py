"""SHA-256 compression by the SHA instructions of x86 processors, as LLVM intrinsics.

Two messages at once: an instruction takes four cycles, and one of an independent message can
start meanwhile. :func:`available` tells whether kernels may use it; ``kernels.sha256`` has the
portable one.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import config
from numba.extending import intrinsic
from numpy.typing import NDArray

from .arithmetic import kernel
from .sha256_words import ROUND_CONSTANTS

PAIR = 2
_I32 = ir.IntType(32)
_VEC = ir.VectorType(_I32, 4)


@lru_cache(maxsize=1)
def available() -> bool:
    """Whether kernels are compiled for a processor with these instructions."""
    wanted = getattr(config, "CPU_FEATURES", None)  # set: kernels are for another processor
    if wanted is not None or getattr(config, "CPU_NAME", None) is not None:
        return "+sha," in f"{wanted or ''},"
    if not llvmlite.binding.get_process_triple().startswith("x86_64"):
        return False
    return bool(llvmlite.binding.get_host_cpu_features().get("sha", False))


def _shuffle(b: Any, x: Any, y: Any, places: tuple[int, int, int, int]) -> Any:
    mask = ir.Constant(_VEC, [ir.Constant(_I32, place) for place in places])
    return b.shuffle_vector(x, y, mask)


def _compress_pair(b: Any, state: Any, words: Any) -> None:
    """``state``: pointer to two states of eight 32-bit words; ``words``: to two blocks of 64
    bytes."""
    module = b.module

    def declared(name: str, *arguments: Any) -> Any:
        return module.declare_intrinsic(name, (), ir.FunctionType(_VEC, arguments))

    rounds2 = declared("llvm.x86.sha256rnds2", _VEC, _VEC, _VEC)
    msg1 = declared("llvm.x86.sha256msg1", _VEC, _VEC)
    msg2 = declared("llvm.x86.sha256msg2", _VEC, _VEC)
    swap = declared("llvm.bswap.v4i32", _VEC)

    states = b.bitcast(state, _VEC.as_pointer())
    message = b.bitcast(words, _VEC.as_pointer())

    def load(pointer: Any, index: int) -> Any:
        return b.load(b.gep(pointer, [ir.Constant(_I32, index)]), align=4)

    def store(value: Any, pointer: Any, index: int) -> None:
        b.store(value, b.gep(pointer, [ir.Constant(_I32, index)]), align=4)

    first, second, w = [], [], []
    for k in range(PAIR):
        low, high = load(states, 2 * k), load(states, 2 * k + 1)  # abcd, efgh
        first.append(_shuffle(b, low, high, (5, 4, 1, 0)))  # f e b a
        second.append(_shuffle(b, low, high, (7, 6, 3, 2)))  # h g d c
        w.append([b.call(swap, [load(message, 4 * k + i)]) for i in range(4)])
    before = [list(first), list(second)]
    for t in range(16):
        added = ir.Constant(
            _VEC, [ir.Constant(_I32, int(c)) for c in ROUND_CONSTANTS[4 * t : 4 * t + 4]]
        )
        for k in range(PAIR):
            if t >= 4:
                a, c, d, e = w[k]
                sums = b.add(b.call(msg1, [a, c]), _shuffle(b, d, e, (1, 2, 3, 4)))
                w[k] = [c, d, e, b.call(msg2, [sums, e])]
            x = b.add(w[k][3] if t >= 4 else w[k][t], added)
            second[k] = b.call(rounds2, [second[k], first[k], x])
            first[k] = b.call(rounds2, [first[k], second[k], _shuffle(b, x, x, (2, 3, 0, 1))])
    for k in range(PAIR):
        x, y = b.add(first[k], before[0][k]), b.add(second[k], before[1][k])
        store(_shuffle(b, x, y, (3, 2, 7, 6)), states, 2 * k)
        store(_shuffle(b, x, y, (1, 0, 5, 4)), states, 2 * k + 1)


def _typed_compress(typingctx, state, words):  # type: ignore[no-untyped-def]
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointers = [
            context.make_array(kind)(context, builder, value).data
            for kind, value in zip(signature.args, args, strict=True)
        ]
        _compress_pair(builder, *pointers)
        return context.get_dummy_value()

    return types.void(state, words), codegen


compress: Any = intrinsic(_typed_compress)
"""One block of two messages: states ``uint64[2, 4]`` (two words in each), blocks ``uint64[2, 8]``,
both contiguous and as they are in memory."""

_BYTES = np.uint64(0x00FF00FF00FF00FF)
_HALVES = np.uint64(0x0000FFFF0000FFFF)
_U8, _U16 = np.uint64(8), np.uint64(16)
_END = np.uint64(0x80)
_NONE = np.uint64(0)


@kernel
def _hash_rows(start, stop, rows, salts, states, length, final, out):  # type: ignore[no-untyped-def]
    own = rows.shape[1]
    cells = own + salts.shape[1]
    blocks = (cells * 8 + 9 + 63) // 64 if final else cells // 8
    many = states.shape[0] > 1
    w = np.zeros((PAIR, 8), dtype=np.uint64)
    s = np.zeros((PAIR, 4), dtype=np.uint64)
    for first in range(start, stop, PAIR):
        for k in range(PAIR):
            s[k, :] = states[min(first + k, stop - 1) if many else 0]
        for block in range(blocks):
            for k in range(PAIR):
                row = min(first + k, stop - 1)
                for j in range(8):
                    cell = block * 8 + j
                    if cell < own:
                        w[k, j] = rows[row, cell]
                    elif cell < cells:
                        w[k, j] = salts[row, cell - own]
                    else:
                        w[k, j] = _END if cell == cells else _NONE
                if final and block == blocks - 1:
                    w[k, 7] = length
            compress(s, w)
        for k in range(min(PAIR, stop - first)):
            for i in range(4):
                x = s[k, i]
                if not final:
                    out[first + k, i] = x
                    continue
                # swap the bytes of both words
                x = ((x & _BYTES) << _U8) | ((x >> _U8) & _BYTES)
                out[first + k, i] = ((x & _HALVES) << _U16) | ((x >> _U16) & _HALVES)


def hash_rows(
    start: int,
    stop: int,
    rows: NDArray[np.uint64],
    salts: NDArray[np.uint64],
    states: NDArray[np.uint64],
    bits: int,
    out: NDArray[np.uint64],
) -> None:
    """Rows ``start..stop``, as ``sha256`` has them; ``bits`` of a whole message, 0: they go on."""
    length = np.uint64(int.from_bytes(bits.to_bytes(8, "big"), "little"))
    _hash_rows(start, stop, rows, salts, states, length, bits > 0, out)
