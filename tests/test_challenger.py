"""Fiat-Shamir: known answers, unambiguous absorbs, uniform challenges, proofs of work."""

from __future__ import annotations

import hashlib
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zktrain.errors import MalformedProof, Rejected
from zktrain.field.extension import Ext
from zktrain.prover.kernels.work import find_work
from zktrain.prover.transcript.channel import ProverChannel
from zktrain.transcript import challenger as module
from zktrain.transcript.challenger import Challenger, work_done
from zktrain.transcript.channel import VerifierChannel

pytestmark = pytest.mark.full_work

P = 2**64 - 2**32 + 1
LABELS = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=8)
ABSORBS = st.lists(st.tuples(LABELS, st.binary(max_size=20)), max_size=5)


PIN_FRESH = [2183616019323250206, 16179288149717745990]
PIN_BETA = [
    389823135837356080,
    9319445353243198023,
    5792919581983232095,
    8880339339232321233,
]
PIN_POSITIONS = [75, 152, 384, 513, 541, 643]
PIN_SEED = "302d35366483f56b9771d70ca056c2a2f04079b0758ffa17f31fad146f8bf45d"


class Oracle:
    """The documented state machine, from hashlib alone."""

    def __init__(self, protocol: str) -> None:
        self.state = hashlib.sha256(b"zktrain challenger absorb v1" + protocol.encode()).digest()
        self.pending: list[bytes] = []

    def absorb(self, label: str, data: bytes) -> None:
        size = len(data).to_bytes(8, "little")
        self.pending.append(bytes([len(label)]) + label.encode() + size + data)

    def words(self, label: str, count: int) -> list[int]:
        joined = b"".join(self.pending)
        head = b"zktrain challenger absorb v1" + self.state
        self.state = hashlib.sha256(head + bytes([len(label)]) + label.encode() + joined).digest()
        self.pending = []
        stream = b"".join(
            hashlib.sha256(
                b"zktrain challenger output v1" + self.state + k.to_bytes(8, "little")
            ).digest()
            for k in range(count // 4 + 1)
        )
        return [int.from_bytes(stream[8 * i : 8 * i + 8], "little") for i in range(count)]


def test_known_answers() -> None:
    """Pinned: another value means another protocol."""
    fresh = Challenger("zktrain test v1")
    assert fresh.element("alpha") == Ext(PIN_FRESH[0], PIN_FRESH[1])
    fresh.absorb("data", b"\x00\x01\x02")
    fresh.absorb("empty", b"")
    found = [x for e in fresh.elements("beta", 2) for x in (e.a, e.b)]
    assert found == PIN_BETA
    assert fresh.distinct_indices("positions", 6, 1 << 10) == PIN_POSITIONS
    assert fresh.work_seed("work").hex() == PIN_SEED


@settings(deadline=None)
@given(st.lists(st.tuples(ABSORBS, LABELS, st.integers(0, 9)), max_size=4))
def test_elements_follow_the_documented_hash(
    rounds: list[tuple[list[tuple[str, bytes]], str, int]],
) -> None:
    ours, theirs = Challenger("protocol"), Oracle("protocol")
    for absorbs, label, count in rounds:
        for name, data in absorbs:
            ours.absorb(name, data)
            theirs.absorb(name, data)
        words = theirs.words(label, 2 * count)
        expected = list(zip(words[0::2], words[1::2], strict=True))
        assert [(e.a, e.b) for e in ours.elements(label, count)] == expected


@settings(deadline=None)
@given(ABSORBS, ABSORBS)
def test_different_absorbs_give_different_challenges(
    one: list[tuple[str, bytes]], other: list[tuple[str, bytes]]
) -> None:
    found = []
    for absorbs in (one, other):
        challenger = Challenger("protocol")
        for label, data in absorbs:
            challenger.absorb(label, data)
        found.append(challenger.element("alpha"))
    assert (found[0] == found[1]) == (one == other)


def sequence(*absorbs: tuple[str, bytes], protocol: str = "p", label: str = "c") -> Ext:
    challenger = Challenger(protocol)
    for name, data in absorbs:
        challenger.absorb(name, data)
    return challenger.element(label)


def test_labels_and_lengths_cannot_be_shifted() -> None:
    eight = (3).to_bytes(8, "little")
    variants = [
        sequence(("a", b"bcd")),
        sequence(("ab", b"cd")),
        sequence(("a", b"b"), ("a", b"cd")),
        sequence(("a", b"bc"), ("a", b"d")),
        sequence(("", b"abcd")),
        sequence(("abcd", b"")),
        sequence(("a", b""), ("a", b"bcd")),
        sequence(("a", b"bcd"), ("", b"")),
        sequence(("a", b"bcd"), ("a", b"")),
        sequence(("a", b"\x01a" + eight + b"bcd")),
        sequence(("a", b"bcd\x01a" + eight + b"bcd")),
        sequence(("a", b"bcd"), ("a", b"bcd")),
        sequence(("a", b"bcd\0")),
        sequence(("a", b"\0bcd")),
        sequence(("a", b"bcd"), protocol="q"),
        sequence(("a", b"bcd"), label="d"),
        sequence(("a", b"bcd"), label=""),
        sequence(),
    ]
    assert len(set(variants)) == len(variants)


def test_order_of_absorbs_matters() -> None:
    assert sequence(("a", b"1"), ("b", b"2")) != sequence(("b", b"2"), ("a", b"1"))


def test_label_of_a_challenge_is_no_absorb() -> None:
    """A challenge's label stands before what was absorbed, with its own length."""
    one = Challenger("p")
    one.absorb("ab", b"")
    other = Challenger("p")
    assert one.element("") != other.element("ab")


@pytest.mark.parametrize("label", ["x" * 256, "ä"])
def test_labels_are_short_ascii(label: str) -> None:
    with pytest.raises(ValueError, match=r"range|ascii"):
        Challenger("p").absorb(label, b"")
    assert Challenger("p").absorb("x" * 255, b"") is None


def test_a_changed_bit_changes_all_later_challenges() -> None:
    parts = [("commitment", bytes(32)), ("round", bytes(48)), ("value", b"\x07" * 16)]

    def challenges(changed: int | None, bit: int = 0) -> list[Ext]:
        challenger, out = Challenger("p"), []
        for number, (label, data) in enumerate(parts):
            value = bytearray(data)
            if number == changed:
                value[bit // 8] ^= 1 << bit % 8
            challenger.absorb(label, bytes(value))
            out += challenger.elements("point", 2)
        challenger.absorb("end", b"")
        return [*out, challenger.element("last")]

    true = challenges(None)
    for changed, (_, data) in enumerate(parts):
        for bit in range(0, 8 * len(data), 13):
            found = challenges(changed, bit)
            assert found[: 2 * changed] == true[: 2 * changed]
            later = zip(found[2 * changed :], true[2 * changed :], strict=True)
            assert all(x != y for x, y in later)


def test_challenges_in_a_row_differ() -> None:
    challenger = Challenger("p")
    found = [challenger.element("alpha") for _ in range(50)]
    assert len(set(found)) == 50


@pytest.mark.parametrize("bound", [1 << 63, 1 << 62, 3 << 61])
def test_words_not_below_the_modulus_are_drawn_again(
    bound: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a small modulus rejection is frequent: the accepted words are the stream's, in order."""
    monkeypatch.setattr(module, "P", bound)
    for count in range(6):
        ours, theirs = Challenger("p"), Oracle("p")
        accepted = [word for word in theirs.words("alpha", 200) if word < bound]
        found = [x for e in ours.elements("alpha", count) for x in (e.a, e.b)]
        assert found == accepted[: 2 * count]
        assert ours.element("next") == Ext(
            *[word for word in theirs.words("next", 100) if word < bound][:2]
        )


def test_coordinates_are_below_p() -> None:
    found = Challenger("p").elements("many", 2000)
    cells = [x for e in found for x in (e.a, e.b)]
    assert len(set(cells)) == 4000 and max(cells) < P
    assert sum(cells) / 4000 == pytest.approx(P / 2, rel=0.05)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 12), st.data())
def test_indices_are_distinct_and_those_of_the_stream(log: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, 1 << min(log, 7)))
    found = Challenger("p").distinct_indices("positions", count, 1 << log)
    assert len(found) == count and all(a < b for a, b in pairwise(found))
    expected: set[int] = set()
    for word in Oracle("p").words("positions", 4000):
        if len(expected) == count:
            break
        expected.add(word % (1 << log))
    assert found == sorted(expected)


def test_all_positions_of_a_short_code() -> None:
    assert Challenger("p").distinct_indices("positions", 64, 64) == list(range(64))


def test_positions_are_spread_evenly() -> None:
    challenger, hits = Challenger("p"), np.zeros(16, dtype=int)
    for _ in range(300):
        hits[challenger.distinct_indices("positions", 4, 16)] += 1
    assert hits.sum() == 1200 and hits.min() > 40 and hits.max() < 115


@pytest.mark.parametrize(("count", "bound"), [(5, 4), (1, 3), (2, 100)])
def test_impossible_positions(count: int, bound: int) -> None:
    with pytest.raises(ValueError, match="power of two"):
        Challenger("p").distinct_indices("positions", count, bound)


def test_trace_lists_every_site_in_order() -> None:
    trace: list[tuple[str, str, int]] = []
    challenger = Challenger("p", trace)
    challenger.absorb("a", b"123")
    challenger.element("b")
    challenger.elements("c", 3)
    challenger.distinct_indices("d", 2, 8)
    challenger.work_seed("e")
    assert trace == [
        ("absorb", "a", 3),
        ("challenge", "b", 1),
        ("challenge", "c", 3),
        ("indices", "d", 2),
        ("work", "e", 0),
    ]
    untraced = Challenger("p")
    untraced.absorb("a", b"123")
    assert untraced.element("b") == sequence(("a", b"123"), label="b")


# proofs of work


def zero_bits(seed: bytes, nonce: int) -> int:
    data = b"zktrain challenger work v1" + seed + nonce.to_bytes(8, "little")
    digest = hashlib.sha256(data).digest()
    return 256 - int.from_bytes(digest, "big").bit_length()


@pytest.mark.parametrize("bits", [0, 1, 4, 9, 12])
def test_smallest_nonce_with_the_work(bits: int) -> None:
    seed = hashlib.sha256(bytes([bits])).digest()
    nonce = find_work(seed, bits)
    assert zero_bits(seed, nonce) >= bits
    assert all(zero_bits(seed, n) < bits for n in range(nonce))
    for n in range(40):
        assert work_done(seed, n, bits) == (zero_bits(seed, n) >= bits)


def challenger_with(data: bytes) -> Challenger:
    out = Challenger("work")
    out.absorb("data", data)
    return out


def test_work_is_checked_and_bound_to_what_came_before() -> None:
    prover = ProverChannel(challenger_with(b"x"))
    prover.send_work("work", 10)
    proof = prover.proof()
    assert len(proof) == 8
    reading = VerifierChannel(challenger_with(b"x"), proof)
    reading.receive_work("work", 10)
    reading.finish()
    assert reading.challenger.element("next") == prover.challenger.element("next")
    for data, bits in ((b"y", 10), (b"x", 40)):
        with pytest.raises(Rejected, match="proof of work"):
            VerifierChannel(challenger_with(data), proof).receive_work("work", bits)
    with pytest.raises(MalformedProof):
        VerifierChannel(challenger_with(b"x"), proof[:7]).receive_work("work", 10)


def test_another_nonce_gives_another_challenge() -> None:
    seed = challenger_with(b"x").work_seed("work")
    nonces = [n for n in range(2000) if work_done(seed, n, 4)][:3]
    found = []
    for nonce in nonces:
        reading = VerifierChannel(challenger_with(b"x"), nonce.to_bytes(8, "little"))
        reading.receive_work("work", 4)
        found.append(reading.challenger.element("next"))
    assert len(set(found)) == 3


def test_no_work_is_no_byte() -> None:
    prover = ProverChannel(challenger_with(b"x"))
    prover.send_work("work", 0)
    assert prover.proof() == b""
    VerifierChannel(challenger_with(b"x"), b"").receive_work("work", 0)


# what is read is absorbed


def test_both_sides_reach_the_same_state() -> None:
    cells = np.array([[0, P - 1], [5, 2**32]], dtype=np.uint64)
    prover = ProverChannel(Challenger("channel"))
    prover.send("claims/value", [Ext(1, 2), Ext(P - 1, 0)])
    prover.send_digest("tree/root", bytes(range(32)))
    prover.send_cells("tree/rows", cells)
    reading = VerifierChannel(Challenger("channel"), prover.proof())
    assert reading.receive("claims/value", 2) == [Ext(1, 2), Ext(P - 1, 0)]
    assert reading.receive_digest("tree/root") == bytes(range(32))
    assert reading.receive_cells("tree/rows", (2, 2)).tolist() == cells.tolist()
    reading.finish()
    assert reading.sizes == prover.sizes == {"claims": 32, "tree": 64}
    assert reading.challenger.element("c") == prover.challenger.element("c")


@pytest.mark.parametrize("count", [0, 1, 3])
def test_several_hashes_are_as_many_messages(count: int) -> None:
    digests = [bytes([i]) * 32 for i in range(count)]
    prover = ProverChannel(Challenger("channel", sent := []))
    for digest in digests:
        prover.send_digest("tree/path", digest)
    reading = VerifierChannel(Challenger("channel", received := []), prover.proof())
    assert reading.receive_digests("tree/path", count) == digests
    reading.finish()
    assert received == sent == [("absorb", "tree/path", 32)] * count
    assert reading.challenger.element("c") == prover.challenger.element("c")


@pytest.mark.parametrize("word", [P, P + 1, 2**64 - 1])
def test_only_canonical_field_elements(word: int) -> None:
    low, good = word.to_bytes(8, "little"), (P - 1).to_bytes(8, "little")
    for data in (low + good, good + low):
        with pytest.raises(MalformedProof, match="not below p"):
            VerifierChannel(Challenger("c"), data).receive("v", 1)
        with pytest.raises(MalformedProof, match="not below p"):
            VerifierChannel(Challenger("c"), data).receive_cells("v", (1, 2))
    assert VerifierChannel(Challenger("c"), good + good).receive("v", 1) == [Ext(P - 1, P - 1)]


def test_nothing_is_allocated_for_what_is_not_there() -> None:
    for shape in ((1 << 40, 1 << 20), (3, 3)):
        with pytest.raises(MalformedProof, match="ends inside"):
            VerifierChannel(Challenger("c"), bytes(64)).receive_cells("v", shape)
    with pytest.raises(MalformedProof, match="ends inside"):
        VerifierChannel(Challenger("c"), bytes(31)).receive_digest("v")
    with pytest.raises(MalformedProof, match="ends inside"):
        VerifierChannel(Challenger("c"), bytes(95)).receive_digests("v", 3)
