"""Code words of many lanes, and the tree over their positions.

A code word is made a few lanes at a time in one buffer, which is hashed and used again: eight lanes
are one block of SHA-256 for every position. It is not kept unless it is small; rows that are opened
are made again, by a transform of which only their branches are followed to the end. So a
commitment of ``n`` positions takes, besides what it commits to, no more than

    64 n (or 2^28, or the memory) for the buffer, 4 n for its roots of unity,
    32 n for states, then leaves, 32 n for inner nodes, 16 n for salts

bytes; buffer and inner nodes are not there at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ...commitment.merkle import LEAF, Rows
from ...errors import InputError
from ...profile import mark
from ..kernels import ntt, sha256
from ..workers import ALONE, Here, Shared, Workers
from . import merkle

KEPT_BYTES = 1 << 27
"""A code word that is not larger is kept; nor than a quarter of the memory."""
BUFFER_BYTES = 1 << 28
"""The buffer is not larger, nor than the memory, unless eight lanes are."""
BLOCK = 8
"""Lanes over F_p in one block of SHA-256."""


class Lanes(Protocol):
    """What is committed, as columns of coefficients."""

    @property
    def count(self) -> int:
        """Columns."""
        ...

    @property
    def filled(self) -> int:
        """Coefficients of a column."""
        ...

    def fill(self, first: int, matrix: NDArray[np.uint64]) -> None:
        """Write the columns from number ``first`` on, as many as there are and as the matrix has
        room for, into its first ``filled`` rows."""
        ...


@dataclass(frozen=True, slots=True)
class Held:
    """Bytes of a commitment beside what it commits to: those that are kept, and those besides while
    it is made or opened."""

    kept: int
    working: int


def held(columns: int, code_log: int, salt_cells: int, memory: int | None = None) -> Held:
    """Of :func:`commit`, and of :meth:`Word.rows` after it."""
    positions = 1 << code_log
    kept = positions * (64 + 8 * salt_cells)  # leaves and inner nodes
    if keeps(columns, code_log, memory):
        return Held(kept + 8 * positions * -(-columns // BLOCK) * BLOCK, 4 * positions)
    return Held(kept, positions * (8 * width_of(columns, code_log, memory) + 4))


def keeps(columns: int, code_log: int, memory: int | None = None) -> bool:
    """Whether the code word is kept."""
    most = KEPT_BYTES if memory is None else min(KEPT_BYTES, memory // 4)
    return 8 * columns << code_log <= most


def width_of(columns: int, code_log: int, memory: int | None = None) -> int:
    """Lanes that are encoded at once."""
    most = BUFFER_BYTES if memory is None else min(BUFFER_BYTES, memory)
    fitting = (most >> code_log) // (8 * BLOCK) * BLOCK
    return min(max(BLOCK, fitting), -(-columns // BLOCK) * BLOCK)


@dataclass(frozen=True, slots=True)
class Word:
    """A committed matrix: ``count`` lanes, which workers have, the code word if it is kept, tree,
    salts if it has any; ``memory``: what the buffer may take."""

    lanes: Shared
    count: int
    code_log: int
    code: Rows | None
    tree: merkle.MerkleTree
    salts: Rows | None = None
    memory: int | None = None
    workers: int = 1

    def rows(self, indices: list[int]) -> Rows:
        """Positions of the code word, each with its salt. Raises :class:`InputError` where those
        that are made again are not those of the leaves."""
        opened = self._made(indices) if self.code is None else self.code[indices]
        if self.salts is not None:
            opened = np.concatenate([opened, self.salts[indices]], axis=1)
        if self.code is None:
            leaves = sha256.hash_rows(np.ascontiguousarray(opened), LEAF)
            if not np.array_equal(leaves, self.tree.levels[0][indices]):
                raise InputError(
                    "rows that were committed to are different when they are made again: a worker, "
                    "or this machine, computes wrongly; prove on others"
                )
        return opened

    def _made(self, indices: list[int]) -> Rows:
        width = -(-self.count // (self.workers * BLOCK)) * BLOCK
        ranges = [
            (self.code_log, indices, first, min(self.count, first + width), self.memory)
            for first in range(0, self.count, width)
        ]
        made = self.lanes.map("rows", rows_of, ranges)
        return made[0] if len(made) == 1 else np.concatenate(made, axis=1)


def encode(lanes: Lanes, code_log: int) -> Rows:
    """The whole code word ``[position][lane]``."""
    mark("fill")
    matrix = ntt.matrix(1 << code_log, lanes.count)
    lanes.fill(0, matrix)
    mark("encode")
    ntt.transform(matrix, lanes.filled)
    mark(None)
    return matrix[:, : lanes.count]


def commit(
    lanes: Lanes,
    code_log: int,
    salts: Rows | None = None,
    memory: int | None = None,
    workers: Workers = ALONE,
) -> Word:
    """Encode and hash; the code word is kept if it is small. If not, ``workers`` make parts of
    it."""
    if keeps(lanes.count, code_log, memory):
        code = encode(lanes, code_log)
        mark("hash")
        tree = merkle.build(code, salts)
        mark(None)
        return Word(Here(lanes), lanes.count, code_log, code, tree, salts, memory)
    shared, log_parts = workers.share(lanes), (workers.count - 1).bit_length()
    size = 1 << (code_log - log_parts)
    parts = []
    for part in range(1 << log_parts):
        theirs = None if salts is None else salts[part * size : (part + 1) * size]
        parts.append((code_log, part, log_parts, theirs, memory))
    found = shared.map("leaves", leaves_of, parts)
    mark("hash")
    tree = merkle.above(found.pop() if not log_parts else np.concatenate(found))
    mark(None)
    return Word(shared, lanes.count, code_log, None, tree, salts, memory, workers.count)


def leaves_of(
    lanes: Lanes, code_log: int, part: int, log_parts: int, salts: Rows | None, memory: int | None
) -> Rows:
    """Digests ``(n, 4)`` of one of ``2^log_parts`` equal parts of all positions; ``salts`` are
    theirs."""
    positions = 1 << (code_log - log_parts)
    states = sha256.begin(positions, LEAF)
    cells = lanes.count + (0 if salts is None else salts.shape[1])
    rows = max(positions, lanes.filled)
    for first, here, buffer in _batches(lanes, rows, 0, lanes.count, memory):
        mark("encode")
        code = ntt.transform_part(buffer, lanes.filled, code_log, part, log_parts)
        mark("hash")
        whole = here - here % BLOCK
        sha256.absorb(states, code[:, :whole])
        if first + here == lanes.count:
            sha256.finish(states, code[:, whole:here], salts, len(LEAF) + 8 * cells)
    mark(None)
    return states


def rows_of(
    lanes: Lanes, code_log: int, indices: list[int], begin: int, stop: int, memory: int | None
) -> Rows:
    """Some positions of the code words of lanes ``begin..stop``."""
    out = np.empty((len(indices), stop - begin), dtype=np.uint64)
    for first, here, buffer in _batches(lanes, 1 << code_log, begin, stop, memory):
        mark("encode")
        found = ntt.values_at(buffer, lanes.filled, indices)
        out[:, first - begin : first - begin + here] = found[:, :here]
    mark(None)
    return out


def _batches(
    lanes: Lanes, rows: int, begin: int, stop: int, memory: int | None
) -> Iterator[tuple[int, int, NDArray[np.uint64]]]:
    """First lane, number of lanes, and the one buffer of so many ``rows`` that holds their
    coefficients."""
    width = width_of(stop - begin, (rows - 1).bit_length(), memory)
    mark("fill")
    buffer = ntt.matrix(rows, width)
    for first in range(begin, stop, width):
        mark("fill")
        lanes.fill(first, buffer)
        yield first, min(width, stop - first), buffer
