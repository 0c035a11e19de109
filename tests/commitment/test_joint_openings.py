"""Several commitments of different lanes, rates and tails, opened as one.

What a cheating prover may set freely: the words under the roots, close to the code or not; every
cell of level 1, so other folds and tails, folds in each other's place, and cells beyond a vector
that does not fill its lane; the opened value; the rows that it sends. Each is tried here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

import numpy as np
import pytest

from zktrain.commitment import ligerito as verifier_ligerito
from zktrain.commitment import opening
from zktrain.commitment.hiding import Layout, verifier_channel
from zktrain.commitment.packing import Claim, Packing, claim_on, pack
from zktrain.commitment.parameters import Level, Plan, arrange_parts, carried_tail_for
from zktrain.errors import CommitmentMismatch, HiddenMismatch, OpeningMismatch, Rejected
from zktrain.field import extension as ext
from zktrain.field import goldilocks as gl
from zktrain.field import multilinear as ml
from zktrain.field.extension import ONE, ZERO, Ext, ExtVec, Point
from zktrain.prover.commitment import ligerito, merkle
from zktrain.prover.commitment import opening as prover_opening
from zktrain.prover.commitment.commit import Committed, commit
from zktrain.prover.commitment.hiding import prover_channel
from zktrain.prover.kernels import ntt
from zktrain.prover.randomness import Randomness, expand
from zktrain.prover.transcript.channel import ProverChannel
from zktrain.transcript.challenger import Challenger, Trace

BITS = 60.0
SECRET = bytes(range(32))


@dataclass(frozen=True)
class Case:
    """Commitments with true claims on their tensors."""

    committed: list[Committed]
    claims: list[Claim]
    hiding: bool = False
    bits: float = BITS

    @property
    def packings(self) -> list[Packing]:
        return [c.packing for c in self.committed]

    @property
    def roots(self) -> list[bytes]:
        return [c.root for c in self.committed]

    @property
    def plan(self) -> Plan:
        return opening.level_plan(self.packings, self.bits, hiding=self.hiding)

    @property
    def layout(self) -> Layout | None:
        return Layout(self.plan.scalars(True)) if self.hiding else None

    def prove(self, trace: Trace | None = None) -> bytes:
        channel = prover_channel(Challenger("joint", trace), self.layout, self.bits)
        prover_opening.prove(channel, "opening", self.committed, self.claims, self.bits)
        if self.hiding:
            judge = verifier_channel(Challenger("joint"), channel.proof(), self.layout, self.bits)
            self._read(judge)
            channel.close(judge)
        return channel.proof()

    def _read(self, channel: Any) -> None:
        opening.verify(channel, "opening", self.roots, self.packings, self.claims, self.bits)

    def judge(self, proof: bytes) -> None:
        channel = verifier_channel(Challenger("joint"), proof, self.layout, self.bits)
        self._read(channel)
        channel.close()
        channel.finish()


@dataclass(frozen=True)
class Kind:
    """One commitment: log sizes of its tensors, lanes, openings that its tail is for, rate."""

    sizes: tuple[int, ...]
    lane_log: int
    openings: int = 0
    rate_log: int = 1


def make(kinds: Sequence[Kind], *, hiding: bool = False, bits: float = BITS, seed: int = 1) -> Case:
    random = np.random.default_rng(seed)
    committed, claims = [], []
    for number, kind in enumerate(kinds):
        tail = 0
        if kind.openings:
            tail = carried_tail_for(kind.lane_log, bits - 20, kind.openings, kind.rate_log)
        shapes = [
            (f"t{i}", size, int(random.integers(1, (1 << size) + 1)))
            for i, size in enumerate(kind.sizes)
        ]
        tensors = {}
        for name, size, used in shapes:
            tensors[name] = random.integers(-1000, 1000, 1 << size)
            tensors[name][used:] = 0
            point = tuple(Ext(int(a), int(b)) for a, b in random.integers(0, 1 << 62, (size, 2)))
            claims.append(claim_on(number, name, point, ml.evaluate_integers(tensors[name], point)))
        packing = pack(shapes, kind.lane_log, tail, kind.rate_log)
        randomness = expand(SECRET, f"commitment {number}") if tail else None
        committed.append(commit(packing, tensors, randomness))
    return Case(committed, claims, hiding, bits)


def _random_kinds(random: np.random.Generator, hiding: bool) -> list[Kind]:
    out = []
    for _ in range(int(random.integers(1, 4))):
        sizes = tuple(int(n) for n in random.integers(0, 18, int(random.integers(1, 4))))
        lane_log = int(random.integers(12 if hiding else 10, 17))
        openings = int(random.choice([1, 4] if hiding or lane_log > 13 else [0]))
        out.append(Kind(sizes, lane_log, openings, int(random.integers(1, 3))))
    return out


@pytest.mark.parametrize("hiding", [False, True], ids=["clear", "hiding"])
@pytest.mark.parametrize("seed", range(12))
def test_true_claims_are_accepted_whatever_the_mix(seed: int, hiding: bool) -> None:
    random = np.random.default_rng(seed)
    case = make(_random_kinds(random, hiding), hiding=hiding, seed=seed)
    case.judge(case.prove())


MIXED = [Kind((15, 15, 3), 13, 1), Kind((16, 10), 15, 1, 2), Kind((12, 11), 10)]
"""Lanes of three lengths and two rates, with tails and without."""
HIDING = [Kind((15, 3), 13, 1), Kind((16, 10), 15, 1)]


@pytest.mark.parametrize("kinds", [MIXED, HIDING], ids=["clear", "hiding"])
def test_each_false_claim_is_refused(kinds: list[Kind]) -> None:
    """A value that is off by one, on each tensor of each commitment."""
    case = make(kinds, hiding=kinds is HIDING)
    error = HiddenMismatch if case.hiding else OpeningMismatch
    for k, claim in enumerate(case.claims):
        claims = [*case.claims]
        claims[k] = replace(claim, value=claim.value + ONE)
        lying = replace(case, claims=claims)
        with pytest.raises(error):
            lying.judge(lying.prove())


def test_sizes_are_those_of_the_plan() -> None:
    """Bytes without paths, and proofs of work."""
    for hiding in (False, True):
        trace: Trace = []
        case = make(HIDING if hiding else MIXED, hiding=hiding, bits=116.0)
        case.prove(trace)
        sizes = [(label, size) for action, label, size in trace if action == "absorb"]
        own = sum(n for name, n in sizes if name.startswith("opening/") and "path" not in name)
        assert own == sum(opening.proof_sizes(case.packings, case.plan).values())
        work = [name for action, name, _ in trace if action == "work" and "opening" in name]
        assert len(work) == case.plan.nonces


def test_all_positions_are_drawn_after_level_1_is_committed() -> None:
    """And none after the rows of another commitment: one proof of work is before all of them."""
    trace: Trace = []
    case = make(MIXED)
    case.prove(trace)
    names = [f"{action} {label.removeprefix('opening/')}" for action, label, _ in trace]
    at = names.index("indices positions")
    assert names[at - 3 : at + 4] == [
        "absorb root", "work work", "absorb work", *["indices positions"] * 3, "absorb rows",
    ]  # fmt: skip


def test_work_is_done_before_every_challenge_that_folds_a_lane() -> None:
    """From the shortest lane on, and in every fold round of the levels below."""
    trace: Trace = []
    case = make(MIXED, bits=116.0)
    case.prove(trace)
    plan = case.plan
    assert min(level.fold_work_bits for level in plan.levels) > 0
    assert len({level.fold_work_bits for level in plan.commitments}) == 1
    asked = [(action, label) for action, label, _ in trace]
    points = [k for k, (_, label) in enumerate(asked) if label == "opening/batch/point"]
    assert len(points) == plan.variables and plan.free == 10
    worked = [asked[k - 1] == ("absorb", "opening/batch/work") for k in points]
    assert worked == [number >= 10 for number in range(len(points))]
    for k, (action, label) in enumerate(asked):
        if (action, label) == ("challenge", "opening/fold/point"):
            assert asked[k - 1] == ("absorb", "opening/fold/work")


# Lies about level 1.


@contextmanager
def rigged(label: str, value: Ext) -> Iterator[None]:
    """A challenge that everybody knows."""
    element = Challenger.element

    def known(challenger: Challenger, asked: str) -> Ext:
        drawn = element(challenger, asked)
        return value if asked == label else drawn

    with mock.patch.object(Challenger, "element", known):
        yield


def _refused(
    case: Case, lie: Callable[[], Any], rig: tuple[str, Ext] | None = ("opening/beta", ZERO)
) -> None:
    """Rejected; accepted where a challenge is known with which the lie does not count."""
    with lie():
        proof = case.prove()
    with pytest.raises(OpeningMismatch, match="does not satisfy the folded claim"):
        case.judge(proof)
    if rig is not None:
        with rigged(*rig):
            with lie():
                proof = case.prove()
            case.judge(proof)


def _level_1(change: Callable[[list[ExtVec]], None]) -> Any:
    """Other vectors in the lanes of level 1 than the folds; all later messages go on with them."""
    true, calls = ligerito._commit_level, []

    def lie(level: Level, values: list[ExtVec], random: Randomness, memory: int | None) -> Any:
        if not calls:
            change(values)
        calls.append(level)
        return true(level, values, random, memory)

    return mock.patch.object(ligerito, "_commit_level", lie)


def test_folds_exchanged() -> None:
    """Two folds of one length, in each other's lanes."""
    case = make([Kind((14,), 13), Kind((14,), 13)])

    def exchange(values: list[ExtVec]) -> None:
        values[0], values[1] = values[1], values[0]

    _refused(case, lambda: _level_1(exchange), None)


def test_tails_exchanged() -> None:
    """The running claim says nothing about tails: the rows alone tell them apart."""
    case = make([Kind((14,), 13, 1), Kind((14,), 13, 1)])

    def exchange(values: list[ExtVec]) -> None:
        values[2], values[3] = values[3], values[2]

    _refused(case, lambda: _level_1(exchange))


@pytest.mark.parametrize("number", range(3))
def test_another_fold_with_the_right_value(number: int) -> None:
    """Of one of three commitments, changed in two cells so that ``F(z)`` stays."""
    case = make(MIXED)
    prove, seen = ligerito.prove, []

    def watch(*args: Any) -> None:
        seen[:] = [args[4]]
        prove(*args)

    def change(values: list[ExtVec]) -> None:
        weights = ml.eq_table(seen[0][: MIXED[number].lane_log])
        w0, w1 = (ext.scalar(weights, (i,)) for i in (0, 1))
        values[number] = values[number].copy()
        for index, more in ((0, w1), (1, -w0)):
            new = ext.scalar(values[number], (index,)) + more
            values[number][:, index] = (new.a, new.b)

    @contextmanager
    def lie() -> Iterator[None]:
        with mock.patch.object(ligerito, "prove", watch), _level_1(change):
            yield

    _refused(case, lie)


def test_values_that_move_between_two_folds() -> None:
    """One fold gains what the other loses, so that their sum is still ``F(z)``."""
    case = make([Kind((14,), 13), Kind((14,), 13)])
    prove, seen = ligerito.prove, []

    def watch(*args: Any) -> None:
        seen[:] = [args[4]]
        prove(*args)

    def change(values: list[ExtVec]) -> None:
        z = seen[0]
        for k, sign in ((0, ONE), (1, -ONE)):
            gain = sign * ml.eq_index(z[14:], 1 - k)  # times the other's place
            new = ext.scalar(values[k], (0,)) + gain
            values[k] = values[k].copy()
            values[k][:, 0] = (new.a, new.b)

    @contextmanager
    def lie() -> Iterator[None]:
        with mock.patch.object(ligerito, "prove", watch), _level_1(change):
            yield

    _refused(case, lie)


@pytest.mark.parametrize("number", range(3))
def test_value_that_holds_for_other_cells_of_one_commitment(number: int) -> None:
    """All messages are about other cells than those under one of the roots, but for its rows."""
    case = make(MIXED)
    other = make(MIXED, seed=2)
    committed = [*case.committed]
    tensors = other.committed[number].tensors
    committed[number] = replace(committed[number], tensors=tensors)
    claims = [
        claim if claim.terms[0].commitment != number else wanted
        for claim, wanted in zip(case.claims, other.claims, strict=True)
    ]
    assert claims != case.claims
    _refused(Case(committed, claims), mock.MagicMock)


def test_rows_claimed_of_the_other_fold() -> None:
    """The prover adds the rows of each of two commitments to the other one's weight."""
    case = make([Kind((14,), 13), Kind((14,), 13)])
    add, calls = ligerito._add_rows, []

    def lie(weights: Any, opened: Any, drawn: Any, factors: Any) -> None:
        if not calls:
            weights = weights[::-1]
        calls.append(True)
        add(weights, opened, drawn, factors)

    _refused(case, lambda: mock.patch.object(ligerito, "_add_rows", lie), None)


def test_claim_moved_to_the_other_commitment() -> None:
    """What one commitment has at a place is claimed of the other one."""
    case = make([Kind((14,), 13), Kind((14,), 13)])
    claims = list(case.claims)
    term = replace(claims[0].terms[0], commitment=1)
    moved = replace(case, claims=[replace(claims[0], terms=(term,)), claims[1]])
    with pytest.raises(OpeningMismatch):
        moved.judge(moved.prove())
    with pytest.raises(OpeningMismatch):
        moved.judge(case.prove())


# Cells beyond a vector that does not fill its lane.


LONG, SHORT, EXTRA = Kind((16,), 15), 10, 64
"""Lanes of level 1 have ``2^11`` cells; a fold of ``2^10`` and any tail leave some free."""


def _longer(case: Case, number: int) -> tuple[Case, ExtVec, Any]:
    """A commitment to lanes of higher degree than stated, ``EXTRA`` coefficients more; and their
    fold, which a prover hides beyond the vector."""
    true = case.committed[number]
    packing = true.packing
    first = (1 << packing.lane_log) + packing.tail
    lanes = len(packing.live_lanes)
    more = expand(SECRET, "more").cells(EXTRA, lanes)
    matrix = ntt.matrix(1 << packing.code_log, lanes)
    matrix[:] = 0
    matrix[first : first + EXTRA, :lanes] = more
    ntt.transform(matrix)
    code = gl.add(true.code, np.ascontiguousarray(matrix[:, :lanes]))
    word = replace(true, code=code, tree=merkle.build(code, true.salts))
    committed = [*case.committed]
    committed[number] = word

    def fold(z: Point) -> ExtVec:
        row = z[packing.lane_log : packing.log_size]
        weights = ml.eq_table(row)[:, list(packing.live_lanes)]
        both = [ext.mul_base(weights, cells) for cells in more]
        return np.stack([ext.total(cells) for cells in both], axis=1)

    return replace(case, committed=committed), more, fold


@pytest.mark.parametrize("tail", [False, True], ids=["fold", "tail"])
def test_cells_beyond_a_vector(tail: bool) -> None:
    """They would make the degree of a lane larger than it is stated: every opened row would agree
    with a word that is none of the code. Where the place at which they are checked to be 0 is
    known, the lie passes."""
    case = make([LONG, Kind((11,), 13, 1) if tail else Kind((11,), SHORT)])
    case, _, fold = _longer(case, 1)
    part = case.plan.deeper[0].parts[2 if tail else 1]
    assert part.short and part.log_size + 1 <= case.plan.deeper[0].message_log
    prove, seen = ligerito.prove, []

    def watch(*args: Any) -> None:
        seen[:] = [args[4]]
        prove(*args)

    def change(values: list[ExtVec]) -> None:
        start = 1 << part.log_size
        values[2 if tail else 1][:, start : start + EXTRA] = fold(seen[0])

    @contextmanager
    def lie() -> Iterator[None]:
        with mock.patch.object(ligerito, "prove", watch), _level_1(change):
            yield

    _refused(case, lie, None)
    origin = (ZERO,) * case.plan.deeper[0].message_log
    with (
        mock.patch.object(ligerito, "zero_point_of", return_value=origin),
        mock.patch.object(verifier_ligerito, "zero_point_of", return_value=origin),
    ):
        with lie():
            proof = case.prove()
        case.judge(proof)


@pytest.mark.parametrize("part", [2, 3, 4])
def test_one_cell_beyond_a_vector(part: int) -> None:
    """Of a fold, and of two tails."""
    case = make(MIXED)
    assert case.plan.deeper[0].parts[part].short

    def change(values: list[ExtVec]) -> None:
        values[part][0, -1] = 1

    _refused(case, lambda: _level_1(change), None)


def test_parts_are_aligned_and_disjoint() -> None:
    random = np.random.default_rng(3)
    for _ in range(200):
        sizes = [int(n) for n in random.integers(0, 20, int(random.integers(1, 7)))]
        parts = arrange_parts(sizes, 12)
        taken = sorted((part.first, part.first + (1 << part.lane_log)) for part in parts)
        ends = [0, *(stop for _, stop in taken)]
        assert [first for first, _ in taken] == ends[:-1]
        for part, size in zip(parts, sizes, strict=True):
            assert part.first % (1 << part.lane_log) == 0
            assert (part.log_size, part.short) == (size, size < 12)
            assert part.lane_log == max(0, size - 12)


# Rows.


@contextmanager
def _rows(change: Callable[[Any], Any], occurrence: int) -> Iterator[None]:
    send, seen = ProverChannel.send_cells, [0]

    def lie(channel: ProverChannel, label: str, cells: Any) -> None:
        if label == "opening/rows":
            cells = change(cells.copy()) if seen[0] == occurrence else cells
            seen[0] += 1
        send(channel, label, cells)

    with mock.patch.object(ProverChannel, "send_cells", lie):
        yield


@pytest.mark.parametrize("number", range(4))
def test_one_row_changed(number: int) -> None:
    """Of each commitment, and of level 1."""

    def change(rows: Any) -> Any:
        rows[3, 0] = rows[3, 0] ^ np.uint64(1)
        return rows

    case = make(MIXED)
    with _rows(change, number):
        proof = case.prove()
    with pytest.raises(CommitmentMismatch):
        case.judge(proof)


def test_rows_of_another_commitment() -> None:
    """Opened with their paths, at the positions that were drawn for it."""
    case = make([Kind((14,), 13), Kind((14,), 13)])
    first, second = case.committed
    spoilt = replace(second, code=first.code, tree=first.tree)
    lying = replace(case, committed=[first, spoilt])
    with pytest.raises(CommitmentMismatch):
        case.judge(lying.prove())


def test_roots_exchanged() -> None:
    case = make([Kind((14,), 13), Kind((14,), 13)])
    proof = case.prove()
    case.judge(proof)
    exchanged = replace(case, committed=case.committed[::-1])
    with pytest.raises(Rejected):
        exchanged.judge(proof)


def test_positions_of_each_commitment_are_its_own() -> None:
    """Even where the code words are equally long."""
    case, drawn = make([Kind((14,), 13), Kind((14,), 13)]), []
    draw = Challenger.distinct_indices

    def watch(challenger: Challenger, label: str, count: int, bound: int) -> list[int]:
        drawn.append(draw(challenger, label, count, bound))
        return drawn[-1]

    with mock.patch.object(Challenger, "distinct_indices", watch):
        case.prove()
    assert drawn[0] != drawn[1] and len(drawn[0]) == len(drawn[1])
