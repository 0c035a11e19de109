"""Merkle trees over rows of field cells, and openings of many leaves at once.

Leaf ``SHA-256(LEAF || row)``, node ``SHA-256(NODE || left || right)``; both prefixes fill one
hash block, so leaves and nodes cannot be confused. The root binds nothing but the rows: their
number and width come from the statement. Where leaves must not be guessed, random cells (a salt)
stand at the end of each row.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..errors import CommitmentMismatch
from ..transcript.channel import ProverChannel, VerifierChannel

LEAF = b"zktrain merkle leaf v1".ljust(64, b"\0")
NODE = b"zktrain merkle node v1".ljust(64, b"\0")
SALT_CELLS = 2
"""Random cells at the end of a leaf that must not be guessed: about 128 bits."""

Rows = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class MerkleTree:
    """All levels, leaves first: arrays ``(2^k, 4)`` of uint64 holding the digests' bytes."""

    levels: tuple[Rows, ...]

    @property
    def root(self) -> bytes:
        return bytes(self.levels[-1][0].tobytes())


def build(rows: Rows, salts: Rows | None = None) -> MerkleTree:
    """Tree over ``2^k`` rows, each followed by its salt where there are salts."""
    from ..prover.kernels.sha256 import hash_rows

    levels = [hash_rows(rows, LEAF, salts)]
    while levels[-1].shape[0] > 1:
        levels.append(hash_rows(levels[-1].reshape(-1, 8), NODE))
    return MerkleTree(tuple(levels))


def _sibling_plan(indices: list[int], depth: int) -> list[list[int]]:
    """Per level, the nodes that the opened leaves do not determine themselves."""
    plan = []
    known = sorted(set(indices))
    for _ in range(depth):
        present = set(known)
        plan.append([i ^ 1 for i in known if i ^ 1 not in present])
        known = sorted({i >> 1 for i in known})
    return plan


def _siblings(indices: list[int], depth: int) -> int:
    """How many nodes the plan for ascending, distinct leaves has.

    Level ``l`` knows ``K_l`` nodes, one more than there are neighbours that differ above bit ``l``,
    and lacks ``2 K_(l+1) - K_l``.
    """
    if not indices:
        return 0
    apart = sum((x ^ y).bit_length() for x, y in pairwise(indices))
    return depth + apart - 2 * len(indices) + 2


def prove(channel: ProverChannel, label: str, tree: MerkleTree, indices: list[int]) -> None:
    """Send the siblings of ascending, distinct ``indices``; the rows were sent before."""
    depth = len(tree.levels) - 1
    for level, siblings in zip(tree.levels, _sibling_plan(indices, depth), strict=False):
        for sibling in siblings:
            channel.send_digest(f"{label}/path", level[sibling].tobytes())  # P -> V


def verify(
    channel: VerifierChannel, label: str, root: bytes, depth: int, indices: list[int], rows: Rows
) -> None:
    """Check that ``rows`` are the leaves at ``indices``, ascending and distinct, below ``root``."""
    new_leaf, new_node = hashlib.sha256(LEAF).copy, hashlib.sha256(NODE).copy
    known, digests = indices, []
    for row in np.ascontiguousarray(rows, dtype="<u8"):
        state = new_leaf()
        state.update(row)
        digests.append(state.digest())
    received = iter(channel.receive_digests(f"{label}/path", _siblings(indices, depth)))  # P -> V
    for _ in range(depth):
        parents, above = [], []
        nodes = iter(range(len(known)))
        for k in nodes:
            index = known[k]
            if index & 1:
                pair = next(received) + digests[k]
            elif k + 1 < len(known) and known[k + 1] == index + 1:
                pair = digests[k] + digests[next(nodes)]
            else:
                pair = digests[k] + next(received)
            state = new_node()
            state.update(pair)
            parents.append(index >> 1)
            above.append(state.digest())
        known, digests = parents, above
    found = digests[0] if digests else b""
    if found != root:
        raise CommitmentMismatch(
            "opened rows do not belong to the commitment",
            stage=label,
            expected=root.hex()[:16],
            got=found.hex()[:16],
        )
