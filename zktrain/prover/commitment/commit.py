"""Committing to tensors: lanes, interleaved Reed-Solomon code, Merkle tree over positions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...commitment import merkle
from ...commitment.packing import BLOCK_LOG_MIN, Packing
from ...profile import mark
from ...scratch import IN_MEMORY, Scratch
from ..kernels.commit import Placed, fill
from ..randomness import Randomness
from ..workers import ALONE, Here, Shared, Workers
from . import code as code_words
from . import merkle as prover_merkle
from .code import Word


@dataclass(frozen=True, slots=True)
class TensorLanes:
    """The live lanes of a packing: cells of flat tensors, then the lane's random coefficients."""

    packing: Packing
    tensors: dict[str, NDArray[Any]]
    tails: NDArray[np.uint64] | None = None

    @property
    def count(self) -> int:
        """Live lanes."""
        return len(self.packing.live_lanes)

    @property
    def filled(self) -> int:
        """Message and tail."""
        return (1 << self.packing.lane_log) + self.packing.tail

    def fill(self, first: int, matrix: NDArray[np.uint64], row: int = 0) -> None:
        """See :class:`code.Lanes`."""
        size = 1 << self.packing.lane_log
        lanes = self.packing.live_lanes[first : first + matrix.shape[1]]
        columns = {lane: column for column, lane in enumerate(lanes)}
        placed = []
        for block in self.packing.blocks:  # lanes of a block that are used follow each other
            lane, start = divmod(block.offset, size)
            cells = self.tensors[block.name][: block.used]
            begin = max(lane, lanes[0])
            end = min(lane + max(1, -(-block.used // size)), lanes[-1] + 1)
            if begin < end:
                here = cells[(begin - lane) * size : (end - lane) * size]
                placed.append(Placed(here, columns[begin], start))
        fill(placed, size, matrix, row)
        if self.tails is not None:
            begin, end = max(row, size), min(row + len(matrix), self.filled)
            if begin < end:
                here = self.tails[first : first + len(lanes), begin - size : end - size]
                matrix[begin - row : end - row, : len(lanes)] = here.T


@dataclass(frozen=True, slots=True)
class Committed:
    """What the prover keeps: flat integer tensors by name, tree, and the code word
    ``[position][live lane]`` if it is small; where the commitment hides, random coefficients
    ``tails (live lanes, tail)`` above the message of each lane, and a salt for each position.
    ``memory``, ``scratch``: as ``code.commit`` has them. ``shared``: the lanes, where ``workers``
    have them."""

    packing: Packing
    tensors: dict[str, NDArray[Any]]
    code: NDArray[np.uint64] | None
    tree: prover_merkle.MerkleTree
    tails: NDArray[np.uint64] | None = None
    salts: NDArray[np.uint64] | None = None
    memory: int | None = None
    scratch: Scratch = IN_MEMORY
    shared: Shared | None = None
    workers: int = 1

    @property
    def root(self) -> bytes:
        return self.tree.root

    @property
    def word(self) -> Word:
        """What is opened."""
        lanes = TensorLanes(self.packing, self.tensors, self.tails)
        shared, code_log = self.shared or Here(lanes), self.packing.code_log
        kept = self.code, self.tree, self.salts, self.memory
        return Word(shared, lanes.count, code_log, *kept, self.workers)


def flatten(tensor: NDArray[Any], lane_log: int) -> NDArray[Any]:
    """Flat, in memory or in a file as it was; zeros follow up to a multiple of ``2^10`` cells, or
    of a shorter lane."""
    flat = np.asarray(tensor).reshape(-1)
    shorter = lane_log < BLOCK_LOG_MIN and flat.shape[0] > 1 << lane_log
    short = -flat.shape[0] % (1 << (lane_log if shorter else BLOCK_LOG_MIN))
    return np.concatenate([flat, np.zeros(short, dtype=flat.dtype)]) if short else flat


def commit(
    packing: Packing,
    tensors: dict[str, NDArray[Any]],
    random: Randomness | None = None,
    memory: int | None = None,
    scratch: Scratch = IN_MEMORY,
    workers: Workers = ALONE,
) -> Committed:
    """Commit to integer tensors; the tree's root is the commitment.

    Tensors hold at least the used cells of their blocks, in C order; they may be memory maps.
    ``random`` is asked for where ``packing.tail`` says that the commitment hides: for the tails,
    then for the salts. ``memory``: bytes that the code word or its buffer may take, if not less
    than eight lanes; tree and salts are in ``scratch``. ``workers`` get all of it but the salts of
    each other's positions. The root depends on none of them.
    """
    mark("fill")
    flat = {name: flatten(tensor, packing.lane_log) for name, tensor in tensors.items()}
    tails = salts = None
    if packing.tail:
        if random is None:
            raise ValueError("a hiding commitment needs randomness")
        mark("randomness")
        tails = random.cells(len(packing.live_lanes), packing.tail)
        salts = random.cells(1 << packing.code_log, merkle.SALT_CELLS, scratch=scratch)
    lanes = TensorLanes(packing, flat, tails)
    word = code_words.commit(lanes, packing.code_log, salts, memory, scratch, workers)
    kept = word.code, word.tree, tails, salts, memory
    return Committed(packing, flat, *kept, scratch, word.lanes, word.workers)
