"""Static sizes of a circuit: cells, lookups, and how large any integer of a run can get."""

from __future__ import annotations

from math import isqrt, prod
from typing import TYPE_CHECKING

from .build import EXP_SCALE_BITS
from .geometry import geometry, window
from .momentum import START_BITS, largest_coefficient
from .network import Activation, AveragePool, Convolution, Flatten, Layer, MaxPool, Unflatten
from .operations import Lookup, StepGraph, Tensor

if TYPE_CHECKING:
    from .circuit import Circuit

INPUT_MAX = 255
INT16_MAX = 1 << 15
FILE_WEIGHT_MAX = (1 << 52) - 1
"""Largest integer of a weight file, as ``training.weights`` reads it."""


def padded(size: int) -> int:
    """The next power of two; 1 for the missing unit axis of a per-sample tensor (``size`` 0)."""
    return 1 << max(size - 1, 0).bit_length()


def cells_per_step(graph: StepGraph, batch_size: int) -> int:
    """Committed field elements per training step, padding included."""
    return padded(batch_size) * sum(_padded_cells(t) for t in graph.tensors if t.committed)


def lookups_per_step(graph: StepGraph, batch_size: int) -> int:
    """Looked-up cells per training step, padding included."""
    tensors = {tensor.name: tensor for tensor in graph.tensors}
    rows = (tensors[op.columns[0]] for op in graph.operations if isinstance(op, Lookup))
    return padded(batch_size) * sum(_padded_cells(tensor) for tensor in rows)


def _padded_cells(tensor: Tensor) -> int:
    return prod(padded(size) for size in tensor.axes)


def seeded_weight_max(inputs: int, weight_bits: int) -> int:
    """Largest magnitude of a seeded initial weight or bias of a layer:
    ``2**weight_bits / sqrt(inputs)``, rounded down, as ``training.initial`` draws it."""
    return isqrt((1 << (2 * weight_bits)) // inputs)


def error_max(circuit: Circuit) -> int:
    """Largest ``|e|`` of the last layer, from signed 16-bit logits."""
    if circuit.loss in ("cross_entropy", "binary_cross_entropy"):
        return 1 << EXP_SCALE_BITS
    fixed_point = circuit.fixed_point
    up = fixed_point.error_bits - fixed_point.activation_bits
    return (INT16_MAX << up) + (1 << fixed_point.error_bits)


def no_wrap_bound_bits(circuit: Circuit) -> int:
    """Smallest ``B`` with every |accumulator|, |weight| and |weight update| below ``2**B``.

    Worst case over all steps and datasets, from the ranges that the lookups force: ``|x| <= 255``,
    ``|a|, |q| <= 2^15``, ``|e|`` of the last layer as ``error_max`` says, and

        |W_t| <= |W_0| + sum_t m_t * batch * |a| * |e|,

    with the largest coefficient of a filter in the place of its ``m_t``.

    Below 63 the arithmetic over ``F_p`` provably is that of plain integers. A larger value
    is allowed: it is then not statically guaranteed, and the trainer checks every value at
    run time.
    """
    fixed_point = circuit.fixed_point
    bias_scale = 1 << fixed_point.activation_bits
    total_rate = _total_rate(circuit)
    plan = geometry(circuit.layers)
    errors = _error_bounds(circuit)
    largest = 0
    for index, layer in enumerate(circuit.layers, 1):
        if not isinstance(layer, (Layer, Convolution)):
            continue
        source = plan.sources[index][0]
        activation = _value_bound(circuit, source)
        error, taps, places = errors[index], 1, 1
        if isinstance(layer, Convolution):
            taps, places = prod(layer.kernel), prod(plan.extents[index].grid)
        if circuit.initialisation.kind == "seed":
            start = seeded_weight_max(taps * layer.inputs, fixed_point.weight_bits)
            start += (1 << START_BITS) * (circuit.momentum is not None)
        else:
            start = FILE_WEIGHT_MAX
        rate = 0 if layer.name in circuit.frozen else total_rate
        travelled = rate * circuit.batch_size * places * error
        weight = start + travelled * activation
        bias = start + travelled * bias_scale if layer.bias is not None else 0
        rounding = 1 << (fixed_point.shift - 1)
        forward = taps * layer.inputs * activation * weight + bias_scale * bias + rounding
        backward = taps * layer.outputs * error * weight + rounding if source else 0
        largest = max(largest, forward, backward, weight, bias)
    return largest.bit_length()


def _total_rate(circuit: Circuit) -> int:
    """Sum over the run of what a gradient can at most be multiplied by."""
    if circuit.momentum is not None:
        return circuit.steps * largest_coefficient(circuit)
    starts = [first for first, _ in circuit.multipliers[1:]] + [circuit.steps]
    return sum(
        multiplier * (end - first)
        for (first, multiplier), end in zip(circuit.multipliers, starts, strict=True)
    )


def _value_bound(circuit: Circuit, index: int) -> int:
    """Largest magnitude of the output of layer ``index``: the input's bytes, however they are
    arranged, or 16 bits."""
    while index and isinstance(circuit.layers[index - 1], (Unflatten, Flatten, MaxPool)):
        index = geometry(circuit.layers).sources[index][0]
    return INT16_MAX if index else INPUT_MAX


def _error_bounds(circuit: Circuit) -> list[int]:
    """Largest error that reaches the output of each layer, by its index."""
    plan, last = geometry(circuit.layers), len(circuit.layers)
    bounds = [0] * (last + 1)
    bounds[last] = error_max(circuit)
    for index in range(last, 0, -1):
        layer, sources = circuit.layers[index - 1], plan.sources[index]
        for source in sources:
            match layer:
                case Layer() | Convolution() | AveragePool() | Activation():
                    bounds[source] += INT16_MAX
                case MaxPool():
                    map_ = window(layer, plan.extents[source])
                    both = map_.vertical.overlaps() * map_.horizontal.overlaps()
                    bounds[source] += bounds[index] * both
                case _:
                    bounds[source] += bounds[index]
    return bounds
