"""Attacks on one-time pads: ``Toy`` is a protocol of six hidden scalars, for those on the pads and
their proof alone; below it what changes the messages of a real prover.

A run of ``harness`` hides where it is concealed. Of hidden scalars the verifier learns only whether
all checks hold, so a lie that one of them sees ends in ``HiddenMismatch``; ``harness``'s
``refuse_by_one_hidden_check`` shows which one it was.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import pytest
from check_sites import refused_by
from harness import SECRET, Check

from zktrain.commitment import ligero
from zktrain.commitment.hiding import DryChannel, HidingVerifier, Layout
from zktrain.errors import HiddenMismatch, OpeningMismatch, SumcheckMismatch, ZktrainError
from zktrain.field.extension import Ext
from zktrain.prover.commitment import ligero as prover_ligero
from zktrain.prover.commitment.hiding import HidingProver
from zktrain.prover.randomness import expand
from zktrain.prover.transcript.channel import ProverChannel
from zktrain.transcript.challenger import Challenger
from zktrain.transcript.channel import VerifierChannel

CODE_WORDS = Check(ligero, "verify", "are no code words")
RELATION = Check(ligero, "verify", "is not that of the hidden scalars")
BITS = 40.0
PRODUCT = SumcheckMismatch("a product is wrong", stage="toy")
SUM = SumcheckMismatch("a sum is wrong", stage="toy")
KEY = OpeningMismatch("a product is zero", stage="toy")


class Toy:
    """``a b = c``, ``b c = d``, ``a + b = 12`` and ``a b != 0`` for four hidden scalars.

    A lie changes what is sent; ``commitment`` changes the vector that is committed, ``words`` the
    code word and ``message(label, values)`` any message.
    """

    VALUES = (Ext(5), Ext(7), Ext(35), Ext(245))

    def __init__(self, name: str = "toy") -> None:
        self.name = name

    def _judge(self, channel: VerifierChannel) -> None:
        a, b, c, d = channel.receive("toy/values", 4)
        channel.challenger.element("toy/challenge")
        first, second = channel.multiply(a, b), channel.multiply(b, c)
        channel.check(lambda: first - c, PRODUCT)
        channel.check(lambda: second - d, PRODUCT)
        channel.check(lambda: a + b - 12, SUM)
        channel.check_nonzero("toy/nonzero", a, b, KEY)

    @property
    def layout(self) -> Layout:
        """Six scalars: the values, the product and its inverse."""
        dry = DryChannel()
        self._judge(dry)
        return dry.layout()

    def challenger(self) -> Challenger:
        """A new one."""
        return Challenger(self.name)

    def prove(
        self,
        values: tuple[Ext, ...] = VALUES,
        nonzero: tuple[Ext, Ext] | None = None,
        layout: Layout | None = None,
    ) -> bytes:
        """``nonzero``: the product and the inverse that are claimed."""
        layout = layout or self.layout
        channel = HidingProver(self.challenger(), layout, BITS, expand(SECRET, self.name))
        channel.send("toy/values", list(values))
        channel.challenger.element("toy/challenge")
        if nonzero is None:
            channel.send_nonzero("toy/nonzero", values[0], values[1])
        else:
            channel.send("toy/nonzero", list(nonzero))
        replay = HidingVerifier(self.challenger(), channel.proof(), self.layout, BITS)
        self._judge(replay)
        channel.close(replay)
        return channel.proof()

    def verify(self, proof: bytes) -> None:
        """Raises unless the proof is accepted."""
        channel = HidingVerifier(self.challenger(), proof, self.layout, BITS)
        self._judge(channel)
        channel.close()
        channel.finish()

    def refuse(self, proof: bytes, error: type[ZktrainError], message: str = ".") -> None:
        """Assert that the proof is rejected, with exactly this error."""
        with pytest.raises(
            error, match=message if message == "." else re.escape(message)
        ) as caught:
            self.verify(proof)
        assert type(caught.value) is error

    def refuse_by_one_check(self, proof: bytes, check: Check) -> None:
        """Rejected by this check of the proof about pads, accepted without it."""
        refused_by(check.sites, lambda: self.verify(proof), HiddenMismatch, check.message)


class OpenedAs:
    """A code word whose opened positions (a list of them) are those of another word."""

    def __init__(self, code: Any, shown: Any) -> None:
        self.code, self.shown, self.shape = code, shown, code.shape

    def __getitem__(self, key: Any) -> Any:
        return (self.shown if isinstance(key, list) else self.code)[key]


@contextmanager
def committed(change: Callable[[Any], None]) -> Iterator[None]:
    """Another vector ``(2, count)`` of pads and products is committed than the one that is used."""
    commit = prover_ligero.commit

    def lie(vector: Any, *rest: Any) -> prover_ligero.CommittedVector:
        forged = vector.copy()
        change(forged)
        return commit(forged, *rest)

    with mock.patch.object(prover_ligero, "commit", lie):
        yield


@contextmanager
def words(
    change: Callable[[prover_ligero.CommittedVector], prover_ligero.CommittedVector],
) -> Iterator[None]:
    """Other code words are committed than those of the polynomials, or other polynomials."""
    commit = prover_ligero.commit
    with mock.patch.object(prover_ligero, "commit", lambda *rest: change(commit(*rest))):
        yield


@contextmanager
def message(label: str, change: Callable[[Any], Any], occurrence: int = 0) -> Iterator[None]:
    """Another message, absorbed as sent: scalars before they are padded or in clear, cells, or a
    digest."""
    seen, padding = [0], [False]

    def changed(name: str, values: Any) -> Any:
        if name != label:
            return values
        seen[0] += 1
        copy = values.copy() if hasattr(values, "copy") else values
        return change(copy) if seen[0] == occurrence + 1 else values

    hide, clear = HidingProver.send, ProverChannel.send_clear

    def lie_hidden(channel: HidingProver, name: str, values: list[Ext]) -> None:
        values, padding[0] = changed(name, values), True
        hide(channel, name, values)
        padding[0] = False

    def lie_clear(channel: ProverChannel, name: str, values: list[Ext]) -> None:
        clear(channel, name, values if padding[0] else changed(name, values))

    cells, digest = ProverChannel.send_cells, ProverChannel.send_digest
    with (
        mock.patch.object(HidingProver, "send", lie_hidden),
        mock.patch.object(ProverChannel, "send_clear", lie_clear),
        mock.patch.object(ProverChannel, "send_cells", lambda c, n, v: cells(c, n, changed(n, v))),
        mock.patch.object(
            ProverChannel, "send_digest", lambda c, n, v: digest(c, n, changed(n, v))
        ),
    ):
        yield


@contextmanager
def rigged(label: str, value: Ext) -> Iterator[None]:
    """A challenge that everybody knows in advance."""
    element = Challenger.element

    def known(challenger: Challenger, asked: str) -> Ext:
        drawn = element(challenger, asked)
        return value if asked == label else drawn

    with mock.patch.object(Challenger, "element", known):
        yield
