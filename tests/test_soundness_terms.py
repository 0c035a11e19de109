"""Every error term of a small statement, recomputed with exact fractions from sizes by hand."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction

import pytest

from zktrain.circuit.circuit import Circuit
from zktrain.circuit.initialisation import Initialisation
from zktrain.dataset.commitment import DatasetHeader
from zktrain.layers import Layer
from zktrain.operations.fixed_point import FixedPoint
from zktrain.optimizers.sgd import Sgd
from zktrain.protocol import soundness
from zktrain.protocol.certificate import certificate_plan
from zktrain.protocol.soundness import Term
from zktrain.protocol.statement import Statement
from zktrain.protocol.tasks import Training

P = 2**64 - 2**32 + 1
E_SIZE = P * P
TABLE = 1 << 16
COLUMNS = 4
"""On any one tensor, at most."""


def log2(n: int) -> int:
    """Smallest ``k`` with ``2^k >= n``."""
    k = 0
    while 1 << k < n:
        k += 1
    return k


def bits(error: Fraction) -> float:
    return math.log2(error.denominator) - math.log2(error.numerator)


Terms = list[tuple[str, str, Fraction]]


RATE, DEEPER = 1, (3, *[4] * 18)
"""log2 of the inverse rates of commitments, and levels 1, 2, 3, ..."""
CLEAR, WORK = 9, 20
"""Where folding stops; bits of work before positions are drawn."""


def misses(error: Fraction, target: Fraction) -> bool:
    """``error > 2^-target``, exactly; targets are multiples of a quarter."""
    return error**4 > Fraction(1, 2 ** int(4 * target))


def survivors(code_log: int, rate_log: int, queries: int) -> Fraction:
    """A word that differs in more than half the distance from every code word."""
    n = 1 << code_log
    agreeing = n - (n - (n >> rate_log)) // 2 - 1
    return Fraction(math.comb(agreeing, queries), math.comb(n, queries))


def folding(code_log: int, variables: int, target: Fraction) -> Fraction:
    """``n`` of all challenges for each variable, and the least work that leaves two bits."""
    error, work = Fraction(max(1, variables) << code_log, E_SIZE), 0
    while variables and misses(error / 2**work, target + 2):
        work += 1
    return error / 2**work


def level_terms(
    part: str, message: int, rate_log: int, folded: Fraction, target: Fraction
) -> tuple[int, Terms]:
    """Fewest queries, and the terms of one matrix."""
    code, queries = message + rate_log, 1
    while misses(survivors(code, rate_log, queries) / 2**WORK, target):
        queries += 1
    rate = f"1/{1 << rate_log}"
    found = survivors(code, rate_log, queries) / 2**WORK
    return queries, [
        (part, f"queries at rate {rate}", found),
        (part, f"folding at rate {rate}", folded),
    ]


def opening_terms(
    part: str, commitments: list[tuple[int, int]], claims: int, target: Fraction
) -> Terms:
    """Of ``2^row`` lanes of ``2^lane`` cells each: batching of the claims, then per matrix queries
    and folding, and per level the batch of opened rows."""
    variables = log2(sum(1 << lane + row for lane, row in commitments))
    out = [(part, "claim batching", Fraction(claims + 2 * variables, E_SIZE))]
    # all challenges of the batch have the work that one of the commitments needs most
    plain = [Fraction(max(1, row) << lane + RATE, E_SIZE) for lane, row in commitments]
    work = max(
        (error / folding(lane + RATE, row, target) for error, (lane, row) in
         zip(plain, commitments, strict=True)),
    )  # fmt: skip
    before = 0
    for (lane, _), error in zip(commitments, plain, strict=True):
        queries, terms = level_terms(part, lane, RATE, error / work, target)
        before, out = before + queries, out + terms
    vectors = [lane for lane, _ in commitments]
    for level, rate_log in enumerate(DEEPER, 1):
        if max(vectors) <= CLEAR + 2:
            return out
        message = max(vectors) - min(4, max(vectors) - CLEAR)
        fold = log2(sum(1 << max(0, vector - message) for vector in vectors))
        short = sum(vector < message for vector in vectors)
        rows = Fraction(before + 2 * fold + (short + message if short else 0), E_SIZE)
        error = folding(message + rate_log, fold, target)
        before, terms = level_terms(part, message, rate_log, error, target)
        out += [*terms, (part, f"opened rows batched, level {level}", rows)]
        vectors = [message]
    return out


def lookup_terms(part: str, leaves: int, target: Fraction) -> Terms:
    """Keys of ``N`` leaves of at most four columns, eased by work; then the fraction tree."""
    keys = Fraction(leaves * (COLUMNS + 2), E_SIZE)
    work = 0
    while misses(keys / 2**work, target):
        work += 1
    layers = sum(3 * k + 2 for k in range(log2(leaves)))
    return [
        (part, "lookup keys", keys / 2**work),
        (part, "lookup tree", Fraction(layers, E_SIZE)),
    ]


def lane_log(cells: int) -> int:
    """Sixteen lanes, then thirty-two, of ``2^10`` to ``2^23`` cells."""
    lanes = 4 if cells <= 20 else max(5, cells - 23)
    return max(10, 16 if cells == 21 else cells - lanes)


@dataclass
class Sizes:
    """A network with one hidden layer, on a tiny dataset: everything that the terms depend on."""

    inputs: int
    hidden: int
    classes: int
    batch: int
    steps: int
    records: int
    cross_entropy: bool = True
    binary: bool = False
    security: int = 100
    lane_log: int = field(init=False)

    def __post_init__(self) -> None:
        self.lane_log = lane_log(self.cells(self.committed(self.steps)))

    @property
    def target(self) -> Fraction:
        """The least multiple of a quarter of a bit that has 8 times the error below a target of two
        bits more than asked for."""
        return self.security + 2 + Fraction(12, 4)

    @staticmethod
    def cells(logs: list[int]) -> int:
        """log2 of the cells of a commitment."""
        return log2(sum(1 << max(10, n) for n in logs))

    def log_size(self, width: int, steps: int) -> int:
        return (log2(width) if width else 0) + log2(self.batch) + log2(steps)

    def committed(self, steps: int) -> list[int]:
        """Quotients, high limbs, signs; for cross-entropy ``c, p, p.before``, for the binary one
        ``p``; multiplicities."""
        hidden, output = self.log_size(self.hidden, steps), self.log_size(self.classes, steps)
        tensors = [hidden] * 5 + [output] * 2  # z1 h1 s1 q1 hq1, z2 h2
        if self.cross_entropy:
            tensors += [output, output, self.log_size(0, steps)]
        if self.binary:
            tensors += [output]
        return tensors + [16] * (3 if self.cross_entropy or self.binary else 2)

    def leaves(self, steps: int) -> int:
        hidden = 1 << self.log_size(self.hidden, steps)
        output = 1 << self.log_size(self.classes, steps)
        # limbs of z1 and the ReLU; limbs and range (or sigmoid) of z2; limbs and range of q1
        cells = 3 * hidden + 3 * output + 3 * hidden
        if self.cross_entropy:
            cells += output + 2 * (1 << self.log_size(0, steps))
        return cells + TABLE * (3 if self.cross_entropy or self.binary else 2)

    @staticmethod
    def at(claims: int, variables: int) -> int:
        """Claims at different points; without variables there is one point."""
        return claims if variables else 1

    def batch_claims(self, t: int) -> tuple[int, int]:
        """On ``x`` by the first product and the update's weight claims (two: product and end); on
        ``y`` whatever is on ``e2``: the product back, and three weight claims, at two of whose
        points the bias claims are too."""
        b = log2(self.batch)
        return self.at(3, log2(self.inputs) + b + t), self.at(4, log2(self.classes) + b + t)

    def opened(self, t: int) -> int:
        """Claims on committed tensors. Lookups claim each column once; ``z1``, ``q1`` are factors
        once, ``s1`` twice; ``e2`` passes four claims on to ``p`` or ``z2``, both slacks one."""
        logs = log2(self.batch) + t
        hidden, output = log2(self.hidden) + logs, log2(self.classes) + logs
        out = 2 * self.at(2, hidden) + self.at(3, hidden) + 2  # z1, q1, s1, their high limbs
        if self.cross_entropy:  # z2, z2.high, c, p, p.before and three multiplicities
            return out + 1 + 1 + 1 + self.at(6, output) + self.at(2, output) + 3
        if self.binary:
            return out + 1 + 1 + self.at(5, output) + 3
        return out + self.at(5, output) + 1 + 2

    def training_terms(self) -> Terms:
        part, steps = "training", self.steps
        t, b = log2(steps), log2(self.batch)
        i, h, c = log2(self.inputs), log2(self.hidden), log2(self.classes)
        products = self.at(4, h + b + t) + self.at(2, h + b + t) + 6 * (h + b + t)  # a1, e1
        matrices = 3 * (i + t) + 3 * (h + t) + 3 * (c + t)
        updates = (4 + 3 * (b + t) + i + h) + (5 + 3 * (b + t) + h + c)
        batches = sum(self.batch_claims(t)) + 4 * log2(self.records)
        out = lookup_terms(part, self.leaves(steps), self.target)
        reductions = [
            (part, "element-wise products", Fraction(products, E_SIZE)),
            (part, "matrix products", Fraction(matrices, E_SIZE)),
            (part, "weight updates", Fraction(updates, E_SIZE)),
            (part, "batches", Fraction(batches, E_SIZE)),
        ]
        out += [term for term in reductions if term[2]]  # without variables there are no rounds
        own = self.cells(self.committed(steps))
        commitments = [(self.lane_log, max(0, own - self.lane_log)), self.dataset()]
        claims = self.opened(t) + sum(self.batch_claims(t))
        return out + opening_terms(part, commitments, claims, self.target)

    def dataset(self) -> tuple[int, int]:
        """log2 of the cells of a lane, and of the lanes."""
        n, f, c = log2(self.records), log2(self.inputs), log2(self.classes)
        cells = self.cells([n + f, n + c, 9])
        lane = lane_log(cells)
        assert lane - n >= f  # all columns stand in one lane
        return lane, max(0, cells - lane)

    def certificate_terms(self) -> Terms:
        """Of 112 bits."""
        n, f, c = log2(self.records), log2(self.inputs), log2(self.classes)
        leaves = (1 << n + f) + (1 << n + c) + 512
        part = "dataset certificate"
        out = lookup_terms(part, leaves, Fraction(116))
        out.append((part, "label sums", Fraction(max(1, n), E_SIZE)))
        return out + opening_terms(part, [self.dataset()], 4, Fraction(116))

    def terms(self) -> Terms:
        return self.training_terms() + self.certificate_terms()

    def statement(self) -> Statement:
        layers = (
            Layer("fc1", self.inputs, self.hidden, "fc1.weight", "fc1.bias", True),
            Layer("fc2", self.hidden, self.classes, "fc2.weight", "fc2.bias", False),
        )
        loss = "cross_entropy" if self.cross_entropy else "mse"
        if self.binary:
            loss = "binary_cross_entropy"
        circuit = Circuit(
            layers, loss, FixedPoint(), self.batch, self.steps, Sgd(((0, 2),)), "order",
            Initialisation("seed", "weights"),
        )  # fmt: skip
        header = DatasetHeader(self.records, self.inputs, self.classes, bytes(32))
        ends = "00" * 32, "00" * 32
        return Statement(Training(circuit, *ends), header, self.security)


CASES = {
    "two steps": Sizes(5, 6, 3, 3, 2, 11),
    "five steps": Sizes(5, 6, 3, 3, 5, 11),
    "ten classes": Sizes(8, 16, 10, 4, 4, 100),
    "mean squared error": Sizes(5, 6, 3, 3, 5, 11, cross_entropy=False),
    "binary cross-entropy": Sizes(5, 6, 3, 3, 5, 11, cross_entropy=False, binary=True),
    "many steps": Sizes(16, 64, 10, 16, 256, 60, security=90),
    "one of everything": Sizes(1, 1, 1, 1, 1, 1),
    "more steps of a small network": Sizes(4, 2, 2, 2, 40, 30, security=98),
}


@pytest.fixture(params=CASES, ids=str)
def case(request: pytest.FixtureRequest) -> Sizes:
    return CASES[request.param]


def test_sizes_follow_from_the_statement(case: Sizes) -> None:
    statement = case.statement()
    assert statement.query_bits == case.target
    assert statement.lane_log == case.lane_log
    assert statement.problem() is None


def test_every_term(case: Sizes) -> None:
    found = case.statement().soundness_terms
    expected = case.terms()
    assert [(t.part, t.name) for t in found] == [
        *((part, name) for part, name, _ in expected),
        ("all", "hash collisions"),
    ]
    for term, (_, _, error) in zip(found, expected, strict=False):
        assert term.bits == pytest.approx(bits(error), abs=1e-6), term
        assert term.basis == "proven"
    assert (found[-1].bits, found[-1].basis) == (128.0, "assumed")


def test_union_of_the_proven_terms(case: Sizes) -> None:
    statement = case.statement()
    total = sum((error for _, _, error in case.terms()), Fraction(0))
    assert statement.union_bits == pytest.approx(bits(total), abs=1e-6)
    assert total < Fraction(1, 2**case.security)


def test_bits_by_the_rule() -> None:
    """``s + 2 + ceil(4 log2 8) / 4``, as it is written down."""
    for case in CASES.values():
        assert case.statement().query_bits == case.security + 2 + 3


def test_work_is_twenty_bits_of_every_query_term() -> None:
    """And of no other term: without them each of these misses what the statement asks for."""
    case = CASES["five steps"]
    for term in case.statement().soundness_terms:
        if "queries" in term.name and term.part != "dataset certificate":
            assert case.target <= term.bits < case.target + 1 and term.bits - 20 < case.security


def test_folding_has_two_bits_more_than_queries() -> None:
    """By work before every challenge, as little as will do."""
    plan, bits = certificate_plan(CASES["many steps"].statement().dataset), 116
    assert any(level.fold_work_bits for level in plan.levels)
    for level in plan.levels:
        error = Fraction(max(1, level.folds) << level.code_log, E_SIZE)
        left = -math.log2(error / 2**level.fold_work_bits)
        assert left >= bits + 2 and (not level.fold_work_bits or left < bits + 3)


def test_union() -> None:
    assert soundness.union([Term("a", "b", 100.0)]) == 100.0
    assert soundness.union([Term("a", "b", 100.0)] * 4) == pytest.approx(98.0)
    mixed = [Term("a", "b", 100.0), Term("a", "c", 101.0), Term("a", "d", 120.0)]
    exact = Fraction(1, 2**100) + Fraction(1, 2**101) + Fraction(1, 2**120)
    assert soundness.union(mixed) == pytest.approx(bits(exact))
    assert soundness.union([]) == math.inf
    assert soundness.union([Term("a", "b", math.inf)]) == math.inf


@pytest.mark.parametrize("leaves", [1, 700, 1 << 17, (1 << 27) + 1, 1 << 30])
@pytest.mark.parametrize("target", [80, 104, 107, 116, 126])
def test_least_work_that_lifts_the_keys(leaves: int, target: int) -> None:
    keys = Fraction(leaves * (COLUMNS + 2), E_SIZE)
    assert soundness.lookup_key_bits(leaves) == pytest.approx(bits(keys), abs=1e-8)
    work = soundness.lookup_work_bits(leaves, target)
    bound = Fraction(1, 2**target)
    assert 0 <= work <= 28
    assert keys / 2**work <= bound or work == 28
    assert work == 0 or keys / 2 ** (work - 1) > bound


def test_too_many_bits_cannot_be_asked_for() -> None:
    """Long runs at the highest target: the field's size does not reach it."""
    case = Sizes(16, 64, 10, 16, 256, 128, 60, security=120)
    problem = case.statement().problem()
    assert case.statement().union_bits < 120
    assert problem is not None and "bits of security" in problem
