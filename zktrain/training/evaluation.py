"""Predictions of a network in exact integers, and the witness of a proof about them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ..circuit.circuit import Circuit
from ..circuit.evaluation import MAX_SPREAD, PREDICTION
from ..dataset.readers import Records
from ..errors import RangeOverflow
from .arithmetic import AccumulatorOverflow, exact_matmul
from .step import QUOTIENT_HIGH, QUOTIENT_LOW
from .trajectory import check_records, check_weights

_AT_ONCE = 1024
_REMEDY = (
    "the network cannot be evaluated on these records in the circuit's fixed-point format; train "
    "with smaller weights, or leave such records out of the dataset"
)

IntegerWeights = Mapping[str, npt.NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class _Part:
    """Accumulators of some records with ``2^(k-1)`` added, by the name of the quotient, and the
    predicted classes."""

    records: slice
    accumulators: dict[str, npt.NDArray[np.int64]]
    predictions: npt.NDArray[np.int64]


def _parts(
    circuit: Circuit,
    weights: IntegerWeights,
    records: Records,
    first: int,
    count: int,
    device: torch.device | str,
) -> Iterator[_Part]:
    """The forward pass of training over consecutive records, every ``z`` in 16 bits."""
    check_records(circuit, records)
    check_weights(circuit, weights)
    fixed_point = circuit.fixed_point
    parameters = {n: torch.from_numpy(np.asarray(v)).to(device) for n, v in weights.items()}
    for start in range(first, first + count, _AT_ONCE):
        part = slice(start, min(start + _AT_ONCE, first + count))
        inputs = torch.from_numpy(records.inputs[part])
        activation = inputs.to(device=device, dtype=torch.float64)
        accumulators = {}
        for index, layer in enumerate(circuit.layers, 1):
            matrix = parameters[layer.weight].to(torch.float64)
            try:
                accumulator = exact_matmul(activation, matrix)
            except AccumulatorOverflow as error:
                raise RangeOverflow(
                    f"layer {layer.name!r}: {error}; {_REMEDY}", stage="evaluation"
                ) from None
            if layer.bias is not None:
                accumulator += parameters[layer.bias] << fixed_point.activation_bits
            accumulator += 1 << (fixed_point.shift - 1)
            z = accumulator >> fixed_point.shift
            _require_range(z, layer.name, start)
            accumulators[f"z{index}"] = accumulator.cpu().numpy()
            activation = (z.clamp(min=0) if layer.relu else z).to(torch.float64)
        _require_spread(activation, start)
        # The first of the largest, as torch's argmax does not promise.
        largest = activation == activation.amax(dim=1, keepdim=True)
        predictions = largest.to(torch.uint8).cpu().numpy().argmax(axis=1)
        yield _Part(part, accumulators, predictions.astype(np.int64))


def _require_range(z: torch.Tensor, layer: str, first: int) -> None:
    outside = (z < QUOTIENT_LOW) | (z > QUOTIENT_HIGH)
    if bool(outside.any()):
        record, unit = (int(i) for i in outside.nonzero()[0])
        raise RangeOverflow(
            f"layer {layer!r}, record {first + record}: the value {int(z[record, unit])} does not "
            f"fit 16 bits; {_REMEDY}",
            stage="evaluation",
        )


def _require_spread(logits: torch.Tensor, first: int) -> None:
    spread = logits.amax(dim=1) - logits.amin(dim=1)
    outside = (spread > MAX_SPREAD).nonzero()
    if len(outside):
        raise RangeOverflow(
            f"record {first + int(outside[0])}: two logits are more than {MAX_SPREAD} apart; "
            f"{_REMEDY}",
            stage="evaluation",
        )


def confusion(
    circuit: Circuit,
    weights: IntegerWeights,
    records: Records,
    first: int,
    count: int,
    *,
    device: torch.device | str = "cpu",
) -> npt.NDArray[np.int64]:
    """Counts ``(classes, classes)`` of label and prediction over ``count`` records from ``first``
    on; a prediction is the first of the largest logits, as in ``trainer.evaluate``.

    Raises ``InputError`` when records or weights do not fit the circuit, ``RangeOverflow`` when a
    value leaves 16 bits.
    """
    out = np.zeros((circuit.classes, circuit.classes), dtype=np.int64)
    for part in _parts(circuit, weights, records, first, count, device):
        labels = records.labels[part.records].astype(np.int64)
        np.add.at(out, (labels, part.predictions), 1)
    return out


def evaluation_witness(
    circuit: Circuit,
    weights: IntegerWeights,
    records: Records,
    first: int,
    count: int,
    *,
    device: torch.device | str = "cpu",
) -> dict[str, npt.NDArray[Any]]:
    """Committed tensors of the evaluation's graph and the low limbs, over ``count`` records from
    ``first`` on as one batch: arrays ``(1, B', n')`` padded with zeros. Raises as ``confusion``."""
    batch = 1 << (count - 1).bit_length()
    out: dict[str, npt.NDArray[Any]] = {}

    def place(name: str, width: int, kind: type[np.generic]) -> npt.NDArray[Any]:
        out[name] = np.zeros((1, batch, 1 << (width - 1).bit_length()), dtype=kind)
        return out[name][0, :count, :width]

    real: dict[str, npt.NDArray[Any]] = {}
    for index, layer in enumerate(circuit.layers, 1):
        for suffix, kind in (("", np.int16), (".high", np.uint16), (".low", np.uint16)):
            real[f"z{index}{suffix}"] = place(f"z{index}{suffix}", layer.outputs, kind)
        if layer.relu:
            real[f"s{index}"] = place(f"s{index}", layer.outputs, np.uint8)
    real[PREDICTION] = place(PREDICTION, circuit.classes, np.uint8)
    shift = circuit.fixed_point.shift
    for part in _parts(circuit, weights, records, first, count, device):
        here = slice(part.records.start - first, part.records.stop - first)
        for name, accumulator in part.accumulators.items():
            z = accumulator >> shift
            real[name][here] = z
            real[f"{name}.high"][here] = (accumulator >> 16) & 0xFFFF
            real[f"{name}.low"][here] = accumulator & 0xFFFF
            sign = f"s{name[1:]}"
            if sign in real:
                real[sign][here] = z > 0
        chosen = np.arange(len(part.predictions)) + here.start
        real[PREDICTION][chosen, part.predictions] = 1
    return out
