"""Openings of commitments that hide: completeness over sizes, and every message bound."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from zktrain.commitment import opening
from zktrain.commitment.hiding import Layout, verifier_channel
from zktrain.commitment.packing import Claim, Packing, Term, pack
from zktrain.commitment.parameters import Shape, carried_tail_for
from zktrain.errors import HiddenMismatch, OpeningMismatch, ZktrainError
from zktrain.field import multilinear as ml
from zktrain.field.extension import ZERO, Ext
from zktrain.prover.commitment import opening as prover_opening
from zktrain.prover.commitment.commit import Committed, commit
from zktrain.prover.commitment.hiding import prover_channel
from zktrain.prover.randomness import system
from zktrain.prover.transcript.channel import ProverChannel
from zktrain.transcript.challenger import Challenger
from zktrain.transcript.channel import VerifierChannel

BITS = 60.0
TENSORS = [("a", 14, 9000), ("b", 12, 4096), ("c", 3, 8)]


@dataclass(frozen=True)
class Case:
    committed: list[Committed]
    claims: list[Claim]
    hiding: bool

    @property
    def packings(self) -> list[Packing]:
        return [c.packing for c in self.committed]

    @property
    def layout(self) -> Layout | None:
        levels = opening.level_plan(self.packings, BITS, hiding=self.hiding)
        return Layout(levels.scalars(True)) if self.hiding else None


def _points(random: np.random.Generator, size: int) -> tuple[Ext, ...]:
    return tuple(Ext(int(a), int(b)) for a, b in random.integers(0, 1 << 62, (size, 2)))


def make(lane_log: int, commitments: int, openings: int, *, hiding: bool = True) -> Case:
    """Random tensors, two claims on each and one on a sum of two."""
    random = np.random.default_rng(lane_log)
    tail = carried_tail_for(lane_log, BITS, openings)
    committed, claims = [], []
    terms: list[tuple[Term, Ext]] = []
    for number in range(commitments):
        tensors: dict[str, NDArray[np.int64]] = {}
        for name, size, used in TENSORS:
            cells = random.integers(-(1 << 20), 1 << 20, 1 << size)
            cells[used:] = 0
            tensors[name] = cells
        committed.append(commit(pack(TENSORS, lane_log, tail), tensors, system()))
        for name, size, _ in TENSORS:
            for _ in range(2):
                point = _points(random, size)
                value = ml.evaluate_integers(tensors[name], point)
                terms.append((Term(number, name, point, Ext(3, number + 1)), value))
    claims = [Claim((term,), value * term.factor) for term, value in terms]
    both = sum((value * term.factor for term, value in terms[:2]), ZERO)
    claims.append(Claim((terms[0][0], terms[1][0]), both))
    return Case(committed, claims, hiding)


def _prove(case: Case, claims: Sequence[Claim] | None = None) -> bytes:
    challenger = Challenger("test")
    channel = prover_channel(challenger, case.layout, BITS)
    prover_opening.prove(channel, "opening", case.committed, claims or case.claims, BITS)
    if case.hiding:
        replay = verifier_channel(Challenger("test"), channel.proof(), case.layout, BITS)
        _read(case, replay, claims or case.claims)
        channel.close(replay)
    return channel.proof()


def _read(case: Case, channel: VerifierChannel, claims: Sequence[Claim]) -> None:
    roots = [c.root for c in case.committed]
    opening.verify(channel, "opening", roots, case.packings, claims, BITS)


def _judge(case: Case, proof: bytes, claims: Sequence[Claim] | None = None) -> None:
    channel = verifier_channel(Challenger("test"), proof, case.layout, BITS)
    _read(case, channel, claims or case.claims)
    channel.close()
    channel.finish()


@pytest.mark.parametrize("lane_log", [12, 13, 15, 17])
@pytest.mark.parametrize(("commitments", "openings"), [(1, 1), (3, 4), (1, 20)])
def test_true_claims_are_accepted(lane_log: int, commitments: int, openings: int) -> None:
    """With carried tails shorter and longer than a lane of level 1, and with one or more levels."""
    case = make(lane_log, commitments, openings)
    _judge(case, _prove(case))


@pytest.mark.parametrize("lane_log", [12, 16])
def test_a_hiding_commitment_is_opened_in_clear(lane_log: int) -> None:
    case = make(lane_log, 2, 2, hiding=False)
    _judge(case, _prove(case))


def test_carried_tails_of_all_shapes_occur() -> None:
    """The sizes above cover a lane that the tail leaves free in part, fills, and overflows."""
    shapes = set()
    for lane_log in (12, 13, 15, 17):
        for openings in (1, 4, 30):
            tail = carried_tail_for(lane_log, BITS, openings)
            if tail <= 1 << lane_log:
                plan = opening.plan((Shape(lane_log, 3, tail),), lane_log + 3, BITS, True)
                part = plan.deeper[0].parts[1]
                shapes.add((part.short, part.lane_log > 0))
    assert shapes >= {(True, False), (False, True)}


@pytest.mark.parametrize("hiding", [True, False])
def test_false_claims_are_refused(hiding: bool) -> None:
    case = make(13, 2, 2, hiding=hiding)
    error = HiddenMismatch if hiding else OpeningMismatch
    for k, claim in enumerate(case.claims):
        claims = [*case.claims]
        claims[k] = replace(claim, value=claim.value + Ext(0, 1))
        with pytest.raises(error) as caught:
            _judge(case, _prove(case, claims), claims)
        assert type(caught.value) is error


def _run(case: Case, wanted: tuple[str, int] | None) -> tuple[bytes, Counter[str]]:
    """A proof with one bit of one message changed, absorbed as sent; how often each label was."""
    seen: Counter[str] = Counter()
    append = ProverChannel._append

    def lie(channel: ProverChannel, label: str, data: bytes) -> None:
        if (label, seen[label]) == wanted:
            data = bytes([data[0] ^ 1]) + data[1:]
        seen[label] += 1
        append(channel, label, data)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ProverChannel, "_append", lie)
        return _prove(case), seen


def test_every_message_is_bound() -> None:
    """First and last of each label; how many siblings a path has is chance, so its first only. A
    prover that runs the verifier on his own messages may find out himself."""
    case = make(13, 2, 2)
    _, labels = _run(case, None)
    assert {"opening/mask", "opening/tail", "hidden/root", "hidden/columns"} <= set(labels)
    for label, count in labels.items():
        for occurrence in {0, 0 if label.endswith("/path") else count - 1}:
            with pytest.raises(ZktrainError):
                _judge(case, _run(case, (label, occurrence))[0])


def test_two_commitments_of_the_same_cells_have_two_roots() -> None:
    first, second = make(12, 1, 1), make(12, 1, 1)
    assert np.array_equal(first.committed[0].tensors["a"], second.committed[0].tensors["a"])
    assert first.committed[0].root != second.committed[0].root
