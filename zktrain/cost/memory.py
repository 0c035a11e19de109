"""The prover's memory, stage by stage: what it holds at once.

Everything is in bytes and follows from what the prover's parts say of themselves. Predictions
multiply every kind by a factor near 1, and the base that libraries take; both are fitted
(``calibration``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import prod

import numpy as np

from ..commitment import ligero
from ..commitment.hiding import Layout
from ..commitment.packing import BLOCK_LOG_MIN, Packing
from ..commitment.parameters import Level, Plan
from ..dataset import commitment as dataset
from ..protocol.certificate import certificate_layout, certificate_plan
from ..protocol.statement import Statement
from ..prover.arguments import lookup
from ..prover.commitment import code
from ..prover.dataset.commitment import all_real
from ..prover.kernels.commit import POWER_BYTES
from ..prover.needs import Need, needs, values
from ..training.at_once import records_at_once
from .parts import ELEMENT_BYTES as E

Held = dict[str, float]

WEIGHTS = 64
"""Bytes of a weight: the first and the last ones as integers, padded too, and those of training."""
LABEL = 2
"""Bytes of a record's label."""
PIECES = 1 << 25
"""What is computed piece by piece, and pages of files until they settle."""


def stages(
    statement: Statement,
    *,
    certified: bool = False,
    memory: int | None = None,
    files: bool = False,
) -> Iterator[tuple[str, Held]]:
    """``(stage, bytes by kind)``, in the order of the stages, where ``memory`` bytes are for what
    is computed from the witness, which is in ``files`` or not."""
    header, run = statement.dataset, statement.packing
    weights = {"weights": WEIGHTS * statement.circuit.parameters}
    kept: Held = {}
    for stage, kept in dataset_stages(header, memory=memory, files=files):
        if not (certified and stage == "certify dataset"):
            yield stage, {**kept, **weights}
    kept = {name: kept[name] for name in ("base", "records", "dataset")} | weights
    kept["witness"] = 2 * PIECES if files else sum(witness_parts(statement))
    yield "witness", {**kept, "computed": _at_once(statement) + PIECES}
    kept["pads"] = _pads(statement.layout)
    word = _commitment(run, memory, files)
    yield "commit", {**kept, "computed": word.kept + word.working + PIECES}
    kept["commitment"] = word.kept
    tree = lookup.held(statement.entries, memory)
    yield "lookups", {**kept, "computed": tree + PIECES}
    most = max(need.peak for need in relations(statement, memory))
    most += values(statement.graph, statement.shape, memory)
    yield "relations", {**kept, "computed": most + PIECES}
    opened = _opening(statement.packings, statement.opening_plan, memory, files)
    yield "opening", {**kept, "computed": opened + PIECES}


def dataset_stages(
    header: dataset.DatasetHeader, *, memory: int | None = None, files: bool = False
) -> Iterator[tuple[str, Held]]:
    """The same of a dataset's commitment alone; records, columns and tree are in ``files`` or
    not."""
    held = 2 * PIECES if files else _dataset_bytes(header)
    kept = {"base": 1.0, "records": held + LABEL * header.records}
    packing = header.packing()
    word = _commitment(packing, memory, files)
    marked = 0 if files else _indicators(header)
    yield "commit dataset", {**kept, "dataset": word.kept + word.working, "columns": marked}
    kept["dataset"] = word.kept
    amounts = {"columns": marked, "pads": _pads(certificate_layout(header))}
    tree = lookup.held(dataset.lookups(header), memory)
    opened = _opening([packing], certificate_plan(header), memory, files)
    yield "certify dataset", {**kept, **amounts, "computed": max(tree, opened) + PIECES}


def relations(statement: Statement, memory: int | None) -> list[Need]:
    """What each takes."""
    return needs(statement.graph, statement.shape, memory, statement.dataset.log_records)


def witness_parts(statement: Statement) -> Iterable[int]:
    """Bytes of committed tensors, low limbs, columns of lookups that are computed, and which of
    their cells are real: of real steps, since nothing else is written."""
    shape, graph = statement.shape, statement.graph
    looked_up = {name for entry in statement.entries for name in entry.columns}
    for tensor in graph.tensors:
        if tensor.hint is not None or tensor.name in looked_up:
            step = np.dtype(tensor.cell_type).itemsize << shape.log_size(tensor) - shape.log_steps
            yield step * shape.steps
    marked = {
        graph.tensor(entry.columns[0]).axes: entry.cells
        for entry in statement.entries
        if entry.indicator is not None
    }
    yield from marked.values()


def _at_once(statement: Statement) -> int:
    """Tensors of one step, or of a part of an evaluation, while they are computed."""
    records, cells = statement.shape.batch, sum(prod(t.axes) for t in statement.graph.tensors)
    if statement.task.KIND == "evaluation":
        records = records_at_once(statement.graph, records)
    return 2 * 8 * records * cells


def dataset_files(header: dataset.DatasetHeader) -> int:
    """Bytes of records, columns, which cells are real, and trees."""
    trees = _trees([header.packing()], certificate_plan(header))
    return _dataset_bytes(header) + _indicators(header) + trees


def proof_files(statement: Statement) -> int:
    """Bytes of all that a proof may put into files."""
    trees = _trees([statement.packing], statement.opening_plan)
    return sum(witness_parts(statement)) + dataset_files(statement.dataset) + trees


def _trees(packings: Sequence[Packing], levels: Plan) -> int:
    """Of commitments and of the levels of their opening."""
    own = [(p.code_log, p.row_cells - len(p.live_lanes)) for p in packings]
    own += [(level.code_log, level.salt_cells) for level in levels.deeper]
    return sum(code.tree_bytes(*shape) for shape in own)


def _dataset_bytes(header: dataset.DatasetHeader) -> int:
    """Of columns and records."""
    columns = (header.covered_features + (1 << header.log_classes)) << header.log_records
    return columns + header.records * header.features


def _indicators(header: dataset.DatasetHeader) -> int:
    """Which cells are real, as far as that has to be written down."""
    return sum(
        1 << part.log_rows + header.log_records
        for part in dataset.parts_of(header)
        if not all_real(header, part)
    )


def _commitment(packing: Packing, memory: int | None, files: bool) -> code.Held:
    """Tails count among what is kept."""
    lanes = len(packing.live_lanes)
    word = code.held(lanes, packing.code_log, packing.row_cells - lanes, memory, files)
    return code.Held(word.kept + 8 * lanes * packing.tail, word.working)


def _pads(layout: Layout | None) -> int:
    """The committed vector and its code word, and both once more while the checks are proved."""
    if layout is None:
        return 0
    sizes = ligero.parameters(layout.count, dataset.query_bits())
    return 4 * E * (sizes.rows + ligero.BLINDS) << sizes.code_log


def _opening(packings: Sequence[Packing], levels: Plan, memory: int | None, files: bool) -> int:
    """The cube with its lowest variables bound, then the folds, level by level."""
    most = 3 * E << levels.variables - BLOCK_LOG_MIN
    above: Sequence[Level] = levels.commitments
    working = max(_commitment(packing, memory, files).working for packing in packings)
    kept = 0
    vectors = 2 * E * sum(1 << packing.lane_log for packing in packings)
    for level in levels.deeper:
        vectors = max(vectors, 2 * E * sum(1 << part.log_size for part in level.parts))
        word = code.held(2 * level.lanes, level.code_log, level.salt_cells, memory, files)
        powers = min(POWER_BYTES, 2 * E << max(opened.code_log for opened in above))
        now = max(word.working, working, powers, vectors // 2)
        most = max(most, kept + vectors + word.kept + now)
        kept, working, above = word.kept, word.working, [level]
        vectors = 2 * E << level.message_log
    return most
