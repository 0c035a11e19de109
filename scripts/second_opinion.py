"""Recompute every soundness term of a bundle with exact fractions, and compare with `inspect`.

    python scripts/second_opinion.py PROOF.zkt [--inspection FILE]

Shares no code with zktrain. All sizes are derived from the bundle's statement, circuit and dataset
header; every error is a fraction until it is printed. Exits 0 only if `zktrain inspect --json` (or
FILE, its output) lists the same terms, none of them with more bits than there are, and the union
reaches the security that the statement asks for.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import cached_property, lru_cache
from itertools import count
from pathlib import Path
from typing import Any

E = (2**64 - 2**32 + 1) ** 2
"""Size of the challenge field."""
TOLERANCE, SURPLUS = 0.01, 1e-6
"""Bits by which a term may differ, and by which it may be larger than it should be."""
TABLES = {"range16": (0, 16), "relu": (1, 16), "exp": (2, 16), "byte": (3, 9), "sigmoid": (5, 16)}
"""Number of a lookup table, and log2 of its rows."""
DATASET_BITS = 112 + 4
RATE, DEEPER_RATES = 1, (3, 4)
"""log2 of the inverse rates of commitments, and of levels 1 and the ones after it."""
QUERY_TERMS = 8
CLEAR = 9
"""log2 of the elements sent in the end."""
WORK = 20
"""Bits of work before every draw of positions."""
HIDDEN_WORK = 12
"""Bits of work before points of the hidden scalars are drawn."""

Json = dict[str, Any]
Bits = int | Fraction
"""Security wanted: multiples of a quarter of a bit."""


def clog(n: int) -> int:
    """Smallest ``k`` with ``2^k >= n``."""
    return (n - 1).bit_length()


@lru_cache(maxsize=4096)
def bits(error: Fraction) -> float:
    """``-log2``, the only logarithm here."""
    with localcontext() as context:
        context.prec = 60
        ratio = Decimal(error.numerator) / Decimal(error.denominator)
        return float(-ratio.ln() / Decimal(2).ln())


def over_field(numerator: int) -> Fraction:
    """A term with nothing to go wrong is listed as one exception."""
    return Fraction(max(1, numerator), E)


# sizes of codes


def all_good(n: int, good: int, drawn: int) -> Fraction:
    """Chance that ``drawn`` different ones of ``n`` positions are among the ``good`` ones."""
    return Fraction(math.comb(good, drawn), math.comb(n, drawn))


@lru_cache(maxsize=4096)
def fewest_drawn(n: int, good: int, target: Bits) -> int:
    """Smallest number of positions with ``all_good`` at most ``2^-target``."""
    drawn, above, below = 0, 1, 1
    quarters = int(4 * target)
    while above**4 << quarters > below**4:
        above, below, drawn = above * (good - drawn), below * (n - drawn), drawn + 1
    return drawn


def agreeing(n: int, dimension: int) -> int:
    """Positions where a word may agree with a code word from which it differs in more than half the
    distance."""
    return n - (n - dimension) // 2 - 1


@dataclass(frozen=True)
class Code:
    """``2^message`` coefficients and ``tail`` random ones above them, at ``2^length`` points."""

    message: int
    length: int
    tail: int
    target: Bits

    @property
    def points(self) -> int:
        return 1 << self.length

    @property
    def dimension(self) -> int:
        return (1 << self.message) + self.tail

    @property
    def queries(self) -> int:
        return fewest_drawn(self.points, agreeing(self.points, self.dimension), self.target)

    @property
    def survival(self) -> Fraction:
        """A word that is not close passes all queries."""
        return all_good(self.points, agreeing(self.points, self.dimension), self.queries)

    def folding(self, variables: int, target: Bits) -> Fraction:
        """A matrix that is not close folds to a close word: ``n`` challenges of each variable, at
        most 28 bits of work before each, as few as leave two bits to spare."""
        error = max(1, variables) * Fraction(self.points, E)
        if not variables:
            return error
        wanted = Fraction(1, 2 ** int(4 * (target + 2)))
        return error / 2 ** next((w for w in range(28) if (error / 2**w) ** 4 <= wanted), 28)


@lru_cache(maxsize=4096)
def code(message: int, rate: int, tail: int, target: Bits) -> Code:
    """At rate ``2^-rate``; a tail may raise it by a tenth, else the code word is longer."""
    length = message + rate
    while 10 * ((1 << message) + tail) << rate > 11 << length:
        length += 1
    return Code(message, length, tail, target)


def committed_tail(message: int, rate: int, target: Bits, openings: int) -> int:
    """Power of two that is at least the number of positions opened."""
    tail = 1
    while tail < openings * code(message, rate, tail, target).queries:
        tail *= 2
    return tail


def masked_code(message: int, rate: int, target: Bits) -> Code:
    """With a tail for its own queries, which are more because of the tail."""
    found = code(message, rate, 0, target)
    while found.queries > found.tail:
        found = code(message, rate, found.queries, target)
    return found


@dataclass(frozen=True)
class Named:
    part: str
    name: str
    error: Fraction


def lane_log(cells: int, hiding: bool, lanes: int) -> int:
    """Of a commitment to ``2^cells`` cells in ``2^lanes`` lanes."""
    return max(12 if hiding else 10, min(cells - 4, max(16, cells - lanes), 23), cells - 10)


@dataclass(frozen=True)
class Lanes:
    """One commitment: ``2^rows`` lanes of ``2^lane`` cells, with ``tail`` random coefficients
    each."""

    lane: int
    rows: int
    tail: int


@dataclass(frozen=True)
class Opening:
    """Commitments opened together; ``masked``: the opening hides what it folds."""

    commitments: tuple[Lanes, ...]
    target: Bits
    masked: bool

    @property
    def variables(self) -> int:
        """Of the cube in which all of them stand."""
        return clog(sum(1 << (c.lane + c.rows) for c in self.commitments))

    def first(self) -> Iterator[tuple[Code, int]]:
        """Codes of the commitments, and variables that are folded at each."""
        for c in self.commitments:
            yield code(c.lane, RATE, c.tail, self.target - WORK), c.rows

    def deeper(self) -> Iterator[tuple[Code, int, int]]:
        """Codes, lane variables, and vectors that are shorter than a lane."""
        vectors = [c.lane for c in self.commitments]
        vectors += [clog(c.tail) for c in self.commitments if c.tail]
        for number in count():
            if max(vectors) <= CLEAR + 2:
                return
            rate, message = DEEPER_RATES[min(number, 1)], max(vectors)
            message -= min(4, message - CLEAR)
            lanes = sum(1 << max(0, vector - message) for vector in vectors)
            short = sum(vector < message for vector in vectors)
            if self.masked and number == 0:
                yield masked_code(message, rate, self.target - WORK), clog(lanes), short
            else:
                yield code(message, rate, 0, self.target - WORK), clog(lanes), short
            vectors = [message]

    def scalars(self) -> int:
        """Padded: rounds of the batch, the value, rounds of the masked fold, the mask."""
        _, lanes, _ = next(self.deeper())
        return 2 * self.variables + 1 + 2 * lanes + 1

    def terms(self, part: str, claims: int) -> Iterator[Named]:
        def level(found: Code, folds: int, work: Fraction) -> Iterator[Named]:
            rate = f"1/{1 << (found.length - found.message)}"
            yield Named(part, f"queries at rate {rate}", found.survival / 2**WORK)
            yield Named(part, f"folding at rate {rate}", work)

        yield Named(part, "claim batching", over_field(claims + 2 * self.variables))
        # every challenge of the batch has the work that the worst of the commitments needs
        first = list(self.first())
        eased = [c.folding(rows, self.target) / c.folding(rows, 0) for c, rows in first if rows]
        for found, rows in first:
            yield from level(found, rows, found.folding(rows, 0) * min([Fraction(1), *eased]))
        before = sum(found.queries for found, _ in first)
        for number, (found, lanes, short) in enumerate(self.deeper(), 1):
            masked = self.masked and number == 1
            # the mask is one more summand with a factor of its own
            folds = lanes + masked
            yield from level(found, folds, found.folding(folds, self.target))
            rows = before + 2 * lanes + masked
            if short:  # cells beyond are 0, at a random point
                rows += short + found.message
            yield Named(part, f"opened rows batched, level {number}", over_field(rows))
            before = found.queries


# scalars that are hidden


@dataclass
class Scalars:
    """How many scalars are sent under pads, and how many pairs of them are multiplied."""

    sent: int = 0
    products: int = 0

    def rounds(self, variables: int, degree: int) -> None:
        """A sumcheck: every round polynomial but its value at 1."""
        self.sent += variables * degree

    def lookup(self, depth: int, columns: int) -> None:
        """Root, product of its denominators and the inverse, layers, columns."""
        self.sent += 4 + 2 + columns
        self.products += 2 + 2
        for variables in range(1, depth):
            self.rounds(variables, 3)
            self.sent += 4
            self.products += 3

    @property
    def elements(self) -> int:
        """Pads, and for every product: itself, a random factor and its product."""
        return self.sent + 3 * self.products

    def terms(self, part: str, target: Bits) -> Iterator[Named]:
        found = hidden_code(self.elements, target)
        yield Named(part, "hidden scalars, opened points", found.survival)
        exceptions = found.points + self.elements
        yield Named(part, "hidden scalars, combinations", over_field(exceptions))


@dataclass(frozen=True)
class HiddenCode:
    """Rows of ``2^slot_log`` values, polynomials of degree below ``k = s + t``, at ``n`` points."""

    slot_log: int
    length: int
    drawn: int

    @property
    def points(self) -> int:
        return 1 << self.length

    @property
    def product(self) -> int:
        """``k + s``, above the degree of a row times the relation's coefficients."""
        return (2 << self.slot_log) + self.drawn

    @property
    def good(self) -> int:
        """Points that show nothing, of rows that are no code words or of a wrong product."""
        bad = (self.points - self.product) // 2
        return max(self.points - bad - 1, bad + self.product - 1)

    @property
    def survival(self) -> Fraction:
        return all_good(self.points, self.good, self.drawn) / (1 << HIDDEN_WORK)

    def size(self, elements: int) -> int:
        """Bytes: root, opened columns with salts, about so many paths, both polynomials."""
        rows = -(-elements >> self.slot_log) + 3
        paths = 32 * self.drawn * max(0, self.length - self.drawn.bit_length() + 1)
        degree = (1 << self.slot_log) + self.drawn
        return 32 + self.drawn * (16 * rows + 16) + 16 * (degree + self.product) + paths


def _grown(slot_log: int, length: int, target: Bits) -> HiddenCode | None:
    """Points opened are random coefficients too, so there are more until both agree."""
    found = HiddenCode(slot_log, length, 0)
    while 4 * found.product <= 3 * found.points:
        needed = fewest_drawn(found.points, found.good, target - HIDDEN_WORK)
        if needed <= found.drawn:
            return found
        found = HiddenCode(slot_log, length, needed)
    return None


@lru_cache(maxsize=64)
def hidden_code(elements: int, target: Bits) -> HiddenCode:
    """The smallest proof; the first one of equals."""
    slots = range(4, max(5, clog(elements) + 1))
    sizes = ((s, n) for s in slots for n in range(s + 2, s + 8))
    found = [c for c in (_grown(s, n, target) for s, n in sizes) if c is not None]
    return min(found, key=lambda c: c.size(elements))


# claims of a proof

Point = tuple[Any, ...]


def _inputs(op: Json) -> set[str]:
    """Tensors and weights that an operation consumes."""
    if op["kind"] == "Linear":
        return {name for _, name in op["terms"]}
    keys = ("source", "weight", "left", "right", "activation", "error")
    unread = {"Accumulate": ("weight",), "Batch": ("source",)}.get(op["kind"], ())
    return {op[key] for key in keys if key in op and key not in unread}


class Relations:
    """Walks the step graph as prover and verifier do, with names in the place of values: which
    claims arise on which tensors, and how many scalars are sent."""

    def __init__(
        self, circuit: Json, steps: int, committed: tuple[str, ...], record_variables: int
    ) -> None:
        self.scalars = Scalars()
        self.claims: dict[str, dict[Point, None]] = {}
        self.boundary: dict[tuple[str, str, Point], None] = {}
        self.reductions: Counter[str] = Counter()
        self._weights: dict[str, list[tuple[Point, Point]]] = {}
        self._tensors = {tensor["name"]: tensor for tensor in circuit["tensors"]}
        self._operations = circuit["operations"]
        self._t, self._b = clog(steps), clog(circuit["batch_size"])
        self._committed, self._record_variables = committed, record_variables
        self.checkpoints = 0
        self._names = count()

    def width(self, name: str) -> int:
        """log2; a tensor with one value per sample has no units."""
        width: int = self._tensors[name]["width"]
        return clog(width) if width else 0

    def log_size(self, name: str) -> int:
        return self.width(name) + self._b + self._t

    def lookups(self) -> tuple[list[tuple[str, int]], list[str]]:
        """Table and log2 of the cells of each lookup; tables in use, by number."""
        found = [op for op in self._operations if op["kind"] == "Lookup"]
        used = sorted({op["table"] for op in found}, key=lambda name: TABLES[name][0])
        return [(op["table"], self.log_size(op["columns"][0])) for op in found], used

    def leaves(self) -> int:
        lookups, used = self.lookups()
        sizes = [size for _, size in lookups] + [TABLES[name][1] for name in used]
        return sum(1 << size for size in sizes)

    def run(self) -> None:
        point = self._fresh(clog(self.leaves()))
        for op in self._operations:
            for name in op["columns"] if op["kind"] == "Lookup" else ():
                self._claim(name, point[: self.log_size(name)])
        for name in self.lookups()[1]:
            self._claim(f"multiplicity.{name}", point[: TABLES[name][1]])
        self.scalars.lookup(len(point), sum(len(found) for found in self.claims.values()))
        for op in self._order():
            getattr(self, "_" + op["kind"].lower())(op)

    def dataset_claims(self) -> int:
        """One for every claim on a batch."""
        batches = [op["output"] for op in self._operations if op["kind"] == "Batch"]
        return sum(len(self._on(name)) for name in batches)

    def _fresh(self, variables: int) -> Point:
        return tuple(next(self._names) for _ in range(variables))

    def _claim(self, name: str, point: Point) -> None:
        self.claims.setdefault(name, {})[point] = None

    def _on(self, name: str) -> list[Point]:
        return list(self.claims.get(name, {}))

    def _split(self, point: Point) -> tuple[Point, Point, Point]:
        t = len(point) - self._t
        return point[: t - self._b], point[t - self._b : t], point[t:]

    def _order(self) -> Iterator[Json]:
        """The first operation whose output no other one left consumes, and so on."""
        left = [op for op in self._operations if op["kind"] != "Lookup"]
        while left:
            for op in left:
                output = op["weight"] if op["kind"] == "Accumulate" else op["output"]
                if not any(output in _inputs(o) for o in left if o is not op):
                    break
            left.remove(op)
            yield op

    def _linear(self, op: Json) -> None:
        """Values that are known are reused, one is solved for, the others are sent."""
        width = self._tensors[op["output"]]["width"]
        for point in self._on(op["output"]):
            _, b, t = self._split(point)
            unknown: list[tuple[str, Point, bool]] = []
            for _, name in op["terms"]:
                own = self._tensors[name]["width"]
                halves = ("1/2",) * self.width(name)
                at = point if own == width else b + t if own == 0 else halves + b + t
                if at not in self.claims.get(name, {}):
                    unknown.append((name, at, own == width or own != 0))
            virtual = [item for item in unknown if not self._tensors[item[0]]["committed"]]
            solvable = virtual or [item for item in unknown if item[2]]
            self.scalars.sent += len(unknown) - bool(solvable)
            for name, at, _ in unknown:
                self._claim(name, at)

    def _matrix(self, op: Json, point: Point, transposed: bool) -> None:
        j, b, _ = self._split(point)
        units = self.width(op["source"])
        self.scalars.rounds(units + self._t, 3)
        self.scalars.sent += 2
        self.scalars.products += 1
        self.reductions["matrix products"] += 3 * (units + self._t)
        rho = self._fresh(units + self._t)
        self._claim(op["source"], rho[:units] + b + rho[units:])
        row, column = (j, rho[:units]) if transposed else (rho[:units], j)
        self._weights.setdefault(op["weight"], []).append((row, column))

    def _affine(self, op: Json) -> None:
        for point in self._on(op["output"]):
            if op["bias"] is not None:
                self.scalars.sent += 1
                self._weights.setdefault(op["bias"], []).append(((), self._split(point)[0]))
            self._matrix(op, point, transposed=False)

    def _affinetransposed(self, op: Json) -> None:
        for point in self._on(op["output"]):
            self._matrix(op, point, transposed=True)

    def _accumulate(self, op: Json) -> None:
        rows, columns = self.width(op["activation"]), self.width(op["error"])
        end = self._fresh(columns + rows)
        claims = [(op["weight"], *claim) for claim in self._weights.get(op["weight"], [])]
        claims.append((op["weight"], end[columns:], end[:columns]))
        ends = [(op["weight"], end)]
        if op["bias"] is not None:
            claims += [(op["bias"], *claim) for claim in self._weights.get(op["bias"], [])]
            claims.append((op["bias"], (), end[:columns]))
            ends.append((op["bias"], end[:columns]))
        asked = [("end", name, at) for name, at in ends]
        asked += [("start", name, column + row) for name, row, column in claims]
        for side, name, at in asked:
            if side in self._committed and (side, name, at) not in self.boundary:
                self.boundary[side, name, at] = None
                self.scalars.sent += 1
        self.scalars.rounds(self._b + self._t, 3)
        published = self.checkpoints * len(ends)  # their values are in clear
        batched = len(claims) + published
        self.reductions["weight updates"] += batched + 3 * (self._b + self._t) + rows + columns
        point = self._fresh(self._b + self._t)
        for name, row, column in claims:
            if name == op["weight"]:
                self._claim(op["activation"], row + point)
                self.scalars.sent += 1
                self.scalars.products += 1
            self._claim(op["error"], column + point)
            self.scalars.sent += 1

    def _product(self, op: Json) -> None:
        claims, variables = self._on(op["output"]), self.log_size(op["output"])
        self.reductions["element-wise products"] += len(claims) + 3 * variables
        if claims:
            self.scalars.rounds(variables, 3)
            self.scalars.sent += 2
            self.scalars.products += 1
            point = self._fresh(variables)
            self._claim(op["left"], point)
            self._claim(op["right"], point)

    def _batch(self, op: Json) -> None:
        claims = self._on(op["output"])
        self.reductions["batches"] += len(claims) + 2 * self._record_variables
        if claims:
            self.scalars.rounds(self._record_variables, 2)
            self.scalars.sent += len(claims)


# the bundle


def lookup_terms(part: str, leaves: int, target: Bits) -> Iterator[Named]:
    """Keys of four columns and the table's number, eased by at most 28 bits of work; layers."""
    keys, wanted = Fraction(6 * leaves, E), Fraction(1, 2 ** int(4 * target))
    work = next((w for w in range(28) if (keys / 2**w) ** 4 <= wanted), 28)
    yield Named(part, "lookup keys", keys / 2**work)
    layers = sum(3 * k + 2 for k in range(clog(leaves)))
    yield Named(part, "lookup tree", over_field(layers))


def cells_log(sizes: list[int]) -> int:
    return clog(sum(1 << max(10, size) for size in sizes))


class Dataset:
    """Sizes that follow from the header; ``openings`` is 0 where nothing is hidden."""

    def __init__(self, header: Json) -> None:
        self.records: int = clog(header["records"])
        self.features: int = header["features"]
        self.openings: int = header.get("openings", 0)
        self.classes: int = clog(header["classes"])
        features = clog(self.features)
        sizes = [features + self.records, self.classes + self.records, TABLES["byte"][1]]
        self.tail = 0
        self.cells = cells_log(sizes)
        self.lane = lane_log(self.cells, self.openings > 0, 6)
        if self.openings:
            # of each lane as many random coefficients as positions, the certificate's too
            while self._tail() > 1 << self.lane:
                self.lane += 1
            self.tail = self._tail()
        whole = max(1, 1 << max(0, self.lane - self.records))
        self.covered: int = min(1 << features, -(-self.features // whole) * whole)

    def _tail(self) -> int:
        return committed_tail(self.lane, RATE, DATASET_BITS - WORK, self.openings + 1)

    @property
    def leaves(self) -> int:
        return ((self.covered + (1 << self.classes)) << self.records) + (1 << TABLES["byte"][1])

    @property
    def blocks(self) -> int:
        """Runs of covered columns and the labels: one column of lookups each."""
        return self.covered.bit_count() + 1

    @property
    def lanes(self) -> Lanes:
        return Lanes(self.lane, max(0, self.cells - self.lane), self.tail)

    def opening(self) -> Opening:
        """That of the certificate."""
        return Opening((self.lanes,), DATASET_BITS, self.tail > 0)

    def certificate(self) -> Iterator[Named]:
        part, opening = "dataset certificate", self.opening()
        yield from lookup_terms(part, self.leaves, DATASET_BITS)
        yield Named(part, "label sums", over_field(self.records))
        # a column of every block, multiplicities, sums of labels
        yield from opening.terms(part, self.blocks + 2)
        if self.tail:
            yield from self.hidden().terms(part, DATASET_BITS)

    def hidden(self) -> Scalars:
        """Padded in the certificate; the last column of the lookups is of multiplicities."""
        found = Scalars()
        found.lookup(clog(self.leaves), self.blocks + 1)
        found.sent += self.opening().scalars()
        return found


class Bundle:
    """What a statement, its circuit and its dataset header say about errors."""

    def __init__(self, statement: Json, circuit: Json, header: Json) -> None:
        self.circuit, self.dataset = circuit, Dataset(header)
        self.security: int = statement["security_bits"]
        self.hiding: bool = statement["zero_knowledge"]
        # the query terms rounded up to a quarter of a bit, and two bits more
        self.target: Bits = self.security + 2 + Fraction(clog(QUERY_TERMS**4), 4)
        self.relations = Relations(circuit, circuit["steps"], (), self.dataset.records)
        self.relations.checkpoints = len(statement.get("checkpoints", []))
        cells = cells_log(self._committed())
        lane = lane_log(cells, self.hiding, 5)
        tail = committed_tail(lane, RATE, self.target - WORK, 1) if self.hiding else 0
        own = Lanes(lane, max(0, cells - lane), tail)
        self.opening = Opening((own, self.dataset.lanes), self.target, self.hiding)

    def _committed(self) -> list[int]:
        known = self.relations
        sizes = [known.log_size(t["name"]) for t in self.circuit["tensors"] if t["committed"]]
        return sizes + [TABLES[name][1] for name in known.lookups()[1]]

    @cached_property
    def terms(self) -> list[Named]:
        """Everything that is proven."""
        return [*self._training(), *self.dataset.certificate()]

    def _training(self) -> Iterator[Named]:
        part, relations = "training", self.relations
        relations.run()
        yield from lookup_terms(part, relations.leaves(), self.target)
        for name in ("element-wise products", "matrix products", "weight updates", "batches"):
            if relations.reductions[name]:
                yield Named(part, name, over_field(relations.reductions[name]))
        committed = [t["name"] for t in self.circuit["tensors"] if t["committed"]]
        committed += [f"multiplicity.{name}" for name in relations.lookups()[1]]
        claims = sum(len(relations.claims.get(name, {})) for name in committed)
        yield from self.opening.terms(part, claims + relations.dataset_claims())
        if self.hiding:
            scalars = relations.scalars
            scalars.sent += self.opening.scalars()
            yield from scalars.terms(part, self.target)


def read_bundle(data: bytes) -> Bundle:
    """The three JSON texts at the start of a bundle."""
    if data[:7] != b"ZKTRAIN" or data[7] != 1:
        raise ValueError("not a bundle")
    texts, at = [], 8
    for _ in range(3):
        size = int.from_bytes(data[at : at + 8], "little")
        texts.append(json.loads(data[at + 8 : at + 8 + size]))
        at += 8 + size
    return Bundle(*texts)


# comparison


def _numbered(keys: list[tuple[str, str]]) -> list[tuple[str, str, int]]:
    """Two levels of an opening may have one rate, and so one name."""
    seen: Counter[tuple[str, str]] = Counter()
    out = []
    for key in keys:
        seen[key] += 1
        out.append((*key, seen[key]))
    return out


def compare(bundle: Bundle, inspection: Json) -> list[str]:
    """Print all terms beside each other; what is wrong with those of ``inspection``."""
    terms, listed, problems = bundle.terms, inspection["soundness"], []
    own = dict(zip(_numbered([(t.part, t.name) for t in terms]), terms, strict=True))
    their_keys = _numbered([(t["part"], t["name"]) for t in listed])
    theirs = dict(zip(their_keys, listed, strict=True))
    assumed = ("all", "hash collisions", 1)
    hashes = theirs.pop(assumed, None)
    if hashes is None or (hashes["bits"], hashes["basis"]) != (128, "assumed"):
        problems.append("hash collisions are not listed as an assumption of 128 bits")
    print(f"{'part':20} {'term':30} {'inspect':>12} {'exact':>12} {'difference':>11}")

    def row(part: str, name: str, found: float | None, exact: float | None) -> None:
        both = [f"{'-':>12}" if v is None else f"{v:12.6f}" for v in (found, exact)]
        if found is None or exact is None:
            problems.append(f"{part}, {name}: missing on one side")
            difference = f"{'missing':>11}"
        else:
            difference = f"{found - exact:11.1e}"
            if not -TOLERANCE <= found - exact <= SURPLUS:
                problems.append(f"{part}, {name}: {found} bits listed, {exact} found")
        print(f"{part:20} {name:30} {both[0]} {both[1]} {difference}")

    for key in [*own, *(key for key in theirs if key not in own)]:
        exact = bits(own[key].error) if key in own else None
        row(key[0], key[1], theirs[key]["bits"] if key in theirs else None, exact)
        if key in theirs and theirs[key]["basis"] != "proven":
            problems.append(f"{key[0]}, {key[1]}: listed as {theirs[key]['basis']}")
    total = sum((term.error for term in terms), Fraction(0))
    row("all", "union", inspection["union_bits"], bits(total))
    if total * 2**bundle.security > 1:
        problems.append(f"the union misses the {bundle.security} bits of the statement")
    if (inspection["security_bits"], inspection["zero_knowledge"]) != (
        bundle.security,
        bundle.hiding,
    ):
        problems.append("the inspection is of another statement")
    return problems


def inspect(proof: Path) -> Json:
    command = [sys.executable, "-m", "zktrain", "inspect", str(proof), "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: Json = json.loads(done.stdout)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("proof", type=Path, help="bundle (.zkt)")
    parser.add_argument("--inspection", type=Path, help="output of zktrain inspect PROOF --json")
    arguments = parser.parse_args()
    stored: Path | None = arguments.inspection
    inspection = json.loads(stored.read_text()) if stored else inspect(arguments.proof)
    problems = compare(read_bundle(arguments.proof.read_bytes()), inspection)
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
