"""Counts and fixed weights: what is left is true of the tensors, and nothing else is accepted."""

from __future__ import annotations

import numpy as np
import pytest
from relation_oracle import (
    Tensor,
    copy,
    false_claims,
    padded,
    proof_of,
    random_point,
    real_cells,
    segment,
    truth,
    verifier,
)

from zktrain import operations as ops
from zktrain.arguments.claims import Ledger
from zktrain.arguments.tensors import Shape
from zktrain.arguments.tensors import Tensor as Described
from zktrain.errors import SumcheckMismatch
from zktrain.field.extension import Ext, Point
from zktrain.operations import tally
from zktrain.operations.base import Context, Ends, StepGraph

TALLY = ops.Tally("y", "h")
SHAPES = [(1, 1), (1, 3), (1, 8), (3, 5)]
WIDTHS = [(3, 3), (1, 1), (4, 2), (2, 5)]


def _graph(left: int, right: int) -> StepGraph:
    return StepGraph((Described("y", left), Described("h", right)), (TALLY,))


def _tensors(steps: int, batch: int, left: int, right: int) -> dict[str, Tensor]:
    random = np.random.default_rng(steps * batch + left + right)
    shape = Shape(steps, batch)
    return {
        name: real_cells(random, shape, width, 0, 2, np.uint8)
        for name, width in (("y", left), ("h", right))
    }


def _counts(tensors: dict[str, Tensor], left: int, right: int) -> np.ndarray:
    """Pair by pair."""
    out = np.zeros((left, right), dtype=np.int64)
    for t, b in np.ndindex(tensors["y"].shape[:2]):
        for i, k in np.ndindex(left, right):
            out[i, k] += int(tensors["y"][t, b, i]) * int(tensors["h"][t, b, k])
    return out


def _prove(tensors: dict[str, Tensor], shape: Shape, widths: tuple[int, int]) -> bytes:
    return proof_of(TALLY, Context(_graph(*widths), shape, Ledger()), witness=tensors)


@pytest.mark.parametrize(("steps", "batch"), SHAPES)
@pytest.mark.parametrize("widths", WIDTHS)
def test_true_counts(steps: int, batch: int, widths: tuple[int, int]) -> None:
    shape, tensors = Shape(steps, batch), _tensors(steps, batch, *widths)
    proof, ledger = _prove(tensors, shape, widths), Ledger()
    channel = verifier(proof)
    counts = _counts(tensors, *widths)
    TALLY.verify(channel, Context(_graph(*widths), shape, ledger, counts=counts))
    channel.finish()
    assert len(ledger.of("y")) == len(ledger.of("h")) == 1
    assert false_claims(ledger, tensors) == []


@pytest.mark.parametrize("cell", list(np.ndindex(3, 3)))
def test_false_counts(cell: tuple[int, int]) -> None:
    shape, tensors = Shape(1, 5), _tensors(1, 5, 3, 3)
    proof = _prove(tensors, shape, (3, 3))
    for change in (1, -1):
        counts = _counts(tensors, 3, 3)
        counts[cell] += change
        with pytest.raises(SumcheckMismatch, match="counts"):
            TALLY.verify(verifier(proof), Context(_graph(3, 3), shape, Ledger(), counts=counts))


def test_padded_cells_are_counted_against_zero() -> None:
    """A cell beyond the real classes has to be 0, or the counts do not match."""
    shape, tensors = Shape(1, 5), _tensors(1, 5, 3, 3)
    tensors["y"][0, 0, 1] = 1
    tensors["h"][0, 0, 3] = 1
    proof, counts = _prove(tensors, shape, (3, 3)), _counts(tensors, 3, 3)
    with pytest.raises(SumcheckMismatch, match="counts"):
        TALLY.verify(verifier(proof), Context(_graph(3, 3), shape, Ledger(), counts=counts))


def test_counts_of_other_tensors_leave_false_claims() -> None:
    shape, tensors = Shape(1, 5), _tensors(1, 5, 3, 3)
    other = {name: tensor.copy() for name, tensor in tensors.items()}
    other["h"][0, :5, :3] = 1 - other["h"][0, :5, :3]
    proof, ledger = _prove(other, shape, (3, 3)), Ledger()
    counts = _counts(other, 3, 3)
    TALLY.verify(verifier(proof), Context(_graph(3, 3), shape, ledger, counts=counts))
    assert false_claims(ledger, tensors) == ["h"]


def test_a_verifier_without_counts_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="counts"):
        TALLY.verify(verifier(b""), Context(_graph(3, 3), Shape(1, 5), Ledger()))


AFFINE = ops.Affine("acc", "a", "W", "b", 8)


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
@pytest.mark.parametrize(("steps", "batch"), SHAPES)
@pytest.mark.parametrize(("inputs", "outputs"), [(3, 5), (1, 1), (4, 2)])
def test_products_with_fixed_weights(
    steps: int, batch: int, inputs: int, outputs: int, *, bias: bool
) -> None:
    """One layer from the claim on its outputs to the public weights; any other weights, and any
    wrong value, are refused."""
    found = segment(7, steps, batch, inputs, outputs)
    found.multipliers[:] = 0
    found.weights[1:] = found.weights[:1] * (len(found.weights) - 1)
    found.biases[1:] = found.biases[:1] * (len(found.biases) - 1)
    if not bias:
        found.biases = [0 * found.biases[0] for _ in found.biases]
    out = found.forward()
    out[steps:] = 0
    out[:, batch:] = 0
    op = ops.Affine("acc", "a", "W", "b" if bias else None, 8)
    weight = found.weights[0].astype(np.int64)
    public = {"W": weight, "b": found.biases[0].astype(np.int64)}

    random = np.random.default_rng(8)
    point = random_point(random, out)
    ledger = Ledger()
    ledger.add("acc", point, truth(out, point))
    theirs = copy(ledger, ["acc"])
    proof = proof_of(op, found.context(op, ledger=ledger), witness=found.witness, weights=public)
    reader, context = verifier(proof), found.context(op, ledger=theirs)
    op.verify(reader, context)
    reader.finish()
    left = context.weights
    assert false_claims(theirs, {"a": found.activation, "acc": out}) == []

    def check(parameters: dict[str, Tensor]) -> None:
        def value(side: str, name: str, at: Point) -> Ext:
            assert side == "fixed"
            return truth(parameters[name], at)

        fixed = ops.Fixed("W", op.bias)
        fixed.verify(verifier(b""), found.context(fixed, weights=left, ends=Ends(value)))

    check(public)
    for name in public if bias else ["W"]:
        cell = tuple(0 for _ in public[name].shape)
        other = {key: tensor.copy() for key, tensor in public.items()}
        other[name][cell] += 1
        with pytest.raises(SumcheckMismatch, match=f"'{name}'"):
            check(other)
    for claims in left.claims.values():
        claims[0].value = claims[0].value + 1
    with pytest.raises(SumcheckMismatch, match="not those in use"):
        check(public)


def test_padded_sizes() -> None:
    counts = tally.padded(np.arange(6).reshape(2, 3))
    assert counts.tolist() == [[0, 1, 2, 0], [3, 4, 5, 0]]
    assert padded(3) == counts.shape[1]
