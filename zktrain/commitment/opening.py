"""Opening claims on any number of tensors in any number of commitments at once.

All commitments have lanes of one length and stand side by side in one polynomial ``F``
(``packing.arrange``). With ``omega = sum_k gamma^k eq(prefix_k) eq(z_k)``, one sumcheck over
``sum_x F(x) omega(x) = sum_k gamma^k v_k`` ends in one claim ``F(z) = v``; the lane coordinates
of ``z``, each drawn after work of its own, fold the lanes and Ligerito proves the rest. Error:
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
    lane_log = packings[0].lane_log
    offsets, row_log = arrange(packings)
    n = lane_log + row_log

    levels = level_plan(packings, bits, hiding=channel.hiding, scheme=scheme)
    lanes = sumcheck.Work(levels.levels[0].fold_work_bits, lane_log)

    gamma = channel.challenger.element(f"{label}/gamma")  # V -> P
    weights = ext.powers(gamma, len(claims))
    target = combine(weights, [claim.value for claim in claims])

    reduced, z = sumcheck.verify(channel, f"{label}/batch", target, n, 2, work=lanes)
    (value,) = channel.receive(f"{label}/value", 1)  # P -> V
    omega = ZERO
    for term, weight in weighted(claims, weights):
        block = packings[term.commitment].block(term.name)
        point = extend(term.point, block.log_size)
        prefix = (block.offset + (offsets[term.commitment] << lane_log)) >> block.log_size
        inside = ml.eq(point, z[: block.log_size])
        omega = omega + weight * inside * ml.eq_index(z[block.log_size :], prefix)
    channel.check(
        lambda: omega * value - reduced,
        OpeningMismatch(
            "the batched evaluation claims do not reduce to the opened value", stage=label
        ),
    )
    ligerito.verify(channel, label, roots, packings, offsets, levels, z, value)


def level_plan(
    packings: Sequence[Packing], bits: float, *, hiding: bool, scheme: Scheme = SCHEME
) -> Plan:
    """The levels of a joint opening of commitments that have one rate."""
    _, row_log = arrange(packings)
    first, tail = packings[0], max(p.tail for p in packings)
    return plan(first.lane_log, row_log, bits, tail, hiding, first.rate_log, scheme)


def proof_sizes(packings: Sequence[Packing], levels: Plan) -> dict[str, int]:
    """Bytes of the messages whose size does not depend on the challenges: all but Merkle paths."""
    lane_log = packings[0].lane_log
    _, row_log = arrange(packings)
    rows = levels.levels[0].queries * sum(p.row_cells for p in packings)
    scalars = 2 * 2 * (lane_log + row_log) + 2
    for level in levels.levels[1:]:
        rows += level.queries * (2 * level.lanes + level.salt_cells)
        scalars += 2 * 2 * level.variables + 4 + 2 * level.tail + 2 * level.masked
    return {
        "opened rows": 8 * rows,
        "clear vector": 16 << levels.clear_log,
        "opening's scalars and roots": 8 * (scalars + levels.nonces),
    }
