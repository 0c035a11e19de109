"""The same tiny training run behind one-time pads, and its malicious provers.

``conceal`` gives a run of ``harness`` a statement with zero knowledge, hiding boundaries and a
hiding dataset; ``prove`` and ``verify`` are those of ``harness`` on it. Of hidden scalars the
verifier learns only whether all checks hold, so a lie that one of them sees ends in
``HiddenMismatch``; ``refuse_by_one_hidden_check`` shows which one it was.

``Toy`` is a protocol of six hidden scalars, for attacks on the pads and their proof alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from typing import Any
from unittest import mock

import harness as h
import pytest
from check_sites import refused_by
from harness import Check, Claims, Run

from zktrain.commitment import ligero
from zktrain.commitment.hiding import DryChannel, HidingVerifier, Layout
from zktrain.errors import HiddenMismatch, OpeningMismatch, SumcheckMismatch, ZktrainError
from zktrain.field.extension import Ext
from zktrain.protocol import closing, segment
from zktrain.protocol.statement import Statement
from zktrain.prover.commitment import ligero as prover_ligero
from zktrain.prover.commitment.hiding import HidingProver
from zktrain.prover.dataset.commitment import CommittedDataset, commit_records
from zktrain.prover.protocol import closing as prover_closing
from zktrain.prover.protocol import segment as prover_segment
from zktrain.prover.protocol.segment import BoundaryWeights
from zktrain.prover.randomness import expand
from zktrain.prover.transcript.channel import ProverChannel
from zktrain.transcript.challenger import Challenger
from zktrain.transcript.channel import VerifierChannel

SECRET = bytes(range(32))
OPENINGS = 2
SECURITY_BITS = 80
"""The least that a statement may ask for: fewer positions, shorter tails."""

SLOT_SUM = Check(ligero, "verify", "do not satisfy the relations")
CODE_WORDS = Check(ligero, "verify", "are no code words")
RELATION = Check(ligero, "verify", "is not that of the hidden scalars")


@cache
def dataset() -> CommittedDataset:
    """The hiding commitment to the records of ``harness``."""
    return commit_records(h.records(), SECRET, OPENINGS)


def conceal(run: Run) -> Run:
    """The run as its author would publish it with zero knowledge."""
    old = run.statement
    statement = Statement(
        old.circuit,
        dataset().header,
        old.initial,
        old.final,
        old.segment_steps,
        SECURITY_BITS,
        True,
    )
    inner = [
        prover_segment.commit_boundary(statement, weights, expand(SECRET, f"boundary {number}"))
        for number, weights in enumerate(run.weights[1:-1], 1)
    ]
    ends = [BoundaryWeights(segment.pad_weights(run.weights[side])) for side in (0, -1)]
    boundaries = [ends[0], *inner, ends[1]]
    return h.chain(statement, boundaries, list(run.weights), list(run.tensors))


def train(loss: str, lies: dict[str, h.Lie]) -> Run:
    """``harness.train``, concealed."""
    return conceal(h.train(loss, lies))


@cache
def honest(loss: str) -> Run:
    """The honest run; no test may change it."""
    return conceal(h.honest(loss))


def prove(run: Run, number: int, tensors: h.Tensors | None = None, **lies: Any) -> bytes:
    """``harness.prove`` with blinding records. The prover runs the verifier on his own messages to
    learn the relation; what it finds wrong in the clear there does not stop him."""
    data = dataset()
    lies = {"columns": data.columns, **lies}
    hidden = partial(prover_segment.prove, blinding=data.blinding, random=expand(SECRET, "pads"))
    blind = h.without(h.MERKLE, h.CLEAR_FOLD)
    with mock.patch.object(prover_segment, "prove", hidden), blind:
        return h.prove(run, number, tensors, **lies)[0]


def close(run: Run, claims: Claims) -> None:
    """Open the claims on the dataset and judge that."""
    headers, random = list(run.headers), expand(SECRET, "closing")
    proof = prover_closing.prove(run.statement, headers, claims, dataset().committed, random=random)
    closing.verify(run.statement, headers, claims, proof)


def accept(run: Run, number: int, proof: bytes) -> None:
    """The whole judgement on one segment: raises unless the verifier accepts."""
    close(run, h.verify(run, number, proof))


@cache
def honest_is_accepted(loss: str, number: int) -> bool:
    """The honest prover passes in this harness."""
    run = honest(loss)
    accept(run, number, prove(run, number))
    return True


def refuse(
    run: Run, number: int, proof: bytes, error: type[ZktrainError], message: str = "."
) -> None:
    """Assert that the segment is rejected, with exactly this error."""
    with pytest.raises(error, match=message if message == "." else re.escape(message)) as caught:
        h.verify(run, number, proof)
    assert type(caught.value) is error


def refuse_by_one_hidden_check(
    run: Run, number: int, make: Callable[[], bytes], check: Check
) -> None:
    """Assert that the proof is rejected because its scalars do not satisfy the checks, and that one
    made for a verifier without this check is accepted by him."""
    refuse(run, number, make(), HiddenMismatch, SLOT_SUM.message)
    with h.without(check):
        accept(run, number, make())


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
