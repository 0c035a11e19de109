"""The prover's tensors of one segment: committed ones, and virtual ones computed from them as
integers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arguments.tensors import Shape, log_width
from ..field.extension import Ext, Point
from ..operations import UnitMap
from ..operations.base import StepGraph
from ..operations.maps import Window
from .kernels import field as kf
from .operands import Dense, Operand, Patches
from .operations import twin


class SegmentWitness:
    """Padded integer tensors by name; virtual ones are computed when first asked for.

    ``given`` holds the committed tensors, the low limbs of rescales, and the batches ``x`` and
    ``y``.
    """

    def __init__(self, graph: StepGraph, shape: Shape, given: dict[str, NDArray[Any]]) -> None:
        self.graph = graph
        self.shape = shape
        self._tensors = dict(given)
        self._definitions = {name: op for op in graph.operations for name in op.outputs()}

    def tensor(self, name: str) -> NDArray[Any]:
        """The padded axes, outermost first (``Shape.dims``)."""
        if name not in self._tensors:
            op = self._definitions[name]
            self._tensors[name] = twin(op).values(op, self)
        return self._tensors[name]

    def operand(self, name: str) -> Operand:
        """A factor of a matrix product: windows are not written down."""
        op = self._definitions.get(name)
        output = self.graph.tensor(name)
        if isinstance(op, UnitMap) and isinstance(op.map, Window) and output.taps:
            source = self.graph.tensor(op.source)
            return Patches(op.map, source, output, self.tensor(op.source))
        return Dense(self.tensor(name))

    def evaluate(self, name: str, point: Point) -> Ext:
        """The tensor's extension."""
        return kf.evaluate(self.tensor(name).reshape(-1), point)


def batch_tensors(
    shape: Shape,
    inputs: NDArray[np.uint8],
    labels: NDArray[Any],
    classes: int,
    order: NDArray[np.int64],
) -> dict[str, NDArray[np.uint8]]:
    """``x`` and one-hot ``y`` of the segment's batches, padded. ``inputs`` is ``(N, features)``."""
    features = inputs.shape[1]
    dims = (1 << shape.log_steps, 1 << shape.log_batch)
    x = np.zeros((*dims, 1 << log_width(features)), dtype=np.uint8)
    x[: shape.steps, : shape.batch, :features] = inputs[order]
    y = np.zeros((*dims, 1 << log_width(classes)), dtype=np.uint8)
    steps, samples = np.indices((shape.steps, shape.batch))
    y[steps, samples, labels[order].astype(np.int64)] = 1
    return {"x": x, "y": y}
