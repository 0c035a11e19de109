"""Malicious provers behind one-time pads: the lies of the clear protocol, and those about pads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from typing import Any
from unittest import mock

import harness as h
import hiding_harness as hh
import numpy as np
import pytest
from harness import SECRET, at_step, find, in_cell
from hiding_harness import BITS, Toy
from numpy.typing import NDArray
from patched import everywhere

from zktrain.arguments import lookup
from zktrain.commitment import ligero, opening
from zktrain.commitment.hiding import HidingVerifier, Layout
from zktrain.commitment.packing import Claim, Packing, claim_on, pack
from zktrain.commitment.parameters import carried_tail_for
from zktrain.errors import (
    CommitmentMismatch,
    HiddenMismatch,
    OpeningMismatch,
    Rejected,
    ZktrainError,
)
from zktrain.field import extension as ext
from zktrain.field import multilinear as ml
from zktrain.field.extension import ONE, ZERO, Ext
from zktrain.field.goldilocks import P
from zktrain.prover.arguments import sumcheck
from zktrain.prover.commitment import ligerito, merkle
from zktrain.prover.commitment import ligero as prover_ligero
from zktrain.prover.commitment import opening as prover_opening
from zktrain.prover.commitment.commit import Committed, commit
from zktrain.prover.commitment.hiding import HidingProver
from zktrain.prover.randomness import expand
from zktrain.prover.transcript.channel import ProverChannel
from zktrain.tables import TABLES
from zktrain.transcript.challenger import Challenger
from zktrain.transcript.channel import VerifierChannel

U64 = NDArray[np.uint64]


# The lies of the clear protocol.


@pytest.mark.parametrize("loss", h.LOSSES)
def test_the_honest_prover_is_accepted(loss: str) -> None:
    """With and without a softmax."""
    assert h.honest_is_accepted(loss, hiding=True)


def test_wrong_high_limb_of_a_remainder() -> None:
    """The high limb of a quotient's remainder is one larger, still 16 bits wide."""
    step, cell = find("mse", "z2.high", lambda high: high < 0xFFFF)
    run = h.conceal(
        h.train("mse", {"z2": in_cell(step, cell, lambda z, high, low: (z, high + 1, low))})
    )
    h.refuse_by_one_hidden_check(run, lambda: h.prove(run), h.AFFINE)


def test_wrong_relu_bit() -> None:
    """``s = 1`` at ``z < 0``."""
    step, cell = find("mse", "z1", lambda z: z < 0)
    run = h.conceal(h.train("mse", {"s1": in_cell(step, cell, lambda s: 1 - s)}))
    h.refuse_by_one_hidden_check(run, lambda: h.prove(run), h.ROOT_SUM)


@pytest.mark.parametrize(("step", "value"), [(1, 0), (2, 1)], ids=["skipped", "other rate"])
def test_skipped_update_or_wrong_rate(step: int, value: int) -> None:
    """The prover's own sums, and the relation of his pads, are those of his multiplier."""
    run = h.conceal(h.train("mse", {"multiplier": at_step(step, lambda _: value)}))

    def lie(multipliers: U64) -> U64:
        out = multipliers.copy()
        out[step] = value
        return out

    def make() -> bytes:
        return h.prove(run, multipliers=lie)

    h.refuse(run, make(), HiddenMismatch)
    if value:
        with h.without(h.WEIGHTS):
            h.accept(run, make())


@pytest.mark.parametrize("own_order", [False, True])
def test_rows_of_a_batch_replaced(own_order: bool) -> None:
    """One step trains on other records than the public order says."""
    run = h.conceal(h.train("mse", {"rows": at_step(2, lambda order: (order + 1) % h.RECORDS)}))

    def lie(order: NDArray[np.int64]) -> NDArray[np.int64]:
        out = order.copy()
        out[2] = (out[2] + 1) % h.RECORDS
        return out

    def make() -> bytes:
        return h.prove(run, order=lie if own_order else None)

    h.refuse(run, make(), HiddenMismatch)
    if own_order:
        with h.without(h.BATCHES):
            h.accept(run, make())


def test_padding_filled() -> None:
    """A ReLU bit of a sample that is padding."""
    run = h.honest("mse", hiding=True)
    tensors = run.edited(lambda t: t["s1"].__setitem__((1, h.BATCH, 1), 1))
    h.refuse_by_one_hidden_check(run, lambda: h.prove(run, tensors), h.ROOT_SUM)


def test_multiplicities_moved_between_rows() -> None:
    """One lookup more at one row, one less at another."""
    run = h.honest("mse", hiding=True)
    counts = h.forged_counts(run, run.tensors)
    counts["multiplicity.relu"][5] += 1
    counts["multiplicity.relu"][9] -= 1
    make = lambda: h.prove(run, counts=counts)  # noqa: E731
    h.refuse_by_one_hidden_check(run, make, h.ROOT_SUM)


def test_probability_that_is_not_in_the_table() -> None:
    """One ``p`` is one unit too large."""
    run = h.conceal(
        h.train("cross_entropy", {"p": in_cell(0, (1, 2), lambda p, before: (p + 1, before))})
    )
    h.refuse_by_one_hidden_check(run, lambda: h.prove(run), h.ROOT_SUM)


def test_sigmoid_that_is_not_in_the_table() -> None:
    """One probability of binary cross-entropy is one unit too large."""
    run = h.conceal(h.train("binary_cross_entropy", {"p": in_cell(0, (1, 2), lambda p: p + 1)}))
    h.refuse_by_one_hidden_check(run, lambda: h.prove(run), h.ROOT_SUM)


def test_label_flipped() -> None:
    """One record of one batch is trained on with another class than the committed one."""
    first = np.arange(h.BATCH) == 0
    flip = at_step(1, lambda labels: np.where(first, (labels + 1) % h.WIDTHS[-1], labels))
    run = h.conceal(h.train("binary_cross_entropy", {"labels": flip}))
    honest = h.honest("binary_cross_entropy", hiding=True)
    assert not np.array_equal(run.tensors["p"], honest.tensors["p"])
    h.refuse_by_one_hidden_check(run, lambda: h.prove(run), h.BATCHES)


# The root of the fraction tree, whose denominators are hidden.


@contextmanager
def _key_of(row: tuple[int, ...], table: str) -> Iterator[None]:
    """Rig the challenge so that the key of this row is zero."""
    elements = Challenger.elements

    def known(challenger: Challenger, label: str, count: int) -> list[Ext]:
        drawn = elements(challenger, label, count)
        if label == "lookup/keys":
            powers = ext.powers(drawn[1], lookup.MAX_COLUMNS + 1)
            key = ext.inner(powers[: len(row)], [Ext(value) for value in row])
            drawn = [key + powers[lookup.MAX_COLUMNS] * TABLES[table].number, drawn[1]]
        return drawn

    with mock.patch.object(Challenger, "elements", known):
        yield


@pytest.mark.parametrize("claimed", [(ZERO, Ext(3, 4)), (ONE, ONE)], ids=["0 and 1/0", "1 and 1"])
def test_root_without_a_value(claimed: tuple[Ext, Ext]) -> None:
    """Two false lookups whose key is zero: the root is 0/0, the product of denominators 0."""

    def two(step: int, s: NDArray[np.int64]) -> NDArray[np.int64]:
        out = s.copy()
        if step == 0:
            out[:2, 0] = 1
        return out

    run = h.conceal(h.train("mse", {"s1": two}))
    assert not run.tensors["z1"][0, :2, 0].any()
    with _key_of((0, 1), "relu"):
        with hh.message("lookup/nonzero", lambda _: list(claimed)):
            proof = h.prove(run)
        h.refuse(run, proof, HiddenMismatch, h.SLOT_SUM.message)


def test_root_numerator_not_zero_and_denominator_zero() -> None:
    """The root is 1/0 instead of what the tree gives, with an inverse of 0 claimed."""
    run = h.honest("mse", hiding=True)
    with (
        hh.message("lookup/root", lambda root: [root[0], root[1], ZERO, root[3]]),
        hh.message("lookup/nonzero", lambda _: [ZERO, Ext(9)]),
    ):
        proof = h.prove(run)
    h.refuse(run, proof, HiddenMismatch, h.SLOT_SUM.message)


def test_two_false_records_that_cancel() -> None:
    """Two values of the dataset are shifted so that the batch fits: the opening sees it."""
    run, prove = h.honest("mse", hiding=True), sumcheck.prove
    selectors: list[Ext] = []

    def watch(channel: Any, label: str, machine: Any, **more: Any) -> Any:
        point = prove(channel, label, machine, **more)
        if label == "batch/inputs":
            selectors[:] = [selector for selector, _ in machine.finals()]
        return point

    def shift(values: list[Ext]) -> list[Ext]:
        first, second = selectors[:2]
        return [values[0] + second, values[1] - first, *values[2:]]

    def make() -> bytes:
        with (
            mock.patch.object(sumcheck, "prove", watch),
            hh.message("batch/inputs/records", shift),
        ):
            return h.prove(run)

    h.refuse_by_one_hidden_check(run, make, h.OPENING)


def test_record_answered_wrongly() -> None:
    """One value of the dataset at the end of a batch is off by one."""
    run = h.honest("mse", hiding=True)
    with hh.message("batch/labels/records", lambda values: [values[0] + 1, *values[1:]]):
        proof = h.prove(run)
    h.refuse(run, proof, HiddenMismatch, h.SLOT_SUM.message)


# The proof about pads, on a protocol of six scalars.


@cache
def _toy_is_accepted() -> bool:
    toy = Toy()
    toy.verify(toy.prove())
    return True


def _add(slot: int, value: int = 1) -> Callable[[Any], None]:
    def change(vector: Any) -> None:
        vector[0, slot] = (int(vector[0, slot]) + value) % P

    return change


@pytest.mark.parametrize("position", range(4))
def test_false_scalar(position: int) -> None:
    """One value is off by one; the relation is false by as much as the pads cannot hide."""
    assert _toy_is_accepted()
    values = list(Toy.VALUES)
    values[position] = values[position] + 1
    Toy().refuse_by_one_check(Toy().prove(tuple(values)), h.SLOT_SUM)


@pytest.mark.parametrize("number", range(4))
def test_product_of_pads_wrong(number: int) -> None:
    """``z_k`` is not ``x_i x_j``, for one of the products."""
    assert _toy_is_accepted()
    with hh.committed(_add(Toy().layout.scalars + number)):
        proof = Toy().prove()
    Toy().refuse_by_one_check(proof, h.SLOT_SUM)


def test_product_of_pads_wrong_by_what_a_lie_needs() -> None:
    """A false product of scalars passes its check with a false ``z_k``, and ``d_k`` hides that for
    one challenge only, which comes too late to be known."""
    assert _toy_is_accepted()
    toy, guess = Toy(), Ext(77, 5)
    layout = toy.layout
    count, k = layout.scalars, 0
    values = (Ext(5), Ext(7), Ext(36), Ext(252))

    def forge(vector: Any) -> None:  # first - c = 0 with z_0 larger by 1, so is the nonzero check
        many = len(layout.products)
        for product in (k, 2):
            _add(count + product)(vector)
            place = count + 2 * many + product
            d = ext.scalar(vector, (place,)) - guess
            vector[:, place] = (d.a, d.b)

    nonzero = (Ext(36), Ext(36).inverse())
    with hh.committed(forge):
        toy.refuse_by_one_check(toy.prove(values, nonzero), h.SLOT_SUM)
        with hh.rigged("hidden/product", guess):
            toy.verify(toy.prove(values, nonzero))


@pytest.mark.parametrize("number", range(4))
def test_blinded_product_wrong(number: int) -> None:
    """``d_k`` is not ``a_k x_j``."""
    assert _toy_is_accepted()
    layout = Toy().layout
    with hh.committed(_add(layout.scalars + 2 * len(layout.products) + number)):
        proof = Toy().prove()
    Toy().refuse_by_one_check(proof, h.SLOT_SUM)


@pytest.mark.parametrize("number", range(4))
def test_opening_of_a_product_shifted(number: int) -> None:
    """``u_k`` is not ``c x_i + a_k``."""
    assert _toy_is_accepted()

    clear = ProverChannel.send_clear

    def shift(channel: ProverChannel, label: str, values: list[Ext]) -> None:
        if label == "hidden/openings":  # in place: the prover's relation has it too
            values[number] = values[number] + 1
        clear(channel, label, values)

    with mock.patch.object(ProverChannel, "send_clear", shift):
        proof = Toy().prove()
    Toy().refuse_by_one_check(proof, h.SLOT_SUM)


@pytest.mark.parametrize("slot", range(6))
def test_pad_changed_after_the_commitment(slot: int) -> None:
    """A scalar is sent with another pad than the committed one, all else with that too."""
    assert _toy_is_accepted()
    with hh.committed(_add(slot, 5)):
        proof = Toy().prove()
    Toy().refuse_by_one_check(proof, h.SLOT_SUM)


def test_two_false_relations_that_cancel() -> None:
    """``a b - c = -1`` and ``b c - d = 1``: the sum of both is right, a combination is not."""
    assert _toy_is_accepted()
    values = (Ext(5), Ext(7), Ext(36), Ext(251))
    Toy().refuse_by_one_check(Toy().prove(values), h.SLOT_SUM)
    with hh.rigged("hidden/gamma", ONE):
        Toy().verify(Toy().prove(values))


def test_nothing_would_be_checked_if_gamma_were_zero() -> None:
    """The lowest power is gamma itself: no check has a weight that is known in advance."""
    with hh.rigged("hidden/gamma", ZERO):
        Toy().verify(Toy().prove((Ext(1), Ext(2), Ext(3), Ext(4)), (ONE, ONE)))


@pytest.mark.parametrize(
    "claimed", [(ZERO, Ext(9, 1)), (ONE, ONE), (ZERO, ZERO)], ids=["0, 9", "1, 1", "0, 0"]
)
def test_inverse_of_zero(claimed: tuple[Ext, Ext]) -> None:
    """``a b = 0``, with a product and an inverse of the prover's choice."""
    values = (Ext(12), ZERO, ZERO, ZERO)
    Toy().refuse_by_one_check(Toy().prove(values, claimed), h.SLOT_SUM)


def _patched_sum(slots: int) -> Callable[[Any], Any]:
    """Shift the constant coefficient of ``p`` so that its slot sum is what the verifier wants."""

    def change(cells: U64) -> U64:
        target = ext.scalar(ext.vector([_target[-1]]), (0,))
        found = ext.scalar(ext.scale(ext.total(cells.T[:, ::slots]), Ext(slots)), ())
        shift = (target - found) * Ext(slots).inverse()
        out = cells.copy()
        new = Ext(int(cells[0, 0]), int(cells[0, 1])) + shift
        out[0] = (new.a, new.b)
        return out

    return change


_target: list[Ext] = []


@contextmanager
def _known_target() -> Iterator[None]:
    relation = HidingVerifier.relation

    def watch(self: HidingVerifier, *args: Any) -> Any:
        out = relation(self, *args)
        _target.append(out[1])
        return out

    with mock.patch.object(HidingVerifier, "relation", watch):
        yield


def test_relation_polynomial_with_the_right_sum() -> None:
    """``p`` is changed in one coefficient so that its sum over the slots fits a false relation."""
    assert _toy_is_accepted()
    slots = ligero.parameters(Toy().layout.count, BITS).slots
    false = (Ext(5), Ext(7), Ext(35), Ext(246))
    with _known_target(), hh.message("hidden/relation", _patched_sum(slots)):
        proof = Toy().prove(false)
    Toy().refuse_by_one_check(proof, hh.RELATION)


def test_proximity_vector_forged() -> None:
    """``u`` is changed in one coefficient."""
    assert _toy_is_accepted()
    with hh.message("hidden/proximity", lambda u: _shifted(u, (3, 1))):
        proof = Toy().prove()
    Toy().refuse_by_one_check(proof, hh.CODE_WORDS)


def _shifted(cells: U64, place: tuple[int, ...], value: int = 1) -> U64:
    cells[place] = (int(cells[place]) + value) % P
    return cells


def _with_code(
    committed: prover_ligero.CommittedVector, code: U64
) -> prover_ligero.CommittedVector:
    return replace(committed, code=code, tree=merkle.build(code, committed.salts))


def _opened_as(
    committed: prover_ligero.CommittedVector, code: U64
) -> prover_ligero.CommittedVector:
    """The tree and the opened columns are those of ``code``, ``u`` and ``p`` the honest ones."""
    shown = hh.OpenedAs(committed.code, code)
    return replace(committed, code=shown, tree=merkle.build(code, committed.salts))


@pytest.mark.parametrize(("row", "lanes"), [(0, 1), (-3, 0), (-3, 1)], ids=["pads", "T", "T high"])
def test_row_of_too_high_a_degree(row: int, lanes: int) -> None:
    """A row gets a term of degree ``k`` or ``k + s``, which is 0 nowhere on the domain."""
    assert _toy_is_accepted()

    def raise_degree(found: prover_ligero.CommittedVector) -> prover_ligero.CommittedVector:
        parameters = found.parameters
        degree = parameters.degree + lanes * parameters.slots
        points = ligero.code_points(parameters.code_log, list(range(1 << parameters.code_log)))
        code = found.code.copy()
        column = 2 * (row % (code.shape[1] // 2))
        power = [pow(int(x), degree, P) for x in points]
        code[:, column] = [(int(c) + x) % P for c, x in zip(code[:, column], power, strict=True)]
        return _opened_as(found, code)

    with hh.words(raise_degree):
        proof = Toy().prove()
    Toy().refuse(proof, HiddenMismatch, hh.CODE_WORDS.message)
    others = () if row == -3 else (hh.RELATION,)
    with h.without(hh.CODE_WORDS, *others):
        Toy().verify(proof)


@pytest.mark.parametrize("column", [0, 1, -6, -4, -2])
def test_corrupted_columns(column: int) -> None:
    """More than ``e`` positions of one row belong to no code word."""
    assert _toy_is_accepted()

    def corrupt(found: prover_ligero.CommittedVector) -> prover_ligero.CommittedVector:
        n = 1 << found.parameters.code_log
        bad = (n - found.parameters.product_degree) // 2 + 1
        code = found.code.copy()
        code[np.random.default_rng(6).permutation(n)[:bad], column] ^= np.uint64(1)
        return _opened_as(found, code)

    with hh.words(corrupt):
        proof = Toy().prove()
    Toy().refuse(proof, HiddenMismatch, hh.CODE_WORDS.message)
    others = () if column == -6 else (hh.RELATION,)
    with h.without(hh.CODE_WORDS, *others):
        Toy().verify(proof)


def test_opened_column_changed() -> None:
    """A column that is not the leaf of the tree."""
    assert _toy_is_accepted()
    with hh.message("hidden/columns", lambda cells: _shifted(cells, (1, 0))):
        proof = Toy().prove()
    Toy().refuse(proof, CommitmentMismatch, h.MERKLE.message)


@contextmanager
def _blinding_sum(value: Ext) -> Iterator[None]:
    """The constant coefficient of ``B_0`` is shifted so that ``B`` adds up to ``value``."""

    def shift(found: prover_ligero.CommittedVector) -> prover_ligero.CommittedVector:
        parameters = found.parameters
        by = value * Ext(parameters.slots).inverse()
        coefficients = found.coefficients.copy()
        new = ext.scalar(coefficients, (-2, 0)) + by
        coefficients[:, -2, 0] = (new.a, new.b)
        code = found.code.copy()
        for part, add in enumerate((by.a, by.b)):
            column = code.shape[1] - 4 + part
            code[:, column] = [(int(c) + add) % P for c in code[:, column]]
        return _with_code(replace(found, coefficients=coefficients), code)

    with hh.words(shift):
        yield


def test_blinding_rows_that_do_not_add_up_to_zero() -> None:
    """``B`` adds a constant to the relation: a true one fails by it. A false one could only use it
    if its combination were known when ``B`` is committed, but gamma comes later."""
    assert _toy_is_accepted()
    with _blinding_sum(Ext(1234, 5)):
        Toy().refuse_by_one_check(Toy().prove(), h.SLOT_SUM)
    gamma = Ext(31, 41)
    false = (Ext(5), Ext(7), Ext(35), Ext(246))  # the second check is -1
    with _blinding_sum(gamma * gamma):
        Toy().refuse_by_one_check(Toy().prove(false), h.SLOT_SUM)
        with hh.rigged("hidden/gamma", gamma):
            Toy().verify(Toy().prove(false))


def test_layout_with_one_scalar_fewer() -> None:
    """The last scalar shares a pad with the first one, and everything behind it moves up."""
    assert _toy_is_accepted()
    toy, send = Toy(), HidingProver.send
    full, sizes = toy.layout, ligero.parameters(Toy().layout.count, BITS)
    count = full.scalars - 1
    fewer = Layout(count, tuple((i, j % count) for i, j in full.products))

    def share(channel: HidingProver, label: str, values: list[Ext]) -> None:
        if label != "toy/nonzero":
            send(channel, label, values)
            return
        channel._used += 1
        pads = [ext.scalar(channel._pads, (slot,)) for slot in (count - 1, 0)]
        channel.send_clear(label, [v - pad for v, pad in zip(values, pads, strict=True)])

    with (
        mock.patch.object(HidingProver, "send", share),
        mock.patch.object(ligero, "parameters", return_value=sizes),
    ):
        proof = toy.prove(layout=fewer)
    toy.refuse_by_one_check(proof, h.SLOT_SUM)


@pytest.mark.parametrize("what", ["root", "root and proof"])
def test_pads_of_another_proof(what: str) -> None:
    """The commitment of one proof in another, with or without its opening; no work is asked."""
    assert _toy_is_accepted()
    with everywhere(ligero, "WORK_BITS", 0):
        mine, other = Toy("mine"), Toy("other")
        here, there = mine.prove(), other.prove()
        mine.verify(here)
        other.verify(there)
        scalars = 32 + 16 * mine.layout.scalars
        tail = there[scalars:] if what == "root and proof" else here[scalars:]
        mine.refuse(there[:32] + here[32:scalars] + tail, CommitmentMismatch, h.MERKLE.message)


def test_pads_of_another_run() -> None:
    """The commitment to the pads of one proof in that of another run; work was done for other
    pads."""
    one, other = (h.honest(loss, hiding=True) for loss in ("mse", "cross_entropy"))
    first, last = h.prove(one), h.prove(other)
    h.accept(other, last)
    h.refuse(other, first[:32] + last[32:], Rejected)


# The opening, masked, of two or three levels.


SIZES = {"a": 1, "b": 0}


@dataclass(frozen=True)
class _Opening:
    """Two tensors of two lanes and of one, in a commitment that hides."""

    lane_log: int

    @property
    def packing(self) -> Packing:
        tensors = [(n, self.lane_log + s, 1 << (self.lane_log + s)) for n, s in SIZES.items()]
        return pack(tensors, self.lane_log, carried_tail_for(self.lane_log, BITS, 1))

    def _claims(self, committed: Committed) -> tuple[Claim, ...]:
        out = []
        for name, size in SIZES.items():
            point = tuple(Challenger(name).elements("point", self.lane_log + size))
            value = ml.evaluate_integers(committed.tensors[name], point)
            out.append(claim_on(0, name, point, value))
        return tuple(out)

    @property
    def layout(self) -> Layout:
        """Only the opening's scalars."""
        levels = opening.level_plan([self.packing], BITS, hiding=True)
        return Layout(levels.scalars(True))

    def _judge(self, channel: VerifierChannel, committed: Committed) -> None:
        claims = self._claims(committed)
        opening.verify(channel, "opening", [committed.root], [self.packing], claims, BITS)

    def prove(self, committed: Committed) -> bytes:
        """What the verifier would find wrong in the clear does not stop the prover."""
        random = expand(SECRET, "opening")
        channel = HidingProver(Challenger("opening"), self.layout, BITS, random)
        claims = self._claims(committed)
        prover_opening.prove(channel, "opening", [committed], claims, BITS, random)
        replay = HidingVerifier(Challenger("opening"), channel.proof(), self.layout, BITS)
        with h.without(h.MERKLE, h.CLEAR_FOLD):
            self._judge(replay, committed)
        channel.close(replay)
        return channel.proof()

    def verify(self, proof: bytes, committed: Committed) -> None:
        channel = HidingVerifier(Challenger("opening"), proof, self.layout, BITS)
        self._judge(channel, committed)
        channel.close()
        channel.finish()


@cache
def _opening(lane_log: int) -> tuple[_Opening, Committed]:
    it = _Opening(lane_log)
    random = np.random.default_rng(3)
    tensors = {
        name: random.integers(-1000, 1000, 1 << (lane_log + size)) for name, size in SIZES.items()
    }
    committed = commit(it.packing, tensors, expand(SECRET, "tensors"))
    it.verify(it.prove(committed), committed)
    return it, committed


LANE_LOGS = {12: "two levels", 16: "three levels"}
levels = pytest.mark.parametrize("lane_log", LANE_LOGS, ids=LANE_LOGS.values())


def test_openings_have_two_and_three_levels() -> None:
    """The masked level is the last one, or it is not."""
    for lane_log, count in ((12, 2), (16, 3)):
        it, _ = _opening(lane_log)
        plan = opening.level_plan([it.packing], BITS, hiding=True)
        assert len(plan.levels) == count
        assert [level.masked for level in plan.levels] == [n == 1 for n in range(count)]


def _refuse(
    lane_log: int,
    lie: Callable[[], Any],
    error: type[ZktrainError],
    message: str,
    rig: tuple[str, Ext] | None = None,
) -> None:
    """Rejected; accepted if a challenge were known to be such that the lie does not count."""
    it, committed = _opening(lane_log)
    with lie():
        proof = it.prove(committed)
    with pytest.raises(error, match=message) as caught:
        it.verify(proof, committed)
    assert type(caught.value) is error
    if rig is not None:
        with hh.rigged(*rig):
            with lie():
                proof = it.prove(committed)
            it.verify(proof, committed)


def _plus_one(values: list[Ext]) -> list[Ext]:
    return [values[0] + 1, *values[1:]]


@levels
def test_mask_lane_claim_wrong(lane_log: int) -> None:
    """``<b, w>`` is off by one; only for ``epsilon = 0`` nobody would see it."""
    lie = lambda: hh.message("opening/mask", _plus_one)  # noqa: E731
    rig = ("opening/epsilon", ZERO)
    _refuse(lane_log, lie, HiddenMismatch, h.SLOT_SUM.message, rig)


def test_opened_value_wrong() -> None:
    """``F(z)`` is off by one."""
    lie = lambda: hh.message("opening/value", _plus_one)  # noqa: E731
    _refuse(12, lie, HiddenMismatch, h.SLOT_SUM.message)


@pytest.mark.parametrize(
    ("lane_log", "error", "message"),
    [(12, OpeningMismatch, h.CLEAR_FOLD.message), (16, HiddenMismatch, h.SLOT_SUM.message)],
    ids=["two levels", "three levels"],
)
def test_folded_tail_wrong(lane_log: int, error: type[ZktrainError], message: str) -> None:
    """The tail that is sent is not the fold of the masked level's tails."""
    lie = lambda: hh.message("opening/tail", lambda t: _shifted(t, (0, 0)))  # noqa: E731
    _refuse(lane_log, lie, error, message)


@pytest.mark.parametrize("coefficient", [0, -1], ids=["first", "last"])
@levels
def test_carried_tail_wrong(lane_log: int, coefficient: int) -> None:
    """Level 1 holds another tail than the fold of the tails; opened rows of level 0 contradict it,
    unless ``beta = 0`` drops them."""
    true = ligerito._fold_tails

    def wrong(*args: Any) -> ext.ExtVec:
        return _shifted(true(*args), (0, coefficient))

    lie = lambda: mock.patch.object(ligerito, "_fold_tails", wrong)  # noqa: E731
    rig = ("opening/beta", ZERO)
    _refuse(lane_log, lie, HiddenMismatch, h.SLOT_SUM.message, rig)


@levels
def test_fold_wrong_but_for_the_evaluation(lane_log: int) -> None:
    """``f_1`` is changed in two coefficients so that the evaluation claim still holds."""
    true, prove, seen = ligerito._fold_lanes, ligerito.prove, []

    def watch(*args: Any) -> None:
        seen[:] = [args[4]]
        prove(*args)

    def wrong(*args: Any) -> ext.ExtVec:
        f = true(*args)
        weights = ml.eq_table(seen[0][:lane_log])
        w0, w1 = (ext.scalar(weights, (i,)) for i in (0, 1))
        for index, change in ((0, w1), (1, -w0)):
            new = ext.scalar(f, (index,)) + change
            f[:, index] = (new.a, new.b)
        return f

    @contextmanager
    def lie() -> Iterator[None]:
        with (
            mock.patch.object(ligerito, "prove", watch),
            mock.patch.object(ligerito, "_fold_lanes", wrong),
        ):
            yield

    rig = ("opening/beta", ZERO)
    _refuse(lane_log, lie, HiddenMismatch, h.SLOT_SUM.message, rig)


@pytest.mark.parametrize("level", [0, 1])
@levels
def test_salt_changed(lane_log: int, level: int) -> None:
    """The last cell of an opened row of a salted commitment."""
    lie = lambda: hh.message("opening/rows", lambda rows: _shifted(rows, (2, -1)), level)  # noqa: E731
    _refuse(lane_log, lie, CommitmentMismatch, h.MERKLE.message)


@levels
def test_mask_added_to_the_rows_only(lane_log: int) -> None:
    """The committed mask is zero in the fold that goes on, and random in the opened rows."""
    true = ligerito._commit_level

    def wrong(*args: Any) -> Any:
        matrix, tails, mask = true(*args)
        return matrix, tails, np.zeros_like(mask)

    lie = lambda: mock.patch.object(ligerito, "_commit_level", wrong)  # noqa: E731
    error = OpeningMismatch if lane_log == 12 else HiddenMismatch
    message = h.CLEAR_FOLD.message if lane_log == 12 else h.SLOT_SUM.message
    _refuse(lane_log, lie, error, message)
