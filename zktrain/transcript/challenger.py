"""Fiat-Shamir: one hash state that everything is absorbed into and all challenges come from.

Absorbs are typed and length-prefixed and carry a label, so that no two different transcripts of
values have the same bytes. With ``trace`` a list collects ``(action, label, size)`` for
inventories.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from ..field.extension import Ext, powers, reduced
from ..field.goldilocks import P

_ABSORB = b"zktrain challenger absorb v1"
_OUTPUT = b"zktrain challenger output v1"
WORK = b"zktrain challenger work v1"
_FOUR_WORDS = struct.Struct("<4Q")


Trace = list[tuple[str, str, int]]
"""Every absorb and challenge: action, label, size."""


@lru_cache(maxsize=1024)
def _prefixed(label: str) -> bytes:
    name = label.encode("ascii")
    return bytes([len(name)]) + name


def _block(seed: bytes, counter: int) -> tuple[int, ...]:
    """Number ``counter`` of the blocks of four words that a seed expands to."""
    data = _OUTPUT + seed + counter.to_bytes(8, "little")
    return _FOUR_WORDS.unpack(hashlib.sha256(data).digest())


class Challenger:
    """State ``h``; a challenge hashes ``h`` with all absorbs since the last one, then expands."""

    def __init__(self, protocol: str, trace: Trace | None = None) -> None:
        self._state = hashlib.sha256(_ABSORB + protocol.encode()).digest()
        self._pending = bytearray()
        self.trace = trace

    def absorb(self, label: str, data: bytes) -> None:
        """Absorb bytes under a label (at most 255 bytes of ASCII)."""
        if self.trace is not None:
            self.trace.append(("absorb", label, len(data)))
        self._pending += _prefixed(label) + len(data).to_bytes(8, "little") + data

    def absorb_each(self, label: str, data: bytes, size: int) -> None:
        """:meth:`absorb` of every ``size`` bytes of ``data``."""
        prefix = _prefixed(label) + size.to_bytes(8, "little")
        messages = np.empty((len(data) // size, len(prefix) + size), dtype=np.uint8)
        messages[:, : len(prefix)] = np.frombuffer(prefix, dtype=np.uint8)
        messages[:, len(prefix) :] = np.frombuffer(data, dtype=np.uint8).reshape(-1, size)
        if self.trace is not None:
            self.trace += [("absorb", label, size)] * len(messages)
        self._pending += messages.tobytes()

    def _advance(self, label: str) -> bytes:
        data = _ABSORB + self._state + _prefixed(label) + bytes(self._pending)
        self._state = hashlib.sha256(data).digest()
        self._pending.clear()
        return self._state

    def _words(self, label: str) -> Iterator[int]:
        seed = self._advance(label)
        counter = 0
        while True:
            yield from _block(seed, counter)
            counter += 1

    def elements(self, label: str, count: int, degree: int = 1) -> list[Ext]:
        """``count`` uniform elements of E (each coordinate by rejection). ``degree`` is that of
        what is checked, in each of them: a dry run adds them up to the error."""
        if self.trace is not None:
            self.trace.append(("challenge", label, count))
        seed, counter = self._advance(label), 0
        coordinates = [word for word in _block(seed, counter) if word < P]
        while len(coordinates) < 2 * count:
            counter += 1
            coordinates += [word for word in _block(seed, counter) if word < P]
        return [reduced(coordinates[2 * i], coordinates[2 * i + 1]) for i in range(count)]

    def element(self, label: str) -> Ext:
        """One uniform element of E."""
        return self.elements(label, 1)[0]

    def powers(self, label: str, count: int) -> list[Ext]:
        """Powers of one element, from the 0th on, to batch ``count`` claims."""
        return powers(self.element(label), count)

    def distinct_indices(self, label: str, count: int, bound: int) -> list[int]:
        """``count`` different uniform indices below ``bound`` (a power of two), ascending."""
        if bound & (bound - 1) or count > bound:
            raise ValueError("the bound must be a power of two, at least as large as the count")
        if self.trace is not None:
            self.trace.append(("indices", label, count))
        found: set[int] = set()
        for word in self._words(label):
            if len(found) >= count:
                break
            found.add(word & (bound - 1))
        return sorted(found)

    def work_seed(self, label: str) -> bytes:
        """What a proof of work is bound to: everything absorbed so far."""
        if self.trace is not None:
            self.trace.append(("work", label, 0))
        return self._advance(label)


def work_done(seed: bytes, nonce: int, bits: int) -> bool:
    """Whether ``nonce`` has ``bits`` leading zero bits of work."""
    digest = hashlib.sha256(WORK + seed + nonce.to_bytes(8, "little")).digest()
    return int.from_bytes(digest[:8], "big") >> (64 - bits) == 0 if bits else True
