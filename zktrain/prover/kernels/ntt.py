"""Number-theoretic transform of many columns at once.

The array is ``[position][lane]``: a butterfly works on rows of lanes, so the inner loop is
contiguous. Decimation in frequency: input in natural order, output at index ``i`` is the value at
``omega^bitreverse(i)``, which is how code words are indexed everywhere.

A pass does several layers on rows that lie a fixed gap apart, in a buffer that stays in cache, so
that the whole array is read and written two or three times. Two layers are done at once, with the
fourth root of unity ``2^48`` by shifts.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import llvmlite.binding
import numpy as np
from numpy.typing import NDArray

from ...field.goldilocks import P, bit_reverse, powers, root_of_unity
from .arithmetic import add, kernel, mul, mul_2_48, sub
from .device import with_twin
from .threads import run

_LEAST_BUFFER = 1 << 18
_CACHE = Path("/sys/devices/system/cpu/cpu0/cache/index2/size")


@lru_cache(maxsize=1)
def _buffer_bytes() -> int:
    """Three quarters of a core's second-level cache, where the system tells its size: a pass fewer
    over memory on processors with 1 MiB."""
    try:
        size = _CACHE.read_text().strip()
    except OSError:
        return _LEAST_BUFFER
    known = int(size[:-1]) << 10 if size[:-1].isdigit() and size.endswith("K") else 0
    return max(_LEAST_BUFFER, 3 * known // 4)


@lru_cache(maxsize=1)
def _vector_cells() -> int:
    """Cells of one vector register."""
    return 8 if llvmlite.binding.get_host_cpu_features().get("avx512f", False) else 4


def matrix(positions: int, lanes: int) -> NDArray[np.uint64]:
    """An uninitialised matrix to transform, at least ``lanes`` wide: whole vector registers,
    because what is left over costs as much as four times as many lanes."""
    unit = _vector_cells()
    return np.empty((positions, -(-lanes // unit) * unit), dtype=np.uint64)


@kernel
def _pass(lo, hi, m, rows, gap, filled, stride, twiddles):  # type: ignore[no-untyped-def]
    """``log2(rows)`` layers on each set of ``rows`` rows, ``gap`` apart, number ``lo..hi``; rows
    from ``filled`` on are 0 and not read. ``stride``: exponent of the first layer's twiddles."""
    lanes = m.shape[1]
    buffer = np.empty((rows, lanes), dtype=np.uint64)
    for number in range(lo, hi):
        block = number // gap
        j = number - block * gap
        base = block * rows * gap + j
        known = filled
        for k in range(rows):
            at = base + k * gap
            if at < filled:
                for lane in range(lanes):
                    buffer[k, lane] = m[at, lane]
            else:
                for lane in range(lanes):
                    buffer[k, lane] = 0
        size = rows
        step = stride
        while size >= 4:
            quarter = size // 4
            for first in range(0, rows, size):
                for i in range(quarter):
                    r0 = first + i
                    r1 = r0 + quarter
                    r2 = r1 + quarter
                    r3 = r2 + quarter
                    w1 = twiddles[(i * gap + j) * step]
                    w2 = mul(w1, w1)
                    w3 = mul(w1, w2)
                    if base + r1 * gap >= known:
                        for lane in range(lanes):
                            s = buffer[r0, lane]
                            buffer[r1, lane] = mul(s, w2)
                            buffer[r2, lane] = mul(s, w1)
                            buffer[r3, lane] = mul(s, w3)
                        continue
                    if base + r2 * gap >= known:
                        for lane in range(lanes):
                            s = buffer[r0, lane]
                            u = buffer[r1, lane]
                            v = mul_2_48(u)
                            buffer[r0, lane] = add(s, u)
                            buffer[r1, lane] = mul(sub(s, u), w2)
                            buffer[r2, lane] = mul(add(s, v), w1)
                            buffer[r3, lane] = mul(sub(s, v), w3)
                        continue
                    for lane in range(lanes):
                        a = buffer[r0, lane]
                        b = buffer[r1, lane]
                        c = buffer[r2, lane]
                        d = buffer[r3, lane]
                        s = add(a, c)
                        t = sub(a, c)
                        u = add(b, d)
                        v = mul_2_48(sub(b, d))
                        buffer[r0, lane] = add(s, u)
                        buffer[r1, lane] = mul(sub(s, u), w2)
                        buffer[r2, lane] = mul(add(t, v), w1)
                        buffer[r3, lane] = mul(sub(t, v), w3)
            known = m.shape[0]
            size //= 4
            step *= 4
        if size == 2:
            w = twiddles[j * step]
            for first in range(0, rows, 2):
                for lane in range(lanes):
                    x = buffer[first, lane]
                    y = buffer[first + 1, lane]
                    buffer[first, lane] = add(x, y)
                    buffer[first + 1, lane] = mul(sub(x, y), w)
        for k in range(rows):
            at = base + k * gap
            for lane in range(lanes):
                m[at, lane] = buffer[k, lane]


@kernel
def _branches(lo, hi, m, starts, roots, size, out):  # type: ignore[no-untyped-def]
    """``sum_j root^j m[start + j]`` over ``size`` rows, for starts and roots ``lo..hi``."""
    lanes = m.shape[1]
    for k in range(lo, hi):
        power = np.uint64(1)
        for j in range(size):
            at = starts[k] + j
            for lane in range(lanes):
                out[k, lane] = add(out[k, lane], mul(power, m[at, lane]))
            power = mul(power, roots[k])


@kernel
def _scaled(factor, row, out):  # type: ignore[no-untyped-def]
    for i in range(out.shape[0]):
        out[i] = mul(factor, row[i])


def _twiddles(log_length: int) -> NDArray[np.uint64]:
    """``omega^i`` for ``i`` below half the length, row by row."""
    root, count = root_of_unity(log_length), 1 << max(0, log_length - 1)
    row = powers(root, min(count, 1 << 10))
    out = np.empty(count, dtype=np.uint64)
    width = row.shape[0]
    steps = powers(pow(root, width, P), count // width)

    def task(lo: int, hi: int) -> None:
        for k in range(lo, hi):
            _scaled(steps[k], row, out[k * width : (k + 1) * width])

    run(count // width, task, grain=64)
    return out


def _pass_logs(log_length: int, lanes: int) -> list[int]:
    """Layers of every pass."""
    most = max(2, (_buffer_bytes() // (8 * lanes)).bit_length() - 1)
    passes = -(-log_length // most)
    return [(log_length + i) // passes for i in range(passes)]


@with_twin
def transform(cells: NDArray[np.uint64], filled: int | None = None) -> None:
    """In place, each lane of ``cells`` (``(2^k, lanes)``, C-contiguous) by itself. Rows from
    ``filled`` on are taken for 0, whatever they hold."""
    length, lanes = cells.shape
    if length == 1:
        return
    log_length = length.bit_length() - 1
    twiddles = _twiddles(log_length)
    gap, known = length, length if filled is None else filled
    for layers in _pass_logs(log_length, lanes):
        gap >>= layers
        _one_pass(cells, layers, gap, known, twiddles)
        known = length


def _one_pass(
    cells: NDArray[np.uint64], layers: int, gap: int, known: int, twiddles: NDArray[np.uint64]
) -> None:
    """So many layers, the last of which has butterflies of rows ``gap`` apart."""
    length, lanes = cells.shape
    rows = 1 << layers
    stride = length // (gap * rows)
    run(
        length // rows,
        lambda lo, hi: _pass(lo, hi, cells, rows, gap, known, stride, twiddles),
        grain=max(1, (1 << 12) // (lanes * rows)),
    )


def rounds_at(log_length: int, lanes: int) -> int:
    """Layers that :func:`values_at` makes of all rows."""
    return _pass_logs(log_length, lanes)[0]


def values_at(cells: NDArray[np.uint64], filled: int, indices: Sequence[int]) -> NDArray[np.uint64]:
    """Some rows of :func:`transform`, which is done to the end for their branches alone; ``cells``
    are overwritten."""
    length, lanes = cells.shape
    log_length = length.bit_length() - 1
    layers = rounds_at(log_length, lanes)
    size, log_size = length >> layers, log_length - layers
    _one_pass(cells, layers, size, filled, _twiddles(log_length))
    root = root_of_unity(log_size)
    roots = [pow(root, bit_reverse(i % size, log_size), P) for i in indices]
    starts = np.array([i - i % size for i in indices], dtype=np.int64)
    out = np.zeros((len(indices), lanes), dtype=np.uint64)
    points = np.array(roots, dtype=np.uint64)
    run(len(indices), lambda lo, hi: _branches(lo, hi, cells, starts, points, size, out), grain=8)
    return out
