"""The lookup tables, one file each, as columns for the prover and as extensions for the verifier.

A new table is a file here with a new number, and a line below.
"""

from .base import MAX_COLUMNS, Table
from .byte import BYTE
from .curves import CURVE_TABLES
from .exp import EXP
from .range16 import RANGE16
from .range18 import RANGE18
from .relu import RELU
from .sigmoid import SIGMOID
from .winner import WINNER

TABLES: dict[str, Table] = {
    table.name: table
    for table in (RANGE16, RELU, EXP, BYTE, WINNER, SIGMOID, *CURVE_TABLES, RANGE18)
}

__all__ = ["MAX_COLUMNS", "TABLES", "Table"]
