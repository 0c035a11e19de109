"""Uniform random cells for hiding: from the operating system, or expanded from a secret that the
operating system drew.

No other generator may feed a proof. A secret is 32 bytes; each use of it has a label of its own,
so that no two uses share a stream.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from math import prod

import numpy as np
from numpy.typing import NDArray

from ..field.goldilocks import P
from ..scratch import IN_MEMORY, Scratch

SECRET_BYTES = 32
BLOCK_CELLS = 1 << 17
"""Cells that are asked for at once; several blocks are drawn at the same time."""


class Randomness:
    """Uniform elements of ``F_p`` from a source of uniform bytes: ``source(n, size)`` gives those
    of request ``n = 1, 2, ...``, and is asked once for each."""

    def __init__(self, source: Callable[[int, int], bytes]) -> None:
        self._source = source
        self._requests = 0

    def _draw(self, count: int, scratch: Scratch = IN_MEMORY) -> NDArray[np.uint64]:
        from .kernels.threads import run

        out = scratch.scattered((count,), np.uint64)
        blocks = _blocks(out)
        first, self._requests = self._requests + 1, self._requests + len(blocks)

        def fill(start: int, stop: int) -> None:
            for number in range(start, stop):
                data = self._source(first + number, blocks[number].nbytes)
                blocks[number][:] = np.frombuffer(data, dtype="<u8")

        run(len(blocks), fill, grain=1)  # sources hold no GIL
        return out

    def cells(self, *shape: int, scratch: Scratch = IN_MEMORY) -> NDArray[np.uint64]:
        """Uniform in ``[0, p)``, by rejection; in ``scratch``."""
        out = self._draw(prod(shape), scratch)
        bad = np.concatenate(
            [
                number * BLOCK_CELLS + np.flatnonzero(block >= np.uint64(P))
                for number, block in enumerate(_blocks(out))
            ]
            or [np.zeros(0, dtype=np.int64)]
        )
        while len(bad):
            out[bad] = self._draw(len(bad))
            bad = bad[out[bad] >= np.uint64(P)]
        return out.reshape(shape)


def _blocks(cells: NDArray[np.uint64]) -> list[NDArray[np.uint64]]:
    return [cells[at : at + BLOCK_CELLS] for at in range(0, len(cells), BLOCK_CELLS)]


def system() -> Randomness:
    """Fresh randomness of the operating system."""
    return Randomness(lambda number, size: os.urandom(size))


def new_secret() -> bytes:
    """A secret to expand, from the operating system."""
    return os.urandom(SECRET_BYTES)


def expand(secret: bytes, label: str) -> Randomness:
    """The stream of ``secret`` under ``label``: SHAKE-256, once per request."""
    if len(secret) != SECRET_BYTES:
        raise ValueError(f"a secret has {SECRET_BYTES} bytes")

    def source(number: int, size: int) -> bytes:
        name = label.encode()
        prefix = b"zktrain randomness v1" + secret + len(name).to_bytes(8, "little") + name
        return hashlib.shake_256(prefix + number.to_bytes(8, "little")).digest(size)

    return Randomness(source)
