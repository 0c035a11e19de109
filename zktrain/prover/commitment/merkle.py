"""Building Merkle trees and opening many leaves at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...commitment.merkle import LEAF, NODE, Rows
from ...scratch import IN_MEMORY, Scratch, pause
from ..kernels.sha256 import hash_rows
from ..transcript.channel import ProverChannel

_HASHED = 1 << 20
"""Nodes that are made at once."""


@dataclass(frozen=True, slots=True)
class MerkleTree:
    """All levels, leaves first: arrays ``(2^k, 4)`` of uint64 holding the digests' bytes."""

    levels: tuple[Rows, ...]

    @property
    def root(self) -> bytes:
        return bytes(self.levels[-1][0].tobytes())


def build(rows: Rows, salts: Rows | None = None) -> MerkleTree:
    """Tree over ``2^k`` rows, each followed by its salt where there are salts."""
    return above(hash_rows(rows, LEAF, salts))


def above(leaves: Rows, scratch: Scratch = IN_MEMORY) -> MerkleTree:
    """Tree over digests of ``2^k`` leaves; its levels are in ``scratch``."""
    levels = [leaves]
    while levels[-1].shape[0] > 1:
        levels.append(_parents(levels[-1].reshape(-1, 8), scratch))
    return MerkleTree(tuple(levels))


def _parents(pairs: Rows, scratch: Scratch) -> Rows:
    if not scratch.in_files:
        return hash_rows(pairs, NODE)
    nodes = scratch.scattered((len(pairs), 4), np.uint64)
    for first in range(0, len(pairs), _HASHED):
        here = slice(first, first + _HASHED)
        nodes[here] = hash_rows(pairs[here], NODE)
    return nodes


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
        pause(at_once=True)
