"""Static sizes of a circuit: cells, lookups, and how large any integer of a run can get."""

from __future__ import annotations

from math import isqrt
from typing import TYPE_CHECKING

from .build import EXP_SCALE_BITS
from .operations import Lookup, StepGraph

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
    return padded(batch_size) * sum(padded(t.width) for t in graph.tensors if t.committed)


def lookups_per_step(graph: StepGraph, batch_size: int) -> int:
    """Looked-up cells per training step, padding included."""
    widths = {tensor.name: tensor.width for tensor in graph.tensors}
    rows = (widths[op.columns[0]] for op in graph.operations if isinstance(op, Lookup))
    return padded(batch_size) * sum(padded(width) for width in rows)


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

        |W_t| <= |W_0| + sum_t m_t * batch * |a| * |e|.

    Below 63 the arithmetic over ``F_p`` provably is that of plain integers. A larger value
    is allowed: it is then not statically guaranteed, and the trainer checks every value at
    run time.
    """
    fixed_point = circuit.fixed_point
    bias_scale = 1 << fixed_point.activation_bits
    starts = [first for first, _ in circuit.multipliers[1:]] + [circuit.steps]
    total_rate = sum(
        multiplier * (end - first)
        for (first, multiplier), end in zip(circuit.multipliers, starts, strict=True)
    )
    largest = 0
    for index, layer in enumerate(circuit.layers):
        activation = INPUT_MAX if index == 0 else INT16_MAX
        error = error_max(circuit) if index == len(circuit.layers) - 1 else INT16_MAX
        if circuit.initialisation.kind == "seed":
            start = seeded_weight_max(layer.inputs, fixed_point.weight_bits)
        else:
            start = FILE_WEIGHT_MAX
        travelled = total_rate * circuit.batch_size * error
        weight = start + travelled * activation
        bias = start + travelled * bias_scale if layer.bias is not None else 0
        rounding = 1 << (fixed_point.shift - 1)
        forward = layer.inputs * activation * weight + bias_scale * bias + rounding
        backward = layer.outputs * error * weight + rounding if index else 0
        largest = max(largest, forward, backward, weight, bias)
    return largest.bit_length()
