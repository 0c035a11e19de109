"""The prover of linear relations on a committed vector, in zero knowledge."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...commitment.ligero import (
    BLINDS,
    WORK_BITS,
    Parameters,
    blind_values,
    code_points,
    interpolated,
    row_weights,
)
from ...commitment.merkle import SALT_CELLS
from ...field import extension as ext
from ...field import goldilocks as gl
from ...field.extension import ExtVec
from ...field.goldilocks import GENERATOR, P, bit_reverse
from ..kernels import ntt
from ..randomness import Randomness
from ..transcript.channel import ProverChannel
from . import merkle


@dataclass(frozen=True, slots=True)
class CommittedVector:
    """The prover's side: coefficients ``(2, rows + 3, k)``, code word ``(n, 2 (rows + 3))`` in
    pairs, salts and tree."""

    parameters: Parameters
    coefficients: ExtVec
    code: gl.U64
    salts: gl.U64
    tree: merkle.MerkleTree


def _evaluations(coefficients: ExtVec, code_log: int) -> ExtVec:
    """Polynomials ``(2, rows, degree)`` on the coset: ``(2, n, rows)``."""
    rows, degree = coefficients.shape[1:]
    matrix = ntt.matrix(1 << code_log, 2 * rows)
    shifted = ext.mul_base(coefficients, gl.powers(GENERATOR, degree))
    code = matrix[:, : 2 * rows]
    code[:degree, 0::2], code[:degree, 1::2] = shifted[0].T, shifted[1].T
    ntt.transform(matrix, degree)
    return np.stack([code[:, 0::2], code[:, 1::2]])


def commit(vector: ExtVec, parameters: Parameters, random: Randomness) -> CommittedVector:
    """Commit to ``vector (2, count)``."""
    slots, queries = parameters.slots, parameters.queries
    total = parameters.rows + BLINDS
    coefficients = random.cells(2, total, parameters.degree)
    blind = random.cells(2, parameters.rows, queries)
    rows = np.zeros((2, parameters.rows, parameters.degree), dtype=np.uint64)
    rows[:, :, :slots] = interpolated(vector, parameters)
    rows[:, :, :queries] = gl.sub(rows[:, :, :queries], blind)  # (X^s - 1) blind
    rows[:, :, slots:] = gl.add(rows[:, :, slots:], blind)
    coefficients[:, : parameters.rows] = rows
    # sum_slots B = s (B_0[0] + B_0[s] + ... + B_1[0] + B_1[s] + ...) = 0
    sums = [gl.total(coefficients[:, -2, slots::slots]), gl.total(coefficients[:, -1, ::slots])]
    coefficients[:, -2, 0] = gl.sub(np.zeros(2, dtype=np.uint64), gl.add(*sums))

    values = _evaluations(coefficients, parameters.code_log)
    code = np.empty((1 << parameters.code_log, 2 * total), dtype=np.uint64)
    code[:, 0::2], code[:, 1::2] = values[0], values[1]
    salts = random.cells(1 << parameters.code_log, SALT_CELLS)
    return CommittedVector(parameters, coefficients, code, salts, merkle.build(code, salts))


def prove(channel: ProverChannel, label: str, committed: CommittedVector, relation: ExtVec) -> None:
    """``sum_i relation_i vector_i`` is what the verifier computes it to be; ``relation (2,
    count)`` was drawn after the commitment."""
    parameters = committed.parameters
    rows, slots = parameters.rows, parameters.slots
    weights = row_weights(channel.challenger, label, rows + 2)  # V -> P
    mixed = np.delete(committed.coefficients, rows, axis=1)  # all rows but T
    terms = ext.mul(mixed, weights[:, :, None])
    u = gl.add(gl.total(terms, axis=1), committed.coefficients[:, rows])
    channel.send_cells(f"{label}/proximity", u.T)  # P -> V

    values = np.stack([committed.code[:, 0::2], committed.code[:, 1::2]])
    relations = _evaluations(interpolated(relation, parameters), parameters.code_log)
    points = code_points(parameters.code_log, list(range(1 << parameters.code_log)))
    p = blind_values(values, points, slots)
    p = ext.add(p, ext.total(ext.mul(values[:, :, :rows], relations)))
    channel.send_cells(f"{label}/relation", _coefficients(p, parameters).T)  # P -> V
    channel.send_work(f"{label}/work", WORK_BITS)  # P -> V

    indices = channel.challenger.distinct_indices(  # V -> P
        f"{label}/points", parameters.queries, 1 << parameters.code_log
    )
    opened = np.concatenate([committed.code[indices], committed.salts[indices]], axis=1)
    channel.send_cells(f"{label}/columns", opened)  # P -> V
    merkle.prove(channel, label, committed.tree, indices)


def _coefficients(values: ExtVec, parameters: Parameters) -> ExtVec:
    """The polynomial of degree below ``k + s`` with these values on the coset."""
    n = 1 << parameters.code_log
    natural = [bit_reverse(i, parameters.code_log) for i in range(n)]
    shift = gl.powers(pow(GENERATOR, -1, P), n)
    return ext.mul_base(gl.inverse_dft(values[:, natural]), shift)[:, : parameters.product_degree]
