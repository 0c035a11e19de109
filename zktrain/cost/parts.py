"""The parts that proofs are made of, each with its size: commitments, lookups, openings, pads.

A :class:`Work` has the place of its span in a profile, amounts that its time is proportional to
(``calibration``), multiplications in F_p and bytes moved through memory, both to about a tenth,
and a budget.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..arguments import lookup
from ..commitment import ligero, opening
from ..commitment.hiding import Layout
from ..commitment.packing import BLOCK_LOG_MIN, Packing
from ..commitment.parameters import Level, Plan
from ..field.multilinear import log2_ceil
from ..prover.commitment import code
from ..prover.kernels import ntt
from ..prover.kernels.butterflies import EIGHT
from ..prover.kernels.commit import ROW

EXTENSION = 4
"""Multiplications of a product in E."""
ROUND = {2: 12, 3: 36}
"""Multiplications of a sumcheck per element of its tables, all rounds, by factors of a term."""

ELEMENT_BYTES = 16
NS = 1e-9
MULTIPLY_NS = 0.285
"""Budget of a multiplication on two cores, where nothing better is stated."""
BUTTERFLY_NS, HASHED_NS = 0.6, 1 / 2.4
"""Budgets of a butterfly and of a hashed byte."""
TREE_NS, LAYERS_NS = 9.2, 21.4
"""Budgets per lookup: the fractions, and half of the sumchecks over them."""


@dataclass(frozen=True, slots=True)
class Work:
    """One part of the work. ``budget`` is in seconds on two cores, None where none is stated."""

    place: tuple[str, ...]
    kind: str
    amounts: Mapping[str, float]
    multiplications: float = 0.0
    bytes: float = 0.0
    listed: float | None = None
    held: float = 0.0
    """Bytes of the tables that it holds at once."""
    reads: tuple[str, ...] = ()
    """Tensors that it needs written down."""

    @property
    def budget(self) -> float | None:
        if self.listed is not None:
            return self.listed
        return self.multiplications * MULTIPLY_NS * NS if self.multiplications else None


def by_place(work: Iterable[Work]) -> dict[tuple[str, ...], list[Work]]:
    """Parts under the place of their span."""
    out: dict[tuple[str, ...], list[Work]] = {}
    for part in work:
        out.setdefault(part.place, []).append(part)
    return out


def commitment(place: tuple[str, ...], packing: Packing) -> Iterator[Work]:
    """Lanes, code word and tree of integer tensors."""
    lanes, log = len(packing.live_lanes), packing.code_log
    positions, used = 1 << log, sum(block.used for block in packing.blocks)
    yield Work(
        (*place, "fill"),
        "fill",
        {"cells": used, "zeros": positions * lanes},
        bytes=10.0 * used + 8.0 * positions * lanes,
    )
    if packing.tail:
        random = lanes * packing.tail + positions * (packing.row_cells - lanes)
        yield Work((*place, "randomness"), "randomness", {"cells": random}, bytes=8.0 * random)
    yield encode((*place, "encode"), log, lanes)
    yield hashing((*place, "hash"), log, packing.row_cells)


def encode(place: tuple[str, ...], log: int, lanes: int, layers: int | None = None) -> Work:
    """The transform of ``lanes`` columns of ``2^log`` cells, or its first layers: whole vectors."""
    butterflies = -(-lanes // EIGHT) * EIGHT * (log if layers is None else layers) * (1 << log) / 2
    return Work(
        place,
        "encode",
        {"butterflies": butterflies, "calls": 1},
        multiplications=butterflies,
        bytes=8.0 * butterflies,
        listed=butterflies * BUTTERFLY_NS * NS,
    )


def hashing(place: tuple[str, ...], log: int, row_cells: int) -> Work:
    """A Merkle tree over ``2^log`` rows; a block of SHA-256 has 64 bytes."""
    positions = 1 << log
    blocks = positions * (-(-(8 * row_cells + 9) // 64) + 2)
    return Work(
        place,
        "hash",
        {"blocks": blocks, "calls": 1},
        bytes=positions * (8.0 * row_cells + 96),
        listed=64 * blocks * HASHED_NS * NS,
    )


def lookups(place: tuple[str, ...], entries: Sequence[lookup.Entry]) -> Iterator[Work]:
    """The lookup argument."""
    leaves = lookup.live_count(entries)
    depth = log2_ceil(lookup.leaf_count(entries))
    columns = sum(len(e.columns) * e.cells for e in entries)
    keys = 2.0 * sum((_width(e) - 1) * e.cells for e in entries)
    table_rows = leaves - sum(e.cells for e in entries)
    yield Work((*place, "leaves"), "leaves", {"rows": table_rows, "calls": 1})
    yield Work(
        (*place, "tree"),
        "tree",
        {"leaves": leaves, "calls": depth},
        multiplications=keys + leaves * (EXTENSION / 2 + 3 * EXTENSION / 2),
        bytes=48.0 * leaves,
        listed=leaves * TREE_NS * NS,
    )
    yield Work(
        (*place, "inner layers"),
        "inner layers",
        {"leaves": leaves, "rounds": (depth - 1) * (depth - 2) / 2},
        multiplications=22.0 * leaves,
        bytes=96.0 * leaves,
        listed=leaves * LAYERS_NS * NS,
    )
    yield Work(
        (*place, "leaf layer"),
        "leaf layer",
        {"leaves": leaves, "rounds": depth - 1},
        multiplications=2 * keys + 16.0 * leaves,
        bytes=48.0 * leaves,
        listed=leaves * LAYERS_NS * NS,
    )
    yield Work(
        (*place, "column values"),
        "column values",
        {"cells": columns, "calls": sum(len(e.columns) for e in entries)},
        multiplications=2.0 * columns,
        bytes=2.0 * columns,
    )


def _width(entry: lookup.Entry) -> int:
    return len(entry.columns) + (entry.indicator is not None)


def counting(place: tuple[str, ...], cells: int, calls: int) -> Work:
    """Multiplicities of so many looked-up cells."""
    return Work(place, "lookup counts", {"cells": cells, "calls": calls}, bytes=4.0 * cells)


def joint_opening(
    stage: tuple[str, ...],
    packings: Sequence[Packing],
    levels: Plan,
    cells: int,
    wide: int,
    terms: int,
) -> Iterator[Work]:
    """``terms`` claims over ``cells`` cells of small integers and ``wide`` ones of 64 bits."""
    dense = 1 << (levels.variables - BLOCK_LOG_MIN)
    length = sum(1 << packing.lane_log for packing in packings)
    used = sum(block.used for packing in packings for block in packing.blocks)
    yield Work(
        (*stage, "batch: claims"),
        "batch: claims",
        {"cells": cells, "wide": wide, "terms": terms},
        multiplications=2.0 * (cells + wide),
        bytes=2.0 * cells + 8.0 * wide,
    )
    yield Work(
        (*stage, "batch: all lanes"),
        "batch: all lanes",
        {"cells": used, "dense": dense, "terms": terms},
        multiplications=2.0 * used + ROUND[2] * dense,
        bytes=2.0 * used + 64.0 * dense,
    )
    yield Work(
        (*stage, "fold lanes"),
        "fold lanes",
        {"cells": used, "length": length},
        multiplications=2.0 * used,
        bytes=2.0 * used,
    )
    opened: Sequence[tuple[Level, int, int]] = []
    for level, packing in zip(levels.commitments, packings, strict=True):
        lanes = len(packing.live_lanes)
        opened = [*opened, (level, lanes, packing.row_cells - lanes)]
    for number, deeper in enumerate((*levels.deeper, None)):
        place = (*stage, f"level {number}")
        first = opened[0][0]
        if first.work_bits:
            folds = first.folds if number else levels.variables - levels.free
            folding = folds * 2.0**first.fold_work_bits if first.fold_work_bits else 0.0
            yield Work((*place, "work"), "work", {"hashes": 2.0**first.work_bits + folding})
        rows = (*place, "rows")
        cells = sum(level.queries * (columns + salts) for level, columns, salts in opened)
        yield Work(rows, "open rows", {"cells": cells, "calls": 1})
        for level, columns, _ in opened:
            yield from _again(rows, level, columns)
        if deeper is None:
            return
        yield from _deeper(place, deeper, [level for level, *_ in opened])
        opened = [(deeper, 2 * deeper.lanes, deeper.salt_cells)]


def _again(place: tuple[str, ...], level: Level, columns: int) -> Iterator[Work]:
    """Lanes of a code word that was not kept, for the rows that are opened."""
    if code.keeps(columns, level.code_log):
        return
    positions = 1 << level.code_log
    written = columns << level.message_log
    fill = {"cells": written, "zeros": positions * columns}
    yield Work((*place, "fill"), "fill", fill, bytes=10.0 * written)
    width = code.width_of(columns, level.code_log)
    made, layers = -(-columns // width) * width, ntt.rounds_at(level.code_log, width)
    yield encode((*place, "encode"), level.code_log, made, layers)


def _deeper(place: tuple[str, ...], level: Level, above: Sequence[Level]) -> Iterator[Work]:
    """Code word, powers and rounds of a level, which holds folds of those ``above``."""
    lanes, positions = 2 * level.lanes, 1 << level.code_log
    written = lanes << level.message_log
    fill = {"pairs": written, "zeros": positions * lanes}
    yield Work((*place, "code", "fill"), "fill", fill, bytes=16.0 * written)
    yield encode((*place, "code", "encode"), level.code_log, lanes)
    yield hashing((*place, "code", "hash"), level.code_log, lanes + level.salt_cells)
    tails = [opened for opened in above if opened.tail and not opened.masked]
    butterflies = multiplications = table = 0.0
    for opened, part in zip((*above, *tails), level.parts, strict=True):
        width = min(1 << part.log_size, ROW)
        transformed = (1 << opened.code_log) * (opened.code_log - log2_ceil(width))
        butterflies += transformed
        multiplications += transformed + 2.0 * opened.queries * width
        table += 1 << part.log_size
    yield Work(
        (*place, "powers"),
        "powers",
        {"butterflies": butterflies, "calls": 1},
        multiplications=multiplications,
        bytes=8.0 * butterflies + 32.0 * table,
    )
    yield Work(
        (*place, "rounds"),
        "rounds",
        {"table": table, "rounds": level.variables},
        multiplications=ROUND[2] * table,
        bytes=96.0 * table,
    )


def pads(stage: tuple[str, ...], layout: Layout | None, bits: float) -> Iterator[Work]:
    """The commitment to the pads; nothing where nothing is hidden."""
    if layout is not None:
        sizes = ligero.parameters(layout.count, bits)
        cells = 2 * (sizes.rows + ligero.BLINDS) << sizes.code_log
        yield Work((*stage, "pads"), "pads", {"cells": cells, "calls": 1})


def hiding(
    stage: tuple[str, ...],
    layout: Layout | None,
    bits: float,
    rows: int,
    samples: int,
    weights: int,
) -> Iterator[Work]:
    """The verifier's run on the messages, and the proof about the pads."""
    if layout is None:
        return
    amounts = {
        "rows": rows,
        "samples": samples,
        "weights": weights,
        "scalars": layout.scalars,
        "calls": 1,
    }
    yield Work((*stage, "hiding: replay"), "replay", amounts)
    sizes = ligero.parameters(layout.count, bits)
    cells = 2 * (sizes.rows + ligero.BLINDS) << sizes.code_log
    yield Work((*stage, "hiding: proof"), "hiding proof", {"cells": cells, "calls": 1})


def opened_cells(packings: Sequence[Packing], levels: Plan) -> int:
    """Cells of the opened rows of all levels."""
    return opening.proof_sizes(packings, levels)["opened rows"] // 8
