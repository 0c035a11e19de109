"""Merkle trees over rows of field cells, and openings of many leaves at once.

Leaf ``SHA-256(LEAF || row)``, node ``SHA-256(NODE || left || right)``; both prefixes fill one
hash block, so leaves and nodes cannot be confused. The root binds nothing but the rows: their
number and width come from the statement. Where leaves must not be guessed, random cells (a salt)
stand at the end of each row.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..channel import ProverChannel, VerifierChannel
from ..errors import CommitmentMismatch

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
    from ..kernels.sha256 import hash_rows

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


def prove(channel: ProverChannel, label: str, tree: MerkleTree, indices: list[int]) -> None:
    """Send the siblings of ascending, distinct ``indices``; the rows were sent before."""
    depth = len(tree.levels) - 1
    for level, siblings in zip(tree.levels, _sibling_plan(indices, depth), strict=False):
        for sibling in siblings:
            channel.send_digest(f"{label}/path", level[sibling].tobytes())  # P -> V


def verify(
    channel: VerifierChannel, label: str, root: bytes, depth: int, indices: list[int], rows: Rows
) -> None:
    """Check that ``rows`` are the leaves at ``indices`` below ``root``."""
    new_leaf, new_node = hashlib.sha256(LEAF).copy, hashlib.sha256(NODE).copy
    data = np.ascontiguousarray(rows, dtype="<u8")
    known: dict[int, bytes] = {}
    for index, row in zip(indices, data, strict=True):
        state = new_leaf()
        state.update(row)
        known[index] = state.digest()
    plan = _sibling_plan(indices, depth)
    received = iter(channel.receive_digests(f"{label}/path", sum(map(len, plan))))  # P -> V
    for siblings in plan:
        known.update(zip(siblings, received, strict=False))
        parents: dict[int, bytes] = {}
        for left in known:
            if left & 1 == 0:
                state = new_node()
                state.update(known[left] + known[left + 1])
                parents[left >> 1] = state.digest()
        known = parents
    found = known.get(0, b"")
    if found != root:
        raise CommitmentMismatch(
            "opened rows do not belong to the commitment",
            stage=label,
            expected=root.hex()[:16],
            got=found.hex()[:16],
        )
