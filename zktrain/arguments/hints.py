"""How the values of a tensor come about that the operations only constrain.

A hint is data on a tensor: the prover follows it, the verifier never looks at it. Committed
tensors and the low limbs of rescales have one; what has none is defined by an operation.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Floor:
    """``floor((factor source + offset) / 2**shift)``: the quotient of a rescale, or of a limb,
    which has ``bits``, its remainder modulo ``2**bits``."""

    source: str
    factor: int
    offset: int
    shift: int
    bits: int | None = None


@dataclass(frozen=True, slots=True)
class Sign:
    """1 where ``source > 0``, else 0."""

    source: str


@dataclass(frozen=True, slots=True)
class FirstLargest:
    """One-hot: the first largest of ``source`` over the taps of a window, or over the units where
    there are no taps."""

    source: str


@dataclass(frozen=True, slots=True)
class Column:
    """Column ``column`` of the row of ``table`` where ``source`` is; row 0 is where it is
    ``first``. ``slope`` names the tensor that holds the derivative, where errors go back."""

    table: str
    source: str
    column: int
    first: int = -(1 << 15)
    slope: str | None = None


@dataclass(frozen=True, slots=True)
class Normaliser:
    """The smallest ``c`` with ``sum_j T(c - logits_j) <= 2**14``, ``T`` that of the table
    ``exp``."""

    logits: str


Hint = Floor | Sign | FirstLargest | Column | Normaliser
