"""Merkle trees against a tree of hashlib digests; openings of every subset, and wrong ones."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from zktrain.commitment import merkle
from zktrain.errors import CommitmentMismatch, MalformedProof
from zktrain.prover.commitment import merkle as prover_merkle
from zktrain.prover.transcript.channel import ProverChannel
from zktrain.transcript.challenger import Challenger
from zktrain.transcript.channel import VerifierChannel


def leaf(row: np.ndarray) -> bytes:
    data = b"".join(int(cell).to_bytes(8, "little") for cell in row)
    return hashlib.sha256(b"zktrain merkle leaf v1" + bytes(42) + data).digest()


def node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"zktrain merkle node v1" + bytes(42) + left + right).digest()


def levels(rows: np.ndarray) -> list[list[bytes]]:
    out = [[leaf(row) for row in rows]]
    while len(out[-1]) > 1:
        below = out[-1]
        out.append([node(below[i], below[i + 1]) for i in range(0, len(below), 2)])
    return out


def random_rows(depth: int, width: int) -> np.ndarray:
    rng = np.random.default_rng(100 * depth + width)
    return rng.integers(0, 2**64, size=(1 << depth, width), dtype=np.uint64)


def opened(tree: prover_merkle.MerkleTree, indices: list[int]) -> bytes:
    channel = ProverChannel(Challenger("merkle"))
    prover_merkle.prove(channel, "tree", tree, indices)
    return channel.proof()


def check(root: bytes, depth: int, indices: list[int], rows: np.ndarray, proof: bytes) -> None:
    channel = VerifierChannel(Challenger("merkle"), proof)
    merkle.verify(channel, "tree", root, depth, indices, rows)
    channel.finish()


@pytest.mark.parametrize("depth", range(6))
@pytest.mark.parametrize("width", [1, 6, 7, 8, 9, 40])
def test_tree_is_the_one_of_hashlib(depth: int, width: int) -> None:
    rows = random_rows(depth, width)
    tree = prover_merkle.build(rows)
    expected = levels(rows)
    assert tree.root == expected[-1][0]
    ours = [[cell.astype("<u8").tobytes() for cell in level] for level in tree.levels]
    assert ours == expected


@pytest.mark.parametrize("depth", range(4))
def test_every_subset_of_the_leaves_opens(depth: int) -> None:
    rows = random_rows(depth, 3)
    tree = prover_merkle.build(rows)
    for mask in range(1, 1 << (1 << depth)):
        indices = [i for i in range(1 << depth) if mask >> i & 1]
        proof = opened(tree, indices)
        check(tree.root, depth, indices, rows[indices], proof)
        covered = [{i >> k for i in indices} for k in range(depth)]
        siblings = sum(i ^ 1 not in level for level in covered for i in level)
        assert len(proof) == 32 * siblings


INDICES = [0, 3, 9, 10, 11]


@pytest.fixture(scope="module")
def tree() -> tuple[prover_merkle.MerkleTree, np.ndarray, bytes]:
    rows = random_rows(4, 3)
    built = prover_merkle.build(rows)
    return built, rows, opened(built, INDICES)


def test_wrong_rows(tree: tuple[prover_merkle.MerkleTree, np.ndarray, bytes]) -> None:
    built, rows, proof = tree
    for at in np.ndindex(len(INDICES), 3):
        for bit in (0, 31, 63):
            wrong = rows[INDICES]
            wrong[at] ^= np.uint64(1 << bit)
            with pytest.raises(CommitmentMismatch):
                check(built.root, 4, INDICES, wrong, proof)


def test_rows_in_another_order(tree: tuple[prover_merkle.MerkleTree, np.ndarray, bytes]) -> None:
    built, rows, proof = tree
    with pytest.raises(CommitmentMismatch):
        check(built.root, 4, INDICES, rows[[0, 3, 9, 11, 10]], proof)


def test_rows_at_other_places(tree: tuple[prover_merkle.MerkleTree, np.ndarray, bytes]) -> None:
    built, rows, proof = tree
    for moved in ([1, 3, 9, 10, 11], [0, 2, 9, 10, 11], [0, 3, 8, 10, 11], [2, 3, 9, 10, 11]):
        with pytest.raises((CommitmentMismatch, MalformedProof)):
            check(built.root, 4, moved, rows[INDICES], proof)


def test_wrong_siblings(tree: tuple[prover_merkle.MerkleTree, np.ndarray, bytes]) -> None:
    built, rows, proof = tree
    for at in range(0, len(proof), 5):
        wrong = bytearray(proof)
        wrong[at] ^= 1
        with pytest.raises(CommitmentMismatch):
            check(built.root, 4, INDICES, rows[INDICES], bytes(wrong))


def test_wrong_root(tree: tuple[prover_merkle.MerkleTree, np.ndarray, bytes]) -> None:
    built, rows, proof = tree
    for at in range(32):
        wrong = bytearray(built.root)
        wrong[at] ^= 128
        with pytest.raises(CommitmentMismatch):
            check(bytes(wrong), 4, INDICES, rows[INDICES], proof)


def test_truncated_and_extended_paths(
    tree: tuple[prover_merkle.MerkleTree, np.ndarray, bytes],
) -> None:
    built, rows, proof = tree
    for cut in range(1, len(proof), 7):
        with pytest.raises(MalformedProof, match="ends inside"):
            check(built.root, 4, INDICES, rows[INDICES], proof[:-cut])
    with pytest.raises(MalformedProof, match="goes on"):
        check(built.root, 4, INDICES, rows[INDICES], proof + b"\0")


def test_node_passed_off_as_a_leaf() -> None:
    """Two digests are as long as a row of eight cells: a shallower tree must not open to them."""
    rows = random_rows(3, 8)
    built = prover_merkle.build(rows)
    children = built.levels[0].reshape(-1, 8)
    shallow = prover_merkle.MerkleTree(built.levels[1:])
    for i in range(4):
        with pytest.raises(CommitmentMismatch):
            check(built.root, 2, [i], children[[i]], opened(shallow, [i]))
    with pytest.raises(CommitmentMismatch):
        check(built.root, 2, [0, 1, 2, 3], children, b"")


def test_leaf_passed_off_as_a_node() -> None:
    """A row made of two digests of the rows below it does not deepen the tree."""
    below = random_rows(3, 8)
    inner = np.array(
        [np.frombuffer(leaf(a) + leaf(b), dtype="<u8") for a, b in below.reshape(4, 2, 8)]
    )
    built = prover_merkle.build(inner)
    deeper = prover_merkle.MerkleTree((prover_merkle.build(below).levels[0], *built.levels))
    with pytest.raises(CommitmentMismatch):
        check(built.root, 3, [5], below[[5]], opened(deeper, [5]))
