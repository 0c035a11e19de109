"""logUp-GKR: every row of some columns is a row of its table.

With random ``alpha, beta``, row ``v`` of table number ``id`` has the key ``alpha - sum_j beta^j
v_j - beta^4 id``. All lookups hold iff ``sum 1/key(lookup) = sum m(row)/key(row)`` with
committed multiplicities ``m`` (fewer than p lookups); the sum is proved by a tree of fractions. It
ends in one claim per column, at the low coordinates of one random point. Error: ``N (W + 2) / |E|``
for the keys, besides the tree's. [Hab22, PH23]
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..errors import LookupMismatch
from ..field import extension as ext
from ..field import multilinear as ml
from ..field.extension import ONE, ZERO, Ext, Point
from ..field.forms import Scalar, combine
from ..tables import MAX_COLUMNS, TABLES
from ..transcript.channel import VerifierChannel
from . import fraction_tree


@dataclass(frozen=True, slots=True)
class Entry:
    """One lookup: ``columns`` of ``2^log_size`` cells each, the first one plus ``offset``, in
    ``table``.

    ``indicator`` evaluates the public last column of tables that have one. Only the first ``live``
    cells are looked up (None: all). Beyond them every column is 0: committed ones because their
    lanes are not encoded, virtual ones because they follow from those, the indicator (already as
    it is evaluated) because no cell there is real.
    """

    table: str
    columns: tuple[str, ...]
    log_size: int
    offset: int = 0
    indicator: Callable[[Point], Ext] | None = None
    live: int | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.cells <= 1 << self.log_size:
            raise ValueError(f"{self.live} cells of 2^{self.log_size} cannot be looked up")

    @property
    def cells(self) -> int:
        """How many are looked up."""
        return 1 << self.log_size if self.live is None else self.live


def live_cells(log_size: int, used: int, lane_log: int) -> int:
    """Of a block with ``used`` cells: the cells of its lanes that are encoded."""
    lanes = max(1, -(-used >> lane_log))
    return min(1 << log_size, lanes << lane_log)


ColumnClaim = tuple[str, Point, Scalar]


@dataclass(frozen=True, slots=True)
class Leaf:
    """Place of an entry (``index >= 0``) or of table number ``-1 - index`` among the leaves."""

    index: int
    log_size: int
    offset: int


def layout_of(entries: Sequence[Entry], tables: Sequence[str]) -> tuple[list[Leaf], int]:
    sizes = [(i, e.log_size) for i, e in enumerate(entries)]
    sizes += [(-1 - i, TABLES[name].log_size) for i, name in enumerate(tables)]
    sizes.sort(key=lambda item: -item[1])
    leaves, offset = [], 0
    for index, log_size in sizes:
        leaves.append(Leaf(index, log_size, offset))
        offset += 1 << log_size
    return leaves, offset


def tables_of(entries: Sequence[Entry]) -> list[str]:
    """Tables in use, in the order of their numbers."""
    used = {entry.table for entry in entries}
    return sorted(used, key=lambda name: TABLES[name].number)


def leaf_count(entries: Sequence[Entry]) -> int:
    """Places of lookups and table rows together, those of cells that are not live included."""
    return layout_of(entries, tables_of(entries))[1]


def live_count(entries: Sequence[Entry]) -> int:
    """Lookups and table rows together: the leaves that are not neutral."""
    rows = sum(1 << TABLES[name].log_size for name in tables_of(entries))
    return sum(entry.cells for entry in entries) + rows


def proof_bytes(entries: Sequence[Entry]) -> int:
    """Size of the argument: the root, every layer's rounds and children, the columns."""
    depth = ml.log2_ceil(leaf_count(entries))
    columns = len(columns_of(entries, tables_of(entries), ()))
    return 16 * (4 + sum(3 * k + 4 for k in range(1, depth)) + columns)


def multiplicity(table: str) -> str:
    """Name of the committed column that counts a table's lookups."""
    return f"multiplicity.{table}"


def columns_of(
    entries: Sequence[Entry], tables: Sequence[str], point: Point
) -> list[tuple[str, Point]]:
    """Committed or virtual columns that the leaves need, each once, with their points."""
    needed: dict[tuple[str, int], None] = {}
    for entry in entries:
        for name in entry.columns:
            needed[(name, entry.log_size)] = None
    for name in tables:
        needed[(multiplicity(name), TABLES[name].log_size)] = None
    return [(name, point[:log_size]) for name, log_size in needed]


def verify(channel: VerifierChannel, label: str, entries: Sequence[Entry]) -> list[ColumnClaim]:
    """Returns the claims on columns and multiplicities that remain to be checked."""
    tables = tables_of(entries)
    _, total = layout_of(entries, tables)
    alpha, beta = channel.challenger.elements(f"{label}/keys", 2)  # V -> P
    beta_powers = ext.powers(beta, MAX_COLUMNS + 1)
    claim = fraction_tree.verify(channel, label, ml.log2_ceil(total))
    point = claim.point

    claims = columns_of(entries, tables, point)
    evaluated = channel.receive(f"{label}/columns", len(claims))  # P -> V
    value = {(name, len(at)): v for (name, at), v in zip(claims, evaluated, strict=True)}
    channel.check(
        lambda: _leaf_differences(entries, tables, value, alpha, beta_powers, claim),
        LookupMismatch("the claimed columns do not give the leaves of the tree", stage=label),
    )
    return [(name, at, v) for (name, at), v in zip(claims, evaluated, strict=True)]


def _leaf_differences(
    entries: Sequence[Entry],
    tables: Sequence[str],
    value: dict[tuple[str, int], Scalar],
    alpha: Ext,
    beta_powers: list[Ext],
    claim: fraction_tree.LeafClaim,
) -> tuple[Scalar, Scalar]:
    """Numerator and denominator of the leaf layer, from the columns' values, minus the claimed
    ones."""
    point = claim.point
    leaves, _ = layout_of(entries, tables)
    numerator: Scalar = ZERO
    denominator: Scalar = ZERO
    covered = ZERO
    columns: list[Scalar]
    weight: Scalar
    for leaf in leaves:
        low, high = point[: leaf.log_size], point[leaf.log_size :]
        here = ml.eq_index(high, leaf.offset >> leaf.log_size)
        inside = ONE
        if leaf.index >= 0:
            entry = entries[leaf.index]
            name, offset = entry.table, entry.offset
            inside = ml.less_than(low, entry.cells)
            columns = [value[(column, leaf.log_size)] for column in entry.columns]
            if entry.indicator is not None:
                columns.append(entry.indicator(low))
            weight = inside
        else:
            name, offset = tables[-1 - leaf.index], 0
            columns = list(TABLES[name].evaluate(low))
            weight = -value[(multiplicity(name), leaf.log_size)]
        key = alpha - beta_powers[MAX_COLUMNS] * TABLES[name].number - offset
        numerator = numerator + here * weight
        row = combine(beta_powers[: len(columns)], columns)
        denominator = denominator + here * (inside * key - row)
        covered = covered + here * inside
    denominator = denominator + (ONE - covered)
    return numerator - claim.numerator, denominator - claim.denominator
