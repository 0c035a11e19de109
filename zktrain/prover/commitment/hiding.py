"""The sending end of the channel that hides: every scalar minus a one-time pad."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...commitment import ligero
from ...commitment.hiding import HidingVerifier, Layout
from ...errors import ZktrainError
from ...field import extension as ext
from ...field.extension import ONE, ZERO, Ext
from ...field.forms import Scalar
from ...transcript.challenger import Challenger
from ...transcript.channel import VerifierChannel
from ..randomness import Randomness, system
from ..transcript.channel import ProverChannel
from . import ligero as prover_ligero


class _Knowing(VerifierChannel):
    """Reads padded scalars and knows the pads, which ``take`` gives."""

    hiding = True

    def __init__(
        self, challenger: Challenger, sent: bytes, take: Callable[[str, int], list[Ext]]
    ) -> None:
        super().__init__(challenger, sent)
        self._pads_of = take

    def receive(self, label: str, count: int) -> list[Scalar]:
        """P -> V: ``sent + pad``."""
        found = self.receive_clear(label, count)
        return [value + pad for value, pad in zip(found, self._pads_of(label, count), strict=True)]

    def check_nonzero(self, label: str, left: Scalar, right: Scalar, error: ZktrainError) -> None:
        """The product and its inverse."""
        value, inverse = self.receive(label, 2)
        self.check(lambda: self.multiply(left, right) - value, error)
        self.check(lambda: self.multiply(value, inverse) - ONE, error)


class HidingProver(ProverChannel):
    """Sends every scalar minus a pad; ``close`` proves the verifier's checks."""

    hiding = True

    def __init__(
        self,
        challenger: Challenger,
        layout: Layout,
        bits: float,
        random: Randomness | None = None,
    ) -> None:
        super().__init__(challenger)
        random = random or system()
        self._layout = layout
        self._pads = random.cells(2, layout.scalars)
        left = self._pads[:, [i for i, _ in layout.products]]
        right = self._pads[:, [j for _, j in layout.products]]
        blinds = random.cells(2, len(layout.products))
        self._left, self._blinds = left, blinds
        vector = np.concatenate(
            [self._pads, ext.mul(left, right), blinds, ext.mul(blinds, right)], axis=1
        )
        self._committed = prover_ligero.commit(
            vector, ligero.parameters(layout.count, bits), random
        )
        self._used = 0
        self.send_digest("hidden/root", self._committed.tree.root)  # P -> V

    def send(self, label: str, values: list[Ext]) -> None:
        """P -> V: ``value - pad``; each pad serves once."""
        pads = self._next_pads(label, len(values))
        self.send_clear(label, [value - pad for value, pad in zip(values, pads, strict=True)])

    def _next_pads(self, label: str, count: int) -> list[Ext]:
        first, self._used = self._used, self._used + count
        if self._used > self._layout.scalars:
            raise ValueError(f"'{label}' has more scalars than there are pads")
        return ext.scalars(self._pads[:, first : self._used])

    def _reader(self, sent: bytes) -> VerifierChannel:
        return _Knowing(self.challenger, sent, self._next_pads)

    def send_nonzero(self, label: str, left: Ext, right: Ext) -> None:
        """P -> V: the product and its inverse."""
        value = left * right
        self.send(label, [value, value.inverse() if value else ZERO])

    def close(self, replay: VerifierChannel) -> None:
        """Prove that all checks which ``replay``, a verifier of the messages so far, has collected
        hold."""
        if not isinstance(replay, HidingVerifier):
            raise TypeError("the replay of a hiding prover hides")
        if self._used != self._layout.scalars:
            raise ValueError(f"{self._layout.scalars - self._used} pads were not used")
        openings: list[Ext] = []
        if self._layout.products:
            c = self.challenger.element("hidden/product")  # V -> P
            openings = ext.scalars(ext.add(ext.scale(self._left, c), self._blinds))
            self.send_clear("hidden/openings", openings)  # P -> V
        else:
            c = ZERO
        gamma = self.challenger.element("hidden/gamma")  # V -> P
        relation, _ = replay.relation(c, openings, gamma)
        prover_ligero.prove(self, "hidden", self._committed, relation)


def prover_channel(
    challenger: Challenger,
    layout: Layout | None,
    bits: float,
    random: Randomness | None = None,
) -> ProverChannel:
    """A channel that hides, if there is a layout of what to hide."""
    if layout is None:
        return ProverChannel(challenger)
    return HidingProver(challenger, layout, bits, random)
