"""Matrix products with moving weights, their updates, and batches, on tiny random segments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import field_oracle as oracle
import filter_oracle
import numpy as np
import pytest
from field_oracle import P, equality, pair, random_pairs
from relation_oracle import (
    BIAS_SHIFT,
    Segment,
    copy,
    false_claims,
    graph,
    padded,
    proof_of,
    random_point,
    segment,
    truth,
    verifier,
)

from zktrain.arguments.claims import Ledger, WeightClaim, WeightLedger
from zktrain.arguments.records import DatasetClaim
from zktrain.arguments.tensors import Shape
from zktrain.arguments.time_filter import FilteredSteps, PlainSteps
from zktrain.errors import SumcheckMismatch
from zktrain.field import goldilocks as gl
from zktrain.field.extension import Ext, Point, scalars, vector
from zktrain.operations import Accumulate, Affine, AffineTransposed, Batch
from zktrain.operations.base import Context, Ends
from zktrain.operations.selection import Selections
from zktrain.prover.arguments import time_filter as time_filters
from zktrain.transcript.channel import VerifierChannel

SIZES = [(1, 1, 1, 1), (1, 3, 2, 1), (2, 1, 1, 4), (4, 4, 5, 3), (3, 5, 6, 7)]
FORWARD = Affine("acc", "a", "w", "b", BIAS_SHIFT)
PLAIN = Affine("acc", "a", "w", None, BIAS_SHIFT)
FILTERS = pytest.mark.parametrize("filtered", [False, True], ids=["plain", "filtered"])
BACKWARD = AffineTransposed("bac", "e", "w")
UPDATE = Accumulate("w", "b", "a", "e", BIAS_SHIFT)
PLAIN_UPDATE = Accumulate("w", None, "a", "e", BIAS_SHIFT)


def combination(claim: WeightClaim, start: np.ndarray, moves: list[np.ndarray]) -> Ext:
    """``first W_0(row, column) - sum_tau decay_tau G_tau(row, column)``."""
    point = claim.column + claim.row
    out = claim.first * truth(start, point)
    for factor, move in zip(scalars(claim.decay), moves, strict=True):
        out = out - factor * truth(move, point)
    return out


def gradients(run: Segment) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """``G_t`` of the weight and of the bias, without the multipliers."""
    cells = [(a.astype(object), e.astype(object))
             for a, e in zip(run.activation, run.error, strict=True)]  # fmt: skip
    return [a.T @ e for a, e in cells], [e.sum(axis=0) << BIAS_SHIFT for _, e in cells]


def true_weight_claims(run: Segment, ledger: WeightLedger) -> bool:
    moves, bias_moves = gradients(run)
    found = [combination(c, run.weights[0], moves) == c.value for c in ledger.claims.get("w", [])]
    found += [
        combination(c, run.biases[0], bias_moves) == c.value for c in ledger.claims.get("b", [])
    ]
    return all(found)


def claimed(name: str, tensor: np.ndarray, count: int, error: int = 0) -> Ledger:
    rng = np.random.default_rng(count)
    ledger = Ledger()
    for _ in range(count):
        point = random_point(rng, tensor)
        ledger.add(name, point, truth(tensor, point) + error)
    return ledger


def forward(run: Segment, op: Affine, ledger: Ledger) -> tuple[bytes, Context]:
    theirs, ours = copy(ledger, ["acc"]), run.context(op, UPDATE, ledger=ledger)
    proof = proof_of(op, ours, witness=run.witness, weights=run.first)
    assert true_weight_claims(run, ours.weights)
    return proof, run.context(op, ledger=theirs)


@pytest.mark.parametrize("decays", [0, 1, 5])
def test_decay_weighs_each_gradient_by_the_steps_after_it(decays: int) -> None:
    rng = np.random.default_rng(decays)
    size = 1 << decays
    omega = random_pairs(rng, size)
    multipliers = rng.integers(0, 1 << 20, size=size, dtype=np.uint64)
    found = PlainSteps(multipliers).decay(vector(Ext(*x) for x in omega))
    expected = [
        oracle.mul((int(multipliers[t]), 0), oracle.total(omega[t + 1 :])) for t in range(size)
    ]
    assert oracle.pairs(found) == expected


@FILTERS
@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("op", [FORWARD, PLAIN], ids=["bias", "no bias"])
@pytest.mark.parametrize("count", [1, 2])
def test_true_forward_products(
    sizes: tuple[int, int, int, int], op: Affine, count: int, filtered: bool
) -> None:
    run = segment(1, *sizes, filtered)
    if op.bias is None:
        run.biases = [b * 0 for b in run.biases]
    proof, found = forward(run, op, claimed("acc", run.forward(), count))
    channel, theirs = verifier(proof), found.ledger
    op.verify(channel, found)
    channel.finish()
    assert len(theirs.of("a")) == len(found.weights.claims["w"]) == len(theirs.of("acc"))
    assert false_claims(theirs, {"a": run.activation}) == []
    assert true_weight_claims(run, found.weights)


@FILTERS
def test_weight_claims_are_on_the_weights_of_the_steps(filtered: bool) -> None:
    """``first`` and ``decay`` stand for ``sum_t eq(rho_t, t) W_t``; compare with all ``W_t``."""
    run = segment(2, 3, 5, 6, 7, filtered)
    proof, found = forward(run, FORWARD, claimed("acc", run.forward(), 1))
    FORWARD.verify(verifier(proof), found)
    (claim,), ((point, _),) = found.weights.claims["w"], found.ledger.of("a")
    step = [pair(x) for x in point[-2:]]
    value = Ext(0)
    for t in range(4):
        value = value + Ext(*equality(step, t)) * truth(run.weights[t], claim.column + claim.row)
    assert claim.value == value and (claim.first == 1) != filtered
    (claim,), ((point, _),) = found.weights.claims["b"], found.ledger.of("acc")
    step = [pair(x) for x in point[-2:]]
    value, total = Ext(0), Ext(0)
    for t in range(3):  # real steps only
        here = Ext(*equality(step, t))
        value = value + here * truth(run.biases[t], claim.column)
        total = total + here * (run.starts[t] * pow(4096, -1, P) if filtered else 1)
    assert claim.value == value and claim.first == total


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("count", [1, 2])
@FILTERS
def test_true_backward_products(
    sizes: tuple[int, int, int, int], count: int, filtered: bool
) -> None:
    run = segment(3, *sizes, filtered)
    ledger = claimed("bac", run.backward(), count)
    ours = run.context(BACKWARD, UPDATE, ledger=ledger)
    found = run.context(BACKWARD, ledger=copy(ledger, ["bac"]))
    proof = proof_of(BACKWARD, ours, witness=run.witness, weights=run.first)
    reading, theirs = verifier(proof), found.ledger
    BACKWARD.verify(reading, found)
    reading.finish()
    assert len(theirs.of("e")) == len(found.weights.claims["w"]) == len(theirs.of("bac"))
    assert false_claims(theirs, {"e": run.error}) == []
    assert true_weight_claims(run, found.weights) and true_weight_claims(run, ours.weights)


def test_false_products() -> None:
    run = segment(4, 3, 5, 6, 7)
    proof, found = forward(run, FORWARD, claimed("acc", run.forward(), 1, 1))
    with pytest.raises(SumcheckMismatch, match="'acc'"):
        FORWARD.verify(verifier(proof), found)
    ledger = claimed("bac", run.backward(), 1, 1)
    theirs = copy(ledger, ["bac"])
    ours = run.context(BACKWARD, UPDATE, ledger=ledger)
    proof = proof_of(BACKWARD, ours, witness=run.witness, weights=run.first)
    with pytest.raises(SumcheckMismatch, match="'bac'"):
        BACKWARD.verify(verifier(proof), run.context(BACKWARD, ledger=theirs))


def test_products_that_fill_padded_cells() -> None:
    """The bias added on padded samples or steps is not the relation's output."""
    run = segment(5, 3, 5, 6, 7)
    for cells in ((slice(None), slice(5, 8)), (slice(3, 4), slice(None))):
        filled = run.forward()
        filled[cells] = run.biases[0] << BIAS_SHIFT
        proof, found = forward(run, FORWARD, claimed("acc", filled, 1))
        with pytest.raises(SumcheckMismatch):
            FORWARD.verify(verifier(proof), found)


def test_lied_bias_leaves_a_false_claim() -> None:
    """A wrong bias value, made up for in the product's claim, is a false claim on the bias."""
    run = segment(6, 3, 5, 6, 7)
    other = segment(6, 3, 5, 6, 7)
    other.biases = [b + 1 for b in run.biases]
    ledger = claimed("acc", other.forward(), 1)
    proof, found = forward(other, FORWARD, ledger)
    FORWARD.verify(verifier(proof), found)
    assert not true_weight_claims(run, found.weights)


# weight updates

Boundary = Callable[[str, Point], Ext]


def boundary(run: Segment, step: int, *, wrong: str | None = None) -> Boundary:
    """True values of the parameters at ``step``; ``wrong`` names one with a changed cell."""
    tensors = {"w": run.weights[step].copy(), "b": run.biases[step].copy()}
    if wrong is not None:
        tensors[wrong].reshape(-1)[0] += 1
    return lambda name, point: truth(tensors[name], point)


def products(run: Segment, op: Affine) -> tuple[WeightLedger, WeightLedger]:
    """Weight claims of a forward product, once for each side."""
    proof, context = forward(run, op, claimed("acc", run.forward(), 2))
    op.verify(verifier(proof), context)
    found = context.weights
    return found, WeightLedger({name: [*claims] for name, claims in found.claims.items()})


def update(
    run: Segment,
    op: Accumulate,
    claims: tuple[WeightLedger, WeightLedger],
    start: Boundary,
    end: Boundary,
) -> Ledger:
    """Prove and verify; the verifier's ledger."""
    ends = Ends(lambda side, name, point: {"start": start, "end": end}[side](name, point))
    proof = proof_of(op, run.context(op, weights=claims[0], ends=ends), witness=run.witness)
    reading, theirs = verifier(proof), run.context(op, weights=claims[1], ends=ends)
    op.verify(reading, theirs)
    reading.finish()
    return theirs.ledger


@FILTERS
@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("bias", [True, False])
def test_true_updates(sizes: tuple[int, int, int, int], bias: bool, filtered: bool) -> None:
    run = segment(7, *sizes, filtered)
    if not bias:
        run.biases = [b * 0 for b in run.biases]
    op = UPDATE if bias else PLAIN_UPDATE
    claims = products(run, FORWARD if bias else PLAIN)
    theirs = update(run, op, claims, boundary(run, 0), boundary(run, sizes[0]))
    if min(sizes) > 1:  # smaller ones have few points
        assert len(theirs.of("a")) == 3 and len(theirs.of("e")) == 3
    assert false_claims(theirs, {"a": run.activation, "e": run.error}) == []


def test_updates_without_other_claims() -> None:
    run = segment(8, 3, 5, 6, 7)
    empty = (WeightLedger(), WeightLedger())
    theirs = update(run, UPDATE, empty, boundary(run, 0), boundary(run, 3))
    assert false_claims(theirs, {"a": run.activation, "e": run.error}) == []


@pytest.mark.parametrize("side", ["start", "end"])
@pytest.mark.parametrize("name", ["w", "b"])
def test_wrong_boundary_weights(side: str, name: str) -> None:
    run = segment(9, 3, 5, 6, 7)
    start = boundary(run, 0, wrong=name if side == "start" else None)
    end = boundary(run, 3, wrong=name if side == "end" else None)
    with pytest.raises(SumcheckMismatch, match="update of 'w'"):
        update(run, UPDATE, products(run, FORWARD), start, end)


def test_end_of_another_step() -> None:
    run = segment(10, 4, 5, 6, 7)
    with pytest.raises(SumcheckMismatch):
        update(run, UPDATE, products(run, FORWARD), boundary(run, 0), boundary(run, 3))


def test_false_weight_claims() -> None:
    run = segment(11, 3, 5, 6, 7)
    for name in ("w", "b"):
        claims = products(run, FORWARD)
        for ledger in claims:
            old = ledger.claims[name][1]
            ledger.claims[name][1] = replace(old, value=old.value + 1)
        with pytest.raises(SumcheckMismatch, match="update of 'w'"):
            update(run, UPDATE, claims, boundary(run, 0), boundary(run, 3))


def test_other_multipliers() -> None:
    run = segment(12, 3, 5, 6, 7)
    claims = products(run, FORWARD)
    run.multipliers = run.multipliers.copy()
    run.multipliers[2] += np.uint64(1)
    with pytest.raises(SumcheckMismatch):
        update(run, UPDATE, claims, boundary(run, 0), boundary(run, 3))


@pytest.mark.parametrize(
    "change",
    [
        {"momentum": 3 << 37},
        {"nesterov": False},
        {"weight_decay": 0},
        {"weight_decay": 1 << 34},
    ],
    ids=str,
)
def test_other_filter(change: dict[str, int]) -> None:
    """The end that a slightly different optimizer leads to."""
    run = segment(13, 3, 5, 6, 7, filtered=True)
    claims = products(run, FORWARD)
    assert run.filtered is not None
    update(run, UPDATE, products(run, FORWARD), boundary(run, 0), boundary(run, 3))
    other = replace(run.filtered.optimizer, **change)
    run.filtered = replace(run.filtered, optimizer=other)
    with pytest.raises(SumcheckMismatch):
        update(run, UPDATE, claims, boundary(run, 0), boundary(run, 3))


def test_other_coefficient() -> None:
    """One gradient counts one unit more from one step on."""
    run = segment(14, 3, 5, 6, 7, filtered=True)
    true = run.time_filter
    assert isinstance(true, FilteredSteps)
    for index in range(len(true.coefficients.by)):
        by = true.coefficients.by.copy()
        by[index] += 1
        other = FilteredSteps(replace(true.coefficients, by=by), run.shape.log_steps)
        omega = vector([Ext(5 + t) for t in range(4)])
        found, expected = other.decay(omega), true.decay(omega)
        at, tau = int(true.coefficients.at[index]), int(true.coefficients.tau[index])
        more = sum(5 + t for t in range(at, 4))
        moved = gl.sub(found[0], expected[0]).tolist()
        assert moved == [more if t == tau else 0 for t in range(4)]


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 6, 8])
def test_filter_against_dense_coefficients(steps: int) -> None:
    """``first``, ``decay``, ``end`` and ``history`` from the table ``M``, padded steps included."""
    rng = np.random.default_rng(steps)
    run = segment(15, steps, 1, 1, 1, filtered=True)
    assert run.filtered is not None
    size, inverse = padded(steps), pow(4096, -1, P)
    start, rows = filter_oracle.integers(run.filtered, 0, steps)
    last = [min(t, steps) for t in range(size)]
    table = [[*rows[t], *[0] * (size - len(rows[t]))] for t in last]
    omega = random_pairs(rng, size)
    found = run.time_filter.decay(vector(Ext(*x) for x in omega))
    expected = [
        oracle.total([oracle.mul((table[t][tau], 0), omega[t]) for t in range(size)])
        for tau in range(size)
    ]
    assert oracle.pairs(found) == expected
    total, decay = run.time_filter.end()
    assert total == start[steps] * inverse
    assert oracle.pairs(decay) == [(c % P, 0) for c in [*rows[steps], *[0] * (size - steps)]]
    point = tuple(Ext(*x) for x in random_pairs(rng, size.bit_length() - 1))
    weights_at = [equality([pair(x) for x in point], t) for t in range(size)]
    for count in (None, steps):
        value = oracle.total(
            [
                oracle.mul(weights_at[t], (start[last[t]] * inverse % P, 0))
                for t in range(count or size)
            ]
        )
        assert pair(run.time_filter.first(point, count)) == value
    first, gradients = random_pairs(rng, 3), random_pairs(rng, 3 * size)
    history = time_filters.history(
        run.time_filter, vector(Ext(*x) for x in first), vector(Ext(*x) for x in gradients)
    )
    for t, j in np.ndindex(size, 3):
        value = oracle.mul((start[last[t]] * inverse % P, 0), first[j])
        for tau in range(size):
            push = oracle.mul((table[t][tau] % P, 0), gradients[3 * tau + j])
            value = oracle.sub(value, push)
        assert oracle.pairs(history)[3 * t + j] == value


# batches

BATCH = Batch("inputs", "x")


def batch_case(
    steps: int, batch: int, width: int, records: int, committed: int
) -> tuple[Shape, np.ndarray, np.ndarray, np.ndarray]:
    """Shape, order, columns of which ``committed`` are kept, and the batches themselves."""
    rng = np.random.default_rng(steps * batch + width + records)
    shape = Shape(steps, batch)
    size = 1 << (records - 1).bit_length()
    columns = np.zeros((1 << (width - 1).bit_length(), size), dtype=np.uint8)
    columns[:width, :records] = rng.integers(0, 256, size=(width, records))
    order = rng.integers(0, records, size=(steps, batch))
    x = np.zeros((1 << shape.log_steps, 1 << shape.log_batch, columns.shape[0]), dtype=np.uint8)
    for t, b in np.ndindex(steps, batch):
        x[t, b] = columns[:, order[t, b]]
    assert not columns[committed:].any()
    return shape, order, columns, x


def batch_proof(
    shape: Shape, order: np.ndarray, columns: np.ndarray, ledger: Ledger
) -> tuple[bytes, list[DatasetClaim]]:
    log_records = (columns.shape[1] - 1).bit_length()
    known = Selections(lambda: [order], shape)
    context = Context(graph(), shape, ledger, log_records=log_records, order=known)
    proof = proof_of(BATCH, context, witness={}, columns={"inputs": columns})
    return proof, context.dataset


def batches_of(
    channel: VerifierChannel, shape: Shape, order: np.ndarray, log_records: int, ledger: Ledger
) -> list[DatasetClaim]:
    known = Selections(lambda: [order], shape)
    context = Context(graph(), shape, ledger, log_records=log_records, order=known)
    BATCH.verify(channel, context)
    channel.finish()
    return context.dataset


@pytest.mark.parametrize(
    ("steps", "batch", "width", "records", "committed"),
    [(1, 1, 1, 1, 1), (1, 3, 2, 5, 2), (4, 4, 5, 2, 6), (3, 5, 5, 11, 5), (3, 5, 8, 64, 8)],
)
@pytest.mark.parametrize("count", [1, 3])
def test_true_batches(
    steps: int, batch: int, width: int, records: int, committed: int, count: int
) -> None:
    shape, order, columns, x = batch_case(steps, batch, width, records, committed)
    ledger = claimed("x", x, count)
    proof, ours = batch_proof(shape, order, columns[:committed], ledger)
    reading = verifier(proof)
    log_records = (records - 1).bit_length()
    found = batches_of(reading, shape, order, log_records, copy(ledger, ["x"]))
    assert found == ours and len(found) == len(ledger.of("x"))
    for claim in found:
        assert claim.source == "inputs"
        assert truth(columns, claim.point) == claim.value


def test_batches_in_another_order() -> None:
    shape, order, columns, x = batch_case(3, 5, 5, 11, 5)
    ledger = claimed("x", x, 2)
    for at in ((0, 0), (2, 4), (1, 2)):
        other = order.copy()
        other[at] = (other[at] + 1) % 11
        for theirs, own in ((other, order), (order, other)):
            proof, _ = batch_proof(shape, own, columns, copy(ledger, ["x"]))
            with pytest.raises(SumcheckMismatch, match="batches"):
                batches_of(verifier(proof), shape, theirs, 4, copy(ledger, ["x"]))


def test_false_batches() -> None:
    shape, order, columns, x = batch_case(3, 5, 5, 11, 5)
    ledger = claimed("x", x, 2, 1)
    proof, _ = batch_proof(shape, order, columns, ledger)
    with pytest.raises(SumcheckMismatch, match="batches"):
        batches_of(verifier(proof), shape, order, 4, copy(ledger, ["x"]))


def test_batches_with_filled_padding() -> None:
    """A record in a padded sample or step is not what the order says."""
    shape, order, columns, x = batch_case(3, 5, 5, 11, 5)
    for at in ((0, 5), (3, 0), (3, 7)):
        filled = x.copy()
        filled[at] = columns[:, 0]
        ledger = claimed("x", filled, 1)
        proof, _ = batch_proof(shape, order, columns, ledger)
        with pytest.raises(SumcheckMismatch):
            batches_of(verifier(proof), shape, order, 4, copy(ledger, ["x"]))


def test_records_of_another_dataset_leave_false_claims() -> None:
    shape, order, columns, _ = batch_case(3, 5, 5, 11, 5)
    other = columns.copy()
    other[0, order[0, 0]] ^= 1
    x = np.zeros((4, 8, 8), dtype=np.uint8)
    for t, b in np.ndindex(3, 5):
        x[t, b] = other[:, order[t, b]]
    ledger = claimed("x", x, 1)
    proof, _ = batch_proof(shape, order, other, ledger)
    (claim,) = batches_of(verifier(proof), shape, order, 4, copy(ledger, ["x"]))
    assert truth(columns, claim.point) != claim.value
    assert pair(claim.value)[0] < P


def test_batches_without_claims() -> None:
    shape, order, columns, _ = batch_case(1, 3, 2, 5, 2)
    assert batch_proof(shape, order, columns, Ledger()) == (b"", [])
    assert batches_of(verifier(b""), shape, order, 3, Ledger()) == []
