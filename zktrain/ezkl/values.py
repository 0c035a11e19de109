"""The integers that go through a step: first weights, batches and rates, from public files.

All have ``scale`` fractional bits:

    weights   floor(v 2^(scale - weight_bits) + 1/2)     of the circuit's first weights v
    x         byte 2^(scale - 8)                          y   2^scale at the label, else 0
    rate      m 2^(scale - rate_bits)                     m: the multiplier of the step

Prover and verifier compute them alike; tensors are flat lists in row-major order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ..circuit.circuit import Circuit
from ..circuit.order import batch_indices
from ..circuit.weights import digest
from ..dataset.readers import Records

IntegerWeights = dict[str, NDArray[np.int64]]


def rounded(
    circuit: Circuit, weights: Mapping[str, NDArray[np.int64]], scale: int
) -> IntegerWeights:
    """The circuit's first weights, at ``scale``."""
    shift = circuit.fixed_point.weight_bits - scale
    half = np.int64(1 << (shift - 1))
    return {
        name: (np.asarray(weights[name], dtype=np.int64) + half) >> np.int64(shift)
        for name in circuit.parameter_shapes()
    }


def flat(weights: Mapping[str, NDArray[np.int64]]) -> list[list[int]]:
    """One list per parameter."""
    return [values.reshape(-1).tolist() for values in weights.values()]


def shaped(circuit: Circuit, tensors: list[list[int]]) -> IntegerWeights:
    """The inverse of ``flat``. Raises ``OverflowError`` beyond 64 bits."""
    shapes = circuit.parameter_shapes()
    return {
        name: np.array(values, dtype=np.int64).reshape(shape)
        for (name, shape), values in zip(shapes.items(), tensors, strict=True)
    }


def batch(circuit: Circuit, records: Records, step: int, scale: int) -> list[list[int]]:
    """``x``, ``y`` and ``rate`` of a step."""
    rows = batch_indices(
        circuit.order_seed,
        len(records.labels),
        circuit.batch_size,
        step,
        1,
        drop_last=circuit.drop_last,
    )[0]
    x = records.inputs[rows].astype(np.int64) << np.int64(
        scale - circuit.fixed_point.activation_bits
    )
    y = np.zeros((len(rows), circuit.classes), dtype=np.int64)
    y[np.arange(len(rows)), records.labels[rows].astype(np.int64)] = 1 << scale
    rule = circuit.optimizer.of(circuit, circuit.moving[0].weight)  # that of all layers
    (multiplier,) = rule.multipliers_at(circuit, step, 1)
    rate = multiplier << (scale - circuit.fixed_point.rate_bits)
    return [x.reshape(-1).tolist(), y.reshape(-1).tolist(), [rate]]


def weights_digest(weights: Mapping[str, NDArray[np.int64]], scale: int) -> str:
    """The digest of a weight file at this scale, in hexadecimal digits."""
    return hashlib.sha256(
        f"zktrain ezkl weights {scale} ".encode() + digest(weights).encode()
    ).hexdigest()
