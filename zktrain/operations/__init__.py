"""The closed set of tensor operations that a circuit is made of, one file each.

A new layer is a new arrangement of these operations (``circuit.build``). A new operation is a file
here with a line below, and its twin.
"""

from __future__ import annotations

from .accumulate import Accumulate
from .affine import Affine
from .affine_transposed import AffineTransposed
from .base import Operation, StepGraph
from .batch import Batch
from .fixed import Fixed
from .linear import Linear
from .lookup import Lookup
from .product import Product
from .sum import Sum
from .tally import Tally
from .unit_map import UnitMap
from .vanish import Vanish

OPERATIONS: tuple[type[Operation], ...] = (
    Batch,
    Linear,
    Product,
    Affine,
    AffineTransposed,
    Accumulate,
    Lookup,
    UnitMap,
    Sum,
    Vanish,
    Fixed,
    Tally,
)

__all__ = [
    "OPERATIONS",
    "Accumulate",
    "Affine",
    "AffineTransposed",
    "Batch",
    "Fixed",
    "Linear",
    "Lookup",
    "Operation",
    "Product",
    "StepGraph",
    "Sum",
    "Tally",
    "UnitMap",
    "Vanish",
]
