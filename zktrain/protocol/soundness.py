"""The soundness budget: every term by name, in bits, and their union.

A term is the probability that a false statement passes one random choice of the verifier; the
terms of all proofs in a bundle add up. All are proven (unique-decoding regime), given a hash
function that behaves as a random oracle; the collision term is the hash's own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from ..commitment import ligero
from ..commitment.hiding import Layout
from ..commitment.parameters import MAX_WORK_BITS, Level, Plan, fold_bits, query_bits
from ..field.extension import LOG2_SIZE
from ..field.multilinear import log2_ceil
from ..tables import MAX_COLUMNS

MARGIN_BITS = 2
"""Query terms of a run get the bits asked for, these, and log2 of how many there are."""


@dataclass(frozen=True, slots=True)
class Term:
    """``bits = -log2`` of the error of ``name`` in ``part``."""

    part: str
    name: str
    bits: float
    basis: str = "proven"


def union(terms: list[Term]) -> float:
    """``-log2`` of the sum of all errors."""
    total = sum(2.0**-term.bits for term in terms)
    return -math.log2(total) if total > 0 else math.inf


def _field(numerator: float) -> float:
    return LOG2_SIZE - math.log2(max(1.0, numerator))


def lookup_key_bits(leaves: int) -> float:
    """Random keys: ``N (W + 2) / |E|``."""
    return _field(leaves * (MAX_COLUMNS + 2))


def lookup_work_bits(leaves: int, target: float) -> int:
    """Proof of work that lifts the key term to ``target``."""
    return max(0, min(MAX_WORK_BITS, math.ceil(target - lookup_key_bits(leaves))))


def lookup_terms(part: str, leaves: int, work: int) -> list[Term]:
    depth = log2_ceil(leaves)
    return [
        Term(part, "lookup keys", lookup_key_bits(leaves) + work),
        Term(part, "lookup tree", _field(sum(3 * k + 2 for k in range(depth)))),
    ]


def opening_terms(part: str, plan: Plan, claims: int) -> list[Term]:
    terms = [Term(part, "claim batching", _field(claims + 2 * plan.variables))]
    for level in plan.commitments:
        terms += _level_terms(part, level)
    above = plan.commitments
    for number, level in enumerate(plan.deeper, 1):
        rows = sum(opened.queries for opened in above) + 2 * level.variables + level.masked
        if level.zeros:  # a factor for each, and one random point
            rows += level.zeros + level.message_log
        terms += _level_terms(part, level)
        terms.append(Term(part, f"opened rows batched, level {number}", _field(rows)))
        above = (level,)
    return terms


def _level_terms(part: str, level: Level) -> list[Term]:
    rate = f"1/{1 << (level.code_log - level.message_log)}"
    queries = query_bits(level.code_log, level.message_log, level.queries, level.tail)
    folding = fold_bits(level.code_log, level.folds) + level.fold_work_bits
    return [
        Term(part, f"queries at rate {rate}", queries + level.work_bits),
        Term(part, f"folding at rate {rate}", folding),
    ]


def hidden_terms(part: str, layout: Layout | None, bits: float) -> list[Term]:
    """Of the proof about one-time pads, where there are any."""
    if layout is None:
        return []
    sizes = ligero.parameters(layout.count, bits)
    return [
        Term(part, "hidden scalars, opened points", sizes.bits()),
        Term(part, "hidden scalars, combinations", sizes.algebra_bits()),
    ]


_REDUCTIONS = {
    "map": "maps of units",
    "vanish": "maps of units",
    "tally": "counts",
    "product": "element-wise products",
    "affine": "matrix products",
    "transposed": "matrix products",
    "weights": "weight updates",
    "batch": "batches",
}
"""What errors are listed as, by the first part of the labels of the challenges."""


def reduction_terms(part: str, errors: Mapping[str, int]) -> list[Term]:
    """Of the relations: the sum of the degrees of their challenges."""
    totals = dict.fromkeys(_REDUCTIONS.values(), 0)
    for label, degrees in errors.items():
        name = _REDUCTIONS.get(label, label)
        totals[name] = totals.get(name, 0) + degrees
    return [sumcheck_term(part, name, total) for name, total in totals.items() if total]


def sumcheck_term(part: str, name: str, degree_sum: float) -> Term:
    return Term(part, name, _field(degree_sum))


def hash_term() -> Term:
    """Collisions of SHA-256."""
    return Term("all", "hash collisions", 128.0, "assumed")
