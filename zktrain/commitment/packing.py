"""Many tensors in one multilinear polynomial, and one polynomial cut in lanes.

Tensors become blocks of power-of-two size, sorted by size (largest first, then in the order
given), so that every block is an aligned sub-cube: ``T(x) = F(x, prefix)``. A lane is
``2^lane_log`` consecutive cells; lanes that no tensor uses are zero by definition and are not
part of the code word.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..field.extension import ONE, ZERO, Ext, Point
from ..field.forms import Scalar
from ..field.multilinear import log2_ceil
from .merkle import SALT_CELLS
from .parameters import Shape, code_log

BLOCK_LOG_MIN = 10
"""Smaller tensors stand at the start of a block of ``2^10`` cells."""


@dataclass(frozen=True, slots=True)
class Block:
    """``name`` takes ``2^log_size`` cells from ``offset`` on, the first ``used`` of which may be
    nonzero."""

    name: str
    log_size: int
    offset: int
    used: int


@dataclass(frozen=True, slots=True)
class Packing:
    """Blocks of one commitment, ``2^log_size`` cells in all, at least one lane.

    ``tail`` random coefficients stand above the message of every live lane; 0: nothing hides. The
    code has rate ``2^-rate_log``, or a little more because of the tail.
    """

    blocks: tuple[Block, ...]
    log_size: int
    lane_log: int
    tail: int = 0
    rate_log: int = 1

    @property
    def shape(self) -> Shape:
        """What the plan of an opening has to know."""
        return Shape(self.lane_log, self.log_size - self.lane_log, self.tail, self.rate_log)

    @property
    def code_log(self) -> int:
        """log2 of the code word's positions."""
        return code_log(self.lane_log, self.rate_log, self.tail)

    @property
    def row_cells(self) -> int:
        """Cells of one opened position, its salt included."""
        return len(self.live_lanes) + (SALT_CELLS if self.tail else 0)

    def block(self, name: str) -> Block:
        for block in self.blocks:
            if block.name == name:
                return block
        raise KeyError(name)

    @property
    def live_lanes(self) -> tuple[int, ...]:
        """Numbers of the lanes that are encoded, ascending."""
        live: set[int] = set()
        for block in self.blocks:
            first = block.offset >> self.lane_log
            last = (block.offset + max(1, block.used) - 1) >> self.lane_log
            live.update(range(first, last + 1))
        return tuple(sorted(live))


def pack(
    tensors: Sequence[tuple[str, int, int]], lane_log: int, tail: int = 0, rate_log: int = 1
) -> Packing:
    """``(name, log_size, used)`` of every tensor."""
    order = sorted(range(len(tensors)), key=lambda i: (-tensors[i][1], i))
    blocks, offset = [], 0
    for i in order:
        name, log_size, used = tensors[i]
        size_log = max(log_size, BLOCK_LOG_MIN)
        blocks.append(Block(name, size_log, offset, used))
        offset += 1 << size_log
    log_size = max(lane_log, log2_ceil(max(1, offset)))
    return Packing(tuple(blocks), log_size, lane_log, tail, rate_log)


def total_log(tensors: Sequence[tuple[str, int, int]]) -> int:
    """log2 of the cells that :func:`pack` would take."""
    return log2_ceil(sum(1 << max(size, BLOCK_LOG_MIN) for _, size, _ in tensors))


def extend(point: Point, log_size: int) -> Point:
    """The point of the block for a point of the (maybe smaller) tensor at its start."""
    return point + (ZERO,) * (log_size - len(point))


@dataclass(frozen=True, slots=True)
class Term:
    """``factor T(point)`` for the tensor ``name`` of commitment number ``commitment``."""

    commitment: int
    name: str
    point: Point
    factor: Ext = ONE


@dataclass(frozen=True, slots=True)
class Claim:
    """``sum of terms = value``; a verifier may know the value but for its pad."""

    terms: tuple[Term, ...]
    value: Scalar


def claim_on(commitment: int, name: str, point: Point, value: Scalar) -> Claim:
    """``T(point) = value``."""
    return Claim((Term(commitment, name, point),), value)


def arrange(packings: Sequence[Packing]) -> tuple[tuple[int, ...], int]:
    """Place several commitments in one cube, the largest first, so that each is an aligned block of
    it: offsets in cells, log2 of all cells."""
    order = sorted(range(len(packings)), key=lambda i: (-packings[i].log_size, i))
    offsets, at = [0] * len(packings), 0
    for i in order:
        offsets[i], at = at, at + (1 << packings[i].log_size)
    return tuple(offsets), log2_ceil(at)
