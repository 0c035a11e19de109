"""Provers who save the work before positions or challenges of folding are drawn, or do other work
than they are asked for.

Positions that cost nothing can be drawn again until the false rows of a commitment are not among
them. The opening is the usual one with ten bits of work instead of twenty.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from itertools import count
from typing import Any
from unittest import mock

import harness as h
import numpy as np
import pytest

from zktrain.commitment import opening
from zktrain.commitment.packing import Claim, Packing, claim_on, pack
from zktrain.commitment.parameters import SCHEME as FULL
from zktrain.commitment.parameters import Plan, Scheme
from zktrain.errors import CommitmentMismatch, MalformedProof, Rejected, ZktrainError
from zktrain.field import multilinear as ml
from zktrain.protocol.certificate import certificate_plan, verify_certificate
from zktrain.prover.commitment import opening as prover_opening
from zktrain.prover.commitment.commit import Committed, commit
from zktrain.prover.kernels import work
from zktrain.prover.protocol.certificate import certify
from zktrain.prover.randomness import expand
from zktrain.prover.transcript.channel import ProverChannel
from zktrain.transcript import channel as channels
from zktrain.transcript.challenger import Challenger, work_done
from zktrain.transcript.channel import VerifierChannel

pytestmark = pytest.mark.full_work

SCHEME = replace(FULL, work_bits=10)
LANE_LOG, BITS = 16, 60.0
SIZES = {"a": 17, "b": 14}
LEVELS = 3
WORK = "opening/work"


@cache
def _packing(rate_log: int = SCHEME.rate_log) -> Packing:
    tensors = [(name, log, 1 << log) for name, log in SIZES.items()]
    return pack(tensors, LANE_LOG, rate_log=rate_log)


@cache
def _committed() -> Committed:
    random = np.random.default_rng(4)
    tensors = {name: random.integers(-99, 99, 1 << log) for name, log in SIZES.items()}
    return commit(_packing(), tensors)


@cache
def _claims() -> tuple[Claim, ...]:
    out = []
    for name, size in SIZES.items():
        point = tuple(Challenger(name).elements("point", size))
        value = ml.evaluate_integers(_committed().tensors[name][: 1 << size], point)
        out.append(claim_on(0, name, point, value))
    return tuple(out)


def _prove(scheme: Scheme = SCHEME, name: str = "work test") -> bytes:
    channel = ProverChannel(Challenger(name))
    prover_opening.prove(channel, "opening", [_committed()], _claims(), BITS, scheme=scheme)
    return channel.proof()


def _judge(proof: bytes, scheme: Scheme = SCHEME) -> None:
    channel = VerifierChannel(Challenger("work test"), proof)
    roots, packings = [_committed().root], [_packing()]
    opening.verify(channel, "opening", roots, packings, _claims(), BITS, scheme=scheme)
    channel.finish()


@cache
def _honest() -> bytes:
    proof = _prove()
    _judge(proof)
    return proof


@cache
def _nonces() -> tuple[int, ...]:
    """Where the nonce of each level is in the honest proof."""
    honest, places, take = _honest(), [], VerifierChannel.take

    def note(channel: VerifierChannel, label: str, size: int, count: int = 1) -> bytes:
        if label == WORK:
            places.append(channel._at)
        return take(channel, label, size, count)

    with mock.patch.object(VerifierChannel, "take", note):
        _judge(honest)
    return tuple(places)


def _refuse(
    proof: bytes,
    error: type[ZktrainError] | tuple[type[ZktrainError], ...] = Rejected,
    message: str = f"proof of work '{WORK}'",
) -> None:
    with pytest.raises(error, match=message) as caught:
        _judge(proof)
    if isinstance(error, type):
        assert type(caught.value) is error


@contextmanager
def _unchecked() -> Iterator[None]:
    """A verifier who takes any nonce."""
    with mock.patch.object(channels, "work_done", return_value=True):
        yield


@contextmanager
def _found(nonce: Callable[[bytes, int, int], int]) -> Iterator[None]:
    """A prover who takes ``nonce(seed, bits, level)``."""
    levels = count()
    with mock.patch.object(work, "find_work", lambda seed, bits: nonce(seed, bits, next(levels))):
        yield


levels = pytest.mark.parametrize("level", range(LEVELS))


def test_every_level_asks_for_work() -> None:
    """A nonce of its own, before its positions."""
    plan = opening.level_plan([_packing()], BITS, hiding=False, scheme=SCHEME)
    assert len(plan.levels) == len(_nonces()) == LEVELS
    assert all(level.work_bits == SCHEME.work_bits for level in plan.levels)
    trace: list[tuple[str, str, int]] = []
    channel = VerifierChannel(Challenger("work test", trace), _honest())
    opening.verify(
        channel, "opening", [_committed().root], [_packing()], _claims(), BITS, scheme=SCHEME
    )
    drawn = [i for i, (_, label, _) in enumerate(trace) if label == "opening/positions"]
    assert len(drawn) == LEVELS
    for i in drawn:
        assert trace[i - 2 : i] == [("work", WORK, 0), ("absorb", WORK, 8)]


def _one_bit_less(seed: bytes, bits: int) -> int:
    return next(n for n in count() if work_done(seed, n, bits - 1) and not work_done(seed, n, bits))


@levels
def test_one_bit_less_work(level: int) -> None:
    """Everything after the nonce is made for it: only the missing bit speaks against the proof."""
    true = work.find_work
    with _found(lambda seed, bits, at: (_one_bit_less if at == level else true)(seed, bits)):
        proof = _prove()
    _refuse(proof)
    with _unchecked():
        _judge(proof)


def test_one_bit_less_work_in_a_whole_proof() -> None:
    """In full: a proof whose nonces prove 19 bits."""
    run = h.honest("mse")
    with mock.patch.object(work, "find_work", _one_bit_less):
        proof = h.prove(run)
    with mock.patch.object(channels, "work_done", lambda s, n, bits: work_done(s, n, bits - 1)):
        h.accept(run, proof)
    with pytest.raises(Rejected, match="zero bits"):
        h.accept(run, proof)


@levels
@pytest.mark.parametrize("other", range(LEVELS))
def test_nonce_of_another_level(level: int, other: int) -> None:
    """Bytes moved within the proof."""
    if level == other:
        return
    proof, places = bytearray(_honest()), _nonces()
    proof[places[level] : places[level] + 8] = _honest()[places[other] : places[other] + 8]
    _refuse(bytes(proof))


@levels
def test_work_done_once_for_all_levels(level: int) -> None:
    """A prover who searches at one level and repeats the nonce at the others, everything after them
    made to fit."""
    found: list[int] = []
    true = work.find_work

    def lazy(seed: bytes, bits: int, at: int) -> int:
        if at == level:
            found.append(true(seed, bits))
        return found[0] if found else 0

    with _found(lazy):
        proof = _prove()
    _refuse(proof)
    with _unchecked():
        _judge(proof)


def test_nonce_of_another_proof() -> None:
    """The same claims under another protocol string: other seeds."""
    proof = bytearray(_honest())
    other = _prove(name="another proof")
    for place in _nonces():
        proof[place : place + 8] = other[place : place + 8]
    _refuse(bytes(proof))


def test_positions_drawn_without_work() -> None:
    """The messages are left out, so rows are read as nonces; also where a verifier takes any of
    them."""
    with mock.patch.object(ProverChannel, "send_work"):
        proof = _prove()
    _refuse(proof, (Rejected, MalformedProof), ".")
    with _unchecked(), pytest.raises((Rejected, MalformedProof)):
        _judge(proof)


@levels
def test_positions_drawn_before_the_nonce(level: int) -> None:
    """Good nonces that the challenger of the prover has not absorbed at one level: the positions of
    the verifier are others."""
    levels_, append = count(), ProverChannel._append

    def late(channel: ProverChannel, label: str, data: bytes) -> None:
        if label == WORK and next(levels_) == level:
            channel._parts.append(data)
        else:
            append(channel, label, data)

    with mock.patch.object(ProverChannel, "_append", late):
        proof = _prove()
    _refuse(proof, (CommitmentMismatch, MalformedProof), ".")


@levels
def test_nonce_changed_after_the_rows(level: int) -> None:
    """Another nonce with the work draws other positions than those opened."""
    proof, place = bytearray(_honest()), _nonces()[level]
    seeds: list[bytes] = []
    seed = Challenger.work_seed

    def note(challenger: Challenger, label: str) -> bytes:
        seeds.append(seed(challenger, label))
        return seeds[-1]

    with mock.patch.object(Challenger, "work_seed", note):
        _judge(_honest())
    old = int.from_bytes(proof[place : place + 8], "little")
    new = next(n for n in count(old + 1) if work_done(seeds[level], n, SCHEME.work_bits))
    proof[place : place + 8] = new.to_bytes(8, "little")
    error = (CommitmentMismatch, MalformedProof, Rejected)
    _refuse(bytes(proof), error, ".")


@pytest.mark.parametrize("work_bits", [0, 9, 11])
def test_prover_of_another_scheme(work_bits: int) -> None:
    """Other bits of work are other numbers of positions, whatever the nonces prove."""
    plans = [
        opening.level_plan([_packing()], BITS, hiding=False, scheme=replace(SCHEME, work_bits=bits))
        for bits in (work_bits, SCHEME.work_bits)
    ]
    assert plans[0].levels[0].queries != plans[1].levels[0].queries
    proof = _prove(replace(SCHEME, work_bits=work_bits))
    _refuse(proof, (Rejected, MalformedProof, CommitmentMismatch), ".")


def test_commitment_of_another_rate() -> None:
    """A code word of rate 1/4 under the root that is opened at rate 1/2."""
    tensors = {name: _committed().tensors[name] for name in SIZES}
    other = commit(_packing(SCHEME.rate_log + 1), tensors)
    channel = ProverChannel(Challenger("work test"))
    prover_opening.prove(channel, "opening", [other], _claims(), BITS, scheme=SCHEME)
    judge = VerifierChannel(Challenger("work test"), channel.proof())
    with pytest.raises((CommitmentMismatch, MalformedProof, Rejected)):
        opening.verify(judge, "opening", [other.root], [_packing()], _claims(), BITS, scheme=SCHEME)


# work before the challenges that fold

FOLD_BITS = 118.0
"""So many that every level asks for work before its challenges."""
FOLDING = ("opening/batch/work", "opening/fold/work", "opening/epsilon/work")


@dataclass(frozen=True)
class Folded:
    """A proof whose challenges of folding all have work before them; ``prove`` under patches."""

    prove: Callable[[], bytes]
    judge: Callable[[bytes], None]
    plan: Plan
    lanes: int
    """Variables of the lanes of level 0, and those before them."""
    before: int


def _clear() -> Folded:
    def prove() -> bytes:
        channel = ProverChannel(Challenger("fold test"))
        prover_opening.prove(
            channel, "opening", [_committed()], _claims(), FOLD_BITS, scheme=SCHEME
        )
        return channel.proof()

    def judge(proof: bytes) -> None:
        channel = VerifierChannel(Challenger("fold test"), proof)
        known = [_committed().root], [_packing()], _claims(), FOLD_BITS
        opening.verify(channel, "opening", *known, scheme=SCHEME)
        channel.finish()

    plan = opening.level_plan([_packing()], FOLD_BITS, hiding=False, scheme=SCHEME)
    return Folded(prove, judge, plan, plan.levels[0].variables, LANE_LOG)


def _hiding() -> Folded:
    """The certificate of a dataset that hides: its opening is masked."""
    data = h.dataset(hiding=True)
    plan, header = certificate_plan(data.header), data.header
    return Folded(
        lambda: certify(data, random=expand(bytes(32), "fold test")),
        lambda proof: verify_certificate(header, proof),
        plan,
        plan.levels[0].variables,
        header.lane_log,
    )


@cache
def _folded(kind: str) -> tuple[Folded, tuple[str, ...]]:
    """Labels of the nonces that an honest prover sends before challenges of folding, in order."""
    folded, asked = {"clear": _clear, "hiding": _hiding}[kind](), []
    send = ProverChannel.send_work

    def note(channel: ProverChannel, label: str, bits: int) -> None:
        if label in FOLDING and bits:
            asked.append(label)
        send(channel, label, bits)

    with mock.patch.object(ProverChannel, "send_work", note):
        folded.judge(folded.prove())
    return folded, tuple(asked)


kinds = pytest.mark.parametrize("kind", ["clear", "hiding"])


@kinds
def test_every_challenge_that_folds_has_work_of_its_own(kind: str) -> None:
    """Each lane variable of the batch, each round of a level, the factor of the mask."""
    folded, asked = _folded(kind)
    assert all(level.fold_work_bits > 0 for level in folded.plan.levels if level.folds)
    expected = [FOLDING[0]] * folded.lanes
    for level in folded.plan.deeper:
        expected += [FOLDING[1]] * level.variables + [FOLDING[2]] * level.masked
    assert list(asked) == expected
    assert (FOLDING[2] in asked) == (kind == "hiding")


@kinds
def test_work_stands_between_the_message_and_the_challenge(kind: str) -> None:
    """A nonce that were drawn for before the message is bound would protect another challenge."""
    folded, asked = _folded(kind)
    proof, trace = folded.prove(), []
    init = Challenger.__init__

    def start(self: Challenger, protocol: str, given: Any = None) -> None:
        init(self, protocol, trace if given is None else given)

    with mock.patch.object(Challenger, "__init__", start):
        trace.clear()
        folded.judge(proof)
    found = [i for i, (action, label, _) in enumerate(trace) if action == "work"]
    found = [i for i in found if trace[i][1] in FOLDING]
    assert [trace[i][1] for i in found] == list(asked)
    for i in found:
        part = trace[i][1].rpartition("/")[0]
        challenge = part if part.endswith("epsilon") else f"{part}/point"
        message = "opening/mask" if part.endswith("epsilon") else f"{part}/round"
        assert trace[i - 1][:2] == ("absorb", message)
        assert trace[i + 1 : i + 3] == [("absorb", trace[i][1], 8), ("challenge", challenge, 1)]
    points = [i for i, (_, label, _) in enumerate(trace) if label == "opening/batch/point"]
    assert all(trace[i - 1][1] == "opening/batch/round" for i in points[: folded.before])


def _lazy(number: int) -> Any:
    """A prover who does no work before one of those challenges; all that follows is made to fit."""
    send, seen = ProverChannel.send_work, count()

    def lie(channel: ProverChannel, label: str, bits: int) -> None:
        if label not in FOLDING or not bits or next(seen) != number:
            return send(channel, label, bits)
        seed = channel.challenger.work_seed(label)
        nonce = next(n for n in count() if not work_done(seed, n, 1))
        return channel._append(label, nonce.to_bytes(8, "little"))

    return mock.patch.object(ProverChannel, "send_work", lie)


@kinds
def test_no_work_before_a_single_challenge(kind: str) -> None:
    """For each of them: only the missing work speaks against the proof."""
    folded, asked = _folded(kind)
    for number, label in enumerate(asked):
        with _lazy(number), _unchecked():  # a hiding prover judges its own messages
            proof = folded.prove()
        with pytest.raises(Rejected, match=f"proof of work '{label}' has fewer") as caught:
            folded.judge(proof)
        assert type(caught.value) is Rejected
        with _unchecked():
            folded.judge(proof)


@kinds
@pytest.mark.parametrize("label", FOLDING)
def test_nonces_left_out(kind: str, label: str) -> None:
    """All those of one kind: what follows is read in their place."""
    folded, asked = _folded(kind)
    if label not in asked:
        return
    send, receive = ProverChannel.send_work, VerifierChannel.receive_work

    def none(channel: ProverChannel, given: str, bits: int) -> None:
        if given != label:
            send(channel, given, bits)

    def replayed(channel: VerifierChannel, given: str, bits: int) -> None:
        if given != label:
            receive(channel, given, bits)

    with (
        mock.patch.object(ProverChannel, "send_work", none),
        mock.patch.object(VerifierChannel, "receive_work", replayed),
    ):
        proof = folded.prove()
        folded.judge(proof)
    with pytest.raises((Rejected, MalformedProof)):
        folded.judge(proof)
