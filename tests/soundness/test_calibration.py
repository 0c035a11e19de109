"""How often do the best forgeries pass when challenges come from a small set?

Every error of the algebra is a number of roots over the number of challenges. Here challenges come
from a set ``S`` of a few dozen elements of E, where the same argument holds with the size of ``S``
in the place of that of E, and forgers put as many roots into ``S`` as their lie allows. Their rate
must be within the stated bound, and where it is computed exactly, it must be that rate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from math import sqrt
from typing import Any
from unittest import mock

import harness as h
import numpy as np
import pytest
from patched import everywhere

from zktrain.arguments import fraction_tree, lookup, sumcheck
from zktrain.arguments.claims import Ledger
from zktrain.arguments.tensors import Shape, Tensor
from zktrain.commitment import opening
from zktrain.commitment.packing import Claim, arrange, claim_on, pack
from zktrain.errors import LookupMismatch, OpeningMismatch, SumcheckMismatch
from zktrain.field import extension as ext
from zktrain.field import multilinear as ml
from zktrain.field.extension import ONE, ZERO, Ext, ExtVec, Point
from zktrain.field.goldilocks import P
from zktrain.operations import Product
from zktrain.operations.base import Context, StepGraph
from zktrain.protocol import proof as proofs
from zktrain.prover.arguments import fraction_tree as prover_fraction_tree
from zktrain.prover.arguments import lookup as prover_lookup
from zktrain.prover.arguments import sumcheck as prover_sumcheck
from zktrain.prover.commitment import opening as prover_opening
from zktrain.prover.commitment.commit import Committed, commit
from zktrain.prover.operations import product
from zktrain.prover.operations.base import Given
from zktrain.prover.transcript.channel import ProverChannel
from zktrain.prover.witness import RunWitness
from zktrain.tables import TABLES, Table
from zktrain.transcript.challenger import Challenger
from zktrain.transcript.channel import VerifierChannel

TRIALS, SIGMA = 300, 3.3
FACTORS = ("left", "right")
GRAPH = StepGraph(tuple(Tensor(name, 8) for name in ("out", *FACTORS)), ())
ONE_SAMPLE = Shape(1, 1)
ELEMENTS = Challenger.elements
"""The challenges of all of E."""


def challenges(size: int) -> list[Ext]:
    """``S``: any set would do."""
    return ELEMENTS(Challenger("set of challenges"), "S", size)


def evaluate(tensor: Any, point: Point) -> Ext:
    """The extension of an integer tensor."""
    from zktrain.prover.kernels.field import evaluate as kernel

    return kernel(tensor, point)


@contextmanager
def drawn_from(values: Sequence[Ext]) -> Iterator[None]:
    """Challenges are uniform in a set."""

    def elements(challenger: Challenger, label: str, count: int) -> list[Ext]:
        return [values[x.a % len(values)] for x in ELEMENTS(challenger, label, count)]

    with mock.patch.object(Challenger, "elements", elements):
        yield


def compare(accepted: int, exact: float, stated: float, trials: int = TRIALS) -> None:
    """The rate is the exact one of the attack, which is below the bound, and not far below."""
    assert stated / 2 <= exact <= stated < 1
    deviation = sqrt(exact * (1 - exact) / trials)
    assert abs(accepted / trials - exact) <= SIGMA * deviation


def survival(*chances: float) -> float:
    """Some of several independent chances comes true."""
    out = 1.0
    for chance in chances:
        out *= 1 - chance
    return 1 - out


def count(attempt: Callable[[int], bool], trials: int = TRIALS) -> int:
    """Accepted attempts."""
    return sum(attempt(nonce) for nonce in range(trials))


def _challenger(nonce: int) -> Challenger:
    challenger = Challenger("calibration")
    challenger.absorb("nonce", nonce.to_bytes(8, "little"))
    return challenger


def polynomial(roots: Sequence[Ext], x: Ext | int) -> Ext:
    """``prod (x - root)``."""
    out = ONE
    for root in roots:
        out = out * (-root + x)
    return out


class Forger:
    """A sumcheck prover of a claim that is too large by ``offset``.

    He adds ``c prod (X - root)`` to each round polynomial, with as many roots in ``S`` as its
    degree allows: the claim becomes true if one of them is drawn. From then on he is honest.
    """

    def __init__(self, machine: prover_sumcheck.Machine, offset: Ext, known: Sequence[Ext]) -> None:
        self.machine, self.rounds, self.degree = machine, machine.rounds, machine.degree
        self.offset, self.roots = offset, list(known[: machine.degree])

    def _added(self, x: Ext | int) -> Ext:
        both = polynomial(self.roots, 0) + polynomial(self.roots, 1)
        return self.offset * both.inverse() * polynomial(self.roots, x)

    def message(self) -> list[Ext]:
        """At 0, 2, 3, ..."""
        places = [0, *range(2, self.degree + 1)]
        values = self.machine.message()
        return [v + self._added(x) for v, x in zip(values, places, strict=True)]

    def bind(self, challenge: Ext) -> None:
        """The false part goes on."""
        self.offset = self._added(challenge)
        self.machine.bind(challenge)

    def finals(self) -> Any:
        """Those of the honest prover."""
        return self.machine.finals()  # type: ignore[attr-defined]


def _tables(degree: int, variables: int) -> list[ExtVec]:
    random = np.random.default_rng(14)
    return [random.integers(0, P, (2, 1 << variables), dtype=np.uint64) for _ in range(degree)]


@pytest.mark.parametrize(("degree", "variables"), [(2, 3), (3, 3)])
def test_sumcheck_of_a_false_sum(degree: int, variables: int) -> None:
    """``n d / |S|``."""
    size = 64
    known, factors = challenges(size), _tables(degree, variables)
    total = factors[0]
    for factor in factors[1:]:
        total = ext.mul(total, factor)
    claim = ext.scalar(ext.total(total), ()) + 1

    def attempt(nonce: int) -> bool:
        prover = ProverChannel(_challenger(nonce))
        machine = prover_sumcheck.ProductMachine([tuple(factors)])
        prover_sumcheck.prove(prover, "sum", Forger(machine, ONE, known))
        verifier = VerifierChannel(_challenger(nonce), prover.proof())
        reduced, _ = sumcheck.verify(verifier, "sum", claim, variables, degree)
        value = ONE
        for factor in machine.finals()[0]:
            value = value * factor
        return reduced == value

    with drawn_from(known):
        accepted = count(attempt)
    compare(accepted, survival(*[degree / size] * variables), degree * variables / size)


@contextmanager
def forging(label: str, offset: Callable[[], Ext], known: Sequence[Ext]) -> Iterator[None]:
    """The sumcheck ``label`` is about a claim that is too large; its parts, if it has several, are
    one forgery."""
    honest: Callable[..., Point] = prover_sumcheck.prove
    forgers: list[Forger] = []

    def prove(channel: ProverChannel, name: str, machine: Any, **more: Any) -> Point:
        if name == label:
            forgers.append(Forger(machine, forgers[-1].offset if forgers else offset(), known))
            machine = forgers[-1]
        return honest(channel, name, machine, **more)

    with mock.patch.object(prover_sumcheck, "prove", prove):
        yield


@contextmanager
def watching(label: str) -> Iterator[list[Ext]]:
    """Challenges of one kind, as the prover gets them."""
    element, seen = Challenger.element, []

    def watch(challenger: Challenger, asked: str) -> Ext:
        drawn = element(challenger, asked)
        if asked == label:
            seen.append(drawn)
        return drawn

    with mock.patch.object(Challenger, "element", watch):
        yield seen


def shifts(roots: Sequence[Ext]) -> list[Ext]:
    """Coefficients, lowest first, of ``prod (X - root)``: what claims are off by."""
    out = [ONE]
    for root in roots:
        out = [a - root * b for a, b in zip([ZERO, *out], [*out, ZERO], strict=True)]
    return out


def test_false_products_that_cancel() -> None:
    """``(#claims + 3 n) / |S|``: several false claims, batched with one challenge."""
    size, variables, many = 128, 3, 5
    known = challenges(size)
    random = np.random.default_rng(15)
    factors = {name: random.integers(-99, 99, 1 << variables) for name in FACTORS}
    given = {name: factor.reshape(1, 1, -1) for name, factor in factors.items()}
    witness, op = RunWitness(GRAPH, ONE_SAMPLE, given), Product("out", *FACTORS)
    both, errors = factors["left"] * factors["right"], shifts(known[: many - 1])
    places = [ELEMENTS(Challenger("places"), str(k), variables) for k in range(many)]

    sums = [evaluate(both, tuple(x)) + error for x, error in zip(places, errors, strict=True)]

    def ledger() -> Ledger:
        out = Ledger()
        for place, value in zip(places, sums, strict=True):
            out.add("out", tuple(place), value)
        return out

    def attempt(nonce: int) -> bool:
        prover, verifier_ledger = ProverChannel(_challenger(nonce)), ledger()
        with watching("product/out/gamma") as gammas:
            offset = lambda: polynomial(known[: many - 1], gammas[0])  # noqa: E731
            with forging("product/out", offset, known):
                product.prove(op, prover, Context(GRAPH, ONE_SAMPLE, ledger()), Given(witness))
        verifier = VerifierChannel(_challenger(nonce), prover.proof())
        try:
            op.verify(verifier, Context(GRAPH, ONE_SAMPLE, verifier_ledger))
        except SumcheckMismatch:
            return False
        left = [verifier_ledger.of(name) for name in FACTORS]
        return all(
            witness.evaluate(name, point) == value
            for name, claims in zip(FACTORS, left, strict=True)
            for point, value in claims
        )

    with drawn_from(known):
        accepted = count(attempt)
    exact = survival((many - 1) / size, *[3 / size] * variables)
    compare(accepted, exact, (many + 3 * variables) / size)


ROWS = 16
TINY = Table(
    "tiny",
    10,
    4,
    lambda: [np.arange(ROWS, dtype=np.int32)],
    lambda point: [ml.identity(point)],
)


def _solve(matrix: list[list[int]], right: list[int]) -> list[int]:
    """Linear equations modulo p, by elimination."""
    rows = [[*row, b] for row, b in zip(matrix, right, strict=True)]
    for i in range(len(rows)):
        pivot = next(k for k in range(i, len(rows)) if rows[k][i])
        rows[i], rows[pivot] = rows[pivot], rows[i]
        inverse = pow(rows[i][i], -1, P)
        rows[i] = [v * inverse % P for v in rows[i]]
        for k in range(len(rows)):
            if k != i and rows[k][i]:
                factor = rows[k][i]
                rows[k] = [(a - factor * b) % P for a, b in zip(rows[k], rows[i], strict=True)]
    return [row[-1] for row in rows]


def test_multiplicities_for_as_many_keys_as_possible() -> None:
    """``N (W + 2) / |S|``: one value is outside of the table, and the multiplicities are chosen so
    that the sum is right for as many ``alpha`` as there are rows. The bound counts the degree in
    ``beta`` too, which one column does not use, so it is six times as large and more."""
    size, many = 128, 16
    # alpha from F_p, where one equation about a multiplicity is one about alpha; one beta
    known = [Ext(int(x.a)) for x in challenges(size)]
    beta = challenges(3)[2]
    values = np.array([*range(many - 1), 99], dtype=np.int64)
    roots = [x.a for x in known[:ROWS]]
    inverse = lambda x: pow(x % P, -1, P)  # noqa: E731
    matrix = [[inverse(alpha - row) for row in range(ROWS)] for alpha in roots]
    right = [sum(inverse(alpha - int(v)) for v in values) % P for alpha in roots]
    solved = _solve(matrix, right)
    counts = np.array([m - P if m > P // 2 else m for m in solved], dtype=np.int64)
    entry = lookup.Entry("tiny", ("v",), 4)
    asked = prover_lookup.Values((values,))

    def elements(challenger: Challenger, label: str, number: int) -> list[Ext]:
        drawn = ELEMENTS(challenger, label, number)
        if label != "lookup/keys":
            return drawn
        # the table's number is part of the key: it is taken out again, as ``alpha`` may be any set
        constant = beta * beta * beta * beta * TINY.number
        return [known[drawn[0].a % size] + constant, beta]

    def attempt(nonce: int) -> bool:
        prover = ProverChannel(_challenger(nonce))
        name = lookup.multiplicity("tiny")
        prover_lookup.prove(prover, "lookup", [entry], [asked], {name: counts})
        verifier = VerifierChannel(_challenger(nonce), prover.proof())
        try:
            claims = lookup.verify(verifier, "lookup", [entry])
        except LookupMismatch:
            return False
        true = {"v": values, name: counts}
        return all(evaluate(true[n], at) == value for n, at, value in claims)

    with (
        mock.patch.dict(TABLES, {"tiny": TINY}),
        mock.patch.object(Challenger, "elements", elements),
    ):
        accepted = count(attempt, 300)
    exact = ROWS / size
    assert exact <= 6 * (ROWS + many) / size
    assert abs(accepted / 300 - exact) <= SIGMA * sqrt(exact * (1 - exact) / 300)


class _Tree:
    """A tree of fractions whose sum is not zero, and a prover who says that it is.

    In every layer he adds ``A (mu - root)`` to the claim on the numerators, by children that fit
    the claim of the layer above, and is honest as soon as a root is drawn.
    """

    def __init__(self, depth: int, known: Sequence[Ext]) -> None:
        random = np.random.default_rng(16)
        self.depth, self.known = depth, known
        tables = random.integers(1, P, (4, 2, 1 << (depth - 1)), dtype=np.uint64)
        self.layers = [prover_fraction_tree.Run(0, 64, tuple(tables))]
        while self.layers[-1].stop > 1:
            self.layers.append(self.layers[-1].parents())

    def _children(self, true: list[Ext], excess: Ext) -> tuple[list[Ext], Ext]:
        """``p0 q1 + p1 q0`` larger by ``excess``; the offset is ``A (mu - root)``."""
        p0, p1, q0, q1 = true
        root = self.known[0]
        a = excess * ((ONE - root) * q0 - root * q1).inverse()
        return [p0 - a * root, p1 + a * (ONE - root), q0, q1], a

    def attempt(self, nonce: int) -> bool:
        prover = ProverChannel(_challenger(nonce))
        layers = list(self.layers)
        top = layers.pop()
        true = [ext.scalar(x, (0,)) for x in top.stored]
        p0, p1, q0, q1 = true
        children, a = self._children(true, -(p0 * q1 + p1 * q0))
        prover.send("tree/root", children)
        mu = prover.challenger.element("tree/merge")
        offset, point = a * (mu - self.known[0]), (mu,)
        while layers:
            p0, p1, q0, q1 = true
            scale = prover.challenger.element("tree/lambda")
            claim = p0 + mu * (p1 - p0) + scale * (q0 + mu * (q1 - q0))
            machine = prover_fraction_tree.LayerMachine([layers.pop()], point, scale, claim)
            forger = Forger(machine, offset, self.known)
            inner = prover_sumcheck.prove(prover, "tree/layer", forger)
            true = machine.finals()
            excess = forger.offset * ml.eq(point, inner).inverse()
            children, a = self._children(true, excess)
            prover.send("tree/children", children)
            mu = prover.challenger.element("tree/merge")
            offset, point = a * (mu - self.known[0]), (mu, *inner)
        verifier = VerifierChannel(_challenger(nonce), prover.proof())
        claim = fraction_tree.verify(verifier, "tree", self.depth)
        leaves, rest = self.layers[0], point[1:]
        at = [ml.evaluate(x, rest) for x in leaves.stored]
        numerator, denominator = fraction_tree.merge(at, point[0])
        assert claim.denominator == denominator
        return claim.numerator == numerator


@pytest.mark.parametrize(("depth", "size"), [(3, 64), (4, 128)])
def test_fraction_tree_with_another_sum(depth: int, size: int) -> None:
    """``sum_k (3 k + 2) / |S|``; the forger leaves the denominators alone, so that ``lambda`` does
    not help him: ``3 k + 1``."""
    known = challenges(size)
    tree = _Tree(depth, known)
    with drawn_from(known):
        accepted = count(tree.attempt, 600)
    layers = [chance for k in range(depth) for chance in (*[3 / size] * k, 1 / size)]
    compare(accepted, survival(*layers), sum(3 * k + 2 for k in range(depth)) / size, 600)


@dataclass(frozen=True)
class _Batch:
    """Claims on one tensor of ``2^10`` cells; what Ligerito has to show is compared at once."""

    claims: tuple[Claim, ...]
    committed: Committed

    def attempt(self, nonce: int, errors: Callable[[Ext], Ext], known: Sequence[Ext]) -> bool:
        prover = ProverChannel(_challenger(nonce))
        shown: list[tuple[Point, Ext]] = []

        def stub(*args: Any) -> None:
            if isinstance(args[0], VerifierChannel):
                shown.append((args[5], args[6]))

        with (
            mock.patch.object(prover_opening.ligerito, "prove", stub),
            mock.patch.object(opening.ligerito, "verify", stub),
        ):
            with watching("opening/gamma") as gammas:
                offset = lambda: errors(gammas[0])  # noqa: E731
                with forging("opening/batch", offset, known):
                    prover_opening.prove(prover, "opening", [self.committed], self.claims, 20.0)
            verifier = VerifierChannel(_challenger(nonce), prover.proof())
            packings = [self.committed.packing]
            try:
                opening.verify(
                    verifier, "opening", [self.committed.root], packings, self.claims, 20.0
                )
            except OpeningMismatch:
                return False
        ((z, value),) = shown
        assert value == evaluate(self.committed.tensors["a"], z[:10]) * _outside(z)
        return True


def _outside(z: Point) -> Ext:
    out = ONE
    for x in z[10:]:
        out = out * (1 - x)
    return out


@cache
def _small() -> Committed:
    packing = pack([("a", 10, 1 << 10)], 10)
    return commit(packing, {"a": np.random.default_rng(17).integers(-99, 99, 1 << 10)})


def test_false_claims_that_cancel_in_an_opening() -> None:
    """``(#claims + 2 n) / |S|``."""
    size, many = 256, 12
    known, committed = challenges(size), _small()
    variables = arrange([committed.packing])[1]
    errors = shifts(known[: many - 1])
    claims = []
    for k, error in enumerate(errors):
        point = tuple(ELEMENTS(Challenger("places"), str(k), 10))
        value = evaluate(committed.tensors["a"], point) + error
        claims.append(claim_on(0, "a", point, value))
    batch = _Batch(tuple(claims), committed)
    roots = known[: many - 1]
    with drawn_from(known):
        accepted = count(lambda n: batch.attempt(n, lambda g: polynomial(roots, g), known), 300)
    exact = survival((many - 1) / size, *[2 / size] * variables)
    compare(accepted, exact, (many + 2 * variables) / size, 300)


WHOLE, WHOLE_SIZE = 16, 64


def test_whole_proof_with_a_false_activation() -> None:
    """``a`` is not ``s z``: the sumcheck of the product is forged, all the rest is honest. Accepted
    if and only if a root is drawn, so that nothing else of the proof helps or hinders."""
    known = challenges(WHOLE_SIZE)
    step, cell = h.find("mse", "z1", lambda z: z > 0)
    run = h.train("mse", {"a1": h.in_cell(step, cell, lambda a: a + 100)})
    counts = h.forged_counts(run, run.tensors)
    true_challenger, true_product = proofs.challenger_of, product.prove
    hits: list[bool] = []

    def prove_product(op: Any, channel: Any, context: Any, given: Any) -> None:
        if op.output != "a1":
            true_product(op, channel, context, given)
            return
        claims, witness = context.ledger.of("a1"), given.witness
        factors = [
            witness.tensor(name).astype(np.int64).reshape(-1) for name in (op.left, op.right)
        ]
        honest = factors[0] * factors[1]
        with watching("product/a1/gamma") as gammas:

            def offset() -> Ext:
                errors = [value - evaluate(honest, at) for at, value in claims]
                return ext.inner(ext.powers(gammas[0], len(errors)), errors)

            with forging("product/a1", offset, known), watching("product/a1/point") as points:
                true_product(op, channel, context, given)
        hits.append(any(point in known[:3] for point in points) or not offset())

    def attempt(nonce: int) -> bool:
        def challenger(*args: Any) -> Challenger:
            out = true_challenger(*args)
            out.absorb("nonce", nonce.to_bytes(8, "little"))
            return out

        with everywhere(proofs, "challenger_of", challenger):
            with mock.patch.object(product, "prove", prove_product):
                proof = h.prove(run, counts=counts)
            try:
                h.accept(run, proof)
            except SumcheckMismatch:
                return False
        return True

    with drawn_from(known):
        found = [attempt(nonce) for nonce in range(WHOLE)]
    assert found == hits
    shape = run.statement.shape
    variables = shape.log_size(h.WIDTHS[1])
    compare(sum(found), survival(*[3 / WHOLE_SIZE] * variables), 3 * variables / WHOLE_SIZE, WHOLE)
