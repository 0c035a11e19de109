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

import numpy as np
from numpy.typing import NDArray

from ...field.goldilocks import P, bit_reverse, powers, root_of_unity
from .arithmetic import add, inline, kernel, mul
from .butterflies import EIGHT, four, four_of_one, four_of_two, four_plain, two
from .device import with_twin
from .threads import run

_LEAST_BUFFER = 1 << 18
_STRETCH = 1 << 6
"""Words that are read from memory in one go, where they fit in the buffer."""
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


def matrix(positions: int, lanes: int) -> NDArray[np.uint64]:
    """An uninitialised matrix to transform, at least ``lanes`` wide: whole vectors."""
    return np.empty((positions, -(-lanes // EIGHT) * EIGHT), dtype=np.uint64)


@inline
def _clear(m, row, gap, rows, filled):  # type: ignore[no-untyped-def]
    for k in range(rows):
        if row + k * gap >= filled:
            m[row + k * gap, :] = 0


@inline
def _known(m, row, gap, filled):  # type: ignore[no-untyped-def]
    """How many of four rows are to be read: 1, 2, or 4 where those from ``filled`` on are written
    as 0."""
    if row < filled and row + gap >= filled:
        return 1
    if row + gap < filled and row + 2 * gap >= filled:
        return 2
    _clear(m, row, gap, 4, filled)
    return 4


@inline
def _double(known, m, at, gap, out, to, between, w, lanes):  # type: ignore[no-untyped-def]
    """Two layers of four rows, of which ``known`` are read."""
    if known == 4 and w == 1:
        for k in range(0, lanes, EIGHT):
            four_plain(m, at + k, gap, out, to + k, between)
        return
    w2 = mul(w, w)
    w3 = mul(w, w2)
    if known == 4:
        for k in range(0, lanes, EIGHT):
            four(m, at + k, gap, out, to + k, between, w, w2, w3)
    elif known == 2:
        for k in range(0, lanes, EIGHT):
            four_of_two(m, at + k, gap, out, to + k, between, w, w2, w3)
    else:
        for k in range(0, lanes, EIGHT):
            four_of_one(m, at + k, gap, out, to + k, between, w, w2, w3)


@kernel
def _pass(lo, hi, m, rows, gap, together, filled, stride, twiddles, wanted):  # type: ignore[no-untyped-def]
    """``log2(rows)`` layers on each set of ``rows`` rows, ``gap`` apart; ``together`` sets that
    stand side by side are one of ``lo..hi``. Rows from ``filled`` on are 0 and not read.
    ``stride``: exponent of the first layer's twiddles. Of what comes out, only rows ``k`` of a set
    with ``wanted[k] < wanted[k + 1]`` are needed."""
    lanes = m.shape[1]
    buffer = np.empty((rows if rows > 4 else 1, together * lanes), dtype=np.uint64)
    for number in range(lo, hi):
        block = number * together // gap
        j = number * together - block * gap
        base = block * rows * gap + j
        size = rows
        step = stride
        source, start, apart = m, base * lanes, gap * lanes
        if rows == 2:
            for q in range(together):
                _clear(m, base + q, gap, 2, filled)
        while size > 1:
            jumps = 4 if size > 2 else 2
            part = size // jumps
            target, begin, between = buffer, 0, together * lanes
            if part == 1:
                target, begin, between = m, base * lanes, gap * lanes
            for first in range(0, rows, size):
                if wanted[first] == wanted[first + size]:
                    continue
                for i in range(part):
                    for q in range(together):
                        at = start + (first + i) * apart + q * lanes
                        to = begin + (first + i) * between + q * lanes
                        w = twiddles[(i * gap + j + q) * step]
                        if jumps == 2:
                            for k in range(0, lanes, EIGHT):
                                two(source, at + k, apart, target, to + k, between, w)
                            continue
                        known = 4
                        if size == rows and base + q + (rows - part + i) * gap >= filled:
                            known = _known(m, base + q + i * gap, part * gap, filled)
                        distance = part * between
                        _double(known, source, at, part * apart, target, to, distance, w, lanes)
            source, start, apart = buffer, 0, together * lanes
            size = part
            step *= jumps


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
    if lanes % EIGHT:
        wide = matrix(length, lanes)
        wide[:, :lanes], wide[:, lanes:] = cells, 0
        transform(wide, filled)
        cells[:] = wide[:, :lanes]
        return
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
    cells: NDArray[np.uint64],
    layers: int,
    gap: int,
    known: int,
    twiddles: NDArray[np.uint64],
    branches: Sequence[int] | None = None,
) -> None:
    """So many layers, the last of which has butterflies of rows ``gap`` apart. Of each set of
    ``2^layers`` rows only ``branches`` are needed, or all."""
    length, lanes = cells.shape
    rows = 1 << layers
    stride = length // (gap * rows)
    needed = np.zeros(rows + 1, dtype=np.int64)
    needed[1:] = 1 if branches is None else np.isin(np.arange(rows), branches)
    wanted = np.cumsum(needed)
    together = min(gap, max(1, _STRETCH // lanes))
    while together > 1 and 8 * lanes * rows * together > _buffer_bytes():
        together //= 2
    run(
        length // (rows * together),
        lambda lo, hi: _pass(lo, hi, cells, rows, gap, together, known, stride, twiddles, wanted),
        grain=max(1, (1 << 12) // (lanes * rows * together)),
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
    needed = sorted({i // size for i in indices})
    _one_pass(cells, layers, size, filled, _twiddles(log_length), needed)
    root = root_of_unity(log_size)
    roots = [pow(root, bit_reverse(i % size, log_size), P) for i in indices]
    starts = np.array([i - i % size for i in indices], dtype=np.int64)
    out = np.zeros((len(indices), lanes), dtype=np.uint64)
    points = np.array(roots, dtype=np.uint64)
    run(len(indices), lambda lo, hi: _branches(lo, hi, cells, starts, points, size, out), grain=8)
    return out
