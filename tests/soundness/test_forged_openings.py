"""Attacks on the polynomial commitment alone: three levels of folding, several tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import Any
from unittest import mock

import harness as h
import numpy as np
import pytest
from check_sites import refused_by
from patched import everywhere

from zktrain.commitment import merkle, opening
from zktrain.commitment.packing import Claim, Packing, claim_on, pack
from zktrain.commitment.parameters import Level, radius, rate
from zktrain.errors import CommitmentMismatch, MalformedProof, OpeningMismatch, ZktrainError
from zktrain.field import extension as ext
from zktrain.field import multilinear as ml
from zktrain.field.extension import ONE, ZERO, Ext, ExtVec, Point
from zktrain.field.goldilocks import P
from zktrain.prover.arguments import sumcheck
from zktrain.prover.commitment import merkle as prover_merkle
from zktrain.prover.commitment import opening as prover_opening
from zktrain.prover.commitment.commit import Committed, commit
from zktrain.prover.transcript.channel import ProverChannel
from zktrain.transcript.challenger import Challenger
from zktrain.transcript.channel import VerifierChannel

LANE_LOG, BITS = 16, 107.0
SIZES = {"a": 17, "b": 15, "c": 12}


@cache
def _packing() -> Packing:
    return pack([(name, log, 1 << log) for name, log in SIZES.items()], LANE_LOG)


@cache
def _committed() -> Committed:
    random = np.random.default_rng(3)
    tensors = {
        name: random.integers(-1000, 1000, 1 << log, dtype=np.int64) for name, log in SIZES.items()
    }
    return commit(_packing(), tensors)


def _point(name: str, seed: int = 0) -> Point:
    challenger = Challenger(f"point {name} {seed}")
    return tuple(challenger.elements("point", SIZES[name]))


@cache
def _claims() -> tuple[Claim, ...]:
    """Two true claims on ``a``, one each on ``b`` and ``c``."""
    tensors = _committed().tensors
    places = [("a", _point("a")), ("a", _point("a", 1)), ("b", _point("b")), ("c", _point("c"))]
    return tuple(
        claim_on(0, name, point, ml.evaluate_integers(tensors[name][: 1 << SIZES[name]], point))
        for name, point in places
    )


def _prove(claims: tuple[Claim, ...], committed: Committed | None = None) -> bytes:
    channel = ProverChannel(Challenger("opening test"))
    prover_opening.prove(channel, "opening", [committed or _committed()], claims, BITS)
    return channel.proof()


def _judge(claims: tuple[Claim, ...], proof: bytes, root: bytes | None = None) -> None:
    channel = VerifierChannel(Challenger("opening test"), proof)
    roots = [_committed().root if root is None else root]
    opening.verify(channel, "opening", roots, [_packing()], claims, BITS)
    channel.finish()


@cache
def _honest_is_accepted() -> bool:
    _judge(_claims(), _prove(_claims()))
    return True


def _refuse(
    claims: tuple[Claim, ...],
    proof: bytes,
    error: type[ZktrainError],
    check: h.Check,
    root: bytes | None = None,
) -> None:
    """Rejected by this check, accepted without it."""
    assert _honest_is_accepted()
    refused_by(check.sites, lambda: _judge(claims, proof, root), error, check.message)


def _with_value(number: int, change: Ext) -> tuple[Claim, ...]:
    claims = list(_claims())
    claims[number] = replace(claims[number], value=claims[number].value + change)
    return tuple(claims)


def _levels() -> tuple[Level, ...]:
    return opening.level_plan([_packing()], BITS, hiding=False).levels


def test_the_test_has_three_levels() -> None:
    """The attacks below reach a first, a middle and a last commitment."""
    assert len(_levels()) == 3


@pytest.mark.parametrize("number", range(4))
def test_false_claim(number: int) -> None:
    """One evaluation is off by one."""
    claims = _with_value(number, ONE)
    _refuse(claims, _prove(claims), OpeningMismatch, h.OPENING)


def test_claim_answered_from_another_block() -> None:
    """The value that one tensor has is claimed for another one at the same point."""
    other = _committed().tensors["a"][: 1 << SIZES["b"]]
    claims = list(_claims())
    claims[2] = replace(claims[2], value=ml.evaluate_integers(other, claims[2].terms[0].point))
    _refuse(tuple(claims), _prove(tuple(claims)), OpeningMismatch, h.OPENING)


def test_claim_answered_from_outside_of_a_block() -> None:
    """A point of the whole cube is no point of a smaller tensor."""
    assert _honest_is_accepted()
    claims = list(_claims())
    first = claims[3].terms[0].point
    point = (*first[:-1], first[-1] + 1)
    claims[3] = replace(claims[3], terms=(replace(claims[3].terms[0], point=point),))
    _refuse(tuple(claims), _prove(tuple(claims)), OpeningMismatch, h.OPENING)


@contextmanager
def _rigged(label: str, value: Ext) -> Iterator[None]:
    element = Challenger.element

    def rigged(challenger: Challenger, asked: str) -> Ext:
        drawn = element(challenger, asked)
        return value if asked == label else drawn

    with mock.patch.object(Challenger, "element", rigged):
        yield


def test_two_false_claims_that_cancel() -> None:
    """``v1 + d`` and ``v2 - d`` would pass if the claims were simply added up."""
    claims = list(_with_value(0, Ext(5, 3)))
    claims[1] = replace(claims[1], value=claims[1].value - Ext(5, 3))
    _refuse(tuple(claims), _prove(tuple(claims)), OpeningMismatch, h.OPENING)
    with _rigged("opening/gamma", ONE):
        _judge(tuple(claims), _prove(tuple(claims)))


def test_two_claims_exchanged() -> None:
    """Two true values of one tensor, each at the other's point."""
    first, second, *others = _claims()
    claims = (replace(first, value=second.value), replace(second, value=first.value), *others)
    _refuse(claims, _prove(claims), OpeningMismatch, h.OPENING)


@contextmanager
def _cells(label: str, change: Callable[[Any], Any], occurrence: int = 0) -> Iterator[None]:
    """Other cells in one message, absorbed as sent."""
    send, seen = ProverChannel.send_cells, [0]

    def lie(channel: ProverChannel, name: str, cells: Any) -> None:
        if name == label:
            cells = change(cells.copy()) if seen[0] == occurrence else cells
            seen[0] += 1
        send(channel, name, cells)

    with mock.patch.object(ProverChannel, "send_cells", lie):
        yield


def _plus(cells: Any, place: tuple[int, ...], value: int = 1) -> Any:
    cells[place] = (int(cells[place]) + value) % P
    return cells


def test_opened_value_forged() -> None:
    """The value that the batched claims reduce to is off by one."""
    assert _honest_is_accepted()
    send = ProverChannel.send

    def lie(channel: ProverChannel, label: str, values: list[Ext]) -> None:
        send(channel, label, [values[0] + 1] if label == "opening/value" else values)

    with mock.patch.object(ProverChannel, "send", lie):
        proof = _prove(_claims())
    with pytest.raises(OpeningMismatch, match=h.OPENING.message):
        _judge(_claims(), proof)
    with h.without(h.OPENING):
        _refuse(_claims(), proof, OpeningMismatch, h.CLEAR_CLAIM)


@contextmanager
def _last_weights() -> Iterator[list[ExtVec]]:
    """The weights that the clear vector has to meet, as the prover knows them."""
    prove, seen = sumcheck.prove, []

    def watch(channel: ProverChannel, label: str, machine: Any, **options: Any) -> Point:
        point = prove(channel, label, machine, **options)
        if label == "opening/fold":
            seen[:] = [machine.terms[0][1]]
        return point

    with mock.patch.object(sumcheck, "prove", watch):
        yield seen


def test_clear_vector_that_meets_the_claim_but_not_its_commitment() -> None:
    """Two entries of the last vector change so that the final claim still holds."""
    with _last_weights() as weights:

        def forge(clear: Any) -> Any:
            w0, w1 = (ext.scalar(weights[0], (i,)) for i in (0, 1))
            for index, change in ((0, w1), (1, -w0)):
                clear[index, 0] = (int(clear[index, 0]) + change.a) % P
                clear[index, 1] = (int(clear[index, 1]) + change.b) % P
            return clear

        with _cells("opening/clear", forge):
            proof = _prove(_claims())
    _refuse(_claims(), proof, OpeningMismatch, h.CLEAR_FOLD)


def test_clear_vector_with_one_entry_changed() -> None:
    """Both checks of the clear vector see it."""
    assert _honest_is_accepted()
    with _cells("opening/clear", lambda clear: _plus(clear, (7, 1))):
        proof = _prove(_claims())
    with pytest.raises(OpeningMismatch, match=h.CLEAR_FOLD.message):
        _judge(_claims(), proof)
    with h.without(h.CLEAR_FOLD):
        _refuse(_claims(), proof, OpeningMismatch, h.CLEAR_CLAIM)


@contextmanager
def _folded(level: int, change: Callable[[ExtVec], None], keep: bool) -> Iterator[None]:
    """Another vector is committed at ``level``; with ``keep`` the true one is used later on."""
    from zktrain.prover.kernels import commit as kernel

    fill, calls = kernel.fill_pairs, [0]

    def lie(values: ExtVec, rows: int, first: int, matrix: Any, *piece: Any) -> None:
        calls[0] += not first
        if not first and calls[0] == level:
            forged = values.copy() if keep else values
            change(forged)
            values = forged
        fill(values, rows, first, matrix, *piece)

    with everywhere(kernel, "fill_pairs", lie):
        yield


def _add_one_everywhere(f: ExtVec) -> None:
    f[0] = [(int(v) + 1) % P for v in f[0]]


@pytest.mark.parametrize("level", [1, 2])
def test_next_vector_unrelated_to_the_fold(level: int) -> None:
    """A level commits to another vector than the fold of the one before, and goes on with it."""
    with _folded(level, _add_one_everywhere, keep=False):
        proof = _prove(_claims())
    _refuse(_claims(), proof, OpeningMismatch, h.CLEAR_CLAIM)


def test_next_vector_with_the_right_evaluation_only() -> None:
    """The forged vector meets the evaluation claim: only the opened rows contradict it."""
    seen: list[Point] = []
    prove = prover_opening.ligerito.prove

    def watch(*args: Any) -> None:
        seen.append(args[4])
        prove(*args)

    def forge(f: ExtVec) -> None:
        weights = ml.eq_table(seen[-1][:LANE_LOG])
        w0, w1 = (ext.scalar(weights, (i,)) for i in (0, 1))
        for index, change in ((0, w1), (1, -w0)):
            f[0, index] = (int(f[0, index]) + change.a) % P
            f[1, index] = (int(f[1, index]) + change.b) % P

    with mock.patch.object(prover_opening.ligerito, "prove", watch):
        with _folded(1, forge, keep=False):
            proof = _prove(_claims())
        _refuse(_claims(), proof, OpeningMismatch, h.CLEAR_CLAIM)
        with _rigged("opening/beta", ZERO), _folded(1, forge, keep=False):
            _judge(_claims(), _prove(_claims()))


@pytest.mark.parametrize(("level", "check"), [(1, h.CLEAR_CLAIM), (2, h.CLEAR_FOLD)])
def test_commitment_to_another_vector_than_the_one_used(level: int, check: h.Check) -> None:
    """A middle or the last commitment is to something else; all later messages are honest."""
    with _folded(level, _add_one_everywhere, keep=True):
        proof = _prove(_claims())
    _refuse(_claims(), proof, OpeningMismatch, check)


@pytest.mark.parametrize("share", [0.26, 0.5, 1.0])
def test_code_word_corrupted_beyond_the_decoding_radius(share: float) -> None:
    """At rate 1/2 a word that differs from the code in more than a quarter of its positions."""
    code = _committed().code.copy()
    places = np.random.default_rng(4).permutation(len(code))[: int(share * len(code))]
    code[places, 0] ^= np.uint64(1)
    corrupted = replace(_committed(), code=code, tree=prover_merkle.build(code))
    proof = _prove(_claims(), corrupted)
    _refuse(_claims(), proof, OpeningMismatch, h.CLEAR_CLAIM, corrupted.root)


def test_last_code_word_corrupted_beyond_the_decoding_radius() -> None:
    """At rate 1/16, one position more than the radius."""
    from zktrain.prover.kernels import ntt

    last = _levels()[-1]
    assert rate(last.code_log, last.message_log) == 1 / 16
    bad = radius(last.code_log, last.message_log) + 1
    transform, calls = ntt.transform, [0]

    def corrupt(matrix: Any, filled: int | None = None) -> None:
        transform(matrix, filled)
        if filled is None:  # no code word
            return
        calls[0] += 1
        if calls[0] == 2:
            assert len(matrix) == 1 << last.code_log
            matrix[np.random.default_rng(5).permutation(len(matrix))[:bad], 3] ^= np.uint64(1)

    with mock.patch.object(ntt, "transform", corrupt):
        proof = _prove(_claims())
    assert calls[0] == 2
    _refuse(_claims(), proof, OpeningMismatch, h.CLEAR_FOLD)


@pytest.mark.parametrize("level", range(3))
def test_opened_row_changed(level: int) -> None:
    """A row that is not the leaf of the tree, at every level."""
    assert _honest_is_accepted()
    with _cells("opening/rows", lambda rows: _plus(rows, (5, 1)), level):
        proof = _prove(_claims())
    with pytest.raises(CommitmentMismatch, match=h.MERKLE.message):
        _judge(_claims(), proof)
    with h.without(h.MERKLE), pytest.raises(OpeningMismatch):
        _judge(_claims(), proof)


def test_rows_exchanged() -> None:
    """Two opened rows in each other's place."""
    assert _honest_is_accepted()
    with _cells("opening/rows", lambda rows: rows[[1, 0, *range(2, len(rows))]]):
        proof = _prove(_claims())
    with pytest.raises(CommitmentMismatch):
        _judge(_claims(), proof)


def test_rows_opened_at_other_positions() -> None:
    """The neighbours of the drawn positions are opened, with their own paths."""
    assert _honest_is_accepted()
    draw = Challenger.distinct_indices

    def lie(challenger: Challenger, label: str, count: int, bound: int) -> list[int]:
        return sorted(index ^ 1 for index in draw(challenger, label, count, bound))

    with mock.patch.object(Challenger, "distinct_indices", lie):
        proof = _prove(_claims())
    with pytest.raises(CommitmentMismatch):
        _judge(_claims(), proof)


def test_path_changed() -> None:
    """A sibling in a Merkle path is another hash."""
    assert _honest_is_accepted()
    send, seen = ProverChannel.send_digest, [0]

    def lie(channel: ProverChannel, label: str, digest: bytes) -> None:
        seen[0] += label == "opening/path"
        send(channel, label, bytes(32) if seen[0] == 9 and label == "opening/path" else digest)

    with mock.patch.object(ProverChannel, "send_digest", lie):
        proof = _prove(_claims())
    with pytest.raises(CommitmentMismatch):
        _judge(_claims(), proof)


def test_opening_under_another_root() -> None:
    """A right proof about other lanes."""
    assert _honest_is_accepted()
    with pytest.raises(CommitmentMismatch):
        _judge(_claims(), _prove(_claims()), bytes(32))


def test_root_of_the_next_level_as_leaf() -> None:
    """Leaves and nodes are hashed apart: the two halves of a tree are not a leaf."""
    tree = _committed().tree
    inner = np.ascontiguousarray(tree.levels[-2].reshape(1, 8))
    channel = VerifierChannel(Challenger("depth"), b"")
    with pytest.raises(CommitmentMismatch):
        merkle.verify(channel, "opening", tree.root, 0, [0], inner)


@pytest.mark.parametrize("change", [P, 2 * P])
def test_clear_vector_with_a_cell_that_is_not_reduced(change: int) -> None:
    """The same residue with another representative."""
    assert _honest_is_accepted()
    if change >= 1 << 64:
        change = (1 << 64) - 1

    def lie(clear: Any) -> Any:
        clear[0, 0] = np.uint64(change)
        return clear

    with _cells("opening/clear", lie):
        proof = _prove(_claims())
    with pytest.raises(MalformedProof, match="not below p"):
        _judge(_claims(), proof)


def test_query_positions_are_never_drawn_twice() -> None:
    """A stream full of repetitions still gives distinct, ascending positions."""
    words = [5, 5, 5, 9, 5, 9, 3, 3, 1 << 20 | 5, 7, 7, 6]
    with mock.patch.object(Challenger, "_words", return_value=iter(words)):
        assert Challenger("t").distinct_indices("x", 5, 16) == [3, 5, 6, 7, 9]
    drawn = Challenger("t").distinct_indices("x", 60, 64)
    assert drawn == sorted(set(drawn)) and len(drawn) == 60
    with pytest.raises(ValueError, match="power of two"):
        Challenger("t").distinct_indices("x", 65, 64)
