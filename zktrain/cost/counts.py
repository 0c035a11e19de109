"""What the prover does, part by part, counted from the statement.

Sizes come from the functions that the prover takes them from. A :class:`Work` has the place of its
span in a profile, amounts that its time is proportional to (``calibration``), multiplications in
F_p and bytes moved through memory, both to about a tenth, and a budget.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..arguments import lookup
from ..arguments.claims import Shape, log_width
from ..circuit.operations import (
    Accumulate,
    Affine,
    AffineTransposed,
    Batch,
    Linear,
    Lookup,
    Operation,
    Product,
)
from ..commitment import ligero, opening
from ..commitment.packing import BLOCK_LOG_MIN, Packing, arrange
from ..commitment.parameters import code_log
from ..dataset import commitment as dataset
from ..field.multilinear import log2_ceil
from ..hiding import Layout
from ..transcript.relations import claim_order, name_of
from ..transcript.statement import Statement, lookup_entries
from .dry import SegmentClaims, segment_claims

EXTENSION = 4
"""Multiplications of a product in E."""
ROUND = {2: 12, 3: 36}
"""Multiplications of a sumcheck per element of its tables, all rounds, by factors of a term."""

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

    @property
    def budget(self) -> float | None:
        if self.listed is not None:
            return self.listed
        return self.multiplications * MULTIPLY_NS * NS if self.multiplications else None


def prover_work(statement: Statement, *, certified: bool = False) -> list[Work]:
    """Everything that ``prove`` does; ``certified``: the dataset has its certificate already."""
    header = statement.dataset
    out = [*_dataset(header)]
    if certified:
        rows = _opened_cells([header.packing()], dataset.query_bits(), hiding=header.hiding)
        amounts = {"calls": 1.0, "rows": rows}
        out.append(Work(("certify dataset",), "verify certificate", amounts))
    else:
        out += _certificate(header)
    parameters = statement.circuit.parameters
    for segment in range(len(statement.segments)):
        out.append(Work(("boundaries",), "boundaries", {"weights": parameters, "calls": 1}))
        if "end" in statement.committed_sides(segment):
            out += commitment(("boundaries",), statement.boundary_packing())
        out += segment_work(statement, segment)
    out += _closing(statement)
    return out


def segment_work(statement: Statement, segment: int) -> list[Work]:
    """The stages of one segment."""
    return [
        *_witness(statement, segment),
        *_commit(statement, segment),
        *lookups(("lookups",), lookup_entries(statement.circuit, statement.shape(segment))),
        *_relations(statement, segment),
        *_opening(statement, segment),
    ]


def commitment(place: tuple[str, ...], packing: Packing) -> Iterator[Work]:
    """Lanes, code word and tree of integer tensors."""
    lanes, log = len(packing.live_lanes), code_log(packing.lane_log, 1, packing.tail)
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


def encode(place: tuple[str, ...], log: int, lanes: int) -> Work:
    """The transform of ``lanes`` columns of ``2^log`` cells."""
    butterflies = lanes * log * (1 << log) / 2
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
    leaves = lookup.leaf_count(entries)
    depth = log2_ceil(leaves)
    columns = sum(len(e.columns) << e.log_size for e in entries)
    keys = 2.0 * sum((_width(e) - 1) << e.log_size for e in entries)
    table_rows = leaves - sum(1 << e.log_size for e in entries)
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


def _dataset(header: dataset.DatasetHeader) -> Iterator[Work]:
    stage = ("commit dataset",)
    cells = (header.covered_features + (1 << header.log_classes)) << header.log_records
    read = {"cells": header.records * header.features, "calls": 1}
    yield Work(stage, "read records", read)
    yield Work((*stage, "columns"), "dataset columns", {"cells": cells}, bytes=4.0 * cells)
    yield _counting((*stage, "lookup counts"), cells, len(dataset.lookups(header)))
    yield from commitment(stage, header.packing())


def _counting(place: tuple[str, ...], cells: int, calls: int) -> Work:
    return Work(place, "lookup counts", {"cells": cells, "calls": calls}, bytes=4.0 * cells)


def _certificate(header: dataset.DatasetHeader) -> Iterator[Work]:
    stage, entries = ("certify dataset",), dataset.lookups(header)
    packing, bits = header.packing(), dataset.query_bits()
    layout = dataset.certificate_layout(header)
    yield from _pads(stage, layout, bits)
    yield from lookups(stage, entries)
    cells = sum(1 << e.log_size for e in entries)
    yield from _joint_opening(stage, [packing], bits, header.hiding, cells, 0, len(entries) + 2)
    yield from _hiding(
        stage, layout, bits, _opened_cells([packing], bits, hiding=header.hiding), 0, 0
    )


def _witness(statement: Statement, segment: int) -> Iterator[Work]:
    circuit, shape = statement.circuit, statement.shape(segment)
    cells = sum(block.used for block in statement.packing(segment).blocks)
    products = 3 * shape.batch * circuit.parameters * shape.steps
    yield Work(
        ("witness", "steps"), "steps", {"products": products, "steps": shape.steps, "cells": cells}
    )
    batch = (1 << shape.log_size(circuit.features)) + (1 << shape.log_size(circuit.classes))
    yield Work(("witness", "batches"), "batches", {"cells": batch}, bytes=3.0 * batch)


def _commit(statement: Statement, segment: int) -> Iterator[Work]:
    shape, circuit = statement.shape(segment), statement.circuit
    entries = lookup_entries(circuit, shape)
    looked_up = sum(1 << e.log_size for e in entries)
    yield from _pads(("commit",), statement.layout(segment), statement.query_bits)
    yield Work(("commit", "columns"), "columns", {"cells": looked_up, "calls": 1})
    yield _counting(("commit", "lookup counts"), looked_up, len(entries))
    yield from commitment(("commit",), statement.packing(segment))


def _relations(statement: Statement, segment: int) -> Iterator[Work]:
    claims = segment_claims(statement, segment)
    for op in claim_order(statement.circuit.graph()):
        yield _operation(statement, segment, op, claims)


def _operation(statement: Statement, segment: int, op: Operation, claims: SegmentClaims) -> Work:
    graph, shape = statement.circuit.graph(), statement.shape(segment)
    place = ("relations", name_of(op))
    samples, steps = 1 << (shape.log_batch + shape.log_steps), 1 << shape.log_steps

    def width(name: str) -> int:
        return 1 << log_width(graph.tensor(name).width)

    match op:
        case Affine() | AffineTransposed():
            many, n, m = claims.tensors[op.output], width(op.source), width(op.output)
            cells = many * samples * (2 * n + m)
            table, rounds = many * steps * n, many * (shape.log_steps + log_width(n))
            weights = many * n * m
            amounts = {"cells": cells, "table": table, "weights": weights, "rounds": rounds}
            multiplications = 2.0 * (cells + weights) + (ROUND[3] + 2) * table
            kind = "matrix product"
        case Accumulate():
            rows, columns = width(op.activation), width(op.error)
            many = claims.weights[op.weight]
            biases = claims.weights[op.bias] if op.bias is not None else 0
            cells = samples * (many * rows + (many + biases) * columns)
            table = (many + biases) * samples
            rounds = shape.log_batch + shape.log_steps
            amounts = {
                "cells": cells,
                "table": table,
                "weights": (many + 1) * rows * columns,
                "rounds": rounds * (many + biases),
            }
            multiplications = 2.0 * cells + ROUND[3] * table
            kind = "weight update"
        case Product():
            size, many = samples * width(op.output), claims.tensors[op.output]
            rounds = shape.log_size(graph.tensor(op.output).width)
            cells = size if many else 0
            amounts = {"cells": cells, "tables": many * size, "rounds": rounds}
            multiplications = ROUND[3] * cells + 2.0 * EXTENSION * many * size
            kind = "element-wise product"
        case Batch():
            header, many = statement.dataset, claims.tensors[op.output]
            inputs = op.source == "inputs"
            columns = header.covered_features if inputs else 1 << header.log_classes
            cells = many * columns << header.log_records
            table = many << header.record_axis.shared
            real = header.features if inputs else header.classes
            blinds = many * real << header.blinding_log if header.hiding else 0
            amounts = {
                "cells": cells,
                "table": table,
                "samples": many * samples,
                "wide": blinds,
                "rounds": header.log_records * many,
            }
            multiplications = 2.0 * (cells + blinds) + ROUND[2] * table + EXTENSION * many * samples
            kind = "batch"
        case Linear():
            cells = sum(samples * width(name) for _, name in op.terms)
            virtual = [name for _, name in op.terms if not graph.tensor(name).committed]
            fresh = sum(samples * width(name) for name in virtual)
            amounts = {"cells": fresh, "calls": 1}
            multiplications = 2.0 * fresh
            kind = "linear"
        case Lookup():
            raise TypeError("lookups are proved before relations")
    return Work(place, kind, amounts, multiplications=multiplications, bytes=2.0 * cells)


def _opening(statement: Statement, segment: int) -> Iterator[Work]:
    bits, layout = statement.query_bits, statement.layout(segment)
    packings, claims = statement.packings(segment), segment_claims(statement, segment)
    sizes = {block.name: block.used for block in packings[0].blocks}
    counted = {name: claims.tensors[name] for name in sizes}
    cells = sum(sizes[name] * many for name, many in counted.items())
    wide = 0
    for (_, name), many in claims.boundaries.items():
        wide += many << packings[1].block(name).log_size
    terms = sum(counted.values()) + sum(claims.boundaries.values())
    yield from _joint_opening(
        ("opening",), packings, bits, statement.zero_knowledge, cells, wide, terms
    )
    sides = 2 - len(statement.committed_sides(segment))
    public = sides * sum(
        claims.weights.get(name, 0) * _size(dims)
        for name, dims in statement.circuit.parameter_shapes().items()
    )
    rows = _opened_cells(packings, bits, hiding=statement.zero_knowledge)
    samples = _claim_samples(statement.shape(segment), claims)
    yield from _hiding(("opening",), layout, bits, rows, samples, public)


def _claim_samples(shape: Shape, claims: SegmentClaims) -> int:
    """Samples that a verifier weighs, once for each claim on a batch."""
    return sum(claims.dataset.values()) << (shape.log_batch + shape.log_steps)


def _size(dims: tuple[int, ...]) -> int:
    out = 1
    for n in dims:
        out <<= log_width(n)
    return out


def _closing(statement: Statement) -> Iterator[Work]:
    header, bits = statement.dataset, statement.closing_bits
    cells = wide = terms = 0
    for segment in range(len(statement.segments)):
        for source, many in segment_claims(statement, segment).dataset.items():
            inputs = source == "inputs"
            columns = header.covered_features if inputs else 1 << header.log_classes
            cells += many * columns << header.log_records
            if header.hiding:
                real = header.features if inputs else header.classes
                wide += many * real << header.blinding_log
            terms += many * (1 + header.hiding)
    packing, layout = header.packing(), statement.closing_layout()
    yield from _pads(("closing",), layout, bits)
    yield from _joint_opening(
        ("closing",), [packing], bits, statement.zero_knowledge, cells, wide, terms
    )
    rows = _opened_cells([packing], bits, hiding=statement.zero_knowledge)
    yield from _hiding(("closing",), layout, bits, rows, 0, 0)


def _joint_opening(
    stage: tuple[str, ...],
    packings: Sequence[Packing],
    bits: float,
    hiding: bool,
    cells: int,
    wide: int,
    terms: int,
) -> Iterator[Work]:
    """``terms`` claims over ``cells`` cells of small integers and ``wide`` ones of 64 bits."""
    _, row_log = arrange(packings)
    lane_log = packings[0].lane_log
    dense = 1 << (lane_log + row_log - BLOCK_LOG_MIN)
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
        {"cells": used, "length": 1 << lane_log},
        multiplications=2.0 * used,
        bytes=2.0 * used,
    )
    levels = opening.level_plan(packings, bits, hiding=hiding).levels
    for number, level in enumerate(levels):
        place = (*stage, f"level {number}")
        width = (
            sum(p.row_cells for p in packings)
            if number == 0
            else 2 * level.lanes + level.salt_cells
        )
        yield Work(place, "open rows", {"cells": level.queries * width, "calls": 1})
        if number + 1 == len(levels):
            return
        deeper = levels[number + 1]
        lanes, positions = 2 * deeper.lanes, 1 << deeper.code_log
        written = lanes << deeper.message_log
        fill = {"pairs": written, "zeros": positions * lanes}
        yield Work((*place, "code", "fill"), "fill", fill, bytes=16.0 * written)
        yield encode((*place, "code", "encode"), deeper.code_log, lanes)
        yield hashing((*place, "code", "hash"), deeper.code_log, lanes + deeper.salt_cells)
        length = 1 << (deeper.message_log + deeper.fold_log)
        products = level.queries * length
        yield Work(
            (*place, "powers"),
            "powers",
            {"products": products, "calls": 1},
            multiplications=2.0 * products,
            bytes=32.0 * length,
        )
        table = length + (deeper.carried_tail or 0)
        yield Work(
            (*place, "rounds"),
            "rounds",
            {"table": table, "rounds": deeper.variables},
            multiplications=ROUND[2] * table,
            bytes=96.0 * table,
        )


def _pads(stage: tuple[str, ...], layout: Layout | None, bits: float) -> Iterator[Work]:
    if layout is not None:
        sizes = ligero.parameters(layout.count, bits)
        cells = 2 * (sizes.rows + ligero.BLINDS) << sizes.code_log
        yield Work((*stage, "pads"), "pads", {"cells": cells, "calls": 1})


def _hiding(
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


def _opened_cells(packings: Sequence[Packing], bits: float, *, hiding: bool) -> int:
    """Cells of the opened rows of all levels."""
    parts = opening.proof_sizes(packings, bits, hiding=hiding)
    return parts["opened rows"] // 8


def verifier_work(statement: Statement) -> dict[str, float]:
    """Amounts that the time of a verification is proportional to."""
    hiding = statement.zero_knowledge
    out = {"calls": 1.0, "segments": float(len(statement.segments))}
    dataset_rows = _opened_cells(
        [statement.dataset.packing()], statement.closing_bits, hiding=statement.dataset.hiding
    )
    out["rows"] = 2.0 * dataset_rows
    out["samples"] = out["weights"] = 0.0
    shapes = statement.circuit.parameter_shapes()
    for segment in range(len(statement.segments)):
        claims = segment_claims(statement, segment)
        out["rows"] += _opened_cells(
            statement.packings(segment), statement.query_bits, hiding=hiding
        )
        out["samples"] += _claim_samples(statement.shape(segment), claims)
        sides = 2 - len(statement.committed_sides(segment))
        out["weights"] += sides * sum(
            claims.weights.get(name, 0) * _size(dims) for name, dims in shapes.items()
        )
    out["parameters"] = float(statement.circuit.parameters)
    return out
