"""Element-wise products: all claims on ``out = left * right`` in one sumcheck.

``sum_k gamma^k v_k = sum_x (sum_k gamma^k eq(z_k, x)) left(x) right(x)``. Error ``(#claims + 3
n) / |E|``.
"""

from __future__ import annotations

import numpy as np

from ..channel import ProverChannel, VerifierChannel
from ..circuit.operations import Product
from ..errors import SumcheckMismatch
from ..field import multilinear as ml
from ..field.extension import ZERO, Ext, from_base, powers
from ..field.forms import combine
from . import sumcheck
from .claims import Ledger, Witness


def prove(channel: ProverChannel, op: Product, ledger: Ledger, witness: Witness) -> None:
    from ..kernels import field as kf

    label = f"product/{op.output}"
    claims = ledger.of(op.output)
    gamma = channel.challenger.element(f"{label}/gamma")  # V -> P
    weight = None
    for (point, _), power in zip(claims, powers(gamma, len(claims)), strict=True):
        table = kf.eq_table(point, power)
        if weight is None:
            weight = table
        else:
            kf.add_scaled(weight, Ext(1), table)
    if weight is None:
        return
    left, right = (from_base(kf.to_field(witness.tensor(name))) for name in (op.left, op.right))
    machine = sumcheck.ProductMachine(
        [(weight, np.ascontiguousarray(left), np.ascontiguousarray(right))]
    )
    point = sumcheck.prove(channel, label, machine)
    _, a, b = machine.finals()[0]
    channel.send(f"{label}/factors", [a, b])  # P -> V
    ledger.add(op.left, point, a)
    ledger.add(op.right, point, b)


def verify(channel: VerifierChannel, op: Product, ledger: Ledger) -> None:
    label = f"product/{op.output}"
    claims = ledger.of(op.output)
    gamma = channel.challenger.element(f"{label}/gamma")  # V -> P
    if not claims:
        return
    weights = powers(gamma, len(claims))
    target = combine(weights, [value for _, value in claims])
    reduced, point = sumcheck.verify(channel, label, target, len(claims[0][0]), 3)
    a, b = channel.receive(f"{label}/factors", 2)  # P -> V
    both = channel.multiply(a, b)
    weight = ZERO
    for (z, _), power in zip(claims, weights, strict=True):
        weight = weight + power * ml.eq(z, point)
    channel.check(
        lambda: weight * both - reduced,
        SumcheckMismatch(f"the product '{op.output}' does not match", stage="product"),
    )
    ledger.add(op.left, point, a)
    ledger.add(op.right, point, b)
