"""logUp-GKR: every row of some columns is a row of its table.

With random ``alpha, beta``, row ``v`` of table number ``id`` has the key ``alpha - sum_j beta^j
v_j - beta^4 id``. All lookups hold iff ``sum 1/key(lookup) = sum m(row)/key(row)`` with
committed multiplicities ``m`` (fewer than p lookups). The sum is computed by a binary tree of
fractions, ``p = p0 q1 + p1 q0`` and ``q = q0 q1``, one sumcheck per layer; the root must have
``p = 0`` and ``q != 0``. It ends in one claim per column, at the low coordinates of one random
point. Error: ``N (W + 2) / |E|`` for the keys, ``sum_k (3 k + 2) / |E|`` for the layers. [Hab22,
PH23]
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..channel import ProverChannel, VerifierChannel
from ..errors import LookupMismatch, SumcheckMismatch
from ..field import extension as ext
from ..field import multilinear as ml
from ..field.extension import ONE, ZERO, Ext, ExtVec, Point
from . import sumcheck
from .tables import MAX_COLUMNS, TABLES

if TYPE_CHECKING:
    from ..kernels.fractions import Leaves


@dataclass(frozen=True, slots=True)
class Entry:
    """One lookup: ``columns`` of ``2^log_size`` cells each, the first one plus ``offset``, in
    ``table``.

    ``indicator`` evaluates the public last column of tables that have one.
    """

    table: str
    columns: tuple[str, ...]
    log_size: int
    offset: int = 0
    indicator: Callable[[Point], Ext] | None = None


@dataclass(frozen=True, slots=True)
class Values:
    """The prover's side of an entry: flat integer columns, the indicator's included."""

    columns: tuple[NDArray[Any], ...]


ColumnClaim = tuple[str, Point, Ext]

UNWRITTEN_PAIRS = 1 << 16
"""From this many on, leaves of lookups are computed piece by piece and never all at once."""


@dataclass(frozen=True, slots=True)
class _Leaf:
    """Place of an entry (``index >= 0``) or of table number ``-1 - index`` among the leaves."""

    index: int
    log_size: int
    offset: int


def _layout(entries: Sequence[Entry], tables: Sequence[str]) -> tuple[list[_Leaf], int]:
    sizes = [(i, e.log_size) for i, e in enumerate(entries)]
    sizes += [(-1 - i, TABLES[name].log_size) for i, name in enumerate(tables)]
    sizes.sort(key=lambda item: -item[1])
    leaves, offset = [], 0
    for index, log_size in sizes:
        leaves.append(_Leaf(index, log_size, offset))
        offset += 1 << log_size
    return leaves, offset


def tables_of(entries: Sequence[Entry]) -> list[str]:
    """Tables in use, in the order of their numbers."""
    used = {entry.table for entry in entries}
    return sorted(used, key=lambda name: TABLES[name].number)


def leaf_count(entries: Sequence[Entry]) -> int:
    """Lookups and table rows together."""
    return _layout(entries, tables_of(entries))[1]


def proof_bytes(entries: Sequence[Entry]) -> int:
    """Size of the argument: the root, every layer's rounds and children, the columns."""
    depth = ml.log2_ceil(leaf_count(entries))
    columns = len(_columns(entries, tables_of(entries), ()))
    return 16 * (4 + sum(3 * k + 4 for k in range(1, depth)) + columns)


def multiplicity(table: str) -> str:
    """Name of the committed column that counts a table's lookups."""
    return f"multiplicity.{table}"


def count_lookups(
    entries: Sequence[Entry], values: Sequence[Values]
) -> dict[str, NDArray[np.int64]]:
    """Multiplicities by committed name; raises ValueError if a value is outside its table."""
    from ..kernels.fractions import histogram

    counts = {
        name: np.zeros(1 << TABLES[name].log_size, dtype=np.int64) for name in tables_of(entries)
    }
    for entry, value in zip(entries, values, strict=True):
        rows, shift = TABLES[entry.table].row(list(value.columns))
        histogram(rows, shift + entry.offset, counts[entry.table])
    return {multiplicity(name): column for name, column in counts.items()}


class _Layer:
    """Pairs of fractions: first those of ``leaves``, which have numerators 1 and are not stored,
    then stored ones, of the first ``ones`` of which the numerators are 1 and not stored."""

    __slots__ = ("leaves", "ones", "pe", "po", "qe", "qo")

    def __init__(
        self,
        pe: ExtVec,
        po: ExtVec,
        qe: ExtVec,
        qo: ExtVec,
        ones: int = 0,
        leaves: Leaves | None = None,
    ) -> None:
        self.pe, self.po, self.qe, self.qo, self.ones = pe, po, qe, qo, ones
        self.leaves = leaves

    @property
    def pairs(self) -> int:
        return int(self.qe.shape[1]) + (self.leaves.pairs if self.leaves is not None else 0)


def _leaf_layer(
    entries: Sequence[Entry],
    values: Sequence[Values],
    tables: Sequence[str],
    counts: dict[str, NDArray[np.int64]],
    alpha: Ext,
    beta_powers: list[Ext],
) -> _Layer:
    from ..kernels import field as kf
    from ..kernels.fractions import LeafBlock, Leaves, write_leaves

    layout, total = _layout(entries, tables)
    pairs = (total + 1) // 2
    leading = 0  # pairs of lookups before the first table
    for leaf in layout:
        if leaf.index < 0 or leaf.log_size == 0:
            break
        leading = (leaf.offset + (1 << leaf.log_size)) // 2
    unwritten = leading if leading >= UNWRITTEN_PAIRS else 0
    ones = leading if not unwritten and leading % 2 == 0 else 0
    even, odd = (np.zeros((2, pairs - unwritten), dtype=np.uint64) for _ in range(2))
    pe, po = (np.zeros((2, pairs - unwritten - ones), dtype=np.uint64) for _ in range(2))
    if total % 2:
        odd[0, -1] = 1  # neutral fraction 0/1
    blocks = []
    for leaf in layout:
        if leaf.index >= 0:
            entry = entries[leaf.index]
            name, offset = entry.table, entry.offset
            columns = list(values[leaf.index].columns)
        else:
            name, offset = tables[-1 - leaf.index], 0
            columns = TABLES[name].columns()
        constant = alpha - beta_powers[MAX_COLUMNS] * TABLES[name].number - offset
        coefficients = beta_powers[: len(columns)]
        if leaf.offset // 2 < unwritten:
            blocks.append(LeafBlock(leaf.offset // 2, columns, coefficients, constant))
            continue
        base = leaf.offset // 2 - unwritten
        first, stop = base - ones, base - ones + (1 << leaf.log_size) // 2
        if leaf.log_size == 0:
            key = constant - ext.inner(coefficients, [Ext(int(column[0])) for column in columns])
            (odd if leaf.offset % 2 else even)[:, base] = (key.a, key.b)
            (po if leaf.offset % 2 else pe)[0, first] = 1
            continue
        write_leaves(columns, coefficients, constant, even, odd, base)
        if leaf.index < 0:
            negative = kf.to_field(-counts[multiplicity(name)])
            pe[0, first:stop], po[0, first:stop] = negative[0::2], negative[1::2]
        elif first >= 0:
            pe[0, first:stop] = 1
            po[0, first:stop] = 1
    return _Layer(pe, po, even, odd, ones, Leaves(blocks) if blocks else None)


class _LayerMachine:
    """Sumcheck of ``sum_x eq(r, x) (p0 q1 + p1 q0 + lambda q0 q1)(x)``; pairs beyond the stored
    ones are 0/1."""

    degree = 3

    def __init__(self, layer: _Layer, point: Point, scale: Ext, claim: Ext) -> None:
        from ..kernels import field as kf

        self.point = list(point)
        self.rounds = len(point)
        self.scale = scale
        self.claim = claim  # of sum_x eq(remaining r, x) g(x)
        self.prefix = ONE  # eq of the bound coordinates
        ones = layer.ones
        self.leaves = layer.leaves
        self.unit = [layer.qe[:, :ones], layer.qo[:, :ones]]
        general = [layer.pe, layer.po, layer.qe[:, ones:], layer.qo[:, ones:]]
        s = layer.pe
        kf.add_scaled(s, scale, general[2])
        self.parts = [s, layer.po, general[2], general[3]]

    def _even_out(self) -> None:
        """Move units to the general part when they cannot be paired, then add a neutral pair if
        odd."""
        from ..kernels import field as kf

        units = self.unit[0].shape[1]
        if units and (units % 2 or units <= 1 << 10):
            q0, q1 = self.unit
            s = np.zeros((2, units), dtype=np.uint64)
            s[0] = 1
            kf.add_scaled(s, self.scale, q0)
            one = np.zeros((2, units), dtype=np.uint64)
            one[0] = 1
            moved = [s, one, q0, q1]
            self.parts = [
                np.concatenate([a, b], axis=1) for a, b in zip(moved, self.parts, strict=True)
            ]
            self.unit = [q0[:, :0], q1[:, :0]]
        if self.parts[0].shape[1] % 2:
            neutral = [ext.vector([v]) for v in (self.scale, ZERO, ONE, ONE)]
            self.parts = [
                np.concatenate([a, b], axis=1) for a, b in zip(self.parts, neutral, strict=True)
            ]

    def message(self) -> list[Ext]:
        from ..kernels.fractions import round_sums

        self._even_out()
        r, rest = self.point[0], tuple(self.point[1:])
        at0, at2 = round_sums(
            (self.unit[0], self.unit[1]),
            (self.parts[0], self.parts[1], self.parts[2], self.parts[3]),
            self.scale,
            rest,
            self.leaves,
        )
        units = self.leaves.pairs if self.leaves is not None else self.unit[0].shape[1]
        stored = (units + self.parts[0].shape[1]) // 2
        missing = self.scale * (ONE - ml.less_than(rest, stored))
        at0, at2 = at0 + missing, at2 + missing
        at1 = (self.claim - (1 - r) * at0) * r.inverse()
        self._values = [at0, at1, at2]
        at3 = sumcheck.interpolate(self._values, Ext(3))
        return [
            self.prefix * (1 - r) * at0,
            self.prefix * (3 * r - 1) * at2,
            self.prefix * (5 * r - 2) * at3,
        ]

    def bind(self, challenge: Ext) -> None:
        from ..kernels.field import fold

        r = self.point.pop(0)
        self.prefix = self.prefix * ml.eq([r], [challenge])
        self.claim = sumcheck.interpolate(self._values, challenge)
        if self.leaves is not None:
            self.unit = list(self.leaves.fold(challenge))
            self.leaves = None
        else:
            self.unit = [fold(q, challenge) for q in self.unit]
        self.parts = [fold(part, challenge) for part in self.parts]

    def finals(self) -> list[Ext]:
        """``p0, p1, q0, q1`` at the point."""
        self._even_out_last()
        s, p1, q0, q1 = (Ext(int(part[0, 0]), int(part[1, 0])) for part in self.parts)
        return [s - self.scale * q0, p1, q0, q1]

    def _even_out_last(self) -> None:
        if self.unit[0].shape[1]:
            units = self.unit
            s = ext.add(ext.from_base(np.ones(1, dtype=np.uint64)), ext.scale(units[0], self.scale))
            one = ext.from_base(np.ones(1, dtype=np.uint64))
            self.parts = [s, one, units[0], units[1]]


def prove(
    channel: ProverChannel,
    label: str,
    entries: Sequence[Entry],
    values: Sequence[Values],
    counts: dict[str, NDArray[np.int64]],
) -> list[ColumnClaim]:
    """All columns and ``counts`` are committed; returns the claims they have to meet."""
    from ..kernels.fractions import combine

    tables = tables_of(entries)
    alpha, beta = channel.challenger.elements(f"{label}/keys", 2)  # V -> P
    beta_powers = ext.powers(beta, MAX_COLUMNS + 1)

    layers = [_leaf_layer(entries, values, tables, counts, alpha, beta_powers)]
    while layers[-1].pairs > 1:
        layer = layers[-1]
        even, odd = combine(layer.pe, layer.po, layer.qe, layer.qo, layer.ones, layer.leaves)
        layers.append(_Layer(even[:2], odd[:2], even[2:], odd[2:]))

    top = layers.pop()
    p0, p1, q0, q1 = (ext.scalar(a, (0,)) for a in _general(top))
    channel.send(f"{label}/root", [p0, p1, q0, q1])  # P -> V
    mu = channel.challenger.element(f"{label}/merge")  # V -> P
    p, q = p0 + mu * (p1 - p0), q0 + mu * (q1 - q0)
    point: Point = (mu,)
    while layers:
        layer = layers.pop()
        scale = channel.challenger.element(f"{label}/lambda")  # V -> P
        machine = _LayerMachine(layer, point, scale, p + scale * q)
        del layer
        inner = sumcheck.prove(channel, f"{label}/layer", machine)
        finals = machine.finals()
        channel.send(f"{label}/children", finals)  # P -> V
        mu = channel.challenger.element(f"{label}/merge")  # V -> P
        p0, p1, q0, q1 = finals
        p, q = p0 + mu * (p1 - p0), q0 + mu * (q1 - q0)
        point = (mu, *inner)

    claims = _columns(entries, tables, point)
    by_name = {
        name: column
        for entry, value in zip(entries, values, strict=True)
        for name, column in zip(entry.columns, value.columns, strict=False)
    }
    by_name.update(counts)
    evaluated = [_evaluate(by_name[name], at) for name, at in claims]
    channel.send(f"{label}/columns", evaluated)  # P -> V
    return [(name, at, value) for (name, at), value in zip(claims, evaluated, strict=True)]


def _general(layer: _Layer) -> list[ExtVec]:
    if layer.ones:
        one = ext.from_base(np.ones(1, dtype=np.uint64))
        return [one, one, layer.qe, layer.qo]
    return [layer.pe, layer.po, layer.qe, layer.qo]


def _evaluate(column: NDArray[Any], point: Point) -> Ext:
    from ..kernels import field as kf

    return kf.evaluate(column, point)


def _columns(
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
    leaves, total = _layout(entries, tables)
    depth = ml.log2_ceil(total)
    alpha, beta = channel.challenger.elements(f"{label}/keys", 2)  # V -> P
    beta_powers = ext.powers(beta, MAX_COLUMNS + 1)

    p0, p1, q0, q1 = channel.receive(f"{label}/root", 4)  # P -> V
    if p0 * q1 + p1 * q0:
        raise LookupMismatch("the sum over all lookups is not zero", stage=label)
    if not q0 * q1:
        raise LookupMismatch("a lookup key is zero", stage=label)
    mu = channel.challenger.element(f"{label}/merge")  # V -> P
    p, q = p0 + mu * (p1 - p0), q0 + mu * (q1 - q0)
    point: Point = (mu,)
    for variables in range(1, depth):
        scale = channel.challenger.element(f"{label}/lambda")  # V -> P
        reduced, inner = sumcheck.verify(channel, f"{label}/layer", p + scale * q, variables, 3)
        p0, p1, q0, q1 = channel.receive(f"{label}/children", 4)  # P -> V
        if ml.eq(point, inner) * (p0 * q1 + p1 * q0 + scale * (q0 * q1)) != reduced:
            raise SumcheckMismatch("a layer of the fraction tree does not match", stage=label)
        mu = channel.challenger.element(f"{label}/merge")  # V -> P
        p, q = p0 + mu * (p1 - p0), q0 + mu * (q1 - q0)
        point = (mu, *inner)

    claims = _columns(entries, tables, point)
    evaluated = channel.receive(f"{label}/columns", len(claims))  # P -> V
    value = {(name, len(at)): v for (name, at), v in zip(claims, evaluated, strict=True)}
    numerator, denominator, covered = ZERO, ZERO, ZERO
    for leaf in leaves:
        low, high = point[: leaf.log_size], point[leaf.log_size :]
        here = ml.eq_index(high, leaf.offset >> leaf.log_size)
        if leaf.index >= 0:
            entry = entries[leaf.index]
            name, offset = entry.table, entry.offset
            columns = [value[(column, leaf.log_size)] for column in entry.columns]
            if entry.indicator is not None:
                columns.append(entry.indicator(low))
            weight = ONE
        else:
            name, offset = tables[-1 - leaf.index], 0
            columns = TABLES[name].evaluate(low)
            weight = -value[(multiplicity(name), leaf.log_size)]
        key = alpha - beta_powers[MAX_COLUMNS] * TABLES[name].number - offset
        key = key - ext.inner(beta_powers[: len(columns)], columns)
        numerator = numerator + here * weight
        denominator = denominator + here * key
        covered = covered + here
    denominator = denominator + (ONE - covered)
    if numerator != p or denominator != q:
        raise LookupMismatch("the claimed columns do not give the leaves of the tree", stage=label)
    return [(name, at, v) for (name, at), v in zip(claims, evaluated, strict=True)]
