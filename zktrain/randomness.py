"""Uniform random cells for hiding: from the operating system, or expanded from a secret that the
operating system drew.

No other generator may feed a proof. A secret is 32 bytes; each use of it has a label of its own,
so that no two uses share a stream.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .field.goldilocks import P

SECRET_BYTES = 32


class Randomness:
    """Uniform elements of ``F_p`` from a source of uniform bytes."""

    def __init__(self, source: Callable[[int], bytes]) -> None:
        self._source = source

    def cells(self, *shape: int) -> NDArray[np.uint64]:
        """Uniform in ``[0, p)``, by rejection."""
        count = 1
        for n in shape:
            count *= n
        out = np.frombuffer(self._source(8 * count), dtype="<u8").astype(np.uint64)
        while True:
            (bad,) = np.nonzero(out >= np.uint64(P))
            if not len(bad):
                return out.reshape(shape)
            out[bad] = np.frombuffer(self._source(8 * len(bad)), dtype="<u8")


def system() -> Randomness:
    """Fresh randomness of the operating system."""
    return Randomness(lambda size: os.urandom(size))


def new_secret() -> bytes:
    """A secret to expand, from the operating system."""
    return os.urandom(SECRET_BYTES)


def expand(secret: bytes, label: str) -> Randomness:
    """The stream of ``secret`` under ``label``: blocks of SHAKE-256, one per request."""
    if len(secret) != SECRET_BYTES:
        raise ValueError(f"a secret has {SECRET_BYTES} bytes")
    requests = 0

    def source(size: int) -> bytes:
        nonlocal requests
        name = label.encode()
        prefix = b"zktrain randomness v1" + secret + len(name).to_bytes(8, "little") + name
        requests += 1
        return hashlib.shake_256(prefix + requests.to_bytes(8, "little")).digest(size)

    return Randomness(source)
