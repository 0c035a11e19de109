"""A committed vector over E, and a proof in zero knowledge that a linear relation holds on it.

The vector fills rows of ``s = 2^slot_log`` slots. A row is the polynomial of degree below ``k = s
+ t`` that has the slots' values on the ``s``-th roots of unity and is random otherwise; it is
evaluated on a coset of ``n = 2^code_log`` points, and a leaf of the Merkle tree is one point of
all rows, with a salt. Only ``t`` points are opened, so they are uniform. Three more rows blind:
``T`` for the proximity test, ``B_0`` and ``B_1`` for the relation, ``B = B_0 + X^s B_1``.
[AHIV17, §4]

With the relation's coefficients as polynomials ``R_i`` of degree below ``s``:

    u = T + sum_i r_i P_i                       random r_i, every row but T
    p = B + sum_i R_i P_i,   sum_slots p = target

are sent and compared with the opened points. More in ``docs/protocol.md``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from ..errors import HiddenMismatch
from ..field import extension as ext
from ..field import goldilocks as gl
from ..field.extension import LOG2_SIZE, Ext, ExtVec
from ..field.multilinear import log2_ceil
from ..transcript.challenger import Challenger
from ..transcript.channel import VerifierChannel
from . import merkle
from .merkle import SALT_CELLS
from .parameters import subset_bits, subset_size

WORK_BITS = 12
"""Proof of work before the points are drawn: some points fewer for a few milliseconds."""
BLINDS = 3
"""Rows ``T, B_0, B_1``."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """Sizes for a vector of ``count`` elements; ``queries`` points are opened."""

    count: int
    slot_log: int
    code_log: int
    queries: int

    @property
    def rows(self) -> int:
        """Rows of the vector, without the blinding ones."""
        return -(-self.count >> self.slot_log)

    @property
    def slots(self) -> int:
        return 1 << self.slot_log

    @property
    def degree(self) -> int:
        """``k``: rows are polynomials of smaller degree."""
        return self.slots + self.queries

    @property
    def product_degree(self) -> int:
        """``p`` has a smaller degree."""
        return self.degree + self.slots

    @property
    def proof_bytes(self) -> int:
        """Without Merkle paths."""
        row = 16 * (self.rows + BLINDS) + 8 * SALT_CELLS
        return 32 + self.queries * row + 16 * (self.degree + self.product_degree)

    def bits(self) -> float:
        """``-log2`` of the chance that opened points hide a false relation.

        Up to ``e = (n - k - s) / 2`` points may belong to no code word (fewer than half the
        distance ``n - k``), and another ``p`` agrees with the right one on ``k + s - 1`` points.
        Each attempt at drawing points costs ``2^WORK_BITS`` hashes.
        """
        good = _good(self.code_log, self.product_degree)
        return subset_bits(1 << self.code_log, good, self.queries) + WORK_BITS

    def algebra_bits(self) -> float:
        """``-log2`` of the error of random combinations: ``n / |E|`` for rows [BCIKS20, Theorem
        1.6], and one for each of fewer than ``count`` relations."""
        return LOG2_SIZE - float(np.log2((1 << self.code_log) + self.count))


def _good(code_log: int, product_degree: int) -> int:
    n = 1 << code_log
    bad = (n - product_degree) // 2
    return max(n - bad - 1, bad + product_degree - 1)


def _queries(slot_log: int, code_log: int, bits: float) -> int | None:
    """Fewest queries at these sizes; their number raises the degree and so itself."""
    queries = 0
    while True:
        product_degree = (2 << slot_log) + queries
        if 4 * product_degree > 3 << code_log:
            return None
        good = _good(code_log, product_degree)
        needed = subset_size(1 << code_log, good, bits - WORK_BITS)
        if needed <= queries:
            return queries
        queries = needed


def _too_large(none: Parameters, bits: float, size: int) -> bool:
    """Whether a proof with the sizes of ``none``, which opens no points, has at least ``size``
    bytes when it opens enough, found without counting them.

    ``most`` points fit. The last of ``d`` points gives the most bits, ``log2 (n - d) / (good -
    d)``, and ``good`` only grows with the points.
    """
    per_point = replace(none, queries=1).proof_bytes - none.proof_bytes
    most = (size - 1 - none.proof_bytes) // per_point
    if most < 0:
        return True
    n, good = 1 << none.code_log, _good(none.code_log, none.product_degree)
    if most >= good:
        return False
    return most * math.log2((n - most) / (good - most)) < (bits - WORK_BITS) * (1 - 1e-9)


@lru_cache(maxsize=256)
def parameters(count: int, bits: float) -> Parameters:
    """The sizes with the smallest proof."""
    best: tuple[int, Parameters] | None = None
    for slot_log in range(4, max(5, log2_ceil(count) + 1)):
        for code_log in range(slot_log + 2, slot_log + 8):
            none = Parameters(count, slot_log, code_log, 0)
            if best is not None and _too_large(none, bits, best[0]):
                continue
            queries = _queries(slot_log, code_log, bits)
            if queries is None:
                continue
            found = Parameters(count, slot_log, code_log, queries)
            paths = 32 * queries * max(0, code_log - queries.bit_length() + 1)
            size = found.proof_bytes + paths
            if best is None or size < best[0]:
                best = (size, found)
    if best is None:
        raise ValueError("no sizes reach the security wanted")
    return best[1]


def code_points(code_log: int, indices: list[int]) -> gl.U64:
    """Where the code word is evaluated: ``7 w^bitreverse(i)``, never a root of unity."""
    return gl.times_seven(gl.reversed_powers(code_log, indices))


def interpolated(values: ExtVec, parameters: Parameters) -> ExtVec:
    """Polynomials of degree below ``s`` with the values ``(2, count)`` on the slots, row by row."""
    padded = np.zeros((2, parameters.rows << parameters.slot_log), dtype=np.uint64)
    padded[:, : values.shape[1]] = values
    return gl.inverse_dft(padded.reshape(2, parameters.rows, parameters.slots))


def row_weights(challenger: Challenger, label: str, rows: int) -> ExtVec:
    return ext.vector(challenger.elements(f"{label}/rows", rows))


def blind_values(values: ExtVec, points: gl.U64, slots: int) -> ExtVec:
    """``B`` at the points, from columns whose last two rows are ``B_0`` and ``B_1``."""
    power = points
    for _ in range(slots.bit_length() - 1):
        power = gl.mul(power, power)
    return ext.add(values[:, :, -2], ext.mul_base(values[:, :, -1], power))


def verify(
    channel: VerifierChannel,
    label: str,
    root: bytes,
    parameters: Parameters,
    relation: Callable[[], tuple[ExtVec, Ext]],
) -> None:
    """Raises :class:`HiddenMismatch` or ``CommitmentMismatch`` unless ``sum_i c_i vector_i =
    target`` for the ``c`` and the target that ``relation`` gives, which is called when all else
    holds."""
    rows, slots, queries = parameters.rows, parameters.slots, parameters.queries
    weights = row_weights(channel.challenger, label, rows + 2)  # V -> P
    u = channel.receive_cells(f"{label}/proximity", (parameters.degree, 2)).T  # P -> V
    p = channel.receive_cells(f"{label}/relation", (parameters.product_degree, 2)).T  # P -> V
    channel.receive_work(f"{label}/work", WORK_BITS)  # P -> V
    indices = channel.challenger.distinct_indices(  # V -> P
        f"{label}/points", queries, 1 << parameters.code_log
    )
    width = 2 * (rows + BLINDS)
    columns = channel.receive_cells(f"{label}/columns", (queries, width + SALT_CELLS))  # P -> V
    merkle.verify(channel, label, root, parameters.code_log, indices, columns)

    values = np.stack([columns[:, 0:width:2], columns[:, 1:width:2]])
    points = code_points(parameters.code_log, indices)
    sent = np.zeros((2, 2, parameters.product_degree), dtype=np.uint64)
    sent[0, :, : parameters.degree], sent[1] = u, p
    u_values, p_values = gl.evaluate_polynomials(sent.reshape(4, -1), points).reshape(2, 2, -1)
    mixed = np.delete(values, rows, axis=2)
    folded = ext.add(ext.contract(mixed, weights), values[:, :, rows])
    if not np.array_equal(u_values, folded):
        raise HiddenMismatch("the rows of hidden scalars are no code words", stage=label)
    coefficients, target = relation()
    slot_sum = ext.scale(ext.total(p[:, ::slots]), Ext(slots))
    if ext.scalar(slot_sum) != target:
        raise HiddenMismatch("the hidden scalars do not satisfy the relations", stage=label)
    polynomials = interpolated(coefficients, parameters)
    at = gl.evaluate_polynomials(polynomials.reshape(2 * rows, slots), points)
    terms = ext.mul(at.reshape(2, rows, queries), values[:, :, :rows].transpose(0, 2, 1))
    product = ext.add(blind_values(values, points, slots), ext.total(terms, axis=-2))
    if not np.array_equal(p_values, product):
        raise HiddenMismatch("the relation is not that of the hidden scalars", stage=label)
