"""The closed set of tensor operations that a circuit is made of.

Every tensor has the axes ``(t, b, j)``: step within the segment, sample within the batch,
unit; ``width`` is the number of real units (0 for a per-sample tensor ``(t, b)``). Tensors of
images have more: ``(t, b, y, x, j)`` where a ``grid`` gives height and width, and ``(t, b, y, x,
ky, kx, j)`` where ``taps`` give the size of a window around every place. Axis sizes are padded to
powers of two and every padded cell is zero.

To a matrix product the places of the grid are samples, the taps are units.

A new layer is a new arrangement of these operations (``circuit.build``). A new operation
needs its arithmetic here and a ``prove`` and ``verify`` in ``arguments``.
"""

from __future__ import annotations

from dataclasses import dataclass

from .maps import Map

_CELL_TYPES = {
    "uint8": (0, (1 << 8) - 1),
    "int16": (-(1 << 15), (1 << 15) - 1),
    "uint16": (0, (1 << 16) - 1),
    "int32": (-(1 << 31), (1 << 31) - 1),
}


@dataclass(frozen=True, slots=True)
class Tensor:
    """A named tensor. ``committed`` ones are in the segment's commitment, with integer values in
    ``[low, high]``; all others are virtual."""

    name: str
    width: int
    committed: bool = False
    low: int = 0
    high: int = 0
    grid: tuple[int, ...] = ()
    taps: tuple[int, ...] = ()

    @property
    def cell_type(self) -> str:
        """The first of uint8, int16, uint16, int32 that holds the range; 16 bits of what is not
        committed, which is looked up as a limb. ``ValueError`` where 32 bits do not do."""
        if not self.committed:
            return "uint16"
        for kind, (least, most) in _CELL_TYPES.items():
            if least <= self.low and self.high <= most:
                return kind
        raise ValueError(f"tensor {self.name} needs more than 32 bits")

    @property
    def axes(self) -> tuple[int, ...]:
        """Real sizes after the sample's axis, outermost first."""
        return (*self.grid, *self.taps, *((self.width,) if self.width else ()))


@dataclass(frozen=True, slots=True)
class Batch:
    """``output[t, b, :] = dataset[index(t, b), :]``; ``source`` is ``inputs`` or ``labels``."""

    source: str
    output: str


@dataclass(frozen=True, slots=True)
class Linear:
    """``output = sum_i coefficient_i * tensor_i + constant * I``, ``I`` the indicator of real
    cells.

    A tensor without units (without taps) in an output that has them is broadcast over the real
    ones; one with them in an output that has none is summed over its own. All else is taken cell
    by cell.
    """

    output: str
    terms: tuple[tuple[int, str], ...]
    constant: int = 0


@dataclass(frozen=True, slots=True)
class Product:
    """``output = left * right``, cell by cell."""

    output: str
    left: str
    right: str


@dataclass(frozen=True, slots=True)
class Affine:
    """``output[t, b, :] = source[t, b, :] W_t + 2**bias_shift * bias_t`` on real cells."""

    output: str
    source: str
    weight: str
    bias: str | None
    bias_shift: int


@dataclass(frozen=True, slots=True)
class AffineTransposed:
    """``output[t, b, :] = source[t, b, :] W_t^T``."""

    output: str
    source: str
    weight: str


@dataclass(frozen=True, slots=True)
class Accumulate:
    """``W_{t+1} = W_t - m_t sum_b activation[t, b, :]^T error[t, b, :]`` and
    ``bias_{t+1} = bias_t - m_t 2**bias_shift sum_b error[t, b, :]``."""

    weight: str
    bias: str | None
    activation: str
    error: str
    bias_shift: int


@dataclass(frozen=True, slots=True)
class Lookup:
    """``(columns + offsets)`` is a row of ``table``, for every cell, padded ones included.

    Tables: ``range16``: ``v`` in ``[0, 2**16)``. ``relu``: ``(z, [z > 0])``, ``z`` signed 16 bit.
    ``exp``: ``(d, T(d), T(d - 1), 1)`` for ``0 <= d < 2**16 - 1`` and ``(0, 0, 0, 0)``; its last
    column is the indicator ``I`` and is not listed in ``columns``. ``sigmoid``: ``(z, P(z) -
    2**13)``, ``z`` signed 16 bit, ``P`` the sigmoid at scale ``2**14``; ``(0, 0)`` is a row.
    """

    table: str
    columns: tuple[str, ...]
    offset: int = 0


@dataclass(frozen=True, slots=True)
class UnitMap:
    """``output[t, b, :] = M source[t, b, :]`` with a public matrix over all axes of one sample."""

    output: str
    source: str
    map: Map


@dataclass(frozen=True, slots=True)
class Vanish:
    """Every cell of ``source`` is 0, padded ones included."""

    source: str


@dataclass(frozen=True, slots=True)
class Fixed:
    """The weights and the bias are public and the same at every step; it stands where trained ones
    have their ``Accumulate``."""

    weight: str
    bias: str | None


@dataclass(frozen=True, slots=True)
class Tally:
    """``sum_{t, b} left[t, b, i] right[t, b, k]`` is the public matrix of the segment."""

    left: str
    right: str


Operation = (
    Batch
    | Linear
    | Product
    | Affine
    | AffineTransposed
    | Accumulate
    | Lookup
    | UnitMap
    | Vanish
    | Fixed
    | Tally
)


@dataclass(frozen=True, slots=True)
class StepGraph:
    """One training step as tensors and operations, in the order of execution."""

    tensors: tuple[Tensor, ...]
    operations: tuple[Operation, ...]

    def tensor(self, name: str) -> Tensor:
        for tensor in self.tensors:
            if tensor.name == name:
                return tensor
        raise KeyError(name)
