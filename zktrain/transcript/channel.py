"""The one way values travel from prover to verifier.

A value read from a proof is absorbed by being read; a value sent is absorbed by being sent.
Every scalar of sumchecks and claims goes through :meth:`ProverChannel.send` and
:meth:`VerifierChannel.receive`, and every check of scalars through :meth:`VerifierChannel.check`.
The channels here send scalars as they are; those of ``hiding`` send them padded, and arguments do
not notice.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..errors import MalformedProof, Rejected, ZktrainError
from ..field.extension import Ext, reduced
from ..field.forms import Form, Scalar
from ..field.goldilocks import P
from ..spans import Bytes
from .challenger import Challenger, work_done

DIGEST_BYTES = 32

Difference = Callable[[], Scalar | tuple[Scalar, ...]]


def several(found: Scalar | tuple[Scalar, ...]) -> tuple[Scalar, ...]:
    """One or several scalars as several."""
    return found if isinstance(found, tuple) else (found,)


class VerifierChannel:
    """Reads proof bytes front to back; sizes come from the statement only.

    A ``dry`` one has no proof and only counts messages: what it gives means nothing."""

    hiding = False
    dry = False

    def __init__(self, challenger: Challenger, proof: Bytes) -> None:
        self.challenger = challenger
        self._proof = proof
        self._at = 0
        self.sizes: dict[str, int] = {}
        self._late: list[tuple[Difference, ZktrainError]] = []

    def take(self, label: str, size: int, count: int = 1) -> bytes:
        """``count`` messages of ``size`` bytes each, not absorbed yet."""
        size *= count
        if size > len(self._proof) - self._at:
            raise MalformedProof(
                f"the proof ends inside '{label}'",
                expected=f"{size} more bytes",
                got=len(self._proof) - self._at,
            )
        data = self._proof[self._at : self._at + size]
        self._at += size
        part = label.partition("/")[0]
        self.sizes[part] = self.sizes.get(part, 0) + size
        return data

    def _absorbed(self, label: str, size: int) -> bytes:
        data = self.take(label, size)
        self.challenger.absorb(label, data)
        return data

    def receive(self, label: str, count: int) -> list[Scalar]:
        """P -> V: scalars of E that the prover may hide."""
        return list(self.receive_clear(label, count))

    def multiply(self, left: Scalar, right: Scalar) -> Scalar:
        """Product of two received scalars."""
        if isinstance(left, Form) or isinstance(right, Form):
            raise TypeError("a channel in clear has no hidden scalars")
        return left * right

    def check(self, difference: Difference, error: ZktrainError, *, late: bool = False) -> None:
        """``difference()`` must be 0, or all of several; raises ``error`` now or, of hidden
        scalars and where it is ``late``, at the end.

        What only checks need is computed inside ``difference``: a dry run never calls it. One that
        costs much is ``late``: it is called when all else holds.
        """
        if late:
            self._late.append((difference, error))
        elif any(several(difference())):
            raise error

    def check_nonzero(self, label: str, left: Scalar, right: Scalar, error: ZktrainError) -> None:
        """``left right`` must not be 0."""
        if not self.multiply(left, right):
            raise error

    def receive_clear(self, label: str, count: int) -> list[Ext]:
        """P -> V: scalars of E in clear, canonical."""
        words = struct.unpack(f"<{2 * count}Q", self._absorbed(label, 16 * count))
        if words and max(words) >= P:
            raise MalformedProof(f"a field element in '{label}' is not below p")
        return [reduced(a, b) for a, b in zip(words[::2], words[1::2], strict=True)]

    def receive_digest(self, label: str) -> bytes:
        """P -> V: a hash."""
        return self._absorbed(label, DIGEST_BYTES)

    def receive_digests(self, label: str, count: int) -> list[bytes]:
        """P -> V: several hashes, each a message of its own."""
        data = self.take(label, DIGEST_BYTES, count)
        self.challenger.absorb_each(label, data, DIGEST_BYTES)
        return [data[i : i + DIGEST_BYTES] for i in range(0, len(data), DIGEST_BYTES)]

    def receive_cells(self, label: str, shape: tuple[int, ...]) -> NDArray[np.uint64]:
        """P -> V: field cells, canonical."""
        count = 1
        for n in shape:
            count *= n
        cells = np.frombuffer(self._absorbed(label, 8 * count), dtype="<u8").astype(np.uint64)
        if cells.size and int(cells.max()) >= P:
            raise MalformedProof(f"a field element in '{label}' is not below p")
        return cells.reshape(shape)

    def receive_work(self, label: str, bits: int) -> None:
        """P -> V: a nonce, checked."""
        if bits:
            seed = self.challenger.work_seed(label)
            nonce = int.from_bytes(self._absorbed(label, 8), "little")
            if not work_done(seed, nonce, bits):
                raise Rejected(f"the proof of work '{label}' has fewer than {bits} zero bits")

    def close(self) -> None:
        """After the last message: nothing is left to check when nothing was hidden."""

    def finish(self) -> None:
        """No byte may be left; then what is late is checked."""
        self._ended()
        for difference, error in self._late:
            self.check(difference, error)

    def _ended(self) -> None:
        if self._at != len(self._proof):
            raise MalformedProof(
                "the proof goes on after its end", expected=self._at, got=len(self._proof)
            )
