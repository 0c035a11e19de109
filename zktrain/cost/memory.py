"""The prover's memory, stage by stage: what it holds at once.

Everything is in bytes and known from the statement but for a factor near 1 for each kind, and the
base that libraries take; both are fitted (``calibration``).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..arguments import lookup
from ..commitment.packing import Packing
from ..dataset import commitment as dataset
from ..protocol.statement import Statement
from .counts import relations

Held = dict[str, float]

FRACTION_BYTES = 32
"""Numerator and denominator in E."""
KEPT_BYTES, BUFFER_BYTES = 1 << 27, 1 << 28
"""As ``prover.commitment.code`` has them, without loading kernels."""
_DIGEST_BYTES = 32
_WHOLE_LANES = 8
"""Code words have whole vector registers of lanes."""


def stages(statement: Statement, *, certified: bool = False) -> Iterator[tuple[str, Held]]:
    """``(stage, bytes by kind)``, in the order of the stages."""
    header = statement.dataset
    kept = {
        "base": 1.0,
        "records": _record_bytes(header),
        "weights": 8.0 * statement.circuit.parameters,
    }
    data = {**kept, "dataset": _code_bytes(header.packing())}
    yield "commit dataset", data
    if not certified:
        leaves = lookup.leaf_count(dataset.lookups(header))
        yield "certify dataset", {**data, "fractions": FRACTION_BYTES * leaves}
    held = {**data, "segment": _tensor_bytes(statement)}
    yield "commit", held
    yield "lookups", {**held, "fractions": FRACTION_BYTES * lookup.live_count(statement.entries)}
    yield "relations", {**held, "tables": max(work.held for work in relations(statement))}


def _code_bytes(packing: Packing) -> int:
    """Code word or the buffer that it is made in, tree, salts and tails of a commitment."""
    lanes = len(packing.live_lanes)
    positions = 1 << packing.code_log
    salts = packing.row_cells - lanes
    written = -(-lanes // _WHOLE_LANES) * _WHOLE_LANES
    if 8 * lanes * positions > KEPT_BYTES:
        written = min(written, max(_WHOLE_LANES, BUFFER_BYTES // (8 * positions)))
    return positions * (8 * (written + salts) + 2 * _DIGEST_BYTES) + 8 * lanes * packing.tail


def _record_bytes(header: dataset.DatasetHeader) -> int:
    """Records as they are read and as columns, and which cells of these are real."""
    columns = (header.covered_features + (1 << header.log_classes)) << header.log_records
    return 2 * columns + header.records * header.features


def _tensor_bytes(statement: Statement) -> int:
    """Tensors, committed and virtual, and what commits to them. Windows that only matrix products
    read are never written down."""
    shape, graph = statement.shape, statement.graph
    written = {name for work in relations(statement) for name in work.reads}
    written |= {name for entry in statement.entries for name in entry.columns}
    tensors = sum(
        np.dtype(tensor.cell_type).itemsize << shape.log_size(tensor)
        for tensor in graph.tensors
        if tensor.committed or not tensor.taps or tensor.name in written
    )
    return tensors + _code_bytes(statement.packing)
