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
from ...profile import mark
from ..kernels import ntt, sha256
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
    """A committed matrix: its lanes, the code word if it is kept, tree, salts if it has any;
    ``memory``: what the buffer may take."""

    lanes: Lanes
    code_log: int
    code: Rows | None
    tree: merkle.MerkleTree
    salts: Rows | None = None
    memory: int | None = None

    def rows(self, indices: list[int]) -> Rows:
        """Positions of the code word, each with its salt."""
        opened = self._made(indices) if self.code is None else self.code[indices]
        if self.salts is None:
            return opened
        return np.concatenate([opened, self.salts[indices]], axis=1)

    def _made(self, indices: list[int]) -> Rows:
        out = np.empty((len(indices), self.lanes.count), dtype=np.uint64)
        for first, here, buffer in _batches(self.lanes, self.code_log, self.memory):
            mark("encode")
            found = ntt.values_at(buffer, self.lanes.filled, indices)
            out[:, first : first + here] = found[:, :here]
        mark(None)
        return out


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
    lanes: Lanes, code_log: int, salts: Rows | None = None, memory: int | None = None
) -> Word:
    """Encode and hash; the code word is kept if it is small."""
    if keeps(lanes.count, code_log, memory):
        code = encode(lanes, code_log)
        mark("hash")
        tree = merkle.build(code, salts)
        mark(None)
        return Word(lanes, code_log, code, tree, salts, memory)
    states = sha256.begin(1 << code_log, LEAF)
    cells = lanes.count + (0 if salts is None else salts.shape[1])
    for first, here, buffer in _batches(lanes, code_log, memory):
        mark("encode")
        ntt.transform(buffer, lanes.filled)
        mark("hash")
        whole = here - here % BLOCK
        sha256.absorb(states, buffer[:, :whole])
        if first + here == lanes.count:
            rest = buffer[:, whole:here]
            sha256.finish(states, rest, salts, len(LEAF) + 8 * cells)
            del rest
    del buffer
    tree = merkle.above(states)
    mark(None)
    return Word(lanes, code_log, None, tree, salts, memory)


def _batches(
    lanes: Lanes, code_log: int, memory: int | None
) -> Iterator[tuple[int, int, NDArray[np.uint64]]]:
    """First lane, number of lanes, and the one buffer that holds their coefficients."""
    width = width_of(lanes.count, code_log, memory)
    mark("fill")
    buffer = ntt.matrix(1 << code_log, width)
    for first in range(0, lanes.count, width):
        mark("fill")
        lanes.fill(first, buffer)
        yield first, min(width, lanes.count - first), buffer
