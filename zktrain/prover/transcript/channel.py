"""The sending end of the channel."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from ...field.extension import Ext
from ...transcript.challenger import Challenger
from ...transcript.channel import VerifierChannel
from ..kernels import work


class ProverChannel:
    """Collects the proof bytes."""

    hiding = False

    def __init__(self, challenger: Challenger) -> None:
        self.challenger = challenger
        self._parts: list[bytes] = []
        self.sizes: dict[str, int] = {}

    def _append(self, label: str, data: bytes) -> None:
        self._parts.append(data)
        part = label.split("/")[0]
        self.sizes[part] = self.sizes.get(part, 0) + len(data)
        self.challenger.absorb(label, data)

    def send(self, label: str, values: list[Ext]) -> None:
        """P -> V: scalars of E that depend on what is to be hidden."""
        self.send_clear(label, values)

    def send_nonzero(self, label: str, left: Ext, right: Ext) -> None:
        """P -> V: whatever shows that ``left right`` is not 0; here they are known."""

    def send_clear(self, label: str, values: list[Ext]) -> None:
        """P -> V: scalars of E that anybody may know."""
        data = b"".join(v.a.to_bytes(8, "little") + v.b.to_bytes(8, "little") for v in values)
        self._append(label, data)

    def send_digest(self, label: str, digest: bytes) -> None:
        """P -> V: a hash."""
        self._append(label, digest)

    def send_cells(self, label: str, cells: NDArray[np.uint64]) -> None:
        """P -> V: field cells checked by a hash or a code, not by a sumcheck."""
        self._append(label, np.ascontiguousarray(cells).astype("<u8", copy=False).tobytes())

    def send_work(self, label: str, bits: int) -> None:
        """P -> V: a nonce bound to everything before it."""
        if bits:
            nonce = work.find_work(self.challenger.work_seed(label), bits)
            self._append(label, nonce.to_bytes(8, "little"))

    @property
    def messages(self) -> int:
        """How many were sent."""
        return len(self._parts)

    def since(self, first: int) -> bytes:
        """Messages number ``first`` and later."""
        return b"".join(self._parts[first:])

    def proof(self) -> bytes:
        return self.since(0)

    @contextmanager
    def recalling(self, sent: bytes) -> Iterator[VerifierChannel]:
        """The next messages are known: they are read, by a verifier who knows what they hide, and
        not sent again. Raises like a verifier."""
        reader = self._reader(sent)
        yield reader
        reader.finish()
        self._parts.append(sent)
        for part, size in reader.sizes.items():
            self.sizes[part] = self.sizes.get(part, 0) + size

    def _reader(self, sent: bytes) -> VerifierChannel:
        return VerifierChannel(self.challenger, sent)

    def close(self, replay: VerifierChannel) -> None:
        """After the last message: nothing is left to prove when nothing was hidden."""
