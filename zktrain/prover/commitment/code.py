"""Code words of many lanes, and the tree over their positions.

A code word is made a few lanes at a time in one buffer, which is hashed and used again: eight lanes
are one block of SHA-256 for every position. It is not kept unless it is small; rows that are opened
are made again, by a transform of which only their branches are followed to the end. So a
commitment of ``n`` positions takes, besides what it commits to, no more than

    64 n (or 2^28, or the memory) for the buffer, 4 n for its roots of unity,
    32 n for states, then leaves, 32 n for inner nodes, 16 n for salts

bytes; buffer and inner nodes are not there at once. States, nodes and salts may be in files.

Where the memory takes no buffer of ``64 n``, or workers share the code word, it is made in pieces
of ``m = n / 2^t`` neighbouring positions. Those of piece ``p`` evaluate at the ``m``-th roots of
unity times ``g = omega^bitreverse(p)``, so that the piece is the transform of ``sum_r g^(r m + j)
f_(r m + j)``, ``j < m``: two buffers of ``64 m`` bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ...commitment.merkle import LEAF, Rows
from ...errors import InputError
from ...field.goldilocks import P, bit_reverse, root_of_unity
from ...profile import mark
from ...scratch import IN_MEMORY, Scratch
from ..kernels import ntt, sha256
from ..kernels.commit import add_rows
from ..workers import ALONE, Here, Shared, Workers
from . import merkle

KEPT_BYTES = 1 << 27
"""A code word that is not larger is kept; nor than a quarter of the memory."""
BUFFER_BYTES = 1 << 28
"""The buffer is not larger, nor than the memory, unless eight lanes are."""
BLOCK = 8
"""Lanes over F_p in one block of SHA-256."""
PIECES_LOG = 4
"""log2 of the pieces of a code word, at most: each reads all lanes."""


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

    def fill(self, first: int, matrix: NDArray[np.uint64], row: int = 0) -> None:
        """Write the columns from number ``first`` on, as many as there are and as the matrix has
        room for, into its rows: coefficients from number ``row`` on, up to ``filled``."""
        ...


@dataclass(frozen=True, slots=True)
class Held:
    """Bytes of a commitment beside what it commits to: those that are kept, and those besides while
    it is made or opened."""

    kept: int
    working: int


def held(
    columns: int, code_log: int, salt_cells: int, memory: int | None = None, files: bool = False
) -> Held:
    """Of :func:`commit`, and of :meth:`Word.rows` after it; with a scratch folder, ``files``."""
    tree = tree_bytes(code_log, salt_cells)
    if keeps(columns, code_log, memory):
        word = 8 * -(-columns // BLOCK) * BLOCK << code_log
        return Held(tree + word, 4 << code_log)
    log = piece_log(code_log, memory)
    buffers = 8 * width_of(columns, code_log, memory) if log == code_log else 2 * 8 * BLOCK
    return Held(0 if files else tree, buffers + 4 << log)


def tree_bytes(code_log: int, salt_cells: int) -> int:
    """Of leaves, inner nodes and salts."""
    return (64 + 8 * salt_cells) << code_log


def keeps(columns: int, code_log: int, memory: int | None = None) -> bool:
    """Whether the code word is kept."""
    most = KEPT_BYTES if memory is None else min(KEPT_BYTES, memory // 4)
    return 8 * columns << code_log <= most


def width_of(columns: int, code_log: int, memory: int | None = None) -> int:
    """Lanes that are encoded at once."""
    most = BUFFER_BYTES if memory is None else min(BUFFER_BYTES, memory)
    fitting = (most >> code_log) // (8 * BLOCK) * BLOCK
    return min(max(BLOCK, fitting), -(-columns // BLOCK) * BLOCK)


def piece_log(code_log: int, memory: int | None = None) -> int:
    """log2 of the positions that are made at once."""
    if memory is None or 8 * BLOCK << code_log <= memory:
        return code_log
    return max(code_log - PIECES_LOG, (memory // (2 * 8 * BLOCK)).bit_length() - 1)


@dataclass(frozen=True, slots=True)
class Word:
    """A committed matrix: ``count`` lanes, which workers have, the code word if it is kept, tree,
    salts if it has any; ``memory``: what the buffers may take."""

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
    scratch: Scratch = IN_MEMORY,
    workers: Workers = ALONE,
) -> Word:
    """Encode and hash; the code word is kept if it is small. If not, ``workers`` make parts of it.
    The tree is in ``scratch``."""
    if keeps(lanes.count, code_log, memory):
        code = encode(lanes, code_log)
        mark("hash")
        tree = merkle.build(code, salts)
        mark(None)
        return Word(Here(lanes), lanes.count, code_log, code, tree, salts, memory)
    shared, log_parts = workers.share(lanes), (workers.count - 1).bit_length()
    size = 1 << (code_log - log_parts)
    here = scratch if isinstance(shared, Here) else IN_MEMORY
    parts = []
    for part in range(1 << log_parts):
        theirs = None if salts is None else salts[part * size : (part + 1) * size]
        parts.append((code_log, part, log_parts, theirs, memory, here))
    found = shared.map("leaves", leaves_of, parts)
    mark("hash")
    leaves = found.pop() if not log_parts else scratch.taken(np.concatenate(found))
    tree = merkle.above(leaves, scratch)
    mark(None)
    return Word(shared, lanes.count, code_log, None, tree, salts, memory, workers.count)


def leaves_of(
    lanes: Lanes,
    code_log: int,
    part: int,
    log_parts: int,
    salts: Rows | None,
    memory: int | None,
    scratch: Scratch = IN_MEMORY,
) -> Rows:
    """Digests ``(n, 4)`` of one of ``2^log_parts`` equal parts of all positions; ``salts`` are
    theirs."""
    leaves = scratch.scattered((1 << code_log - log_parts, 4), np.uint64)
    cells = lanes.count + (0 if salts is None else salts.shape[1])
    log = min(code_log - log_parts, piece_log(code_log, memory))
    pieces = Pieces(lanes, code_log, log, 0, lanes.count, memory)
    for number, at in enumerate(range(0, len(leaves), pieces.size)):
        states = leaves[at : at + pieces.size]
        own = None if salts is None else salts[at : at + pieces.size]
        sha256.begin(states, LEAF)
        for first, stop, code in pieces.encoded(part * (len(leaves) // pieces.size) + number):
            mark("hash")
            whole = (stop - first) // BLOCK * BLOCK
            sha256.absorb(states, code[:, :whole])
            if stop == lanes.count:
                rest = code[:, whole : stop - first]
                sha256.finish(states, rest, own, len(LEAF) + 8 * cells)
    mark(None)
    return leaves


def rows_of(
    lanes: Lanes, code_log: int, indices: list[int], begin: int, stop: int, memory: int | None
) -> Rows:
    """Some positions of the code words of lanes ``begin..stop``."""
    out = np.empty((len(indices), stop - begin), dtype=np.uint64)
    pieces = Pieces(lanes, code_log, piece_log(code_log, memory), begin, stop, memory)
    for piece in range((1 << code_log) // pieces.size):
        here = [k for k, index in enumerate(indices) if index // pieces.size == piece]
        inside = [indices[k] % pieces.size for k in here]
        for first, end, buffer in pieces.filled(piece) if here else ():
            mark("encode")
            found = ntt.values_at(buffer, min(lanes.filled, pieces.size), inside)
            out[here, first - begin : end - begin] = found[:, : end - first]
    mark(None)
    return out


class Pieces:
    """The code words of lanes ``begin..stop`` in pieces of ``2^log`` positions, a few lanes at a
    time, in one buffer."""

    def __init__(
        self, lanes: Lanes, code_log: int, log: int, begin: int, stop: int, memory: int | None
    ) -> None:
        self.size, whole = 1 << log, log == code_log
        self._lanes, self._code_log, self._log = lanes, code_log, code_log - log
        self._begin, self._stop = begin, stop
        self._width = width_of(stop - begin, log if whole else log + 1, memory)
        mark("fill")
        self._buffer = ntt.matrix(self.size, self._width)
        self._read = None if whole else ntt.matrix(self.size, self._width)

    def filled(self, piece: int) -> Iterator[tuple[int, int, NDArray[np.uint64]]]:
        """First lane, the end of the lanes, and the buffer: coefficients whose transform is the
        piece."""
        for first in range(self._begin, self._stop, self._width):
            mark("fill")
            if self._read is None:
                self._lanes.fill(first, self._buffer)
            else:
                self._fold(first, piece, self._read)
            yield first, min(first + self._width, self._stop), self._buffer

    def encoded(self, piece: int) -> Iterator[tuple[int, int, NDArray[np.uint64]]]:
        """The same with the piece of the code word."""
        for first, stop, buffer in self.filled(piece):
            mark("encode")
            ntt.transform(buffer, min(self._lanes.filled, self.size))
            yield first, stop, buffer

    def _fold(self, first: int, piece: int, read: NDArray[np.uint64]) -> None:
        self._buffer[:] = 0
        g = pow(root_of_unity(self._code_log), bit_reverse(piece, self._log), P)
        for row in range(0, self._lanes.filled, self.size):
            rows = min(self.size, self._lanes.filled - row)
            self._lanes.fill(first, read, row)
            add_rows(read[:rows], pow(g, row, P), g, self._buffer[:rows])
