"""Claims on tensors, and how tensors of one proof are laid out.

A claim is ``T(point) = value`` for the multilinear extension of a tensor ``(t, b, j)``, or of an
image ``(t, b, y, x, ky, kx, j)``; points list the variables of the last axis first (lowest first
in each).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ..errors import SumcheckMismatch, ZktrainError
from ..field.extension import Ext, ExtVec, Point
from ..field.forms import Scalar
from ..transcript.channel import Difference, several

Check = Callable[[Difference, ZktrainError], None]
"""Requires a difference to be 0: the verifier's ``channel.check``, or :func:`judge`."""


def judge(difference: Difference, error: ZktrainError) -> None:
    """Raise ``error`` unless the difference of known values is 0."""
    if any(several(difference())):
        raise error


class Ledger:
    """Open claims, by tensor, in the order in which they arose; ``check`` compares two at one
    point."""

    def __init__(self, check: Check = judge) -> None:
        self._claims: dict[str, dict[Point, Scalar]] = {}
        self._check = check

    def add(self, name: str, point: Point, value: Scalar) -> None:
        known = self._claims.setdefault(name, {}).setdefault(point, value)
        if known is not value:
            self._check(
                lambda: known - value,
                SumcheckMismatch(f"two claims on '{name}' at one point differ", stage=name),
            )

    def add_all(self, claims: Iterable[tuple[str, Point, Scalar]]) -> None:
        """Names, points and values."""
        for claim in claims:
            self.add(*claim)

    def find(self, name: str, point: Point) -> Scalar | None:
        return self._claims.get(name, {}).get(point)

    def of(self, name: str) -> list[tuple[Point, Scalar]]:
        return list(self._claims.get(name, {}).items())


@dataclass(slots=True)
class WeightClaim:
    """``sum_t omega(t) W_t(row, column) = value``, given as what it says of weights that steps
    change and of weights that none changes.

    Of the former: ``first`` is the coefficient of the first weights, ``sum_t omega(t)
    d_t``, and ``decay[tau] = sum_{t > tau} omega(t) c[t, tau]`` that of its gradients, as long as
    the run and computed when asked for, with the ``d`` and ``c`` of the time filter (plain
    SGD: 1 and ``m_tau``). Of the latter: ``constant = sum_t omega(t)``; nothing acts on them,
    decay neither. ``row`` is empty for a bias."""

    first: Ext
    constant: Ext
    decays: Callable[[], ExtVec]
    row: Point
    column: Point
    value: Scalar

    @property
    def decay(self) -> ExtVec:
        return self.decays()


@dataclass(slots=True)
class WeightLedger:
    """Claims on the weights of all steps, by parameter."""

    claims: dict[str, list[WeightClaim]] = field(default_factory=dict)

    def add(self, parameter: str, claim: WeightClaim) -> None:
        self.claims.setdefault(parameter, []).append(claim)

    def counts(self) -> dict[str, int]:
        """How many claims each parameter has."""
        return {name: len(claims) for name, claims in self.claims.items()}
