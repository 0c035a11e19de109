"""Prover of ``operations.product``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...arguments.tensors import log_cells
from ...cost.parts import ELEMENT_BYTES, EXTENSION, ROUND, Work
from ...field.extension import from_base
from ...operations import Product
from ...operations.base import Context
from ..arguments import pairs, sumcheck
from ..kernels import field as kf
from ..kernels import integer_products
from ..ranges import Range
from ..transcript.channel import ProverChannel
from .base import Given, Sizes, Tensors, smallest


def prove(op: Product, channel: ProverChannel, context: Context, given: Given) -> None:
    claims = context.ledger.of(op.output)
    powers = channel.challenger.powers(f"{op.label}/gamma", len(claims))  # V -> P
    if not claims:
        return
    weights = [
        pairs.EqWeight(point, power) for (point, _), power in zip(claims, powers, strict=True)
    ]
    shape, cells = context.shape, log_cells(context.tensor(op.output))

    def block(at: Range) -> pairs.Block:
        return pairs.Block(at.first(shape) << cells, at.count << cells, lambda: factors(at))

    def factors(at: Range) -> Iterator[pairs.Pair]:
        view = given.witness.view(at)
        left, right = (view.tensor(name).reshape(-1) for name in (op.left, op.right))
        if integer_products.fit(left, right):
            yield left, right
        else:
            yield from_base(kf.to_field(left)), from_base(kf.to_field(right))

    machine = pairs.PairMachine(
        [weights],
        [block(at) for at in given.witness.ranges((op.left, op.right), TABLES << cells)],
        shape.log_batch + cells,
        shape.log_steps,
        given.witness.memory,
        integers=True,
    )
    point = sumcheck.prove(channel, op.label, machine)
    _, a, b = machine.finals()[0]
    channel.send(f"{op.label}/factors", [a, b])  # P -> V
    context.ledger.add(op.left, point, a)
    context.ledger.add(op.right, point, b)


TABLES = 12
"""Bytes per cell of both factors after two rounds, and while they are bound."""


def values(op: Product, tensors: Tensors) -> NDArray[Any]:
    """Where one factor is a bit, the result fits the other's type."""
    left, right = tensors.tensor(op.left), tensors.tensor(op.right)
    if min(left.dtype.itemsize, right.dtype.itemsize) > 1:
        return smallest(np.multiply(left, right, dtype=np.int64))
    wide = left if left.dtype.itemsize > right.dtype.itemsize else right
    out: NDArray[Any] = np.multiply(left, right, dtype=wide.dtype, casting="unsafe")
    return out


def work(op: Product, sizes: Sizes) -> Work:
    """It holds the selector, both factors, and their halves."""
    many, size = sizes.claims.tensors[op.output], sizes.cells(op.output)
    cells = size if many else 0
    amounts = {"cells": cells, "tables": many * size, "rounds": size.bit_length() - 1}
    multiplications = ROUND[3] * cells + 2.0 * EXTENSION * many * size
    return sizes.work(
        op, "element-wise product", amounts, cells, multiplications,
        held=4.5 * ELEMENT_BYTES * cells, reads=op.inputs(),
    )  # fmt: skip
