"""Committing: lanes, interleaved Reed-Solomon code, Merkle tree over code word positions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...commitment import merkle
from ...commitment.packing import BLOCK_LOG_MIN, Packing
from ...profile import mark
from ..kernels import ntt
from ..kernels.commit import Placed, fill
from ..randomness import Randomness
from . import merkle as prover_merkle


@dataclass(frozen=True, slots=True)
class Committed:
    """What the prover keeps: flat integer tensors by name, code word ``[position][live lane]``,
    tree; where the commitment hides, random coefficients ``tails (live lanes, tail)`` above the
    message of each lane, and a salt for each position."""

    packing: Packing
    tensors: dict[str, NDArray[Any]]
    code: NDArray[np.uint64]
    tree: prover_merkle.MerkleTree
    tails: NDArray[np.uint64] | None = None
    salts: NDArray[np.uint64] | None = None

    @property
    def root(self) -> bytes:
        return self.tree.root


def flatten(tensor: NDArray[Any], lane_log: int) -> NDArray[Any]:
    """Flat and, zeros following, a whole number of lanes or (if smaller) of ``2^10`` cells."""
    flat = np.ascontiguousarray(tensor).reshape(-1)
    unit = 1 << (lane_log if flat.shape[0] > 1 << lane_log else BLOCK_LOG_MIN)
    short = -flat.shape[0] % unit
    return np.concatenate([flat, np.zeros(short, dtype=flat.dtype)]) if short else flat


def encode(
    packing: Packing, tensors: dict[str, NDArray[Any]], tails: NDArray[np.uint64] | None = None
) -> NDArray[np.uint64]:
    """Code word matrix ``(2^code_log, live lanes)``."""
    lane_size = 1 << packing.lane_log
    columns = {lane: k for k, lane in enumerate(packing.live_lanes)}
    positions = 1 << packing.code_log
    mark("fill")
    matrix = ntt.matrix(positions, len(columns))
    placed = []
    for block in packing.blocks:
        lane, start = divmod(block.offset, lane_size)
        placed.append(Placed(tensors[block.name][: block.used], columns[lane], start))
    fill(placed, lane_size, matrix)
    if tails is not None:
        matrix[lane_size : lane_size + packing.tail, : len(columns)] = tails.T
    mark("encode")
    ntt.transform(matrix, lane_size + packing.tail)
    mark(None)
    return matrix[:, : len(columns)]


def commit(
    packing: Packing, tensors: dict[str, NDArray[Any]], random: Randomness | None = None
) -> Committed:
    """Commit to integer tensors; the tree's root is the commitment.

    ``random`` is asked for where ``packing.tail`` says that the commitment hides: for the tails,
    then for the salts.
    """
    mark("fill")
    flat = {name: flatten(tensor, packing.lane_log) for name, tensor in tensors.items()}
    if not packing.tail:
        code = encode(packing, flat)
        return Committed(packing, flat, code, _tree(code))
    if random is None:
        raise ValueError("a hiding commitment needs randomness")
    mark("randomness")
    tails = random.cells(len(packing.live_lanes), packing.tail)
    code = encode(packing, flat, tails)
    mark("randomness")
    salts = random.cells(code.shape[0], merkle.SALT_CELLS)
    return Committed(packing, flat, code, _tree(code, salts), tails, salts)


def _tree(
    code: NDArray[np.uint64], salts: NDArray[np.uint64] | None = None
) -> prover_merkle.MerkleTree:
    mark("hash")
    tree = prover_merkle.build(code, salts)
    mark(None)
    return tree
