"""Claims on tensors, and how tensors of one segment are laid out.

A claim is ``T(point) = value`` for the multilinear extension of a tensor ``(t, b, j)``, or of an
image ``(t, b, y, x, ky, kx, j)``; points list the variables of the last axis first (lowest first
in each).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from numpy.typing import NDArray

from ..errors import SumcheckMismatch, ZktrainError
from ..field import multilinear as ml
from ..field.extension import ONE, Ext, ExtVec, Point
from ..field.forms import Scalar
from ..operations.operations import Tensor
from ..transcript.channel import Difference, several

if TYPE_CHECKING:
    from ..prover.operands import Operand


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

    def log_size(self, extent: int | Tensor) -> int:
        """Variables of a tensor, or of one of this width (0: one value per sample)."""
        cells = log_width(extent) if isinstance(extent, int) else log_cells(extent)
        return cells + self.log_batch + self.log_steps

    def split(self, point: Point) -> tuple[Point, Point, Point]:
        """Coordinates within a sample, of the sample and of the step."""
        t = len(point) - self.log_steps
        b = t - self.log_batch
        return point[:b], point[b:t], point[t:]

    def indicator(self, extent: int | Tensor, point: Point) -> Ext:
        """Extension of "this cell is real"."""
        cell, b, t = self.split(point)
        inside = ml.less_than(b, self.batch) * ml.less_than(t, self.steps)
        if isinstance(extent, int):
            return inside * ml.less_than(cell, extent) if extent else inside
        places = coordinates(extent, cell)
        return inside * real(places.grid, extent.grid) * real_units(extent, places)

    def split_units(self, extent: int | Tensor, point: Point) -> tuple[Point, Point, Point]:
        """Coordinates of the unit, of the sample and its place in the grid, and of the step."""
        t = len(point) - self.log_steps
        s = log_units(extent)
        return point[:s], point[s:t], point[t:]

    def real_samples(self, extent: int | Tensor, samples: Point) -> Ext:
        """Extension of "a real sample, at a real place of the grid"."""
        inside = ONE
        for size in reversed(() if isinstance(extent, int) else extent.grid):
            inside = inside * ml.less_than(samples[: log_width(size)], size)
            samples = samples[log_width(size) :]
        return inside * ml.less_than(samples, self.batch)

    def dims(self, tensor: Tensor) -> tuple[int, ...]:
        """Padded sizes of all axes, outermost first."""
        return (
            1 << self.log_steps,
            1 << self.log_batch,
            *(1 << log_width(size) for size in tensor.axes),
        )

    def real(self, tensor: Tensor) -> tuple[slice, ...]:
        """Where the real cells of a padded tensor are."""
        return tuple(slice(size) for size in (self.steps, self.batch, *tensor.axes))


def log_width(width: int) -> int:
    return ml.log2_ceil(width) if width else 0


def log_units(extent: int | Tensor) -> int:
    """Variables of the units of a tensor, taps included, or of one of this width."""
    if isinstance(extent, int):
        return log_width(extent)
    return sum(log_width(size) for size in (*extent.taps, extent.width))


def log_grid(extent: int | Tensor) -> int:
    """Variables of the grid; a width has none."""
    return 0 if isinstance(extent, int) else sum(log_width(size) for size in extent.grid)


def log_cells(tensor: Tensor) -> int:
    """Variables of one sample."""
    return log_units(tensor) + log_grid(tensor)


@dataclass(frozen=True, slots=True)
class Coordinates:
    """The coordinates of a cell within its sample, axis by axis, outermost first."""

    grid: tuple[Point, ...]
    taps: tuple[Point, ...]
    unit: Point


def coordinates(tensor: Tensor, cell: Point) -> Coordinates:
    """Cut the coordinates of a cell, lowest first, at the axes of its tensor; those of a unit alone
    have no grid."""
    parts = []
    for size in (tensor.width, *reversed(tensor.taps), *reversed(tensor.grid)):
        parts.append(cell[: log_width(size)])
        cell = cell[log_width(size) :]
    if cell:
        raise ValueError(f"'{tensor.name}' has fewer variables than the point")
    grid = tuple(reversed(parts[1 + len(tensor.taps) :]))
    return Coordinates(grid, tuple(reversed(parts[1 : 1 + len(tensor.taps)])), parts[0])


def real(points: Sequence[Point], sizes: Sequence[int]) -> Ext:
    """Extension of "inside these sizes"."""
    out = ONE
    for point, size in zip(points, sizes, strict=True):
        out = out * ml.less_than(point, size)
    return out


def real_units(tensor: Tensor, places: Coordinates) -> Ext:
    """Extension of "a real tap of a real unit"."""
    inside = real(places.taps, tensor.taps)
    return inside * ml.less_than(places.unit, tensor.width) if tensor.width else inside


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

    def operand(self, name: str) -> Operand:
        """The tensor as a factor of a matrix product, in memory or not."""
        ...

    def evaluate(self, name: str, point: Point) -> Ext: ...


Exchange = Callable[[str, Sequence[tuple[str, Point]]], Sequence[Scalar]]
"""Values of tensors at points: the prover evaluates and sends them, the verifier receives them."""


@dataclass(slots=True)
class WeightClaim:
    """``sum_t omega(t) W_t(row, column) = value``, given as what it says of weights that steps
    change and of weights that none changes.

    Of the former: ``first`` is the coefficient of the segment's first weights, ``sum_t omega(t)
    d_t``, and ``decay[tau] = sum_{t > tau} omega(t) c[t, tau]`` that of its gradients, as long as
    the segment and computed when asked for, with the ``d`` and ``c`` of the time filter (plain
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
    """Claims on the weights inside the segment, by parameter."""

    claims: dict[str, list[WeightClaim]] = field(default_factory=dict)

    def add(self, parameter: str, claim: WeightClaim) -> None:
        self.claims.setdefault(parameter, []).append(claim)

    def counts(self) -> dict[str, int]:
        """How many claims each parameter has."""
        return {name: len(claims) for name, claims in self.claims.items()}
