"""Element-wise products: all claims on ``out = left * right`` in one sumcheck.

``sum_k gamma^k v_k = sum_x (sum_k gamma^k eq(z_k, x)) left(x) right(x)``. Error ``(#claims + 3
n) / |E|``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from ..arguments import sumcheck
from ..arguments.claims import Ledger
from ..errors import SumcheckMismatch
from ..field import multilinear as ml
from ..field.extension import ZERO, Ext, ExtVec, from_base, powers
from ..field.forms import combine
from ..transcript.channel import VerifierChannel


@dataclass(frozen=True, slots=True)
class Product:
    """``output = left * right``, cell by cell."""

    output: str
    left: str
    right: str

    def inputs(self) -> set[str]:
        """See ``Operation``."""
        return {self.left, self.right}

    def outputs(self) -> set[str]:
        """See ``Operation``."""
        return {self.output}


if TYPE_CHECKING:
    from ..prover.arguments import sumcheck as prover_sumcheck
    from ..prover.arguments.claims import Witness
    from ..prover.transcript.channel import ProverChannel


def prove(channel: ProverChannel, op: Product, ledger: Ledger, witness: Witness) -> None:
    from ..prover.arguments import sumcheck as prover_sumcheck
    from ..prover.kernels import field as kf

    label = f"product/{op.output}"
    claims = ledger.of(op.output)
    gamma = channel.challenger.element(f"{label}/gamma")  # V -> P
    weight = None
    for (point, _), power in zip(claims, powers(gamma, len(claims)), strict=True):
        if weight is None:
            weight = kf.eq_table(point, power)
        else:
            kf.add_eq_table(weight, point, power)
    if weight is None:
        return
    left, right = (witness.tensor(name).reshape(-1) for name in (op.left, op.right))
    machine = _Machine(weight, left, right)
    point = prover_sumcheck.prove(channel, label, machine)
    _, a, b = machine.finals()
    channel.send(f"{label}/factors", [a, b])  # P -> V
    ledger.add(op.left, point, a)
    ledger.add(op.right, point, b)


class _Machine:
    """``sum_x weight(x) left(x) right(x)``, in integers until the first variable is bound."""

    degree = 3

    def __init__(self, weight: ExtVec, left: NDArray[Any], right: NDArray[Any]) -> None:
        from ..prover.arguments import sumcheck as prover_sumcheck
        from ..prover.kernels import field as kf
        from ..prover.kernels import integer_products

        self.rounds = (left.shape[0] - 1).bit_length()
        self._integers: tuple[ExtVec, NDArray[Any], NDArray[Any]] | None = None
        self._machine: prover_sumcheck.ProductMachine | None = None
        if self.rounds and integer_products.fit(left, right):
            self._integers = (weight, left, right)
            return
        tables = (from_base(kf.to_field(column)) for column in (left, right))
        self._machine = prover_sumcheck.ProductMachine([(weight, *tables)])

    def message(self) -> list[Ext]:
        from ..prover.kernels import integer_products

        if self._integers is not None:
            return integer_products.round_message(*self._integers)
        return self._tables.message()

    def bind(self, challenge: Ext) -> None:
        from ..prover.arguments import sumcheck as prover_sumcheck
        from ..prover.kernels import field as kf
        from ..prover.kernels import integer_products

        if self._integers is None:
            self._tables.bind(challenge)
            return
        weight, *columns = self._integers
        folded = [integer_products.fold(column, challenge) for column in columns]
        self._integers = None
        self._machine = prover_sumcheck.ProductMachine([(kf.fold(weight, challenge), *folded)])

    @property
    def _tables(self) -> prover_sumcheck.ProductMachine:
        if self._machine is None:
            raise RuntimeError("the first variable is not bound yet")
        return self._machine

    def finals(self) -> tuple[Ext, ...]:
        """Weight and both factors at the point."""
        return self._tables.finals()[0]


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
