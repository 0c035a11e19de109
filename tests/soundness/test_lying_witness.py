"""Wrong values in the prover's tensors: limbs, quotients, ReLU bits, softmax, products."""

from __future__ import annotations

from collections.abc import Callable

import harness as h
import numpy as np
import pytest
from harness import LOSSES, Lie, at_step, find, in_cell

from zktrain.errors import LookupMismatch, SumcheckMismatch
from zktrain.tables.exp import exp_table
from zktrain.tables.sigmoid import sigmoid_table
from zktrain.training.witness import run_witness

BINARY = "binary_cross_entropy"
RESCALES = ("z1", "z2", "z3", "q1", "q2")
ALIASED = (1 << 32) - 1
"""``2^32 z + R`` and ``2^32 (z + 2^32 - 1) + R + 1`` are congruent modulo p."""


@pytest.mark.parametrize("loss", LOSSES)
def test_the_harness_trains_as_the_trainer_does(loss: str) -> None:
    """Without lies, tensors and weights are those of the real witness."""
    run = h.honest(loss)
    arrays, after = run_witness(
        h.circuit(loss), h.records(), run.weights[0], 0, h.STEPS, h.PADDED_STEPS
    )
    assert all(np.array_equal(arrays[name], run.tensors[name]) for name in arrays)
    assert all(np.array_equal(after[name], run.weights[1][name]) for name in after)


@pytest.mark.parametrize("hiding", [False, True])
@pytest.mark.parametrize("loss", LOSSES)
def test_the_honest_prover_is_accepted(loss: str, *, hiding: bool) -> None:
    """In clear and hiding."""
    assert h.honest_is_accepted(loss, hiding=hiding)


def _attack(loss: str, lies: dict[str, Lie]) -> tuple[h.Run, bytes]:
    assert h.honest_is_accepted(loss)
    run = h.train(loss, lies)
    return run, h.prove(run)


def _product_check(place: str) -> h.Check:
    return h.AFFINE if place.startswith("z") else h.TRANSPOSED


@pytest.mark.parametrize("place", RESCALES)
@pytest.mark.parametrize("loss", LOSSES)
def test_wrong_high_limb_of_a_remainder(loss: str, place: str) -> None:
    """The high limb is one larger, still 16 bits wide; the low limb stays."""
    step, cell = find(loss, f"{place}.high", lambda high: high < 0xFFFF)
    run, proof = _attack(
        loss, {place: in_cell(step, cell, lambda z, high, low: (z, high + 1, low))}
    )
    h.refuse_by_one_check(run, proof, SumcheckMismatch, _product_check(place))


@pytest.mark.parametrize("place", RESCALES)
def test_wrong_low_limb_of_a_remainder(place: str) -> None:
    """The low limb, which is not committed, is looked up one larger."""
    step, cell = find("cross_entropy", f"{place}.low", lambda low: low < 0xFFFF)
    lie = in_cell(step, cell, lambda z, high, low: (z, high, low + 1))
    run, proof = _attack("cross_entropy", {place: lie})
    h.refuse_by_one_check(run, proof, SumcheckMismatch, _product_check(place))


@pytest.mark.parametrize("place", RESCALES)
def test_wrong_quotient(place: str) -> None:
    """The quotient is one larger, the remainder stays."""
    step, cell = find("mse", place, lambda z: z > 0)
    run, proof = _attack(
        "mse", {place: in_cell(step, cell, lambda z, high, low: (z + 1, high, low))}
    )
    h.refuse_by_one_check(run, proof, SumcheckMismatch, _product_check(place))


@pytest.mark.parametrize("up", [1, -1])
@pytest.mark.parametrize("place", RESCALES)
def test_remainder_shifted_by_the_divisor(place: str, up: int) -> None:
    """Quotient ``+-1`` and remainder ``-+2^32``: the equation holds, the range does not."""
    step, cell = find("mse", place, lambda z: z > 1)
    shift = in_cell(step, cell, lambda z, high, low: (z + up, high - (up << 16), low))
    run, proof = _attack("mse", {place: shift})
    h.refuse_by_one_check(run, proof, LookupMismatch, h.ROOT_SUM)


@pytest.mark.parametrize("place", RESCALES)
def test_limbs_that_borrow_from_each_other(place: str) -> None:
    """High limb one less, low limb ``2^16`` more: the same remainder, the low limb out of range."""
    step, cell = find("mse", f"{place}.high", lambda high: high > 0)
    lie = in_cell(step, cell, lambda z, high, low: (z, high - 1, low + (1 << 16)))
    run, proof = _attack("mse", {place: lie})
    h.refuse_by_one_check(run, proof, LookupMismatch, h.ROOT_SUM)


def test_second_representation_of_a_hidden_quotient() -> None:
    """``z + 2^32 - 1`` with ``R + 1``, congruent modulo p, behind a closed ReLU."""
    step, cell = find("cross_entropy", "z1", lambda z: z < 0)
    lies = {
        "z1": in_cell(step, cell, lambda z, high, low: (z + ALIASED, high, low + 1)),
        "s1": in_cell(step, cell, lambda _: 0),
    }
    run, proof = _attack("cross_entropy", lies)
    h.refuse_by_one_check(run, proof, LookupMismatch, h.ROOT_SUM)


def test_second_representation_of_a_backward_quotient() -> None:
    """The same in the backward pass, where the unit passes no error on."""
    step, cell = find("cross_entropy", "s1", lambda s: s == 0)
    lie = in_cell(step, cell, lambda q, high, low: (q + ALIASED, high, low + 1))
    run, proof = _attack("cross_entropy", {"q1": lie})
    h.refuse_by_one_check(run, proof, LookupMismatch, h.ROOT_SUM)


@pytest.mark.parametrize("loss", LOSSES)
def test_second_representation_of_an_output_quotient(loss: str) -> None:
    """The same in the output layer, whose quotient has its own range."""
    assert h.honest_is_accepted(loss)
    run = h.honest(loss)

    def edit(tensors: h.Tensors) -> None:
        tensors["z3"][1, 1, 1] += ALIASED
        tensors["z3.low"][1, 1, 1] += 1

    proof = h.prove(run, run.edited(edit))
    h.refuse(run, proof, LookupMismatch, h.ROOT_SUM.message)


@pytest.mark.parametrize(
    "wanted",
    [lambda z: z > 0, lambda z: z < 0, lambda z: z == 0],
    ids=["positive", "negative", "zero"],
)
@pytest.mark.parametrize("loss", LOSSES)
def test_wrong_relu_bit(loss: str, wanted: Callable[..., np.ndarray]) -> None:
    """``s = 0`` at ``z > 0``, ``s = 1`` at ``z < 0``, and ``s = 1`` at exactly 0."""
    step, cell = find(loss, "z1", wanted)
    run, proof = _attack(loss, {"s1": in_cell(step, cell, lambda s: 1 - s)})
    h.refuse_by_one_check(run, proof, LookupMismatch, h.ROOT_SUM)


def test_relu_bit_that_is_no_bit() -> None:
    """``s = 2`` doubles an activation."""
    step, cell = find("mse", "z2", lambda z: z > 0)
    run, proof = _attack("mse", {"s2": in_cell(step, cell, lambda _: 2)})
    h.refuse_by_one_check(run, proof, LookupMismatch, h.ROOT_SUM)


@pytest.mark.parametrize("change", [1, -1], ids=["not minimal", "too small"])
def test_wrong_normaliser_of_the_softmax(change: int) -> None:
    """``c + 1`` or ``c - 1`` with all probabilities taken from the table at the new distances."""
    run, proof = _attack("cross_entropy", {"c": in_cell(1, (2,), lambda c: c + change)})
    h.refuse_by_one_check(run, proof, LookupMismatch, h.ROOT_SUM)


@pytest.mark.parametrize("column", [0, 1], ids=["p", "p.before"])
@pytest.mark.parametrize("change", [1, -1])
def test_probability_that_is_not_in_the_table(column: int, change: int) -> None:
    """One probability (or the one before) differs by one unit."""

    def change_one(*values: int) -> tuple[int, ...]:
        return tuple(v + change * (k == column) for k, v in enumerate(values))

    run, proof = _attack("cross_entropy", {"p": in_cell(0, (1, 2), change_one)})
    h.refuse(run, proof, LookupMismatch, h.ROOT_SUM.message)


@pytest.mark.parametrize("change", [1, -1, 1 << 13, 1 << 14], ids=str)
def test_sigmoid_that_is_not_in_the_table(change: int) -> None:
    """A probability differs from that of its logit: by a unit, a half, or one."""
    run, proof = _attack(BINARY, {"p": in_cell(0, (1, 2), lambda p: p + change)})
    h.refuse_by_one_check(run, proof, LookupMismatch, h.ROOT_SUM)


def test_sigmoid_of_another_logit() -> None:
    """A value of the table, but of a larger logit than that of the cell."""
    step, cell = find(BINARY, "z3", lambda z: abs(z) < 1000)
    z = int(h.honest(BINARY).tensors["z3"][(step, *cell)])
    other = int(sigmoid_table()[(1 << 15) + z + 40])
    run, proof = _attack(BINARY, {"p": in_cell(step, cell, lambda _: other)})
    h.refuse_by_one_check(run, proof, LookupMismatch, h.ROOT_SUM)


@pytest.mark.parametrize("change", [1, -1, 3])
def test_logit_that_is_not_the_product(change: int) -> None:
    """Another logit, with the probability of the table for it."""
    step, cell = find(BINARY, "z3", lambda z: abs(z) < 1000)
    lie = in_cell(step, cell, lambda z, high, low: (z + change, high, low))
    run, proof = _attack(BINARY, {"z3": lie})
    h.refuse_by_one_check(run, proof, SumcheckMismatch, h.AFFINE)


@pytest.mark.parametrize("value", [1 << 15, -(1 << 15) - 1, 1 << 40])
def test_logit_outside_of_its_range(value: int) -> None:
    """The sigmoid's table is the only bound of a logit; the probability is that of the end."""
    step, cell = find(BINARY, "z3", lambda z: z == z)
    lie = in_cell(step, cell, lambda z, high, low: (value, high, low))
    run, proof = _attack(BINARY, {"z3": lie})
    h.refuse(run, proof, LookupMismatch, h.ROOT_SUM.message)


def test_shift_of_the_sigmoid_left_out() -> None:
    """The error is ``p - 2^14 y``, as if the table were not shifted by one half."""
    run, proof = _attack(BINARY, {"e3": at_step(2, lambda error: error - (1 << 13))})
    h.refuse_by_one_check(run, proof, SumcheckMismatch, h.BATCHES)


def test_probability_at_another_distance() -> None:
    """A distance that is not ``c - z``, with the probabilities of the table for it."""
    assert h.honest_is_accepted("cross_entropy")
    at, before = exp_table()
    run = h.honest("cross_entropy")
    tensors = run.tensors
    c, z, p = (tensors[name].astype(np.int64) for name in ("c", "z3", "p"))
    room = (1 << 14) - p.sum(axis=2)
    spare = exp_table()[1][(c[..., None] - z)[:, : h.BATCH, :3]].sum(axis=2) - (1 << 14) - 1
    for t, b in np.argwhere((room[:, : h.BATCH] >= 0) & (spare > 0)):
        j = int(p[t, b, :3].argmin())
        d = int(c[t, b] - z[t, b, j]) + 1
        if int(before[d - 1] - before[d]) <= spare[t, b] and at[d] != at[d - 1]:
            break
    else:
        raise LookupError("no sample has room for the lie")
    lie = in_cell(int(t), (int(b), j), lambda true: true + 1)
    cheat = h.train("cross_entropy", {"d": lie})
    with h.without(h.LINEAR):
        proof = h.prove(cheat)
    h.refuse_by_one_check(cheat, proof, SumcheckMismatch, h.LINEAR)


@pytest.mark.parametrize(
    ("place", "change"),
    [("a1", lambda a: a + 1), ("a2", lambda a: -a), ("e1", lambda e: e + 5), ("e2", lambda e: 0)],
)
@pytest.mark.parametrize("loss", LOSSES)
def test_activation_or_error_that_is_no_product(
    loss: str, place: str, change: Callable[[int], int]
) -> None:
    """``a`` is not ``s z``, or ``e`` is not ``s q``, while all three are used consistently."""
    index = place[1]
    step, cell = find(loss, f"{'z' if place[0] == 'a' else 'q'}{index}", lambda v: v != 0)
    if place[0] == "e":
        joint = h.honest(loss).tensors
        step, cell = find(loss, f"q{index}", lambda q: (q != 0) & _open(joint[f"s{index}"], q))
    elif place == "a2":
        step, cell = find(loss, f"z{index}", lambda z: z > 0)
    run, proof = _attack(loss, {place: in_cell(step, cell, change)})
    h.refuse_by_one_check(run, proof, SumcheckMismatch, h.PRODUCT)


def _open(sign: np.ndarray, like: np.ndarray) -> np.ndarray:
    steps, batch, width = like.shape
    return sign[:steps, :batch, :width] == 1


@pytest.mark.parametrize("loss", LOSSES)
def test_error_of_the_output_layer_that_is_no_derivative(loss: str) -> None:
    """The labels that would explain the error are not those of the dataset."""
    lie = at_step(2, lambda error: error // 2)
    run, proof = _attack(loss, {"e3": lie})
    h.refuse_by_one_check(run, proof, SumcheckMismatch, h.BATCHES)


@pytest.mark.parametrize("rows", [(5, 9), (0, 65535)])
def test_multiplicities_moved_between_rows(rows: tuple[int, int]) -> None:
    """One lookup more at one row, one less at another; the total stays."""
    assert h.honest_is_accepted("mse")
    run = h.honest("mse")
    counts = h.forged_counts(run, run.tensors)
    for table in counts:
        forged = {name: column.copy() for name, column in counts.items()}
        forged[table][rows[0]] += 1
        forged[table][rows[1]] -= 1
        proof = h.prove(run, counts=forged)
        h.refuse_by_one_check(run, proof, LookupMismatch, h.ROOT_SUM)


def test_multiplicities_all_zero() -> None:
    """Nothing is counted at all."""
    assert h.honest_is_accepted("mse")
    run = h.honest("mse")
    counts = h.forged_counts(run, run.tensors)
    proof = h.prove(run, counts={name: 0 * column for name, column in counts.items()})
    h.refuse_by_one_check(run, proof, LookupMismatch, h.ROOT_SUM)


@pytest.mark.parametrize("row", [0, 32768, 65535])
@pytest.mark.parametrize("value", [1 << 15, -(1 << 15) - 1, 1 << 40])
def test_quotient_outside_of_its_range(value: int, row: int) -> None:
    """A ``q`` of 17 bits behind a closed ReLU, counted at a row of the prover's choice."""
    assert h.honest_is_accepted("mse")
    run = h.honest("mse")
    step, cell = find("mse", "s1", lambda s: s == 0)
    place = (step, *cell)

    def edit(tensors: h.Tensors) -> None:
        difference = tensors["q1"][place] - value
        high = (int(tensors["q1.high"][place]) << 16) + int(tensors["q1.low"][place])
        rest = high + (int(difference) << 32)
        tensors["q1"][place] = value
        tensors["q1.high"][place], tensors["q1.low"][place] = rest >> 16, rest & 0xFFFF

    tensors = run.edited(edit)
    honest_q = int(run.tensors["q1"][place])
    counts = h.forged_counts(run, run.tensors)
    counts["multiplicity.range16"][honest_q + (1 << 15)] -= 1
    counts["multiplicity.range16"][row] += 1
    proof = h.prove(run, tensors, counts=counts)
    h.refuse_by_one_check(run, proof, LookupMismatch, h.ROOT_SUM)
