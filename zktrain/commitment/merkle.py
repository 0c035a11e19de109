"""Merkle trees over rows of field cells, and openings of many leaves at once.

Leaf ``SHA-256(LEAF || row)``, node ``SHA-256(NODE || left || right)``; both prefixes fill one
hash block, so leaves and nodes cannot be confused. The root binds nothing but the rows: their
number and width come from the statement. Where leaves must not be guessed, random cells (a salt)
stand at the end of each row.
"""

from __future__ import annotations

import hashlib
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..errors import CommitmentMismatch
from ..transcript.channel import VerifierChannel

LEAF = b"zktrain merkle leaf v1".ljust(64, b"\0")
NODE = b"zktrain merkle node v1".ljust(64, b"\0")
SALT_CELLS = 2
"""Random cells at the end of a leaf that must not be guessed: about 128 bits."""

Rows = NDArray[np.uint64]


def _siblings(indices: list[int], depth: int) -> int:
    """How many nodes the plan for ascending, distinct leaves has.

    Level ``l`` knows ``K_l`` nodes, one more than there are neighbours that differ above bit ``l``,
    and lacks ``2 K_(l+1) - K_l``.
    """
    if not indices:
        return 0
    apart = sum((x ^ y).bit_length() for x, y in pairwise(indices))
    return depth + apart - 2 * len(indices) + 2


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
