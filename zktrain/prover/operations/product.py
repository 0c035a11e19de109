"""Prover of ``operations.product``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...cost.parts import ELEMENT_BYTES, EXTENSION, ROUND, Work
from ...field.extension import Ext, ExtVec, from_base
from ...operations import Product
from ...operations.base import Context
from ..arguments import sumcheck
from ..kernels import field as kf
from ..kernels import integer_products
from ..transcript.channel import ProverChannel
from .base import Given, Segment, Witness, smallest


def prove(op: Product, channel: ProverChannel, context: Context, given: Given) -> None:
    claims = context.ledger.of(op.output)
    batched = channel.challenger.powers(f"{op.label}/gamma", len(claims))  # V -> P
    weight = None
    for (point, _), power in zip(claims, batched, strict=True):
        if weight is None:
            weight = kf.eq_table(point, power)
        else:
            kf.add_eq_table(weight, point, power)
    if weight is None:
        return
    left, right = (given.witness.tensor(name).reshape(-1) for name in (op.left, op.right))
    machine = _Machine(weight, left, right)
    point = sumcheck.prove(channel, op.label, machine)
    _, a, b = machine.finals()
    channel.send(f"{op.label}/factors", [a, b])  # P -> V
    context.ledger.add(op.left, point, a)
    context.ledger.add(op.right, point, b)


class _Machine:
    """``sum_x weight(x) left(x) right(x)``, in integers until the first variable is bound."""

    degree = 3

    def __init__(self, weight: ExtVec, left: NDArray[Any], right: NDArray[Any]) -> None:
        self.rounds = (left.shape[0] - 1).bit_length()
        self._integers: tuple[ExtVec, NDArray[Any], NDArray[Any]] | None = None
        self._machine: sumcheck.ProductMachine | None = None
        if self.rounds and integer_products.fit(left, right):
            self._integers = (weight, left, right)
            return
        tables = (from_base(kf.to_field(column)) for column in (left, right))
        self._machine = sumcheck.ProductMachine([(weight, *tables)])

    def message(self) -> list[Ext]:
        if self._integers is not None:
            return integer_products.round_message(*self._integers)
        return self._tables.message()

    def bind(self, challenge: Ext) -> None:
        if self._integers is None:
            self._tables.bind(challenge)
            return
        weight, *columns = self._integers
        folded = [integer_products.fold(column, challenge) for column in columns]
        self._integers = None
        self._machine = sumcheck.ProductMachine([(kf.fold(weight, challenge), *folded)])

    @property
    def _tables(self) -> sumcheck.ProductMachine:
        if self._machine is None:
            raise RuntimeError("the first variable is not bound yet")
        return self._machine

    def finals(self) -> tuple[Ext, ...]:
        """Weight and both factors at the point."""
        return self._tables.finals()[0]


def values(op: Product, witness: Witness) -> NDArray[Any]:
    """Where one factor is a bit, the result fits the other's type."""
    left, right = witness.tensor(op.left), witness.tensor(op.right)
    if min(left.dtype.itemsize, right.dtype.itemsize) > 1:
        return smallest(np.multiply(left, right, dtype=np.int64))
    wide = left if left.dtype.itemsize > right.dtype.itemsize else right
    out: NDArray[Any] = np.multiply(left, right, dtype=wide.dtype, casting="unsafe")
    return out


def work(op: Product, segment: Segment) -> Work:
    """It holds the selector, both factors, and their halves."""
    many, size = segment.claims.tensors[op.output], segment.cells(op.output)
    cells = size if many else 0
    amounts = {"cells": cells, "tables": many * size, "rounds": size.bit_length() - 1}
    multiplications = ROUND[3] * cells + 2.0 * EXTENSION * many * size
    return segment.work(
        op, "element-wise product", amounts, cells, multiplications,
        held=4.5 * ELEMENT_BYTES * cells, reads=op.inputs(),
    )  # fmt: skip
