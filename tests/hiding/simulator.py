"""A simulator: it has the statement and a random oracle that it may program, and no witness.

It runs the verifier on messages that it makes up when they are asked for. Padded scalars, claims
on the dataset and opened rows are uniform; of level 1 of an opening the mask's lane is chosen to
fit a uniform ``f_2`` and tail; of the pads' proof the columns of ``T`` and ``B_0`` are chosen to
fit uniform ``u`` and ``p``. Trees have the opened rows and random hashes in all other leaves.
"""

from __future__ import annotations

import copy
import hashlib
from collections import deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from probing import Cells, Frozen

from zktrain.commitment import ligerito, ligero, merkle
from zktrain.commitment.hiding import HidingVerifier, Layout
from zktrain.commitment.parameters import Plan
from zktrain.field import extension as ext
from zktrain.field import goldilocks as gl
from zktrain.field.extension import ZERO, Ext, ExtVec
from zktrain.prover.commitment import merkle as prover_merkle
from zktrain.prover.commitment.ligerito import code_point
from zktrain.prover.kernels.work import find_work
from zktrain.prover.randomness import system
from zktrain.prover.transcript.channel import ProverChannel
from zktrain.transcript.challenger import Challenger

Planned = dict[str, deque[bytes]]
"""Messages by label that are not plain uniform cells."""


def encoded(cells: NDArray[np.uint64]) -> bytes:
    return np.ascontiguousarray(cells).astype("<u8").tobytes()


class SimulatedTree:
    """Uniform rows at some leaves, random hashes at all others."""

    def __init__(self, depth: int, indices: Sequence[int], rows: Cells) -> None:
        self._rows = dict(zip(indices, rows, strict=True))
        leaves = [bytes(hash_) for hash_ in _random_hashes(1 << depth)]
        for index, row in self._rows.items():
            leaves[index] = hashlib.sha256(merkle.LEAF + encoded(row)).digest()
        levels = [leaves]
        while len(levels[-1]) > 1:
            below = levels[-1]
            pairs = zip(below[::2], below[1::2], strict=True)
            levels.append([hashlib.sha256(merkle.NODE + a + b).digest() for a, b in pairs])
        arrays = [np.frombuffer(b"".join(level), "<u8").reshape(-1, 4) for level in levels]
        self._tree = prover_merkle.MerkleTree(tuple(array.astype(np.uint64) for array in arrays))

    @property
    def root(self) -> bytes:
        return self._tree.root

    def rows(self, indices: Sequence[int]) -> Cells:
        return np.stack([self._rows[index] for index in indices])

    def path(self, indices: list[int]) -> list[bytes]:
        """Siblings, one message each."""
        channel = ProverChannel(Challenger("path"))
        prover_merkle.prove(channel, "path", self._tree, indices)
        return channel._parts


def _random_hashes(count: int) -> NDArray[np.uint8]:
    words = system().cells(4 * count)
    return np.frombuffer(encoded(words), dtype=np.uint8).reshape(count, 32)


def uniform_tree(depth: int, indices: Sequence[int], width: int) -> SimulatedTree:
    """Rows of uniform cells at the given positions, each taken once."""
    positions = sorted(set(indices))
    return SimulatedTree(depth, positions, system().cells(len(positions), width))


def positions(seed: str, plan: Plan) -> list[list[int]]:
    """Where each commitment will be opened."""
    return _drawn(Frozen(seed), plan)


def _drawn(oracle: Frozen, plan: Plan) -> list[list[int]]:
    return [
        oracle.distinct_indices("opening/positions", level.queries, 1 << level.code_log)
        for level in plan.commitments
    ]


def plan_opening(seed: str, plan: Plan, trees: Sequence[SimulatedTree]) -> Planned:
    """Messages of an opening of two levels whose commitments are these trees."""
    if len(plan.deeper) != 1:
        raise ValueError("levels in clear are not made up")
    random, oracle, level = system(), Frozen(seed), plan.deeper[0]
    planned: Planned = {name: deque() for name in ("rows", "path", "root", "clear", "tail")}

    for tree, at in zip(trees, _drawn(oracle, plan), strict=True):
        planned["rows"].append(encoded(tree.rows(at)))
        planned["path"] += tree.path(at)

    bound = tuple(oracle.element("opening/fold/point") for _ in range(level.variables))
    epsilon = oracle.element("opening/epsilon")
    weights = ligerito.level_weights(level, bound, epsilon)
    at = oracle.distinct_indices("opening/positions", level.queries, 1 << level.code_log)
    folded = random.cells(2, (1 << level.message_log) + level.tail)  # f_2, and the tail above
    points = np.array([code_point(i, level.code_log) for i in at], dtype=np.uint64)
    rows = random.cells(2, len(at), level.lanes)
    rows[:, :, -1] = 0
    short = ext.sub(evaluate(folded, points), ext.total(ext.mul(rows, weights[:, None, :])))
    rows[:, :, -1] = ext.scale(short, epsilon.inverse())
    cells = np.concatenate([pairs(rows), random.cells(len(at), level.salt_cells)], axis=1)
    tree = SimulatedTree(level.code_log, at, cells)
    planned["root"].append(tree.root)
    planned["rows"].append(encoded(cells))
    planned["path"] += tree.path(at)
    planned["clear"].append(encoded(folded[:, : 1 << level.message_log].T))
    planned["tail"].append(encoded(folded[:, 1 << level.message_log :].T))
    return {f"opening/{name}": messages for name, messages in planned.items()}


def pairs(rows: ExtVec) -> Cells:
    """``(2, rows, lanes)`` as rows ``a_0 b_0 a_1 b_1 ...``."""
    return np.moveaxis(rows, 0, -1).reshape(rows.shape[1], -1)


def evaluate(coefficients: ExtVec, points: Cells) -> ExtVec:
    """One polynomial at some points of F_p, by Horner's rule."""
    out = np.zeros((2, len(points)), dtype=np.uint64)
    for i in range(coefficients.shape[1] - 1, -1, -1):
        out = ext.mul_base(out, points)
        out = gl.add(out, np.repeat(coefficients[:, i : i + 1], len(points), axis=1))
    return out


class Simulator(HidingVerifier):
    """A verifier that answers itself: ``close`` makes the last messages up, ``proof`` is all."""

    def __init__(self, challenger: Frozen, layout: Layout, bits: float, planned: Planned) -> None:
        self._planned = planned
        self._messages: list[tuple[str, bytes]] = []
        self._random = system()
        super().__init__(challenger, b"", layout, bits)

    def proof(self) -> bytes:
        unused = [label for label, messages in self._planned.items() if messages]
        if unused:
            raise ValueError(f"nobody asked for {unused}")
        return b"".join(data for _, data in self._messages)

    def take(self, label: str, size: int, count: int = 1) -> bytes:
        return b"".join(self._message(label, size) for _ in range(count))

    def _message(self, label: str, size: int) -> bytes:
        planned = self._planned.get(label)
        data = planned.popleft() if planned else encoded(self._random.cells(size // 8))
        if len(data) != size:
            raise ValueError(f"{label} has another size")
        self._messages.append((label, data))
        return data

    def receive_work(self, label: str, bits: int) -> None:
        """A nonce for the seed that the oracle is going to give."""
        if bits:
            seed = copy.deepcopy(self.challenger).work_seed(label)
            self._planned[label] = deque([find_work(seed, bits).to_bytes(8, "little")])
        super().receive_work(label, bits)

    def close(self) -> None:
        """The pads' proof: no vector is committed, and the relation holds all the same."""
        count = len(self._layout.products)
        c, openings = ZERO, []
        if count:
            c = self.challenger.element("hidden/product")
            openings = self.receive_clear("hidden/openings", count)
        gamma = self.challenger.element("hidden/gamma")
        relation, target = self.relation(c, openings, gamma)
        self._plan_pads(relation, target)
        ligero.verify(self, "hidden", self._root, self._parameters, lambda: (relation, target))

    def _plan_pads(self, relation: ExtVec, target: Ext) -> None:
        sizes, random = self._parameters, self._random
        rows, slots, depth = sizes.rows, sizes.slots, sizes.code_log
        oracle = copy.deepcopy(self.challenger)
        weights = ext.vector(oracle.elements("hidden/rows", rows + 2))
        at = oracle.distinct_indices("hidden/points", sizes.queries, 1 << depth)
        points = ligero.code_points(depth, at)

        u = random.cells(2, sizes.degree)
        p = random.cells(2, sizes.product_degree)
        others = ext.scalar(ext.total(p[:, slots::slots]))
        first = target * Ext(slots).inverse() - others
        p[:, 0] = (first.a, first.b)

        values = random.cells(2, len(at), rows + ligero.BLINDS)
        t, b0, b1 = rows, rows + 1, rows + 2
        power = np.array([pow(int(x), slots, gl.P) for x in points], dtype=np.uint64)
        product = ext.mul_base(values[:, :, b1], power)
        polynomials = ligero.interpolated(relation, sizes)
        for row in range(rows):
            weight = evaluate(polynomials[:, row], points)
            product = ext.add(product, ext.mul(weight, values[:, :, row]))
        values[:, :, b0] = ext.sub(evaluate(p, points), product)
        mixed = np.delete(values, t, axis=2)
        folded = ext.total(ext.mul(mixed, weights[:, None, :]))
        values[:, :, t] = ext.sub(evaluate(u, points), folded)

        salts = random.cells(len(at), merkle.SALT_CELLS)
        cells = np.concatenate([pairs(values), salts], axis=1)
        tree = SimulatedTree(depth, at, cells)
        label, _ = self._messages[0]
        self._messages[0] = (label, tree.root)  # nothing has depended on it
        self._root = tree.root
        self._planned |= {
            "hidden/proximity": deque([encoded(u.T)]),
            "hidden/relation": deque([encoded(p.T)]),
            "hidden/columns": deque([encoded(cells)]),
            "hidden/path": deque(tree.path(at)),
        }
