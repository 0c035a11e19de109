"""Twin of ``kernels.ntt``: one launch per layer, neighbouring threads on neighbouring lanes."""

from __future__ import annotations

import numpy as np
from numba import cuda
from numpy.typing import NDArray

from ....field.goldilocks import powers, root_of_unity
from .grid import fetch, launch, send
from .scalars import add, kernel, mul, sub


@kernel
def _layer(m, half, stride, twiddles):  # type: ignore[no-untyped-def]
    """Butterflies of blocks of ``2 * half`` rows; ``stride`` is the exponent of the twiddles."""
    lanes = m.shape[1]
    for at in range(cuda.grid(1), m.shape[0] // 2 * lanes, cuda.gridsize(1)):
        k = at // lanes
        lane = at - k * lanes
        block = k // half
        j = k - block * half
        a = block * 2 * half + j
        b = a + half
        x = m[a, lane]
        y = m[b, lane]
        m[a, lane] = add(x, y)
        m[b, lane] = mul(sub(x, y), twiddles[j * stride])


def transform(cells: NDArray[np.uint64], filled: int | None = None) -> None:
    """See ``kernels.ntt``."""
    length, lanes = cells.shape
    if length == 1:
        return
    if filled is not None:
        cells[filled:] = 0
    twiddles = send(powers(root_of_unity(length.bit_length() - 1), length // 2))
    sent = send(cells)
    half = length // 2
    while half:
        launch(_layer, length // 2 * lanes, sent, half, length // (2 * half), twiddles)
        half //= 2
    cells[:] = fetch(sent)
