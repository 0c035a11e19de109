"""What each layer of a network costs to prove, as shares of the estimate.

Cells, lookups and relations belong to the layer in whose output or error they are; what commits,
looks up and opens is divided by cells and lookups. The loss and the data are not layers, and the
dataset's commitment is nobody's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ..arguments.tensors import log_cells
from ..field.multilinear import log2_ceil
from ..layers import Convolution, Layer
from ..operations import Accumulate, Batch, Fixed, Lookup
from ..operations.base import Operation, StepGraph
from ..protocol.relations import claim_order, name_of
from ..protocol.statement import Statement
from .counts import layer_products
from .parts import Work

LOSS, DATA = "loss", "batches"


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
    circuit, graph = statement.circuit, statement.circuit.graph()
    tensors = {tensor.name: tensor for tensor in graph.tensors}
    samples = 1 << log2_ceil(circuit.batch_size)
    cells: dict[str, int] = {}
    lookups: dict[str, int] = {}
    for tensor in graph.tensors:
        if tensor.committed:
            _add(cells, _owner(tensor.name), samples << log_cells(tensor))
    for op in graph.operations:
        if isinstance(op, Lookup):
            first = tensors[op.columns[0]]
            _add(lookups, _owner(first.name), samples << log_cells(first))
    relations = _relations(statement, graph, timed)
    common = _stages(timed)
    products = {str(n): amount for n, amount in enumerate(layer_products(circuit), 1)}
    out = []
    names = [str(number) for number in range(1, len(circuit.layers) + 1)] + [LOSS, DATA]
    for name in names:
        seconds = relations.get(name, 0.0)
        seconds += common.get("commit", 0.0) * _share(cells, name)
        seconds += common.get("opening", 0.0) * _share(cells, name)
        seconds += common.get("lookups", 0.0) * _share(lookups, name)
        seconds += common.get("witness", 0.0) * _share(products, name)
        layer = circuit.layers[int(name) - 1] if name.isdigit() else None
        out.append(
            LayerCost(
                name if layer is None else layer.name,
                "" if layer is None else type(layer).__name__,
                cells.get(name, 0),
                lookups.get(name, 0),
                seconds,
            )
        )
    return out


def _add(totals: dict[str, int], name: str, amount: int) -> None:
    totals[name] = totals.get(name, 0) + amount


def _share(amounts: Mapping[str, float], name: str) -> float:
    return amounts.get(name, 0) / (sum(amounts.values()) or 1)


def _owner(tensor: str) -> str:
    """The number of a tensor's layer; those without one belong to the loss, the batch to the
    data."""
    if tensor in ("x", "y"):
        return DATA
    found = re.search(r"\d+", tensor)
    return found.group() if found else LOSS


def _owner_of(op: Operation, parameters: Mapping[str, str]) -> str:
    match op:
        case Batch():
            return DATA
        case Accumulate() | Fixed():
            return parameters[op.weight]
    return _owner(str(getattr(op, "output", None) or getattr(op, "source", "")))


def _relations(
    statement: Statement, graph: StepGraph, timed: list[tuple[Work, float]]
) -> dict[str, float]:
    layers = enumerate(statement.circuit.layers, 1)
    parameters = {
        layer.weight: str(number)
        for number, layer in layers
        if isinstance(layer, (Layer, Convolution))
    }
    owners = {name_of(op): _owner_of(op, parameters) for op in claim_order(graph)}
    out: dict[str, float] = {}
    for work, seconds in timed:
        if work.place[0] == "relations" and work.place[-1] in owners:
            owner = owners[work.place[-1]]
            out[owner] = out.get(owner, 0.0) + seconds
    return out


def _stages(timed: list[tuple[Work, float]]) -> dict[str, float]:
    out: dict[str, float] = {}
    for work, seconds in timed:
        out[work.place[0]] = out.get(work.place[0], 0.0) + seconds
    return out
