"""Opening claims on any number of tensors in any number of commitments at once.

Commitments stand side by side in one cube, each an aligned block of it (``packing.arrange``);
their lanes may differ in length, rate and tail. With ``omega = sum_k gamma^k eq(prefix_k)
eq(z_k)``, one sumcheck over ``sum_x F(x) omega(x) = sum_k gamma^k v_k`` ends in one claim ``F(z)
= v``; each commitment's own lane coordinates of ``z`` fold its lanes, and Ligerito proves the
rest. Every challenge from the first one on that folds a lane comes after work of its own. Error:
``(#claims + 2 n) / |E|`` besides Ligerito's.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..arguments import sumcheck
from ..errors import OpeningMismatch
from ..field import extension as ext
from ..field import multilinear as ml
from ..field.extension import ZERO, Ext
from ..field.forms import combine
from ..transcript.channel import VerifierChannel
from . import ligerito
from .packing import Claim, Packing, Term, arrange, extend
from .parameters import SCHEME, Plan, Scheme, plan


def weighted(claims: Sequence[Claim], weights: Sequence[Ext]) -> list[tuple[Term, Ext]]:
    """All terms of all claims, each with its factor times the claim's weight."""
    return [
        (term, weight * term.factor)
        for claim, weight in zip(claims, weights, strict=True)
        for term in claim.terms
    ]


def verify(
    channel: VerifierChannel,
    label: str,
    roots: Sequence[bytes],
    packings: Sequence[Packing],
    claims: Sequence[Claim],
    bits: float,
    *,
    scheme: Scheme = SCHEME,
) -> None:
    """Raises unless every claim holds for the polynomials committed under ``roots``."""
    offsets, n = arrange(packings)
    levels = level_plan(packings, bits, hiding=channel.hiding, scheme=scheme)
    lanes = sumcheck.Work(levels.batch_work_bits, levels.free)

    gamma = channel.challenger.element(f"{label}/gamma")  # V -> P
    weights = ext.powers(gamma, len(claims))
    target = combine(weights, [claim.value for claim in claims])

    reduced, z = sumcheck.verify(channel, f"{label}/batch", target, n, 2, work=lanes)
    (value,) = channel.receive(f"{label}/value", 1)  # P -> V
    omega = ZERO
    for term, weight in weighted(claims, weights):
        block = packings[term.commitment].block(term.name)
        point = extend(term.point, block.log_size)
        prefix = (offsets[term.commitment] + block.offset) >> block.log_size
        inside = ml.eq(point, z[: block.log_size])
        omega = omega + weight * inside * ml.eq_index(z[block.log_size :], prefix)
    channel.check(
        lambda: omega * value - reduced,
        OpeningMismatch(
            "the batched evaluation claims do not reduce to the opened value", stage=label
        ),
    )
    ligerito.verify(channel, label, roots, packings, levels, z, value)


def level_plan(
    packings: Sequence[Packing], bits: float, *, hiding: bool, scheme: Scheme = SCHEME
) -> Plan:
    """The levels of a joint opening."""
    shapes = tuple(packing.shape for packing in packings)
    return plan(shapes, arrange(packings)[1], bits, hiding, scheme)


def proof_sizes(packings: Sequence[Packing], levels: Plan) -> dict[str, int]:
    """Bytes of the messages whose size does not depend on the challenges: all but Merkle paths."""
    opened = zip(levels.commitments, packings, strict=True)
    rows = sum(level.queries * packing.row_cells for level, packing in opened)
    scalars = 2 * 2 * levels.variables + 2
    for level in levels.deeper:
        rows += level.queries * (2 * level.lanes + level.salt_cells)
        scalars += 2 * 2 * level.variables + 4 + 2 * level.tail + 2 * level.masked
    return {
        "opened rows": 8 * rows,
        "clear vector": sum(16 << log_size for log_size in levels.clear),
        "opening's scalars and roots": 8 * (scalars + levels.nonces),
    }
