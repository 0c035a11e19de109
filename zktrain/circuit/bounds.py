"""Static sizes of a circuit: cells, lookups, and how large any integer of a run can get."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from itertools import compress
from math import isqrt, prod
from typing import TYPE_CHECKING

from ..arguments.tensors import Tensor
from ..layers.network import parameters
from ..operations import Linear, Lookup, Vanish
from ..operations.base import StepGraph
from ..operations.reach import Bounds

if TYPE_CHECKING:
    from .circuit import Circuit

MAX_CELLS_LOG = 34
"""No proof has more cells than two to this power."""
MAX_SAMPLES = 1 << 27
"""Samples of all steps together."""
MAX_CHECKPOINTS = 1 << 10
"""Steps of a run after which weights are published."""
FILE_WEIGHT_MAX = (1 << 52) - 1
"""Largest integer of a weight file, as ``circuit.weights`` reads it."""


def padded(size: int) -> int:
    """The next power of two; 1 for the missing unit axis of a per-sample tensor (``size`` 0)."""
    return 1 << max(size - 1, 0).bit_length()


def cells_per_step(graph: StepGraph, batch_size: int) -> int:
    """Committed field elements per training step, padding included."""
    return padded(batch_size) * sum(_padded_cells(t) for t in graph.tensors if t.committed)


def size_violation(circuit: Circuit) -> str | None:
    """Why a run is too long to be proved, whatever the dataset, as a clause. The multiplicities of
    tables, a few more cells, are not counted."""
    cells = padded(circuit.steps) * circuit.cells_per_step
    samples = circuit.steps * circuit.batch_size
    if cells < 1 << MAX_CELLS_LOG and samples <= MAX_SAMPLES:
        return None
    return (
        f"{samples} samples with {cells} cells are more than one proof takes, {MAX_SAMPLES} and "
        f"2^{MAX_CELLS_LOG}; train fewer steps, lower batch_size, or take a smaller network"
    )


def lookups_per_step(graph: StepGraph, batch_size: int) -> int:
    """Looked-up cells per training step, padding included."""
    tensors = {tensor.name: tensor for tensor in graph.tensors}
    rows = (tensors[op.columns[0]] for op in graph.operations if isinstance(op, Lookup))
    return padded(batch_size) * sum(_padded_cells(tensor) for tensor in rows)


def _padded_cells(tensor: Tensor) -> int:
    return prod(padded(size) for size in tensor.axes)


def seeded_weight_max(inputs: int, weight_bits: int) -> int:
    """Largest magnitude of a seeded initial weight or bias of a layer:
    ``2**weight_bits / sqrt(inputs)``, rounded down, as ``circuit.initial`` draws it."""
    return isqrt((1 << (2 * weight_bits)) // inputs)


def no_wrap_bound_bits(circuit: Circuit) -> int:
    """Smallest ``B`` with every tensor of a step, every accumulator, weight and weight update below
    ``2**B`` in size: the largest of :func:`sizes`.

    Below 63 the arithmetic over ``F_p`` provably is that of plain integers. A larger value
    is allowed: it is then not statically guaranteed, and the trainer checks every value at
    run time.
    """
    return max(sizes(circuit).values()).bit_length()


@lru_cache(maxsize=16)
def sizes(circuit: Circuit) -> dict[str, int]:
    """The largest magnitude of every tensor and parameter, over all steps, datasets and runs that
    pass the lookups (``graph_sizes``)."""
    return graph_sizes(
        circuit.graph(),
        circuit.batch_size,
        lambda weight: circuit.optimizer.of(circuit, weight).largest_total(circuit),
        _start_max(circuit),
    )


def graph_sizes(
    graph: StepGraph, batch_size: int, rate: Callable[[str], int], starts: Mapping[str, int]
) -> dict[str, int]:
    """The largest magnitude of every tensor, as the operation that defines it gives it, before any
    lookup cuts it down, and of every parameter at any step. ``starts`` are sizes of the first
    parameters; see ``Bounds`` for ``rate``. ``ValueError`` where something is not bounded."""
    tensors = {tensor.name: tensor for tensor in graph.tensors}
    bounds = Bounds(tensors, batch_size, rate, starts)
    known = bounds.known
    for op in graph.operations:
        if not op.outputs():
            known.update(op.reach(bounds))
    linears = [op for op in graph.operations if isinstance(op, Linear)]
    zeros = {op.source for op in graph.operations if isinstance(op, Vanish)}
    for op in linears:
        if op.output in zeros:
            known.update(op.chosen(bounds))
    for tensor in graph.tensors:  # committed ones that are in no lookup themselves
        if tensor.committed and tensor.name not in known:
            found = next(filter(None, (op.solved(tensor.name, bounds) for op in linears)), None)
            if found is None:
                raise ValueError(f"nothing bounds the committed tensor {tensor.name!r}")
            known[tensor.name] = found
    out = {name: reach.size for name, reach in known.items() if tensors[name].committed}
    waiting = [op for op in graph.operations if op.outputs()]
    while waiting:  # weights are known after the errors, and products with them after those
        ready = [all(name in known for name in op.inputs()) for op in waiting]
        if not any(ready):
            raise ValueError("the sizes of some operations depend on each other")
        for op in compress(waiting, ready):
            for name, reach in op.reach(bounds).items():
                out[name] = reach.size
                known.setdefault(name, reach)
        waiting = [op for op, known_now in zip(waiting, ready, strict=True) if not known_now]
    return out


def _start_max(circuit: Circuit) -> dict[str, int]:
    """The largest magnitude of the first weights, by parameter."""
    out: dict[str, int] = {}
    bits = circuit.fixed_point.weight_bits
    for name, parameter in parameters(circuit.layers).items():
        out[name] = FILE_WEIGHT_MAX
        if circuit.initialisation.kind == "seed":
            out[name] = seeded_weight_max(parameter.inputs, bits)
            out[name] += (1 << circuit.optimizer.start_bits) - 1  # rounded down
    return out
