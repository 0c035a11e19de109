"""What the prover does, stage by stage, and what the verifier does, counted from the statement.

Sizes come from the functions that the prover takes them from.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from ..arguments.tensors import log_width
from ..circuit.circuit import Circuit
from ..dataset import commitment as dataset
from ..layers import AffineLayer
from ..layers.geometry import geometry
from ..protocol import certificate
from ..protocol.statement import Statement
from ..prover.operations import twin
from ..prover.operations.base import Sizes
from .parts import (
    Work,
    commitment,
    counting,
    hiding,
    joint_opening,
    lookups,
    opened_cells,
    pads,
)


def prover_work(statement: Statement, *, certified: bool = False) -> list[Work]:
    """Everything that ``prove`` does; ``certified``: the dataset has its certificate already."""
    header = statement.dataset
    out = [*_read(header), *_dataset(header)]
    if certified:
        rows = opened_cells([header.packing()], certificate.certificate_plan(header))
        amounts = {"calls": 1.0, "rows": rows}
        out.append(Work(("certify dataset",), "verify certificate", amounts))
    else:
        out += _certificate(header)
    return [
        *out,
        *_witness(statement),
        *_commit(statement),
        *lookups(("lookups",), statement.entries),
        *relations(statement),
        *_opening(statement),
    ]


def commit_work(header: dataset.DatasetHeader) -> list[Work]:
    """Everything that ``commit`` does."""
    return [*_read(header), *_dataset(header), *_certificate(header)]


def _cells(header: dataset.DatasetHeader) -> int:
    """Committed cells of all records, padding included."""
    return (header.covered_features + (1 << header.log_classes)) << header.log_records


def _read(header: dataset.DatasetHeader) -> Iterator[Work]:
    read = {"cells": header.records * header.features, "calls": 1}
    yield Work(("read",), "read records", read)
    cells = _cells(header)
    yield Work(
        ("commit dataset", "columns"), "dataset columns", {"cells": cells}, bytes=4.0 * cells
    )


def _dataset(header: dataset.DatasetHeader) -> Iterator[Work]:
    stage = ("commit dataset",)
    yield counting((*stage, "lookup counts"), _cells(header), len(dataset.lookups(header)))
    yield from commitment(stage, header.packing())


def _certificate(header: dataset.DatasetHeader) -> Iterator[Work]:
    stage, entries = ("certify dataset",), dataset.lookups(header)
    packing, levels = header.packing(), certificate.certificate_plan(header)
    layout = certificate.certificate_layout(header)
    bits = dataset.query_bits()
    yield from pads(stage, layout, bits)
    yield from lookups(stage, entries)
    cells = sum(1 << e.log_size for e in entries)
    yield from joint_opening(stage, [packing], levels, cells, 0, len(entries) + 2)
    yield from hiding(stage, layout, bits, opened_cells([packing], levels), 0, 0)


def _witness(statement: Statement) -> Iterator[Work]:
    circuit, shape = statement.circuit, statement.shape
    cells = sum(block.used for block in statement.packing.blocks)
    products = shape.batch * sum(
        times * (2 * shape.steps + updates)
        for times, updates in zip(layer_products(circuit), _updates(circuit), strict=True)
    )
    yield Work(
        ("witness", "steps"), "steps", {"products": products, "steps": shape.steps, "cells": cells}
    )
    batch = (1 << shape.log_size(circuit.features)) + (1 << shape.log_size(circuit.classes))
    yield Work(("witness", "batches"), "batches", {"cells": batch}, bytes=3.0 * batch)


def _updates(circuit: Circuit) -> list[int]:
    """How often the steps multiply out gradients, by layer: once each, and with momentum, where
    those of dense layers are not kept, once for each change of the filter."""
    steps = circuit.steps
    return [
        circuit.optimizer.of(circuit, layer.weight).changes(circuit, 0, steps)
        if isinstance(layer, AffineLayer) and layer in circuit.moving and not extent.grid
        else steps
        for layer, extent in zip(circuit.layers, geometry(circuit.layers).extents[1:], strict=True)
    ]


def layer_products(circuit: Circuit) -> list[int]:
    """Multiplications of one sample's forward pass, by layer: every weight at every place, and the
    biases once."""
    plan = geometry(circuit.layers)
    return [
        sum(
            prod(found.shape) * (prod(extent.grid) if len(found.shape) > 1 else 1)
            for found in layer.parameters()
        )
        for layer, extent in zip(circuit.layers, plan.extents[1:], strict=True)
    ]


def _commit(statement: Statement) -> Iterator[Work]:
    entries = statement.entries
    looked_up = sum(e.cells for e in entries)
    yield from pads(("commit",), statement.layout, statement.query_bits)
    yield Work(("commit", "columns"), "columns", {"cells": looked_up, "calls": 1})
    yield counting(("commit", "lookup counts"), looked_up, len(entries))
    yield from commitment(("commit",), statement.packing)


def relations(statement: Statement) -> list[Work]:
    """Of every operation."""
    sizes = Sizes(statement.graph, statement.shape, statement.claims, statement.dataset)
    return [twin(op).work(op, sizes) for op in statement.graph.claim_order()]


def _opening(statement: Statement) -> Iterator[Work]:
    levels, layout = statement.opening_plan, statement.layout
    packings, claims = statement.packings, statement.claims
    sizes = {block.name: block.used for block in statement.packing.blocks}
    counted = {name: claims.tensors[name] for name in sizes}
    cells = sum(sizes[name] * many for name, many in counted.items())
    terms = sum(counted.values())
    header = statement.dataset
    for source, many in claims.dataset.items():
        inputs = source == "inputs"
        columns = header.covered_features if inputs else 1 << header.log_classes
        cells += many * columns << header.log_records
        terms += many
    yield from joint_opening(("opening",), packings, levels, cells, 0, terms)
    rows, bits = opened_cells(packings, levels), statement.query_bits
    samples = statement.shape.steps * statement.shape.batch  # weighed in one pass
    yield from hiding(("opening",), layout, bits, rows, samples, _public(statement))


def _public(statement: Statement) -> int:
    """Public weights that a verifier evaluates: at the start, and at the end if there is one."""
    claims, sides = statement.claims, 2 if statement.task.KIND == "training" else 1
    shapes = statement.circuit.parameter_shapes()
    return sides * sum(claims.weights.get(name, 0) * _size(dims) for name, dims in shapes.items())


def _size(dims: tuple[int, ...]) -> int:
    out = 1
    for n in dims:
        out <<= log_width(n)
    return out


def verifier_work(statement: Statement) -> dict[str, float]:
    """Amounts that the time of a verification is proportional to."""
    header = statement.dataset
    rows = opened_cells([header.packing()], certificate.certificate_plan(header))
    rows += opened_cells(statement.packings, statement.opening_plan)
    return {
        "calls": 1.0,
        "rows": float(rows),
        "samples": float(statement.shape.steps * statement.shape.batch),
        "weights": float(_public(statement)),
        "parameters": float(statement.circuit.parameters),
    }
