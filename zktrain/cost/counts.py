"""What the prover does, stage by stage, and what the verifier does, counted from the statement.

Sizes come from the functions that the prover takes them from.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from ..arguments.tensors import Shape, log_width
from ..circuit.circuit import Circuit
from ..dataset import commitment as dataset
from ..layers import AffineLayer
from ..layers.geometry import geometry
from ..protocol import certificate
from ..protocol.dry import SegmentClaims
from ..protocol.statement import Statement, lookup_entries
from ..prover.operations import twin
from ..prover.operations.base import Segment
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
    out = [*_read(header)]
    parameters = statement.circuit.parameters
    for segment in range(len(statement.segments)):
        out.append(Work(("boundaries",), "boundaries", {"weights": parameters, "calls": 1}))
        if "end" in statement.committed_sides(segment):
            out += commitment(("boundaries",), statement.boundary_packing())
        out += segment_work(statement, segment)
    out += _dataset(header)
    if certified:
        rows = opened_cells([header.packing()], certificate.certificate_plan(header))
        amounts = {"calls": 1.0, "rows": rows}
        out.append(Work(("certify dataset",), "verify certificate", amounts))
    else:
        out += _certificate(header)
    out += _closing(statement)
    return out


def segment_work(statement: Statement, segment: int) -> list[Work]:
    """The stages of one segment."""
    return [
        *_witness(statement, segment),
        *_commit(statement, segment),
        *lookups(("lookups",), lookup_entries(statement.circuit, statement.shape(segment))),
        *relations(statement, segment),
        *_opening(statement, segment),
    ]


def _cells(header: dataset.DatasetHeader) -> int:
    """Committed cells of all records, padding included."""
    return (header.covered_features + (1 << header.log_classes)) << header.log_records


def _read(header: dataset.DatasetHeader) -> Iterator[Work]:
    read = {"cells": header.records * header.features, "calls": 1}
    yield Work(("read",), "read records", read)
    cells = _cells(header)
    yield Work(("read", "columns"), "dataset columns", {"cells": cells}, bytes=4.0 * cells)
    yield from _blinding(("read", "randomness"), header)


def _blinding(place: tuple[str, ...], header: dataset.DatasetHeader) -> Iterator[Work]:
    """The blinding records, expanded from the owner's secret."""
    if header.hiding:
        cells = (header.features + header.classes) << header.blinding_log
        yield Work(place, "randomness", {"cells": cells}, bytes=8.0 * cells)


def _dataset(header: dataset.DatasetHeader) -> Iterator[Work]:
    stage = ("commit dataset",)
    yield counting((*stage, "lookup counts"), _cells(header), len(dataset.lookups(header)))
    yield from _blinding((*stage, "randomness"), header)
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


def _witness(statement: Statement, segment: int) -> Iterator[Work]:
    circuit, shape = statement.circuit, statement.shape(segment)
    cells = sum(block.used for block in statement.packing(segment).blocks)
    products = shape.batch * sum(
        times * (2 * shape.steps + updates)
        for times, updates in zip(
            layer_products(circuit), _updates(statement, segment), strict=True
        )
    )
    yield Work(
        ("witness", "steps"), "steps", {"products": products, "steps": shape.steps, "cells": cells}
    )
    batch = (1 << shape.log_size(circuit.features)) + (1 << shape.log_size(circuit.classes))
    yield Work(("witness", "batches"), "batches", {"cells": batch}, bytes=3.0 * batch)


def _updates(statement: Statement, segment: int) -> list[int]:
    """How often the steps of a segment multiply out gradients, by layer: once each, and with
    momentum, where those of dense layers are not kept, once for each change of the filter."""
    circuit, (first, steps) = statement.circuit, statement.segments[segment]
    return [
        circuit.optimizer.of(circuit, layer.weight).changes(circuit, first, steps)
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


def _commit(statement: Statement, segment: int) -> Iterator[Work]:
    shape, circuit = statement.shape(segment), statement.circuit
    entries = lookup_entries(circuit, shape)
    looked_up = sum(1 << e.log_size for e in entries)
    yield from pads(("commit",), statement.layout(segment), statement.query_bits)
    yield Work(("commit", "columns"), "columns", {"cells": looked_up, "calls": 1})
    yield counting(("commit", "lookup counts"), looked_up, len(entries))
    yield from commitment(("commit",), statement.packing(segment))


def relations(statement: Statement, segment: int) -> list[Work]:
    """Of every operation."""
    graph, shape = statement.circuit.graph(), statement.shape(segment)
    sizes = Segment(graph, shape, statement.claims(segment), statement.dataset)
    return [twin(op).work(op, sizes) for op in graph.claim_order()]


def _opening(statement: Statement, segment: int) -> Iterator[Work]:
    levels, layout = statement.opening_plan(segment), statement.layout(segment)
    packings, claims = statement.packings(segment), statement.claims(segment)
    sizes = {block.name: block.used for block in packings[0].blocks}
    counted = {name: claims.tensors[name] for name in sizes}
    cells = sum(sizes[name] * many for name, many in counted.items())
    wide = 0
    for (_, name), many in claims.boundaries.items():
        wide += many << packings[1].block(name).log_size
    terms = sum(counted.values()) + sum(claims.boundaries.values())
    yield from joint_opening(("opening",), packings, levels, cells, wide, terms)
    sides = 2 - len(statement.committed_sides(segment))
    public = sides * sum(
        claims.weights.get(name, 0) * _size(dims)
        for name, dims in statement.circuit.parameter_shapes().items()
    )
    rows, bits = opened_cells(packings, levels), statement.query_bits
    samples = _claim_samples(statement.shape(segment), claims)
    yield from hiding(("opening",), layout, bits, rows, samples, public)


def _claim_samples(shape: Shape, claims: SegmentClaims) -> int:
    """Samples that a verifier weighs, once for each claim on a batch."""
    return sum(claims.dataset.values()) << (shape.log_batch + shape.log_steps)


def _size(dims: tuple[int, ...]) -> int:
    out = 1
    for n in dims:
        out <<= log_width(n)
    return out


def _closing(statement: Statement) -> Iterator[Work]:
    header, bits = statement.dataset, statement.query_bits
    cells = wide = terms = 0
    for segment in range(len(statement.segments)):
        for source, many in statement.claims(segment).dataset.items():
            inputs = source == "inputs"
            columns = header.covered_features if inputs else 1 << header.log_classes
            cells += many * columns << header.log_records
            if header.hiding:
                real = header.features if inputs else header.classes
                wide += many * real << header.blinding_log
            terms += many * (1 + header.hiding)
    packing, layout = header.packing(), statement.closing_layout()
    yield from pads(("closing",), layout, bits)
    levels = statement.closing_plan
    yield from joint_opening(("closing",), [packing], levels, cells, wide, terms)
    rows = opened_cells([packing], levels)
    yield from hiding(("closing",), layout, bits, rows, 0, 0)


def verifier_work(statement: Statement) -> dict[str, float]:
    """Amounts that the time of a verification is proportional to."""
    header = statement.dataset
    out = {"calls": 1.0, "segments": float(len(statement.segments))}
    levels = (certificate.certificate_plan(header), statement.closing_plan)
    out["rows"] = float(sum(opened_cells([header.packing()], plan) for plan in levels))
    out["samples"] = out["weights"] = 0.0
    shapes = statement.circuit.parameter_shapes()
    for segment in range(len(statement.segments)):
        claims = statement.claims(segment)
        out["rows"] += opened_cells(statement.packings(segment), statement.opening_plan(segment))
        out["samples"] += _claim_samples(statement.shape(segment), claims)
        sides = 2 - len(statement.committed_sides(segment))
        out["weights"] += sides * sum(
            claims.weights.get(name, 0) * _size(dims) for name, dims in shapes.items()
        )
    out["parameters"] = float(statement.circuit.parameters)
    return out
