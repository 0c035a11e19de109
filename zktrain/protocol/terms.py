"""Error terms of the relations, from the claims that a verifier meets."""

from __future__ import annotations

from ..arguments.tensors import Shape, log_grid, log_units
from ..operations import (
    Accumulate,
    Affine,
    AffineTransposed,
    Batch,
    Product,
    Tally,
    UnitMap,
    Vanish,
)
from ..operations.base import StepGraph
from . import soundness
from .dry import Claims


def relation_terms(
    part: str, graph: StepGraph, shape: Shape, log_records: int, claims: Claims
) -> list[soundness.Term]:
    """One term for each kind of relation in the graph."""
    on, weights = claims.tensors, claims.weights
    found: dict[str, int] = {}

    def more(name: str, degrees: int) -> None:
        found[name] = found.get(name, 0) + degrees

    for op in graph.operations:
        match op:
            case Product():
                size = shape.log_size(graph.tensor(op.output))
                more("element-wise products", on[op.output] + 3 * size)
            case Batch():
                more("batches", on[op.output] + 2 * log_records)
            case Affine() | AffineTransposed():
                variables = log_units(graph.tensor(op.source)) + shape.log_steps
                more("matrix products", on[op.output] * 3 * variables)
            case Accumulate():
                many = sum(weights[name] for name in op.outputs())
                ends = sum(log_units(graph.tensor(name)) for name in (op.activation, op.error))
                samples = log_grid(graph.tensor(op.error)) + shape.log_batch
                more("weight updates", many + 3 * (samples + shape.log_steps) + ends)
            case UnitMap():
                summed = op.summed(graph.tensor(op.source))
                more("maps of units", on[op.output] + 2 * (summed.stop - summed.start))
            case Vanish():
                more("maps of units", shape.log_size(graph.tensor(op.source)))
            case Tally():
                ends = sum(log_units(graph.tensor(name)) for name in (op.left, op.right))
                more("counts", ends + 2 * (shape.log_batch + shape.log_steps))
            case _:
                pass
    return [soundness.sumcheck_term(part, name, degrees) for name, degrees in found.items()]
