"""Bytes of a proof before it exists: exact, but for Merkle paths, which depend on the positions
that happen to be opened and stand here with their mean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

from ..commitment import ligero, opening
from ..commitment.hiding import Layout
from ..commitment.packing import Packing
from ..commitment.parameters import Plan
from ..protocol.statement import Statement
from ..transcript.channel import DIGEST_BYTES

FRAMES = 8 + 5 * 8
"""Magic, and the lengths of five sections."""


@lru_cache(maxsize=256)
def mean_siblings(code_log: int, queries: int) -> float:
    """Mean number of digests in the Merkle paths of ``queries`` distinct leaves of ``2^code_log``.

    A node is a sibling if exactly one of it and its brother has an opened leaf below.
    """
    leaves = 1 << code_log

    def touched(size: int) -> float:
        """Probability that a subtree of ``size`` leaves has an opened one."""
        if queries > leaves - size:
            return 1.0
        parts = (leaves - size, leaves - queries), (leaves - size - queries, leaves)
        (a, b), (c, d) = parts
        log = math.lgamma(a + 1) + math.lgamma(b + 1) - math.lgamma(c + 1) - math.lgamma(d + 1)
        return 1.0 - math.exp(log)

    total = 0.0
    for level in range(code_log):
        pairs = leaves >> (level + 1)
        total += pairs * 2 * (touched(2 << level) - touched(1 << level))
    return total


def opening_parts(packings: Sequence[Packing], levels: Plan) -> dict[str, float]:
    """Bytes of an opening by kind."""
    paths = sum(mean_siblings(level.code_log, level.queries) for level in levels.levels)
    return {**opening.proof_sizes(packings, levels), "Merkle paths": DIGEST_BYTES * paths}


def pads_bytes(layout: Layout | None, bits: float) -> float:
    """Bytes of the proof about the pads."""
    if layout is None:
        return 0.0
    sizes = ligero.parameters(layout.count, bits)
    work = 8 if ligero.WORK_BITS else 0
    paths = DIGEST_BYTES * mean_siblings(sizes.code_log, sizes.queries)
    return layout.proof_bytes(bits) + work + paths


def proof_parts(statement: Statement) -> dict[str, float]:
    """Bytes of the file by kind."""
    hiding, bits = statement.zero_knowledge, statement.query_bits
    texts = len(statement.to_json()) + len(statement.circuit.canonical_json())
    parts: dict[str, float] = {
        "statement, circuit, dataset": FRAMES + texts + len(statement.dataset.to_json()),
        "root, work": DIGEST_BYTES + (8 if statement.work_bits else 0),
        "lookups and relations": 16 * statement.claims.scalars[hiding],
        **opening_parts(statement.packings, statement.opening_plan),
    }
    if hiding:
        parts["pads of hidden scalars"] = pads_bytes(statement.layout, bits)
    return parts
