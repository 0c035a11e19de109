"""With challenges fixed, all that a proof reveals is affine in the witness and in the prover's
randomness; whatever combination of revealed values has no randomness must be a public claim.

The maps come from the real prover with small sizes (``probing``). Hashes count as not revealed;
the salts of opened leaves count as revealed randomness. Each way to hide has tests that take it
away and see that something is revealed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from probing import (
    Cells,
    ClearRecorder,
    Frozen,
    Recorder,
    Revealed,
    functional_ext,
    rank,
    reveal,
    uniform,
)
from tiny_openings import BITS, POSITIONS, TinyOpening, tiny_parameters

from zktrain.commitment import ligero
from zktrain.commitment.hiding import Layout
from zktrain.field import extension as ext
from zktrain.field import goldilocks as gl
from zktrain.field.extension import ZERO
from zktrain.field.goldilocks import P
from zktrain.prover.commitment import ligero as prover_ligero
from zktrain.prover.randomness import Randomness

commit_vector = prover_ligero.commit
"""The real one: openings are made without it."""


def test_rank_and_leak() -> None:
    """The judge itself: two revealed values with one random cell give away their difference."""
    random = np.array([[1], [1], [0]], dtype=np.uint64)
    witness = np.array([[2, 3], [2, 1], [0, 0]], dtype=np.uint64)
    found = Revealed(witness, random, [])
    assert rank(np.concatenate([random, witness], axis=1)) == 2
    assert found.leak() == 1
    assert found.leak(np.array([[0, P - 5]], dtype=np.uint64)) == 0
    assert found.leak(np.array([[1, 0]], dtype=np.uint64)) == 1
    assert found.fixed([0]).leak() == 2
    many = uniform("rank", 200).reshape(20, 10)
    product = np.zeros((20, 30), dtype=np.uint64)
    for row in range(10):
        other = uniform(f"rank {row}", 30)[None, :]
        product = gl.add(product, gl.mul(many[:, row, None], other))
    assert rank(many) == 10 and rank(product) == 10


# the committed pads


@dataclass(frozen=True)
class TinyLigero:
    """A vector with one relation; the whole proof."""

    parameters: ligero.Parameters
    generous: int | None = None

    @property
    def relation(self) -> ext.ExtVec:
        return uniform("relation", 2 * self.parameters.count).reshape(2, -1)

    def _run(self, witness: NDArray[np.int64], random: Randomness) -> Cells:
        vector = witness.astype(np.uint64).reshape(2, -1)
        committed = commit_vector(vector, self.parameters, random)
        channel = ClearRecorder(Frozen("ligero", generous=self.generous))
        prover_ligero.prove(channel, "hidden", committed, self.relation)
        return channel.revealed()

    def revealed(self) -> Revealed:
        witness = np.arange(2 * self.parameters.count, dtype=np.int64) + 5
        salts = (1 << self.parameters.code_log, ligero.SALT_CELLS)
        return reveal(self._run, witness, lambda draw: draw[2] == salts)

    def public(self) -> Cells:
        return functional_ext(self.relation)

    def coefficients(self, row: int, first: int) -> list[int]:
        """Random cells for coefficients ``first`` and higher of one row, counted from the end."""
        degree, total = self.parameters.degree, self.parameters.rows + ligero.BLINDS
        starts = [(c * total + total + row) * degree for c in (0, 1)]
        return [start + k for start in starts for k in range(first, degree)]


T, B_0, B_1 = -3, -2, -1
LIGERO = [
    TinyLigero(ligero.Parameters(count=5, slot_log=2, code_log=5, queries=3)),
    TinyLigero(ligero.Parameters(count=4, slot_log=2, code_log=5, queries=2)),
    TinyLigero(ligero.Parameters(count=3, slot_log=1, code_log=5, queries=4)),
    TinyLigero(ligero.Parameters(count=3, slot_log=0, code_log=4, queries=1)),
]


@pytest.mark.parametrize("case", LIGERO)
def test_a_proof_about_committed_pads_reveals_only_its_relation(case: TinyLigero) -> None:
    """The proximity row, the product and the opened columns say ``<relation, vector>`` (two cells)
    and nothing else."""
    found = case.revealed()
    assert found.leak() == 2
    assert found.leak(case.public()) == 0


@pytest.mark.parametrize(
    "missing", ["slots", "proximity", "relation", "overlap", "B_0", "a position more"]
)
def test_each_blind_of_committed_pads_is_needed(missing: str) -> None:
    case = LIGERO[0]
    slots = case.parameters.slots
    if missing == "a position more":
        assert TinyLigero(case.parameters, generous=0).revealed().leak(case.public()) > 0
        return
    found = case.revealed()
    weaker = {
        "slots": lambda: found.without(1),
        "proximity": lambda: found.fixed(case.coefficients(T, 0)),
        "relation": lambda: found.fixed(case.coefficients(B_0, 0) + case.coefficients(B_1, 0)),
        "overlap": lambda: found.fixed(case.coefficients(B_0, slots)),
        "B_0": lambda: found.fixed(case.coefficients(B_0, 0)),
    }[missing]()
    assert weaker.leak(case.public()) > 0


# the opening


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    with tiny_parameters():
        yield


@pytest.fixture(scope="module")
def opened() -> Revealed:
    """What the smallest opening reveals."""
    return TinyOpening().revealed()


TAILS, SALTS, PADS, PRODUCTS, MASK, LEVEL_TAILS, LEVEL_SALTS = range(7)
"""What an opening of one commitment draws, in this order."""


@pytest.mark.parametrize(
    "case",
    [
        TinyOpening(),
        TinyOpening(lane_log=5, sizes=((6, 3),)),
        TinyOpening(sizes=((4, 3), (4,))),
        TinyOpening(sizes=((5, 3), (3,)), lane_logs=(5, 3)),
        TinyOpening(tail=8),
        TinyOpening(tail=2 * POSITIONS, seeds=("first", "second")),
    ],
    ids=[
        "one",
        "a level in clear",
        "two commitments",
        "lanes of two lengths",
        "a long tail",
        "opened twice",
    ],
)
def test_an_opening_reveals_only_its_claim(case: TinyOpening) -> None:
    """The messages alone say nothing about the cells; together with the verifier's checks on their
    pads, one by one, they say the random combination of the claims (two cells), no more."""
    found = case.revealed()
    assert found.leak() == 0
    checked = case.with_checks(found)
    assert checked.leak() == 2 * len(case.seeds)
    assert checked.leak(case.public()) == 0


def test_the_draws_of_an_opening(opened: Revealed) -> None:
    """The order that the tests below rely on."""
    case = TinyOpening()
    level = case.plan.deeper[0]
    assert [shape for _, _, shape in opened.draws] == [
        (3, POSITIONS),
        (1 << case.plan.levels[0].code_log, 2),
        (2, case.layout.scalars),
        (2, 0),
        (2, 1 << level.message_log),
        (2, level.tail, level.lanes),
        (1 << level.code_log, 2),
    ]


@pytest.mark.parametrize(
    "missing", [TAILS, PADS, MASK, LEVEL_TAILS], ids=["tails", "pads", "mask", "level-1 tails"]
)
def test_each_kind_of_randomness_is_needed(opened: Revealed, missing: int) -> None:
    assert opened.without(missing).leak() > 0


@pytest.mark.parametrize("kind", [TAILS, MASK, LEVEL_TAILS], ids=["tail", "mask", "level-1 tail"])
def test_every_random_coefficient_is_needed(opened: Revealed, kind: int) -> None:
    """Without any single one something is revealed: none is to spare."""
    first, stop, _ = opened.draws[kind]
    for cell in range(first, stop):
        assert opened.fixed([cell]).leak() == 1


def test_every_pad_is_needed(opened: Revealed) -> None:
    """Beside the checks, each one alone hides something."""
    case = TinyOpening()
    checked = case.with_checks(opened)
    first, stop, _ = opened.draws[PADS]
    for cell in range(first, stop):
        assert checked.fixed([cell]).leak(case.public()) > 0


@pytest.mark.parametrize("level", [0, 1])
def test_a_position_more_than_the_tail_allows_reveals_cells(level: int) -> None:
    assert TinyOpening(generous=level).revealed().leak() > 0


def test_an_opening_more_than_the_tail_allows_reveals_cells() -> None:
    """Two positions more of each of three lanes."""
    case = TinyOpening(tail=POSITIONS, seeds=("first", "second"))
    assert case.revealed().leak() == 3 * POSITIONS


def test_a_mask_with_factor_0_hides_nothing() -> None:
    assert TinyOpening(fixed={"opening/epsilon": ZERO}).revealed().leak() > 0


class _OnePadTwice(Recorder):
    """The last two scalars get one pad."""

    def __init__(self, *args, **kwargs) -> None:  # type: ignore[no-untyped-def]
        super().__init__(*args, **kwargs)
        self._pads[:, -1] = self._pads[:, -2]


def test_a_pad_that_serves_twice_reveals_a_difference() -> None:
    assert TinyOpening(channel=_OnePadTwice).revealed().leak() == 2


# padded scalars


def test_each_scalar_has_a_pad_of_its_own() -> None:
    """``sent = value - pad``: minus the identity in the pads, the identity in the values."""
    count = 6

    def run(witness: NDArray[np.int64], random: Randomness) -> Cells:
        channel = Recorder(Frozen("pads"), Layout(count), BITS, random)
        values = [ext.Ext(int(a), int(b)) for a, b in witness.reshape(count, 2)]
        channel.send("first", values[:1])
        channel.send("then", values[1:4])
        channel.send("last", values[4:])
        return channel.revealed()

    found = reveal(run, np.arange(2 * count, dtype=np.int64))
    assert np.array_equal(found.witness, np.eye(2 * count, dtype=np.uint64))
    order = [coordinate * count + i for i in range(count) for coordinate in (0, 1)]
    minus = np.where(np.eye(2 * count, dtype=bool), np.uint64(P - 1), np.uint64(0))
    assert np.array_equal(found.random[:, order], minus)
