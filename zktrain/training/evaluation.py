"""Predictions of a network in exact integers, and the witness of a proof about them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
import torch

from ..arguments.tensors import Tensor
from ..circuit.circuit import Circuit
from ..circuit.evaluation import PREDICTION, evaluation_graph
from ..dataset.readers import Records
from ..errors import RangeOverflow
from ..operations.base import StepGraph
from ..scratch import IN_MEMORY, Scratch
from .arithmetic import Softmax
from .at_once import records_at_once
from .interpreter import Rules, Step
from .trajectory import check_records, check_weights

IntegerWeights = Mapping[str, npt.NDArray[np.int64]]
Part = tuple[slice, dict[str, npt.NDArray[np.float64]]]
"""Some consecutive records and their tensors ``(records, *axes)``."""


class _Forward(Step):
    """A step whose errors speak of records."""

    def _overflow(self, name: str, what: str) -> NoReturn:
        two = ", two logits" if self._rules.tensors[name].layer is None else ""
        where = self._rules.layer(name) + two
        first, last = self._number or 0, (self._number or 0) + len(self._values["x"]) - 1
        raise RangeOverflow(
            f"records {first} to {last}, {where}: {what}; the network cannot be evaluated on these "
            "records in the circuit's fixed-point format: train with smaller weights, or leave out "
            "the records that it answers so extremely",
            stage="evaluation",
        ) from None


def _asked(graph: StepGraph) -> list[Tensor]:
    """Committed tensors and low limbs."""
    return [t for t in graph.tensors if t.hint]


def _parts(
    circuit: Circuit,
    weights: IntegerWeights,
    records: Records,
    first: int,
    count: int,
    device: torch.device | str,
) -> Iterator[Part]:
    """What a prover has to show of consecutive records; every value in the range of its lookup."""
    check_records(circuit, records)
    check_weights(circuit, weights)
    graph = evaluation_graph(circuit)
    rules, softmax = Rules(circuit, graph), Softmax(circuit.classes, device)
    parameters = {
        name: torch.from_numpy(np.asarray(values)).to(device=device, dtype=torch.float64)
        for name, values in weights.items()
    }
    size = records_at_once(graph, count)
    names = [tensor.name for tensor in _asked(graph)]
    for start in range(first, first + count, size):
        part = slice(start, min(start + size, first + count))
        with torch.inference_mode():
            inputs = torch.from_numpy(records.inputs[part]).to(device=device, dtype=torch.float64)
            step = _Forward(rules, parameters, softmax, inputs, None, start)
            for name in rules.ranges:
                step.value(name)
            yield part, {name: step.value(name).cpu().numpy() for name in names}


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
    for part, tensors in _parts(circuit, weights, records, first, count, device):
        labels = records.labels[part].astype(np.int64)
        np.add.at(out, (labels, tensors[PREDICTION].argmax(axis=1)), 1)
    return out


def evaluation_witness(
    circuit: Circuit,
    weights: IntegerWeights,
    records: Records,
    first: int,
    count: int,
    *,
    scratch: Scratch = IN_MEMORY,
    device: torch.device | str = "cpu",
) -> dict[str, npt.NDArray[Any]]:
    """Committed tensors of the evaluation's graph and the low limbs, over ``count`` records from
    ``first`` on as one batch: arrays ``(1, B', *axes')`` padded with zeros. Raises as
    ``confusion``."""
    out, real = {}, {}
    for tensor in _asked(evaluation_graph(circuit)):
        sizes = (1, count, *tensor.axes)
        padded = [1 << (size - 1).bit_length() for size in sizes]
        out[tensor.name] = scratch.zeros(tuple(padded), tensor.cell_type)
        real[tensor.name] = out[tensor.name][tuple(slice(size) for size in sizes)][0]
    for part, tensors in _parts(circuit, weights, records, first, count, device):
        for name, cells in tensors.items():
            real[name][part.start - first : part.stop - first] = cells
        scratch.settle()
    return out
