"""What each layer of a network costs to prove, as shares of the estimate.

Cells, lookups and relations belong to the layer in whose output or error they are; what commits,
looks up and opens is divided by cells and lookups. The loss and the data are not layers, and the
dataset's commitment is nobody's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from ..arguments.tensors import Shape, log_cells
from ..field.multilinear import log2_ceil
from ..operations.base import Operation, StepGraph, name_of
from ..operations.lookup import entries_of
from ..protocol.statement import Statement
from .counts import layer_products
from .parts import Work

LOSS, DATA = "loss", "batches"
Owner = int | str
"""The number of a layer, or one of both."""


@dataclass(frozen=True, slots=True)
class LayerCost:
    """``cells`` and ``lookups`` per step, padding included; ``seconds`` of the whole run."""

    name: str
    kind: str
    cells: int
    lookups: int
    seconds: float


def layer_costs(statement: Statement, timed: list[tuple[Work, float]]) -> list[LayerCost]:
    """One entry per layer, then the loss and the batches; ``timed`` is all work with its
    seconds."""
    circuit, graph = statement.circuit, statement.graph
    tensors = {tensor.name: tensor for tensor in graph.tensors}
    samples = 1 << log2_ceil(circuit.batch_size)
    cells: dict[Owner, float] = defaultdict(float)
    lookups: dict[Owner, float] = defaultdict(float)
    for tensor in graph.tensors:
        if tensor.committed:
            cells[tensor.layer or LOSS] += samples << log_cells(tensor)
    for entry in entries_of(graph, Shape(1, circuit.batch_size)):
        lookups[tensors[entry.columns[0]].layer or LOSS] += 1 << entry.log_size
    relations = _relations(statement, graph, timed)
    common = stage_seconds(timed)
    products: dict[Owner, float] = dict(enumerate(layer_products(circuit), 1))
    out = []
    for name in (*range(1, len(circuit.layers) + 1), LOSS, DATA):
        seconds = relations.get(name, 0.0)
        seconds += common.get("commit", 0.0) * _share(cells, name)
        seconds += common.get("opening", 0.0) * _share(cells, name)
        seconds += common.get("lookups", 0.0) * _share(lookups, name)
        seconds += common.get("witness", 0.0) * _share(products, name)
        layer = circuit.layers[name - 1] if isinstance(name, int) else None
        out.append(
            LayerCost(
                str(name) if layer is None else layer.name,
                "" if layer is None else type(layer).__name__,
                int(cells.get(name, 0)),
                int(lookups.get(name, 0)),
                seconds,
            )
        )
    return out


def _share(amounts: Mapping[Owner, float], name: Owner) -> float:
    return amounts.get(name, 0) / (sum(amounts.values()) or 1)


def _owner(op: Operation, graph: StepGraph, weights: Mapping[str, int]) -> Owner:
    for name in sorted(op.outputs() or op.inputs()):
        if name in weights:
            return weights[name]
        return graph.tensor(name).layer or (LOSS if op.inputs() else DATA)
    return LOSS


def _relations(
    statement: Statement, graph: StepGraph, timed: list[tuple[Work, float]]
) -> dict[Owner, float]:
    weights = {
        found.name: number
        for number, layer in enumerate(statement.circuit.layers, 1)
        for found in layer.parameters()
    }
    owners = {name_of(op): _owner(op, graph, weights) for op in graph.claim_order()}
    out: dict[Owner, float] = defaultdict(float)
    for work, seconds in timed:
        if work.place[0] == "relations" and work.place[-1] in owners:
            out[owners[work.place[-1]]] += seconds
    return out


def stage_seconds(timed: list[tuple[Work, float]]) -> dict[str, float]:
    """Seconds by stage of ``prove``."""
    out: dict[str, float] = defaultdict(float)
    for work, seconds in timed:
        out[work.place[0]] += seconds
    return out
