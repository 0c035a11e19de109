"""Every padded cell must be zero: a prover fills each kind of padding of each tensor."""

from __future__ import annotations

import harness as h
import numpy as np
import pytest
from harness import LOSSES, at_step
from numpy.typing import NDArray

from zktrain.errors import LookupMismatch, SumcheckMismatch, ZktrainError
from zktrain.tables.exp import exp_table
from zktrain.tables.sigmoid import sigmoid_table

KINDS = ("unit", "sample", "step")
REAL = (1, 1, 1)


def _padded(loss: str) -> list[tuple[str, str, str]]:
    """All committed tensors, with the kinds of padding that they have."""
    out = []
    for tensor in h.circuit(loss).graph().tensors:
        if tensor.committed:
            out += [(loss, tensor.name, kind) for kind in _kinds(loss, tensor.name)]
    return out


def _kinds(loss: str, name: str) -> list[str]:
    width = h.circuit(loss).graph().tensor(name).width
    return [kind for kind in KINDS if kind != "unit" or width & (width - 1)]


def _cell(name: str, kind: str, loss: str) -> tuple[int, ...]:
    width = h.circuit(loss).graph().tensor(name).width
    place = {"unit": (1, 1, width), "sample": (1, h.BATCH, 1), "step": (h.STEPS, 1, 1)}[kind]
    return place if width else place[:2]


def _fill(name: str, tensors: h.Tensors, cell: tuple[int, ...]) -> tuple[type[ZktrainError], str]:
    """Fill one cell so that as many lookups as possible still hold; the expected refusal."""
    tensors[name][cell] = 1
    if name[0] in "sp" or name == "c" or (name == "z3" and "c" in tensors):
        if name == "p" and "c" in tensors:
            tensors["p"][cell] = exp_table()[0][0]
        return LookupMismatch, h.ROOT_SUM.message
    if name == "z3" and "p" in tensors:
        tensors["p"][cell] = sigmoid_table()[(1 << 15) + 1]
    if name in ("z1", "z2"):
        tensors[f"s{name[1]}"][cell] = 1
    label = ("acc" if name[0] == "z" else "bac") + name[1]
    return SumcheckMismatch, f"the product '{label}'"


CASES = [case for loss in LOSSES for case in _padded(loss)]


@pytest.mark.parametrize(("loss", "name", "kind"), CASES, ids=["-".join(c) for c in CASES])
def test_padding_filled(loss: str, name: str, kind: str) -> None:
    """One padded cell of one tensor is not zero."""
    assert h.honest_is_accepted(loss)
    run = h.honest(loss)
    expected: list[tuple[type[ZktrainError], str]] = []
    tensors = run.edited(lambda t: expected.append(_fill(name, t, _cell(name, kind, loss))))
    h.refuse(run, h.prove(run, tensors), *expected[0])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("half", [1 << 13, -(1 << 13)])
def test_padded_probability_of_one_half(kind: str, half: int) -> None:
    """``sigmoid(0) = 1/2`` in a padded cell, as if the table were not shifted: ``p`` must be 0."""
    loss = "binary_cross_entropy"
    assert h.honest_is_accepted(loss)
    run = h.honest(loss)
    cell = _cell("p", kind, loss)
    tensors = run.edited(lambda t: t["p"].__setitem__(cell, half))
    h.refuse(run, h.prove(run, tensors), LookupMismatch, h.ROOT_SUM.message)


@pytest.mark.parametrize("source", ["x", "y"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loss", LOSSES)
def test_padding_of_a_batch_filled(loss: str, kind: str, source: str) -> None:
    """Bytes or labels beyond the units, samples or steps of a batch belong to no record."""
    assert h.honest_is_accepted(loss)
    run = h.honest(loss)
    cell = _cell(source, kind, loss)
    tensors = run.edited(lambda t: t[source].__setitem__(cell, 1))
    proof = h.prove(run, tensors)
    h.refuse(run, proof, SumcheckMismatch)
    with h.without(h.AFFINE, h.TRANSPOSED, h.WEIGHTS):
        h.refuse_by_one_check(run, proof, SumcheckMismatch, h.BATCHES)


SECOND_ZEROS = [(name, kind) for name in ("z1", "z3", "q2", "q1") for kind in _kinds("mse", name)]


@pytest.mark.parametrize(("name", "kind"), SECOND_ZEROS)
def test_padding_filled_with_a_second_representation_of_zero(name: str, kind: str) -> None:
    """``2^32 (2^32 - 1) + 1`` is 0 modulo p, so the equation holds in the padded cell."""
    assert h.honest_is_accepted("mse")
    run = h.honest("mse")
    cell = _cell(name, kind, "mse")

    def edit(tensors: h.Tensors) -> None:
        tensors[name][cell] = (1 << 32) - 1
        tensors[f"{name}.low"][cell] = 1

    proof = h.prove(run, run.edited(edit))
    h.refuse(run, proof, LookupMismatch, h.ROOT_SUM.message)


@pytest.mark.parametrize(
    ("loss", "error"),
    [
        ("cross_entropy", LookupMismatch),
        ("mse", SumcheckMismatch),
        ("binary_cross_entropy", SumcheckMismatch),
    ],
)
def test_padded_sample_trained_on(loss: str, error: type[ZktrainError]) -> None:
    """One step trains on a fourth record in a batch of three, in the sample that is padding."""
    assert h.honest_is_accepted(loss)

    def one_more(order: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.append(order, (order[0] + 1) % h.RECORDS)

    run = h.train(loss, {"rows": at_step(1, one_more)})
    h.refuse(run, h.prove(run), error)


@pytest.mark.parametrize("rate", [0, 2])
@pytest.mark.parametrize(
    ("loss", "error"),
    [
        ("cross_entropy", LookupMismatch),
        ("mse", SumcheckMismatch),
        ("binary_cross_entropy", SumcheckMismatch),
    ],
)
def test_padded_step_trained(loss: str, error: type[ZktrainError], rate: int) -> None:
    """A twelfth step in the padding, moving the weights or not."""
    assert h.honest_is_accepted(loss)
    lie = {"multiplier": at_step(h.STEPS, lambda _: rate)}
    run = h.train(loss, lie, steps_done=h.STEPS + 1)

    def multipliers(true: NDArray[np.uint64]) -> NDArray[np.uint64]:
        out = true.copy()
        out[h.STEPS] = rate
        return out

    proof = h.prove(run, multipliers=multipliers)
    h.refuse(run, proof, error)
