"""Provers who save the work before positions are drawn, or do other work than they are asked for.

Positions that cost nothing can be drawn again until the false rows of a commitment are not among
them. The opening is that of version 3 with ten bits of work instead of twenty.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from itertools import count
from unittest import mock

import harness as h
import hiding_harness as hh
import numpy as np
import pytest
from harness import FIRST

from zktrain import channel as channels
from zktrain.challenger import Challenger, work_done
from zktrain.channel import ProverChannel, VerifierChannel
from zktrain.commitment import opening
from zktrain.commitment.commit import Committed, commit
from zktrain.commitment.packing import Claim, Packing, claim_on, pack
from zktrain.commitment.parameters import FIRST_SCHEME, SMALL_SCHEME, Scheme
from zktrain.errors import CommitmentMismatch, MalformedProof, Rejected, ZktrainError
from zktrain.field import multilinear as ml
from zktrain.kernels import work

SCHEME = replace(SMALL_SCHEME, work_bits=10)
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
    opening.prove(channel, "opening", [_committed()], _claims(), BITS, scheme=scheme)
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
    honest, places, take = _honest(), [], VerifierChannel._take

    def note(channel: VerifierChannel, label: str, size: int, count: int = 1) -> bytes:
        if label == WORK:
            places.append(channel._at)
        return take(channel, label, size, count)

    with mock.patch.object(VerifierChannel, "_take", note):
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


def test_one_bit_less_work_in_a_whole_segment() -> None:
    """Version 3 in full: a segment whose nonces prove 19 bits."""
    run, true = h.honest("mse"), work.find_work
    with mock.patch.object(work, "find_work", lambda seed, bits: true(seed, bits - 1)):
        proof, _ = h.prove(run, FIRST)
    with mock.patch.object(channels, "work_done", lambda s, n, bits: work_done(s, n, bits - 1)):
        h.accept(run, FIRST, proof)
    with pytest.raises(Rejected, match="fewer than 20 zero bits"):
        h.verify(run, FIRST, proof)


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
    assert plans[0].positions != plans[1].positions
    proof = _prove(replace(SCHEME, work_bits=work_bits))
    _refuse(proof, (Rejected, MalformedProof, CommitmentMismatch), ".")


def test_commitment_of_another_rate() -> None:
    """A code word of rate 1/2, as in version 1, under the root that is opened at rate 1/4."""
    tensors = {name: _committed().tensors[name] for name in SIZES}
    other = commit(_packing(FIRST_SCHEME.rate_log), tensors)
    channel = ProverChannel(Challenger("work test"))
    opening.prove(channel, "opening", [other], _claims(), BITS, scheme=SCHEME)
    judge = VerifierChannel(Challenger("work test"), channel.proof())
    with pytest.raises((CommitmentMismatch, MalformedProof, Rejected)):
        opening.verify(judge, "opening", [other.root], [_packing()], _claims(), BITS, scheme=SCHEME)


# segments of one version under statements of the other


@pytest.mark.parametrize("hiding", [False, True], ids=["clear", "hiding"])
@pytest.mark.parametrize(("made", "judged"), [(1, 3), (3, 1)])
def test_segment_of_another_version(made: int, judged: int, hiding: bool) -> None:
    """The proof of a run that differs in nothing but the version of its statement."""
    runs = {version: h.honest("mse", version) for version in (made, judged)}
    if hiding:
        runs = {version: hh.conceal(h.honest("mse"), version) for version in runs}
        proof = hh.prove(runs[made], FIRST)
    else:
        proof, _ = h.prove(runs[made], FIRST)
    h.verify(runs[made], FIRST, proof)
    mixed = replace(runs[made], statement=runs[judged].statement)
    for run, header in ((runs[judged], None), (mixed, runs[made].headers[FIRST])):
        with pytest.raises((Rejected, MalformedProof)):
            h.verify(run, FIRST, proof, header)
