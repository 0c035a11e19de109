"""Words that are no code words, against the formulas: how often do they pass a few openings?

Codes are short and few positions are opened, so that forgeries succeed often enough to be counted.
Only a nonce that is absorbed first differs between trials; rates are compared with ``C(good, t) /
C(n, t)`` within ``SIGMA`` standard deviations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from math import comb, sqrt
from typing import Any
from unittest import mock

import harness as h
import hiding_harness as hh
import numpy as np
import pytest
from patched import everywhere

from zktrain.commitment import ligerito, ligero, merkle, parameters
from zktrain.commitment.packing import Block, Packing
from zktrain.commitment.parameters import Level, Plan, arrange_parts
from zktrain.errors import CommitmentMismatch, HiddenMismatch, MalformedProof, OpeningMismatch
from zktrain.field import extension as ext
from zktrain.field import multilinear as ml
from zktrain.field.extension import Ext, ExtVec, Point
from zktrain.field.goldilocks import P
from zktrain.prover.commitment import ligerito as prover_ligerito
from zktrain.prover.commitment import ligero as prover_ligero
from zktrain.prover.commitment import merkle as prover_merkle
from zktrain.prover.commitment.commit import Committed, commit
from zktrain.prover.randomness import expand
from zktrain.prover.transcript.channel import ProverChannel
from zktrain.transcript.challenger import Challenger
from zktrain.transcript.channel import VerifierChannel

TRIALS, SIGMA = 200, 3.3
LANE_LOG, FOLD = 5, 2
SIZE, LANES = 1 << LANE_LOG, 1 << FOLD


def chance(total: int, good: int, drawn: int) -> float:
    """All of ``drawn`` different positions are good ones."""
    return comb(good, drawn) / comb(total, drawn)


def compare(accepted: int, expected: float, bound: float = 1.0, trials: int = TRIALS) -> None:
    """The rate is the expected one, which is within the bound, but for rounding."""
    assert expected <= bound * (1 + 1e-12)
    deviation = sqrt(expected * (1 - expected) / trials)
    assert abs(accepted / trials - expected) <= SIGMA * deviation + 1e-9


def stated(level: Level) -> float:
    """The bound of the budget for a far word."""
    sizes = (level.code_log, level.message_log, level.queries, level.tail)
    return 2.0 ** -parameters.query_bits(*sizes)


def _plan(levels: int, queries: int) -> Plan:
    """One or two levels of rates 1/2 and 1/4, the last of which opens ``queries`` positions."""
    first = Level(LANE_LOG, LANE_LOG + 1, FOLD, queries if levels == 1 else 4)
    if levels == 1:
        return Plan(LANE_LOG + FOLD, (first,), ())
    message = LANE_LOG - 1
    parts = arrange_parts([LANE_LOG], message)
    level = Level(message, message + 2, 1, queries, parts=parts)
    return Plan(LANE_LOG + FOLD, (first,), (level,))


PACKING = Packing((Block("a", LANE_LOG + FOLD, 0, SIZE * LANES),), LANE_LOG + FOLD, LANE_LOG)


@cache
def _committed() -> Committed:
    random = np.random.default_rng(7)
    return commit(PACKING, {"a": random.integers(-1000, 1000, SIZE * LANES)})


def _z(nonce: int) -> Point:
    """Lane coordinates come after the commitment, so they differ between trials too."""
    return tuple(Challenger(f"point {nonce}").elements("z", LANE_LOG + FOLD))


def _value(committed: Committed, z: Point) -> Ext:
    from zktrain.prover.kernels.field import evaluate

    return evaluate(committed.tensors["a"], z)


def _challenger(nonce: int) -> Challenger:
    challenger = Challenger("code words")
    challenger.absorb("nonce", nonce.to_bytes(8, "little"))
    return challenger


def _attempt(
    nonce: int,
    plan: Plan,
    committed: Committed,
    value: Ext,
    root: bytes | None = None,
    packing: Packing = PACKING,
) -> None:
    """The opening of ``committed`` as its author sees it, judged as one of ``packing``."""
    prover = ProverChannel(_challenger(nonce))
    z, random = _z(nonce), expand(h.SECRET, f"attempt {nonce}")
    prover_ligerito.prove(prover, "opening", [committed], plan, z, random)
    verifier = VerifierChannel(_challenger(nonce), prover.proof())
    roots = [committed.root if root is None else root]
    ligerito.verify(verifier, "opening", roots, [packing], plan, z, value)
    verifier.finish()


def _accepted(attempt: Callable[[int], None], trials: int = TRIALS) -> int:
    """How many attempts are accepted; the others end in the error of an opening."""
    count = 0
    for nonce in range(trials):
        try:
            attempt(nonce)
            count += 1
        except (OpeningMismatch, HiddenMismatch):
            pass
    return count


def _spoilt(code: np.ndarray, bad: int, column: int = 0) -> np.ndarray:
    out = code.copy()
    out[np.random.default_rng(8).permutation(len(out))[:bad], column] ^= np.uint64(1)
    return out


def test_honest_words_pass() -> None:
    """With one level and with two."""
    for levels in (1, 2):
        for nonce in range(3):
            _attempt(nonce, _plan(levels, 4), _committed(), _value(_committed(), _z(nonce)))


@pytest.mark.parametrize("queries", [4])
@pytest.mark.parametrize("share", [1 / 8, 1 / 4, 3 / 8])
def test_corrupted_first_level(share: float, queries: int) -> None:
    """At half the radius of the code, at the radius, and beyond; all else is honest."""
    plan = _plan(1, queries)
    n = 2 * SIZE
    bad = int(share * n)
    code = _spoilt(_committed().code, bad)
    word = replace(_committed(), code=code, tree=prover_merkle.build(code))
    count = _accepted(lambda nonce: _attempt(nonce, plan, word, _value(word, _z(nonce))))
    level = plan.levels[0]
    far = bad > parameters.radius(level.code_log, level.message_log)
    compare(count, chance(n, n - bad, queries), stated(level) if far else 1.0)


@pytest.mark.parametrize("queries", [4])
@pytest.mark.parametrize("share", [1 / 8, 3 / 8, 1 / 2])
def test_corrupted_deeper_level(share: float, queries: int) -> None:
    """The commitment to the folded vector, at rate 1/4."""
    from zktrain.prover.kernels import ntt

    plan, true = _plan(2, queries), _committed()
    level = plan.levels[1]
    n = 1 << level.code_log
    bad = int(share * n)
    transform = ntt.transform

    def corrupt(matrix: Any, filled: int | None = None) -> None:
        transform(matrix, filled)
        if filled is None:  # no code word
            return
        matrix[:] = _spoilt(matrix, bad, 1)

    with mock.patch.object(ntt, "transform", corrupt):
        count = _accepted(lambda nonce: _attempt(nonce, plan, true, _value(true, _z(nonce))))
    far = bad > parameters.radius(level.code_log, level.message_log)
    compare(count, chance(n, n - bad, queries), stated(level) if far else 1.0)


def _points(code_log: int) -> list[int]:
    return [prover_ligerito.code_point(i, code_log) for i in range(1 << code_log)]


def _vanishing(roots: list[int]) -> list[int]:
    """Coefficients of ``prod (X - root)``."""
    out = [1]
    for root in roots:
        shifted = [0, *out]
        out = [(a - root * b) % P for a, b in zip(shifted, [*out, 0], strict=True)]
    return out


def _signed(values: list[int]) -> np.ndarray:
    return np.array([v - P if v > P // 2 else v for v in values], dtype=np.int64)


def _between(packing: Packing, degree: int, errors: int) -> tuple[Committed, Committed]:
    """A word between two polynomials per lane, as the author of each of them would open it.

    The second is the first plus a multiple of a polynomial of this degree that vanishes at as many
    positions. The word is the second one's there and at ``errors`` more, else the first one's.
    """
    first = commit(packing, dict(_committed().tensors), expand(h.SECRET, "tails"))
    n, points = len(first.code), _points(len(first.code).bit_length() - 1)
    order = np.random.default_rng(9).permutation(n)
    zeros, wrong = order[:degree], order[degree : degree + errors]
    difference = _vanishing([points[i] for i in zeros])
    difference += [0] * (SIZE - len(difference))
    message, tail = difference[:SIZE], difference[SIZE:]
    code = first.code.copy()
    for i in wrong:
        at = sum(c * pow(points[i], k, P) for k, c in enumerate(difference)) % P
        for lane in range(code.shape[1]):
            code[i, lane] = (int(code[i, lane]) + at) % P
    cells = first.tensors["a"][: LANES * SIZE].reshape(LANES, SIZE)
    tensor = cells.astype(object) + np.array(message, object)
    tensors = {"a": _signed([int(v) % P for v in tensor.reshape(-1)])}
    own, tails = packing, first.tails
    if tail:
        assert first.tails is not None
        own = replace(packing, tail=len(tail))
        tails = np.zeros((LANES, len(tail)), dtype=np.uint64)
        tails[:, : packing.tail] = first.tails
        shifted = tails.astype(object) + np.array(tail, object)
        tails = (shifted % P).astype(np.uint64)
    tree = prover_merkle.build(code, first.salts)
    spoilt = replace(first, code=code, tree=tree)
    return spoilt, replace(spoilt, packing=own, tensors=tensors, tails=tails)


@pytest.mark.parametrize("queries", [6])
def test_word_between_two_code_words(queries: int) -> None:
    """One commitment, opened to two different values: each as often as positions agree with it, and
    the one that is farther away not more often than the budget says."""
    level = _plan(1, queries).levels[0]
    n = 1 << level.code_log
    errors = parameters.radius(level.code_log, LANE_LOG)
    near, far = _between(PACKING, SIZE - 1, errors)
    plan = _plan(1, queries)
    count = _accepted(lambda nonce: _attempt(nonce, plan, near, _value(near, _z(nonce))))
    compare(count, chance(n, n - errors, queries))
    count = _accepted(lambda nonce: _attempt(nonce, plan, far, _value(far, _z(nonce))))
    compare(count, chance(n, SIZE - 1 + errors, queries), stated(level))


TAIL = 4
HIDDEN = Packing(PACKING.blocks, PACKING.log_size, LANE_LOG, TAIL)


def _hidden_plan(queries: int) -> Plan:
    """Lanes with a tail of 4, and a masked level of lanes of 16 coefficients."""
    message = LANE_LOG - 1
    first = Level(LANE_LOG, LANE_LOG + 2, FOLD, queries, TAIL)
    parts = arrange_parts([LANE_LOG, 2], message)
    level = Level(message, message + 3, 2, 3, 8, parts, masked=True)
    return Plan(LANE_LOG + FOLD, (first,), (level,))


def test_honest_hiding_words_pass() -> None:
    """With tails and a mask, in clear channels."""
    word = commit(HIDDEN, dict(_committed().tensors), expand(h.SECRET, "tails"))
    for nonce in range(5):
        value = _value(word, _z(nonce))
        _attempt(nonce, _hidden_plan(5), word, value, packing=HIDDEN)


def test_corrupted_word_with_tails() -> None:
    """The rate that counts is that of messages and tails together."""
    plan, bad = _hidden_plan(5), 60
    level = plan.levels[0]
    n = 1 << level.code_log
    word = commit(HIDDEN, dict(_committed().tensors), expand(h.SECRET, "tails"))
    code = _spoilt(word.code, bad)
    word = replace(word, code=code, tree=prover_merkle.build(code, word.salts))

    def attempt(nonce: int) -> None:
        _attempt(nonce, plan, word, _value(word, _z(nonce)), packing=HIDDEN)

    compare(_accepted(attempt), chance(n, n - bad, 5), stated(level))


def test_word_between_two_code_words_with_tails() -> None:
    """As above, of a code whose rate the tails raise."""
    plan = _hidden_plan(8)
    level = plan.levels[0]
    n = 1 << level.code_log
    errors = parameters.radius(level.code_log, LANE_LOG, TAIL)
    degree = SIZE + TAIL - 1
    _, far = _between(HIDDEN, degree, errors)

    def attempt(nonce: int) -> None:
        _attempt(nonce, plan, far, _value(far, _z(nonce)), packing=HIDDEN)

    compare(_accepted(attempt), chance(n, degree + errors, 8), stated(level))


def test_tail_longer_than_stated() -> None:
    """The carried lane has room for 16 coefficients, the tail has 4. A word whose tails are longer
    is none of the code; it would pass far more often than the budget says."""
    plan = _hidden_plan(8)
    level = plan.levels[0]
    n = 1 << level.code_log
    errors = parameters.radius(level.code_log, LANE_LOG, TAIL)
    degree = SIZE + SIZE // 2 - 1
    _, far = _between(HIDDEN, degree, errors)

    def attempt(nonce: int) -> None:
        _attempt(nonce, plan, far, _value(far, _z(nonce)), packing=HIDDEN)

    assert _accepted(attempt, 120) == 0
    assert far.tails is not None and far.tails.shape[1] > TAIL
    assert chance(n, degree + errors, 8) > 1.15 * stated(level)
    known = (Ext(0),) * (LANE_LOG - 1)
    zero = everywhere(ligerito, "zero_point_of", lambda *_: known)
    with zero:  # a place that is known says nothing
        compare(_accepted(attempt, 120), chance(n, degree + errors, 8), trials=120)


@contextmanager
def _next_vector(change: Callable[[ExtVec], None]) -> Iterator[None]:
    """Level 1 commits to another vector than the fold, and goes on with it."""
    from zktrain.prover.kernels import commit as kernel

    fill = kernel.fill_pairs

    def lie(values: ExtVec, rows: int, first: int, matrix: Any, *piece: Any) -> None:
        if not first:
            change(values)
        fill(values, rows, first, matrix, *piece)

    with everywhere(kernel, "fill_pairs", lie):
        yield


def test_next_vector_unrelated_to_the_fold() -> None:
    """It agrees with the fold nowhere."""
    plan, true = _plan(2, 3), _committed()

    def other(f: ExtVec) -> None:
        f[:] = np.random.default_rng(10).integers(0, P, f.shape, dtype=np.uint64)

    with _next_vector(other):
        assert _accepted(lambda n: _attempt(n, plan, true, _value(true, _z(n))), 60) == 0


@pytest.mark.parametrize("queries", [2])
def test_next_vector_that_agrees_where_it_can(queries: int) -> None:
    """It meets the evaluation claim and agrees with the fold at as many positions as a polynomial
    of its degree can: ``k - 2`` of them, with one coefficient left for the claim."""
    plan, true = _plan(2, 3), _committed()
    plan = replace(plan, commitments=(replace(plan.commitments[0], queries=queries),))
    level, points, nonces = plan.levels[0], _points(LANE_LOG + 1), []
    zeros = np.random.default_rng(11).permutation(len(points))[: SIZE - 2]
    base = _vanishing([points[i] for i in zeros])
    low = ext.from_base(np.array([[*base, 0], [0, *base]], dtype=np.uint64))

    def forge(f: ExtVec) -> None:
        weights = ml.eq_table(_z(nonces[-1])[:LANE_LOG])
        at = [ext.dot(np.ascontiguousarray(low[:, i]), weights) for i in (0, 1)]
        change = ext.sub(ext.scale(low[:, 0], at[1]), ext.scale(low[:, 1], at[0]))
        f[:] = ext.add(f, change)

    def attempt(nonce: int) -> None:
        nonces.append(nonce)
        _attempt(nonce, plan, true, _value(true, _z(nonce)))

    with _next_vector(forge):
        count = _accepted(attempt)
    compare(count, chance(1 << level.code_log, SIZE - 2, queries), stated(level))


# Confusion of trees, leaves and positions.


def _honest(nonce: int = 0) -> tuple[Plan, bytes]:
    plan, channel = _plan(2, 4), ProverChannel(_challenger(nonce))
    prover_ligerito.prove(channel, "opening", [_committed()], plan, _z(nonce))
    return plan, channel.proof()


def _judge(plan: Plan, proof: bytes, root: bytes) -> None:
    channel = VerifierChannel(_challenger(0), proof)
    value = _value(_committed(), _z(0))
    ligerito.verify(channel, "opening", [root], [PACKING], plan, _z(0), value)
    channel.finish()


def test_root_of_the_next_level_as_commitment() -> None:
    """The root of level 1 in the place of that of level 0."""
    plan, proof = _honest()
    _judge(plan, proof, _committed().root)
    with pytest.raises(CommitmentMismatch):
        _judge(plan, proof, proof[:32])


def test_commitment_as_root_of_the_next_level() -> None:
    """The root of level 0 is sent for level 1, too."""
    with hh.message("opening/root", lambda _: _committed().root):
        plan, proof = _honest()
    with pytest.raises(CommitmentMismatch):
        _judge(plan, proof, _committed().root)


def test_inner_node_as_leaf() -> None:
    """Eight cells of a row are two digests: a tree could be cut off one level early, were leaves
    and nodes hashed alike."""
    rows = np.random.default_rng(12).integers(0, 1 << 60, (4, 3), dtype=np.uint64)
    for node, accepted in ((merkle.NODE, False), (merkle.LEAF, True)):
        with everywhere(merkle, "NODE", node):
            tree = prover_merkle.build(rows)
            inner = np.ascontiguousarray(tree.levels[1].reshape(1, 8))
            channel = VerifierChannel(Challenger("depth"), b"")
            try:
                merkle.verify(channel, "tree", tree.root, 0, [0], inner)
            except CommitmentMismatch:
                assert not accepted
            else:
                assert accepted


def test_leaf_as_inner_node() -> None:
    """A row that is the digests of two leaves, opened one level deeper."""
    leaves = prover_merkle.build(np.arange(6, dtype=np.uint64).reshape(2, 3))
    row = np.ascontiguousarray(leaves.levels[0].reshape(1, 8))
    tree = prover_merkle.build(row)
    rows = np.arange(6, dtype=np.uint64).reshape(2, 3)
    with pytest.raises(CommitmentMismatch):
        merkle.verify(VerifierChannel(Challenger("depth"), b""), "tree", tree.root, 1, [0, 1], rows)


def test_position_opened_twice() -> None:
    """A prover who opens one position twice instead of another one."""
    draw = Challenger.distinct_indices

    def twice(challenger: Challenger, label: str, count: int, bound: int) -> list[int]:
        first, _, *others = draw(challenger, label, count, bound)
        return [first, first, *others]

    with mock.patch.object(Challenger, "distinct_indices", twice):
        plan, proof = _honest()
    with pytest.raises((CommitmentMismatch, MalformedProof)):
        _judge(plan, proof, _committed().root)


def test_row_repeated() -> None:
    """One more row than there are positions, a copy of the last one."""
    lie = hh.message("opening/rows", lambda rows: np.concatenate([rows, rows[-1:]]), 1)
    with lie:
        plan, proof = _honest()
    with pytest.raises((CommitmentMismatch, MalformedProof)):
        _judge(plan, proof, _committed().root)
    plan, proof = _honest()
    with pytest.raises(MalformedProof, match="goes on after its end"):
        _judge(plan, proof + proof[-64:], _committed().root)


# The columns of the proof about pads.


@dataclass(frozen=True)
class _Columns:
    """A vector of 12 elements in rows of 8 slots, a code word of 64 points."""

    queries: int

    @property
    def sizes(self) -> ligero.Parameters:
        return ligero.Parameters(12, 3, 6, self.queries)

    def committed(self) -> prover_ligero.CommittedVector:
        return prover_ligero.commit(self.vector, self.sizes, expand(h.SECRET, "columns"))

    @property
    def vector(self) -> ExtVec:
        return expand(h.SECRET, "vector").cells(2, 12)

    @property
    def relation(self) -> ExtVec:
        return expand(h.SECRET, "relation").cells(2, 12)

    @property
    def target(self) -> Ext:
        return ext.dot(self.vector, self.relation)

    def attempt(self, nonce: int, committed: prover_ligero.CommittedVector, target: Ext) -> None:
        """Work is not what is measured here."""
        with everywhere(ligero, "WORK_BITS", 0):
            prover = ProverChannel(_challenger(nonce))
            prover_ligero.prove(prover, "hidden", committed, self.relation)
            verifier = VerifierChannel(_challenger(nonce), prover.proof())
            sizes, root = self.sizes, committed.tree.root
            ligero.verify(verifier, "hidden", root, sizes, lambda: (self.relation, target))
            verifier.finish()


def _far(columns: _Columns) -> float:
    with everywhere(ligero, "WORK_BITS", 0):
        return 2.0 ** -columns.sizes.bits()


@pytest.mark.parametrize("queries", [4])
@pytest.mark.parametrize("share", [1 / 8, 5 / 16, 1 / 2])
def test_corrupted_columns(share: float, queries: int) -> None:
    """Below ``e``, at ``e`` and beyond; ``u`` and ``p`` are the honest ones."""
    columns = _Columns(queries)
    n, bad = 64, int(share * 64)
    true = columns.committed()
    code = _spoilt(true.code, bad)
    tree = prover_merkle.build(code, true.salts)
    word = replace(true, code=hh.OpenedAs(true.code, code), tree=tree)
    count = _accepted(lambda nonce: columns.attempt(nonce, word, columns.target))
    far = 2 * bad > n - columns.sizes.product_degree
    compare(count, chance(n, n - bad, queries), _far(columns) if far else 1.0)


@pytest.mark.parametrize("queries", [2])
def test_false_relation_polynomial_that_agrees_where_it_can(queries: int) -> None:
    """Another ``p``, with the sum that a false target needs, agrees with the true one at ``k + s -
    1`` points."""
    columns = _Columns(queries)
    sizes, true = columns.sizes, columns.committed()
    every = ligero.code_points(sizes.code_log, list(range(1 << sizes.code_log)))
    zeros = np.random.default_rng(13).permutation(len(every))[: sizes.product_degree - 1]
    difference = _vanishing([int(every[i]) for i in zeros])
    total = sum(difference[:: sizes.slots]) * sizes.slots % P
    assert total

    def forge(p: np.ndarray) -> np.ndarray:
        p[:, 0] = [(int(a) + b) % P for a, b in zip(p[:, 0], difference, strict=True)]
        return p

    def attempt(nonce: int) -> None:
        with hh.message("hidden/relation", forge):
            columns.attempt(nonce, true, columns.target + total)

    count = _accepted(attempt)
    compare(count, chance(64, len(zeros), queries), _far(columns))
