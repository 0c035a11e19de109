"""Products and linear combinations: the claims that remain are true of the tensors."""

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
    truth,
    verifier,
)

from zktrain import operations as ops
from zktrain.arguments.claims import Ledger
from zktrain.arguments.tensors import Shape
from zktrain.arguments.tensors import Tensor as Described
from zktrain.errors import SumcheckMismatch
from zktrain.field.extension import Ext
from zktrain.operations.base import Context, StepGraph
from zktrain.transcript.channel import VerifierChannel

SHAPES = [(1, 1), (1, 3), (4, 4), (3, 5)]
PRODUCT = ops.Product("out", "left", "right")
NOTHING = StepGraph((), ())


def product_tensors(steps: int, batch: int, width: int) -> dict[str, Tensor]:
    rng = np.random.default_rng(steps + batch + width)
    shape = Shape(steps, batch)
    left = real_cells(rng, shape, width, 0, 2, np.uint8)
    right = real_cells(rng, shape, width, -(1 << 15), 1 << 15, np.int16)
    return {"left": left, "right": right, "out": left.astype(object) * right.astype(object)}


def prove_product(tensors: dict[str, Tensor], claims: Ledger) -> bytes:
    return proof_of(PRODUCT, product_context(tensors, claims), witness=tensors)


def product_context(tensors: dict[str, Tensor], claims: Ledger) -> Context:
    steps, batch, width = tensors["left"].shape
    described = tuple(Described(name, width) for name in ("left", "right", "out"))
    return Context(StepGraph(described, ()), Shape(steps, batch), claims)


def check_product(channel: VerifierChannel, claims: Ledger) -> None:
    PRODUCT.verify(channel, Context(NOTHING, Shape(1, 1), claims))


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize(("steps", "batch"), SHAPES)
@pytest.mark.parametrize("width", [1, 5])
def test_true_products(steps: int, batch: int, width: int, count: int) -> None:
    tensors = product_tensors(steps, batch, width)
    rng = np.random.default_rng(1)
    ledger = Ledger()
    for _ in range(count):
        point = random_point(rng, tensors["out"])
        ledger.add("out", point, truth(tensors["out"], point))
    theirs = copy(ledger, ["out"])
    channel = verifier(prove_product(tensors, ledger))
    check_product(channel, theirs)
    channel.finish()
    for side in (ledger, theirs):
        assert len(side.of("left")) == len(side.of("right")) == 1
        assert false_claims(side, tensors) == []


def test_products_without_claims_send_nothing() -> None:
    assert prove_product(product_tensors(1, 3, 5), Ledger()) == b""
    check_product(verifier(b""), Ledger())


@pytest.mark.parametrize("wrong", [0, 1, 2])
def test_false_products(wrong: int) -> None:
    tensors = product_tensors(3, 5, 5)
    rng = np.random.default_rng(2)
    ledger = Ledger()
    for k in range(3):
        point = random_point(rng, tensors["out"])
        ledger.add("out", point, truth(tensors["out"], point) + int(k == wrong))
    theirs = copy(ledger, ["out"])
    proof = prove_product(tensors, ledger)
    with pytest.raises(SumcheckMismatch, match="'out'"):
        check_product(verifier(proof), theirs)


def test_product_of_other_factors_leaves_false_claims() -> None:
    """A prover with wrong tensors that have the right product is caught by the factors' claims."""
    tensors = product_tensors(3, 5, 5)
    other = {"left": -tensors["left"].astype(np.int16), "right": -tensors["right"].astype(np.int32)}
    point = random_point(np.random.default_rng(3), tensors["out"])
    ledger = Ledger()
    ledger.add("out", point, truth(tensors["out"], point))
    theirs = copy(ledger, ["out"])
    check_product(verifier(prove_product(other, ledger)), theirs)
    assert false_claims(theirs, tensors) == ["left", "right"]


@pytest.mark.parametrize("at", range(0, 32, 8))
def test_changed_factors(at: int) -> None:
    tensors = product_tensors(3, 5, 5)
    point = random_point(np.random.default_rng(4), tensors["out"])
    ledger = Ledger()
    ledger.add("out", point, truth(tensors["out"], point))
    theirs = copy(ledger, ["out"])
    proof = bytearray(prove_product(tensors, ledger))
    proof[len(proof) - 32 + at] ^= 1
    with pytest.raises(SumcheckMismatch):
        check_product(verifier(bytes(proof)), theirs)


# linear combinations

WIDTHS = {"wide": 5, "other": 5, "sample": 0, "virtual": 5}
LINEAR: dict[str, tuple[int, tuple[tuple[int, str], ...], int]] = {
    "one term": (5, ((-3, "wide"),), 0),
    "two terms and a constant": (5, ((1, "wide"), (-(1 << 32), "other")), 1 << 31),
    "broadcast": (5, ((1, "sample"), (-1, "wide")), 0),
    "broadcast and constant": (5, ((7, "sample"), (2, "other")), -11),
    "sum over units": (0, ((-1, "wide"),), 1 << 14),
    "sums over units and a sample": (0, ((1, "wide"), (2, "other"), (-5, "sample")), 3),
    "virtual": (5, ((1, "virtual"), (-(1 << 16), "wide"), (1, "sample")), 4),
}


def linear_case(
    name: str, steps: int, batch: int
) -> tuple[ops.Linear, StepGraph, Shape, dict[str, Tensor]]:
    width, terms, constant = LINEAR[name]
    op = ops.Linear("out", terms, constant)
    shape = Shape(steps, batch)
    rng = np.random.default_rng(5)
    tensors = {
        name: real_cells(rng, shape, own, -(1 << 15), 1 << 15, np.int32)
        for name, own in WIDTHS.items()
    }
    dims = [padded(steps), padded(batch)] + ([padded(width)] if width else [])
    out = np.zeros(dims, dtype=object)
    for t, b in np.ndindex(steps, batch):
        for j in range(max(1, width)):
            value = constant
            for c, term in terms:
                cells = tensors[term][t, b]
                if WIDTHS[term] == 0:
                    value += c * int(cells)
                elif width:
                    value += c * int(cells[j])
                else:
                    value += c * sum(cells.tolist())
            if width:
                out[t, b, j] = value
            else:
                out[t, b] = value
    tensors["out"] = out
    described = tuple(Described(n, w, n != "virtual") for n, w in WIDTHS.items())
    return op, StepGraph((*described, Described("out", width)), (op,)), shape, tensors


def reduce_both(
    op: ops.Linear, graph: StepGraph, shape: Shape, tensors: dict[str, Tensor], theirs: Ledger
) -> None:
    """Prover on a copy of the ledger, then the verifier on the ledger itself."""
    ours = copy(theirs, list(tensors))
    proof = proof_of(op, Context(graph, shape, ours), witness=tensors)
    reading = verifier(proof)
    op.verify(reading, Context(graph, shape, theirs))
    reading.finish()
    for name in tensors:
        assert [point for point, _ in ours.of(name)] == [point for point, _ in theirs.of(name)]


@pytest.mark.parametrize("name", LINEAR)
@pytest.mark.parametrize(("steps", "batch"), SHAPES)
def test_true_combinations(name: str, steps: int, batch: int) -> None:
    op, graph, shape, tensors = linear_case(name, steps, batch)
    rng = np.random.default_rng(6)
    ledger = Ledger()
    for _ in range(2):
        point = random_point(rng, tensors["out"])
        ledger.add("out", point, truth(tensors["out"], point))
    reduce_both(op, graph, shape, tensors, ledger)
    assert false_claims(ledger, tensors) == []
    for _, term in op.terms:
        assert len(ledger.of(term)) >= 1


@pytest.mark.parametrize("name", LINEAR)
def test_a_false_combination_leaves_a_false_claim_or_fails(name: str) -> None:
    op, graph, shape, tensors = linear_case(name, 3, 5)
    point = random_point(np.random.default_rng(7), tensors["out"])
    ledger = Ledger()
    ledger.add("out", point, truth(tensors["out"], point) + 1)
    reduce_both(op, graph, shape, tensors, ledger)
    assert set(false_claims(ledger, tensors)) > {"out"}


@pytest.mark.parametrize("name", LINEAR)
def test_a_false_combination_of_known_claims_fails(name: str) -> None:
    """All terms are claimed already: nothing is left to solve for."""
    op, graph, shape, tensors = linear_case(name, 3, 5)
    point = random_point(np.random.default_rng(8), tensors["out"])
    true = truth(tensors["out"], point)
    ledger = Ledger()
    ledger.add("out", point, true)
    reduce_both(op, graph, shape, tensors, ledger)
    terms = [term for _, term in op.terms]
    reduce_both(op, graph, shape, tensors, copy(ledger, ["out", *terms]))  # holds as it stands
    known = copy(ledger, terms)
    known.add("out", point, true + 1)
    with pytest.raises(SumcheckMismatch, match="linear relation"):
        op.verify(verifier(b""), Context(graph, shape, known))


def test_padding_of_the_constant_is_forced() -> None:
    """A combination whose padded cells hold the constant too is another tensor."""
    op, graph, shape, tensors = linear_case("two terms and a constant", 3, 5)
    filled = tensors["out"].copy()
    filled[3, :, :] = 1 << 31
    point = random_point(np.random.default_rng(9), filled)
    ledger = Ledger()
    ledger.add("out", point, truth(filled, point))
    reduce_both(op, graph, shape, tensors, ledger)
    assert set(false_claims(ledger, tensors)) > {"out"}


def test_a_ledger_refuses_two_values_at_one_point() -> None:
    ledger = Ledger()
    ledger.add("v", (Ext(1),), Ext(5))
    ledger.add("v", (Ext(1),), Ext(5))
    ledger.add("v", (Ext(2),), Ext(6))
    assert ledger.of("v") == [((Ext(1),), Ext(5)), ((Ext(2),), Ext(6))]
    assert ledger.find("v", (Ext(2),)) == Ext(6) and ledger.find("w", ()) is None
    with pytest.raises(SumcheckMismatch, match="two claims"):
        ledger.add("v", (Ext(1),), Ext(7))


@pytest.mark.parametrize(("steps", "batch"), SHAPES)
@pytest.mark.parametrize("width", [0, 1, 5, 8])
def test_indicator_of_real_cells(steps: int, batch: int, width: int) -> None:
    shape = Shape(steps, batch)
    real = real_cells(np.random.default_rng(1), shape, width, 1, 2, np.uint8)
    point = random_point(np.random.default_rng(2), real)
    assert len(point) == shape.log_size(width)
    assert shape.indicator(width, point) == truth(real, point)
