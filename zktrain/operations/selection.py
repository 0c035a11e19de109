"""Which records a public order selects: sums of products of ``eq`` over all samples of a run.

``sum_{t,b} eq(record, order[t, b]) eq(samples, b) eq(steps, t)`` is what remains of the batches
for a verifier: of all that he does, the only thing that grows with the samples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..arguments.tensors import Shape
from ..field import extension as ext
from ..field import goldilocks as gl
from ..field import multilinear as ml
from ..field.extension import ONE, ZERO, Ext, ExtVec, Point

_WIDTH = 1 << 8
"""Samples in a block, as a rule; their weights are one vector."""
_LIMBS, _LIMB_BITS = 5, 13
"""Of weights: ``2^8`` products of them with 32 bits stay below ``2^53``, so float64 is exact."""
_ROWS = 32
"""Blocks in one matrix product, so few that a BLAS computes it in one thread."""
PIECE = 1 << 17
"""Samples whose products are in memory at once."""
TABLE_LOG = 20
"""Variables of records up to which their factors are a table."""
_NONE = np.iinfo(np.int64).max
"""A record behind all others, whose factor is 0."""

Order = Iterable[NDArray[np.int64]]
"""Records of consecutive steps, in pieces ``(steps, batch)`` of any length."""


@dataclass(frozen=True, slots=True)
class Selection:
    """``factor sum_{t,b} eq(record, order[t, b]) eq(samples, b) eq(steps, t)``."""

    record: Point
    factor: Ext
    samples: Point
    steps: Point


class Selections:
    """All that is wanted of one order, found in one pass when the first of it is needed.

    ``pieces`` gives the order, anew whenever it is called."""

    def __init__(self, pieces: Callable[[], Order], shape: Shape) -> None:
        self.pieces = pieces
        self._shape = shape
        self._wanted: list[Selection] = []
        self._found: dict[Selection, Ext] = {}

    def want(self, wanted: Sequence[Selection]) -> Callable[[], list[Ext]]:
        """What gives them; the order is not touched before it is called."""
        self._wanted += wanted

        def found() -> list[Ext]:
            missing = [one for one in self._wanted if one not in self._found]
            if missing:
                values = selections(self.pieces(), self._shape, missing)
                self._found |= zip(missing, values, strict=True)
            return [self._found[one] for one in wanted]

        return found


def selections(order: Order, shape: Shape, wanted: Sequence[Selection]) -> list[Ext]:
    """All that are wanted, in one pass over the order.

    Blocks of samples are multiplied with the weights of a block: both are cut in limbs whose
    products float64 adds up exactly. Apart from the tables, what is in memory is a piece of the
    order.
    """
    low = min(shape.log_steps, max(0, (_WIDTH // shape.batch).bit_length() - 1))
    groups: dict[tuple[Point, Ext], list[Selection]] = {}
    for one in dict.fromkeys(wanted):
        groups.setdefault((one.record, one.factor), []).append(one)
    parts = [
        (
            _Factors(record, factor),
            np.concatenate([_weights(s, shape.batch, low) for s in group], 1),
            [(s, _Eq(s.steps[low:])) for s in group],
        )
        for (record, factor), group in groups.items()
    ]
    found = dict.fromkeys(wanted, ZERO)
    at = 0
    for blocks in _blocks(order, shape.batch << low):
        numbers = np.arange(at, at + len(blocks))
        at += len(blocks)
        for factors, weights, group in parts:
            for (one, steps), row in zip(group, _contracted(factors, weights, blocks), strict=True):
                found[one] = found[one] + ext.dot(row, steps.of(numbers))
    return [found[one] for one in wanted]


def _weights(one: Selection, batch: int, low: int) -> NDArray[np.float64]:
    """``eq`` of the samples of a block, whose steps have ``low`` variables: ``(samples, limbs)``,
    the limbs of both coordinates one after the other."""
    samples, steps = ml.eq_table(one.samples)[:, :batch], ml.eq_table(one.steps[:low])
    block = ext.mul(steps[:, :, None], samples[:, None, :]).reshape(2, -1)
    shifts = np.arange(_LIMBS, dtype=np.uint64) * np.uint64(_LIMB_BITS)
    limbs = (block[:, :, None] >> shifts) & np.uint64((1 << _LIMB_BITS) - 1)
    return np.concatenate(list(limbs), axis=1).astype(np.float64)


def _halves(values: ExtVec) -> list[NDArray[np.float64]]:
    """Low and high 32 bits of both coordinates."""
    low, mask = np.uint64(32), np.uint64(0xFFFFFFFF)
    return [half.astype(np.float64) for v in values for half in (v & mask, v >> low)]


class _Eq:
    """``factor eq(point, n)`` for numbers ``n``, from two tables of half the variables."""

    def __init__(self, point: Point, factor: Ext = ONE) -> None:
        self._half = len(point) // 2
        self._low = ml.eq_table(point[: self._half], factor)
        self._high = ml.eq_table(point[self._half :])

    def of(self, numbers: NDArray[np.int64]) -> ExtVec:
        low = self._low[:, numbers & ((1 << self._half) - 1)]
        return ext.mul(low, self._high[:, numbers >> self._half])


class _Factors:
    """``factor eq(record, n)`` for numbers ``n`` of records, in halves."""

    def __init__(self, record: Point, factor: Ext) -> None:
        self._tables: list[NDArray[np.float64]] = []
        self._eq = _Eq(record, factor)
        if len(record) <= TABLE_LOG:
            table = ml.eq_table(record, factor)
            self._tables = _halves(np.concatenate([table, np.zeros((2, 1), np.uint64)], axis=1))

    def of(self, records: NDArray[np.int64]) -> list[NDArray[np.float64]]:
        """Four arrays of the same shape."""
        if self._tables:
            return [np.take(table, records, mode="clip") for table in self._tables]
        there = records != _NONE
        return _halves(self._eq.of(np.where(there, records, 0)) * there)


def _blocks(order: Order, width: int) -> Iterator[NDArray[np.int64]]:
    """The samples in rows of ``width``; what is missing in the last one is ``_NONE``."""
    most = max(1, PIECE // width) * width
    rest = np.zeros(0, dtype=np.int64)
    for piece in order:
        flat = piece.reshape(-1)
        for first in range(0, len(flat), most):
            here = flat[first : first + most]
            rest = np.concatenate([rest, here]) if len(rest) else here
            whole = len(rest) - len(rest) % width
            if whole:
                yield rest[:whole].reshape(-1, width)
            rest = rest[whole:]
    if len(rest):
        yield np.concatenate([rest, np.full(width - len(rest), _NONE)]).reshape(1, width)


def _contracted(
    factors: _Factors, weights: NDArray[np.float64], blocks: NDArray[np.int64]
) -> gl.U64:
    """Factors of the records of every block times the weights, added up: ``(k, 2, blocks)`` for
    ``k`` vectors of weights."""
    out = np.zeros((weights.shape[1] // (2 * _LIMBS), 2, len(blocks)), dtype=np.uint64)
    products = np.empty((4, len(blocks), weights.shape[1]))
    for left in range(0, blocks.shape[1], _WIDTH):
        here = weights[left : left + _WIDTH]
        for first in range(0, len(blocks), _ROWS):
            rows = slice(first, first + _ROWS)
            for half, found in zip(
                factors.of(blocks[rows, left : left + _WIDTH]), products, strict=True
            ):
                np.matmul(half, here, out=found[rows])
        out = gl.add(out, _joined(products))
    return out


def _joined(products: NDArray[np.float64]) -> gl.U64:
    """Of sums ``(halves, blocks, limbs)`` the elements of the extension."""
    limbs = products.astype(np.uint64).reshape(4, products.shape[1], -1, 2, _LIMBS)
    value = limbs[..., -1]
    for limb in range(_LIMBS - 2, -1, -1):
        value = gl.add(gl.mul(value, _power(_LIMB_BITS)), limbs[..., limb])
    p = gl.add(value[0::2], gl.mul(value[1::2], _power(32)))  # coordinates, blocks, k, coordinates
    real = gl.add(p[0, ..., 0], gl.times_seven(p[1, ..., 1]))
    return np.stack([real, gl.add(p[0, ..., 1], p[1, ..., 0])]).transpose(2, 0, 1)


def _power(bits: int) -> gl.U64:
    return np.array([1 << bits], dtype=np.uint64)
