"""The prover's tensors of one segment: committed ones, and virtual ones computed from them as
integers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arguments.tensors import Shape, Tensor, log_width
from ..field.extension import Ext, Point
from ..operations import Linear, Product, UnitMap
from ..operations.base import StepGraph
from ..operations.map_arrays import apply_map
from ..operations.maps import Window
from .operands import Dense, Operand, Patches


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
            op.output: op for op in graph.operations if isinstance(op, (Linear, Product, UnitMap))
        }

    def tensor(self, name: str) -> NDArray[Any]:
        """The padded axes, outermost first (``Shape.dims``)."""
        if name not in self._tensors:
            match self._definitions[name]:
                case Product() as op:
                    self._tensors[name] = self._product(op)
                case Linear() as op:
                    self._tensors[name] = self._linear(op)
                case UnitMap() as op:
                    self._tensors[name] = self._mapped(op)
        return self._tensors[name]

    def _product(self, op: Product) -> NDArray[Any]:
        """Where one factor is a bit, the result fits the other's type."""
        left, right = self.tensor(op.left), self.tensor(op.right)
        if min(left.dtype.itemsize, right.dtype.itemsize) > 1:
            both: NDArray[np.int64] = np.multiply(left, right, dtype=np.int64)
            return both.astype(_smallest(int(both.min()), int(both.max())))
        wide = left if left.dtype.itemsize > right.dtype.itemsize else right
        out: NDArray[Any] = np.multiply(left, right, dtype=wide.dtype, casting="unsafe")
        return out

    def _linear(self, op: Linear) -> NDArray[Any]:
        output = self._graph.tensor(op.output)
        out = np.zeros(self._shape.dims(output), dtype=np.int64)
        out[self._shape.real(output)] = op.constant
        for coefficient, name in op.terms:
            term, own = self.tensor(name), self._graph.tensor(name)
            if own.axes == output.axes:
                out += coefficient * term.astype(np.int64)
                continue
            cells = term.astype(np.int64)  # padded ones too, as the relation has it
            grid = 2 + len(own.grid)
            place: list[slice] = [slice(None)] * grid
            if own.width and not output.width:
                cells = cells.sum(axis=-1)
            if own.taps and not output.taps:
                cells = cells.sum(axis=tuple(range(grid, grid + len(own.taps))))
            elif output.taps and not own.taps:
                cells = np.expand_dims(cells, tuple(range(grid, grid + len(output.taps))))
                place += [slice(size) for size in output.taps]
            elif output.taps:
                place += [slice(None)] * len(output.taps)
            if output.width and not own.width:
                cells = cells[..., None]
                place.append(slice(output.width))
            elif output.width:
                place.append(slice(None))
            out[tuple(place)] += coefficient * cells
        return out.astype(_smallest(int(out.min()), int(out.max())))

    def _mapped(self, op: UnitMap) -> NDArray[Any]:
        source, output = self._graph.tensor(op.source), self._graph.tensor(op.output)
        every = (slice(None), slice(None))  # padded steps and samples too
        cells = self.tensor(op.source)[every + self._shape.real(source)[2:]]
        found = apply_map(op.map, cells, source, output)
        out = np.zeros(self._shape.dims(output), dtype=found.dtype)
        out[every + self._shape.real(output)[2:]] = found
        return out.astype(_smallest(int(out.min()), int(out.max())))

    def operand(self, name: str) -> Operand:
        """A factor of a matrix product: windows are not written down."""
        op = self._definitions.get(name)
        output = self._graph.tensor(name)
        if isinstance(op, UnitMap) and isinstance(op.map, Window) and output.taps:
            source = self._graph.tensor(op.source)
            return Patches(op.map, source, output, self.tensor(op.source))
        return Dense(self.tensor(name))

    def definition(self, name: str) -> Tensor:
        """What the graph says of a tensor."""
        return self._graph.tensor(name)

    def evaluate(self, name: str, point: Point) -> Ext:
        from .kernels import field as kf

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
