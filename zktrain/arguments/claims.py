"""Claims on tensors, and how tensors of one segment are laid out.

A claim is ``T(point) = value`` for the multilinear extension of a tensor ``(t, b, j)``; points
list the unit's variables first, then the sample's, then the step's (lowest first in each).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from numpy.typing import NDArray

from ..channel import Difference, several
from ..errors import SumcheckMismatch, ZktrainError
from ..field import multilinear as ml
from ..field.extension import Ext, ExtVec, Point
from ..field.forms import Scalar


@dataclass(frozen=True, slots=True)
class Shape:
    """``steps`` and ``batch`` are the real sizes, padded to ``2^log_steps`` and ``2^log_batch``."""

    steps: int
    batch: int

    @property
    def log_steps(self) -> int:
        return ml.log2_ceil(self.steps)

    @property
    def log_batch(self) -> int:
        return ml.log2_ceil(self.batch)

    def log_size(self, width: int) -> int:
        """Variables of a tensor of this width (0: one value per sample)."""
        return log_width(width) + self.log_batch + self.log_steps

    def split(self, point: Point) -> tuple[Point, Point, Point]:
        """Unit, sample and step coordinates."""
        t = len(point) - self.log_steps
        b = t - self.log_batch
        return point[:b], point[b:t], point[t:]

    def indicator(self, width: int, point: Point) -> Ext:
        """Extension of "this cell is real"."""
        j, b, t = self.split(point)
        inside = ml.less_than(b, self.batch) * ml.less_than(t, self.steps)
        return inside * ml.less_than(j, width) if width else inside


def log_width(width: int) -> int:
    return ml.log2_ceil(width) if width else 0


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

    def find(self, name: str, point: Point) -> Scalar | None:
        return self._claims.get(name, {}).get(point)

    def of(self, name: str) -> list[tuple[Point, Scalar]]:
        return list(self._claims.get(name, {}).items())


class Witness(Protocol):
    """The prover's integer tensors, padded, committed or computed from committed ones."""

    def tensor(self, name: str) -> NDArray[Any]:
        """Shape ``(2^log_steps, 2^log_batch[, 2^log_width])``."""
        ...

    def evaluate(self, name: str, point: Point) -> Ext: ...


Exchange = Callable[[str, Sequence[tuple[str, Point]]], Sequence[Scalar]]
"""Values of tensors at points: the prover evaluates and sends them, the verifier receives them."""


@dataclass(slots=True)
class WeightClaim:
    """``sum_t omega(t) W_t(row, column) = value``, given as the coefficient ``total = sum_t
    omega(t)`` of the segment's first weights and ``decay[tau] = m_tau sum_{t > tau} omega(t)``
    of its gradients (of a filter, its own ``total`` and ``decay``), as long as the segment and
    computed when asked for. ``row`` is empty for a bias."""

    total: Ext
    decays: Callable[[], ExtVec]
    row: Point
    column: Point
    value: Scalar

    @property
    def decay(self) -> ExtVec:
        return self.decays()


@dataclass(slots=True)
class WeightLedger:
    """Claims on the weights inside the segment, by parameter."""

    claims: dict[str, list[WeightClaim]] = field(default_factory=dict)

    def add(self, parameter: str, claim: WeightClaim) -> None:
        self.claims.setdefault(parameter, []).append(claim)
