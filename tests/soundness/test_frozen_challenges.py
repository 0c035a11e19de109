"""What only the hash binds: the same challenges again, after one datum has changed.

With the challenges of the honest proof, whatever no equation mentions may change unnoticed; with
real ones nothing may. So the former pass frozen and fail real, and this is the hash's work alone.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cache
from typing import Any
from unittest import mock

import harness as h
import pytest

from zktrain.commitment.hiding import _NoChallenger
from zktrain.dataset import commitment as datasets
from zktrain.errors import MalformedProof, Rejected
from zktrain.protocol import certificate
from zktrain.protocol import proof as proofs
from zktrain.protocol.certificate import verify_certificate
from zktrain.protocol.statement import Statement
from zktrain.prover.kernels.work import find_work
from zktrain.prover.protocol.certificate import certify
from zktrain.transcript import channel as channels
from zktrain.transcript.challenger import Challenger, work_done
from zktrain.transcript.channel import VerifierChannel

pytestmark = pytest.mark.full_work

Step = tuple[str, str, Any]
"""Action, label, and what is absorbed or how much is drawn."""
REFUSED = (Rejected, MalformedProof)


@contextmanager
def recorded() -> Iterator[tuple[list[Any], list[Step], list[str]]]:
    """Challenges in order, steps of the challenger that is used, and its protocol string."""
    drawn: list[Any] = []
    steps: list[Step] = []
    protocol: list[str] = []
    init, absorb = Challenger.__init__, Challenger.absorb
    true = {name: getattr(Challenger, name) for name in ("elements", "distinct_indices")}
    work = Challenger.work_seed

    def start(self: Challenger, name: str, *rest: Any) -> None:
        init(self, name, *rest)
        if name != "dry run":
            protocol.append(name)

    def note(self: Challenger, label: str, data: bytes) -> None:
        absorb(self, label, data)
        steps.append(("absorb", label, data))

    def draw(name: str) -> Callable[..., Any]:
        def drawing(self: Challenger, label: str, *sizes: int) -> Any:
            out = true[name](self, label, *sizes)
            if not isinstance(self, _NoChallenger):
                drawn.append(out)
                steps.append((name, label, sizes))
            return out

        return drawing

    def seed(self: Challenger, label: str) -> bytes:
        out = work(self, label)
        drawn.append(out)
        steps.append(("work_seed", label, ()))
        return out

    with (
        mock.patch.object(Challenger, "__init__", start),
        mock.patch.object(Challenger, "absorb", note),
        mock.patch.object(Challenger, "elements", draw("elements")),
        mock.patch.object(Challenger, "distinct_indices", draw("distinct_indices")),
        mock.patch.object(Challenger, "work_seed", seed),
    ):
        yield drawn, steps, protocol


@contextmanager
def frozen(drawn: list[Any]) -> Iterator[None]:
    """Whatever is absorbed, the challenges are these."""
    left = iter(drawn)

    def again(self: Challenger, *asked: Any) -> Any:
        return next(left)

    with (
        mock.patch.object(Challenger, "elements", again),
        mock.patch.object(Challenger, "distinct_indices", again),
        mock.patch.object(Challenger, "work_seed", again),
    ):
        yield


@dataclass(frozen=True)
class Case:
    """A proof with its challenges; ``judge(proof)`` is the verifier."""

    proof: bytes
    judge: Callable[[bytes], Any]
    drawn: list[Any]
    steps: list[Step]
    protocol: str


def _case(proof: bytes, judge: Callable[[bytes], Any]) -> Case:
    judge(proof)  # layouts are computed before challenges are recorded
    with recorded() as (drawn, steps, protocol):
        judge(proof)
    assert len(protocol) == 1
    return Case(proof, judge, drawn, steps, protocol[0])


@cache
def _proof(hiding: bool) -> Case:
    run = h.honest("mse", hiding=hiding)
    return _case(h.prove(run), lambda data: h.accept(run, data))


@cache
def _certificate(hiding: bool) -> Case:
    data = h.dataset(hiding=hiding)
    return _case(certify(data), lambda proof: verify_certificate(data.header, proof))


def bound_by_the_hash(
    case: Case, judge: Callable[[bytes], Any], proof: bytes | None = None
) -> None:
    """Passes with the challenges of the honest proof, and not with its own."""
    proof = case.proof if proof is None else proof
    with frozen(case.drawn):
        judge(proof)
    with pytest.raises(REFUSED):
        judge(proof)


def refused_anyway(case: Case, judge: Callable[[bytes], Any], proof: bytes | None = None) -> None:
    """An equation or a hash tree mentions it."""
    proof = case.proof if proof is None else proof
    with frozen(case.drawn), pytest.raises(REFUSED):
        judge(proof)
    with pytest.raises(REFUSED):
        judge(proof)


both = pytest.mark.parametrize("hiding", [False, True], ids=["clear", "hiding"])
OTHER = "ab" * 32


@both
def test_frozen_challenges_change_nothing_for_an_honest_proof(hiding: bool) -> None:
    """The proof of a run and a certificate."""
    for case in (_proof(hiding), _certificate(hiding)):
        with frozen(case.drawn):
            case.judge(case.proof)


def _changed(run: h.Run, datum: str) -> h.Run:
    true = run.statement
    if datum == "merkle root":
        changed = replace(true, dataset=replace(true.dataset, merkle_root=bytes(32)))
    else:
        changed = replace(true, task=replace(true.task, **{datum: OTHER}))
    return replace(run, statement=changed)


@pytest.mark.parametrize("datum", ["initial", "final", "parameters", "protocol"])
@both
def test_public_data_of_a_proof(hiding: bool, datum: str) -> None:
    """Digests, constants and protocol string are in no equation."""
    run = h.honest("mse", hiding=hiding)
    patch: Any = nullcontext()
    if datum == "parameters":
        patch = mock.patch.object(proofs, "parameter_digest", return_value=bytes(32))
    elif datum == "protocol":
        patch = mock.patch.object(Statement, "protocol", "other")
    else:
        run = _changed(run, datum)

    def judge(proof: bytes) -> None:
        with patch:
            h.accept(run, proof)

    bound_by_the_hash(_proof(hiding), judge)


@both
def test_root_of_the_dataset(hiding: bool) -> None:
    """It is checked by opening it."""
    run = _changed(h.honest("mse", hiding=hiding), "merkle root")
    refused_anyway(_proof(hiding), lambda proof: h.accept(run, proof))


@pytest.mark.parametrize("datum", ["format", "parameters", "protocol"])
@both
def test_public_data_of_the_certificate(hiding: bool, datum: str) -> None:
    """The header's bytes beyond its numbers, constants and protocol string."""
    case = _certificate(hiding)
    header = h.dataset(hiding=hiding).header
    patch: Any
    if datum == "parameters":
        patch = mock.patch.object(certificate, "parameter_digest", return_value=bytes(32))
    elif datum == "protocol":
        patch = mock.patch.object(certificate, "PROTOCOL", {False: "other", True: "another"})
    else:
        patch = mock.patch.object(datasets, "FORMAT", {False: "other", True: "another"})

    def judge(proof: bytes) -> None:
        with patch:
            verify_certificate(header, proof)

    bound_by_the_hash(case, judge)


@pytest.mark.parametrize("datum", ["records", "features", "classes", "merkle_root"])
def test_numbers_of_the_dataset_header(datum: str) -> None:
    """They are in the equations of the certificate."""
    header = h.dataset().header
    change = bytes(32) if datum == "merkle_root" else getattr(header, datum) + 1
    other = replace(header, **{datum: change})
    refused_anyway(_certificate(False), lambda proof: verify_certificate(other, proof))


def test_another_nonce_of_the_proof_of_work() -> None:
    """A second nonce for the same work is as good, but all challenges after it are others."""
    case = _certificate(True)
    seed = next(x for x in case.drawn if isinstance(x, bytes))
    bits = certificate.work_bits(h.dataset(hiding=True).header)
    assert bits
    first = find_work(seed, bits)
    second = next(n for n in range(first + 1, 1 << 20) if work_done(seed, n, bits))
    place = 32  # after the root of the pads
    assert int.from_bytes(case.proof[place : place + 8], "little") == first
    forged = case.proof[:place] + second.to_bytes(8, "little") + case.proof[place + 8 :]
    bound_by_the_hash(case, case.judge, forged)


def _messages(case: Case) -> dict[str, int]:
    """Where in the proof the first message of each label begins."""
    out: dict[str, int] = {}
    at = 0
    take = VerifierChannel.take

    def watch(self: VerifierChannel, label: str, size: int, count: int = 1) -> bytes:
        nonlocal at
        if count:
            out.setdefault(label, at)
        at += size * count
        return take(self, label, size, count)

    with mock.patch.object(channels.VerifierChannel, "take", watch):
        case.judge(case.proof)
    return out


def test_messages_of_a_proof() -> None:
    """No message is free: every one is in an equation or in a hash tree (and a nonce is work)."""
    for case in (_certificate(False), _certificate(True), _proof(True)):
        for label, place in _messages(case).items():
            if label == "work":  # of one bit or none
                continue
            word = int.from_bytes(case.proof[place : place + 8], "little") ^ 1
            forged = case.proof[:place] + word.to_bytes(8, "little") + case.proof[place + 8 :]
            with frozen(case.drawn), pytest.raises(REFUSED):
                case.judge(forged)
                pytest.fail(f"another message {label} is accepted with the same challenges")


def test_roots_are_bound_by_the_hash_besides_their_openings() -> None:
    """Without Merkle paths, a root is in no equation: of pads, of the next level, of the run."""
    case = _proof(True)
    places = _messages(case)
    for label in ("hidden/root", "commitment", "opening/root"):
        place = places[label]
        forged = case.proof[:place] + bytes(32) + case.proof[place + 32 :]
        with h.without(h.MERKLE):
            bound_by_the_hash(case, case.judge, forged)
        with frozen(case.drawn), pytest.raises(Rejected):
            case.judge(forged)


# Every absorb, one bit at a time.


def _run(challenger: Challenger, steps: list[Step]) -> list[Any]:
    out = []
    for action, label, what in steps:
        if action == "absorb":
            challenger.absorb(label, what)
        else:
            out.append(getattr(challenger, action)(label, *what))
    return out


def _differ(action: str, mine: Any, yours: Any) -> bool:
    """Every element of a challenge; positions as a whole."""
    if action == "elements":
        return all(a != b for a, b in zip(mine, yours, strict=True))
    return bool(mine != yours)


@pytest.mark.parametrize("kind", ["proof", "hiding proof", "certificate"])
def test_every_absorbed_bit_changes_every_later_challenge(kind: str) -> None:
    """One bit of each absorb of a proof (and of every 16th hash of a Merkle path) flipped, all
    challenges after it drawn again."""
    cases: dict[str, Callable[[], Case]] = {
        "proof": lambda: _proof(False),
        "hiding proof": lambda: _proof(True),
        "certificate": lambda: _certificate(True),
    }
    case = cases[kind]()
    actions = [(i, step[0]) for i, step in enumerate(case.steps) if step[0] != "absorb"]
    challenger, number = Challenger(case.protocol), 0
    begin, before = 0, copy.deepcopy(challenger)
    for place, (end, _) in enumerate(actions):
        for i in range(begin, end):
            action, label, data = case.steps[i]
            assert action == "absorb"
            if label.endswith("/path") and i % 16:  # hundreds of hashes between two challenges
                continue
            bit = (i * 7919) % (8 * len(data))
            flipped = bytearray(data)
            flipped[bit // 8] ^= 1 << bit % 8
            steps = list(case.steps[begin:])
            steps[i - begin] = (action, label, bytes(flipped))
            again = _run(copy.deepcopy(before), steps)
            rest = zip(again, case.drawn[place:], actions[place:], strict=True)
            assert all(_differ(kind_, a, b) for a, b, (_, kind_) in rest), label
            number += 1
        _run(before, case.steps[begin : end + 1])
        begin = end + 1
    assert number > 40


def test_labels_and_order_of_absorbs_count() -> None:
    """The same bytes under another label, in other pieces, or in another order."""
    steps = [("absorb", "a", b"12"), ("absorb", "b", b"3"), ("elements", "x", (1,))]
    variants = [
        steps,
        [steps[1], steps[0], steps[2]],
        [("absorb", "a", b"1"), ("absorb", "b", b"23"), steps[2]],
        [("absorb", "b", b"12"), ("absorb", "a", b"3"), steps[2]],
        [("absorb", "ab", b"123"), steps[2]],
        [*steps[:2], ("elements", "y", (1,))],
        [*steps[:2], ("absorb", "c", b""), steps[2]],
        [steps[0], ("elements", "x", (1,)), steps[1], steps[2]],
    ]
    last = [_run(Challenger("t"), variant)[-1][0] for variant in variants]
    last.append(_run(Challenger("u"), steps)[-1][0])
    assert len({(x.a, x.b) for x in last}) == len(last)
