"""The prover's tensors of one segment: committed ones, and virtual ones computed from them as
integers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arguments.claims import Shape, log_width
from ..circuit.operations import Linear, Product, StepGraph
from ..field.extension import Ext, Point


def _smallest(low: int, high: int) -> type[np.signedinteger[Any]]:
    for candidate in (np.int8, np.int16, np.int32):
        limits = np.iinfo(candidate)
        if limits.min <= low and high <= limits.max:
            return candidate
    return np.int64


class SegmentWitness:
    """Padded integer tensors by name; virtual ones are computed when first asked for.

    ``given`` holds the committed tensors, the low limbs of rescales, and the batches ``x`` and
    ``y``.
    """

    def __init__(self, graph: StepGraph, shape: Shape, given: dict[str, NDArray[Any]]) -> None:
        self._graph = graph
        self._shape = shape
        self._tensors = dict(given)
        self._definitions = {
            op.output: op for op in graph.operations if isinstance(op, (Linear, Product))
        }

    def tensor(self, name: str) -> NDArray[Any]:
        """Shape ``(2^log_steps, 2^log_batch[, 2^log_width])``."""
        if name not in self._tensors:
            op = self._definitions[name]
            self._tensors[name] = self._product(op) if isinstance(op, Product) else self._linear(op)
        return self._tensors[name]

    def _product(self, op: Product) -> NDArray[Any]:
        """One factor is a ReLU bit, so the result fits the other's type."""
        left, right = self.tensor(op.left), self.tensor(op.right)
        wide = left if left.dtype.itemsize > right.dtype.itemsize else right
        out: NDArray[Any] = np.multiply(left, right, dtype=wide.dtype, casting="unsafe")
        return out

    def _linear(self, op: Linear) -> NDArray[Any]:
        shape, width = self._shape, self._graph.tensor(op.output).width
        dims = [1 << shape.log_steps, 1 << shape.log_batch]
        if width:
            dims.append(1 << log_width(width))
        out = np.zeros(dims, dtype=np.int64)
        real = (slice(shape.steps), slice(shape.batch), slice(width))[: len(dims)]
        out[real] = op.constant
        for coefficient, name in op.terms:
            term = self.tensor(name)
            own = self._graph.tensor(name).width
            if own == width:
                out += coefficient * term.astype(np.int64)
            elif own == 0:
                out[..., :width] += coefficient * term.astype(np.int64)[..., None]
            else:
                out += coefficient * term.sum(axis=-1, dtype=np.int64)
        return out.astype(_smallest(int(out.min()), int(out.max())))

    def width(self, name: str) -> int:
        """Real units of a tensor."""
        return self._graph.tensor(name).width

    def evaluate(self, name: str, point: Point) -> Ext:
        from ..kernels import field as kf

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
