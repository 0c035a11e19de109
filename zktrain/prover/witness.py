"""The prover's tensors of a run: committed ones, and virtual ones computed from them as integers,
range by range."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..arguments.tensors import Shape, Tensor, log_cells, log_width
from ..field.extension import ZERO, Ext, Point
from ..operations import Accumulate, Affine, AffineTransposed, UnitMap
from ..operations.base import StepGraph
from ..operations.maps import Window
from ..operations.selection import Order
from ..scratch import IN_MEMORY, Scratch
from .kernels import field as kf
from .operands import Dense, Operand, Patches
from .operations import twin
from .ranges import Range, cut, whole

COMPUTED = 24
"""Bytes of a cell of a virtual tensor while it is computed: wide, as a term, and its result."""
STORED = 4
"""Afterwards, at most as a rule."""
MATRICES = (Affine, AffineTransposed, Accumulate)


class Cells(Protocol):
    """A tensor that is there range by range."""

    def cells(self, at: Range) -> NDArray[Any]:
        """Shape ``at.dims``, all padding 0."""
        ...


class RunWitness:
    """Padded integer tensors by name; virtual ones are computed when they are asked for.

    ``given`` holds the committed tensors, the low limbs of rescales, and the batches ``x`` and
    ``y``: arrays of ``Shape.dims``, in memory or in a file, whose cells are 0 beyond the real
    steps, or ``Cells``. ``memory`` is how many bytes what is computed from them may take (None: no
    matter how many), and ``scratch`` where whole tensors are that are computed.
    """

    def __init__(
        self,
        graph: StepGraph,
        shape: Shape,
        given: Mapping[str, NDArray[Any] | Cells],
        memory: int | None = None,
        scratch: Scratch = IN_MEMORY,
    ) -> None:
        self.graph = graph
        self.shape = shape
        self.memory = memory
        self.scratch = scratch
        self.given = dict(given)
        self.definitions = {name: op for op in graph.operations for name in op.outputs()}
        self._described = {tensor.name: tensor for tensor in graph.tensors}
        self._real: dict[tuple[int, ...], NDArray[np.uint8]] = {}

    def described(self, name: str) -> Tensor:
        """The tensor as the graph has it."""
        return self._described[name]

    def tensor(self, name: str) -> NDArray[Any]:
        """The whole tensor, its padded axes outermost first (``Shape.dims``)."""
        known = self.given.get(name)
        if isinstance(known, np.ndarray):
            return known
        if self.keeps and self.shape.steps == 1 << self.shape.log_steps:
            return self._whole.tensor(name)
        dims, out = self.shape.dims(self.described(name)), None
        for view in self.views((name,)):
            at, found = view.at, view.tensor(name)
            kind = found.dtype if out is None else np.result_type(out.dtype, found.dtype)
            if out is None or kind != out.dtype:
                wider = self.scratch.zeros(dims, kind)
                if out is not None:
                    wider[...] = out
                out = wider
            out[at.step : at.step + at.steps, at.sample : at.sample + at.samples] = found
        if out is None:
            raise ValueError("a run has at least one step")
        self.given[name] = out
        return out

    def real(self, name: str) -> NDArray[np.uint8]:
        """Of every cell of the whole tensor, whether it is real, flat; tensors of the same axes
        share it."""
        tensor = self.described(name)
        dims, found = self.shape.dims(tensor), self._real.get(tensor.axes)
        if found is None:
            if dims == (self.shape.steps, self.shape.batch, *tensor.axes):
                found = np.broadcast_to(np.uint8(1), int(np.prod(dims)))
            else:
                cells = self.scratch.zeros(dims, np.uint8)
                cells[self.shape.real(tensor)] = 1
                found = cells.reshape(-1)
            self._real[tensor.axes] = found
        return found

    def _bytes(self, names: Iterable[str]) -> int:
        """Per sample while these tensors are there and one of them is computed."""
        cells = [1 << log_cells(self.described(name)) for name in names if self._is_computed(name)]
        return STORED * sum(cells) + COMPUTED * max(cells, default=0)

    def _is_computed(self, name: str) -> bool:
        """Whether the values are ever asked for: not those of products of matrices, which are
        solved for, nor windows that are their factors only."""
        if isinstance(self.given.get(name), np.ndarray) or name not in self._described:
            return False
        op = self.definitions.get(name)
        if isinstance(op, UnitMap) and self._is_window(op):
            users = [other for other in self.graph.operations if name in other.inputs()]
            return not all(isinstance(user, MATRICES) for user in users)
        return not isinstance(op, MATRICES)

    def _is_window(self, op: UnitMap) -> bool:
        return isinstance(op.map, Window) and bool(self.described(op.output).taps)

    def needs(self, names: Iterable[str]) -> int:
        """Bytes per sample while ``names`` are computed, with all that they follow from."""
        waiting, seen = list(names), set()
        while waiting:
            name = waiting.pop()
            if name not in seen:
                seen.add(name)
                known = name in self.given or name not in self.definitions
                waiting += () if known else self.definitions[name].inputs()
        return self._bytes(seen)

    @cached_property
    def keeps(self) -> bool:
        """Whether all tensors of all steps may stay in memory."""
        return self.memory is None or 2 * self.all_values <= self.memory

    @property
    def all_values(self) -> int:
        """Bytes of all tensors that are computed, of all steps."""
        return (self.shape.steps << self.shape.log_batch) * self._bytes(self._described)

    def ranges(self, names: tuple[str, ...], tables: int = 0) -> list[Range]:
        """Ranges short enough for these tensors and for ``tables`` bytes per sample besides, in
        half of the memory."""
        return list(self.cut(names, tables))

    def cut(self, names: tuple[str, ...], tables: int = 0) -> Iterator[Range]:
        """As ``ranges``, one after the other."""
        if self.memory is None:
            return iter((whole(self.shape),))
        cost = tables + (0 if self.keeps else self.needs(names))
        return cut(self.shape, max(1, self.memory // (2 * max(1, cost))))

    @cached_property
    def _whole(self) -> View:
        return View(self, whole(self.shape))

    def view(self, at: Range) -> View:
        """The tensors of a range; what is computed goes with it, unless there is room for all, and
        what was read before need not stay in memory."""
        self.scratch.settle()
        if at == self._whole.at and self.keeps:
            return self._whole
        return View(self, at, self._whole if self.keeps else None)

    def views(self, names: tuple[str, ...], tables: int = 0) -> Iterator[View]:
        """Of all ``ranges``."""
        for at in self.ranges(names, tables):
            yield self.view(at)

    def evaluate(self, name: str, point: Point) -> Ext:
        """The tensor's extension."""
        cell, b, t = self.shape.split(point)
        low = min(len(cell), (len(cell) + len(b) + 1) // 2)
        rows = 1 << (len(cell) - low)
        samples, steps = kf.eq_table(cell[low:] + b), kf.eq_table(t)
        total = ZERO
        for view in self.views((name,), 48 * rows):
            at, cells = view.at, view.tensor(name).reshape(-1, 1 << low)
            part = samples[:, at.sample * rows : (at.sample + at.samples) * rows]
            weight = steps[:, at.step : at.step + at.steps]
            found = kf.contract_last(cells, kf.eq_table(cell[:low]))
            total += kf.total(kf.product(found, kf.outer(weight, part)))
        return total


class View:
    """The tensors of a range."""

    def __init__(self, run: RunWitness, at: Range, source: View | None = None) -> None:
        self.run = run
        self.at = at
        self._source = source
        self._tensors: dict[str, NDArray[Any]] = {}

    @property
    def shape(self) -> Shape:
        """Of the run."""
        return self.run.shape

    def described(self, name: str) -> Tensor:
        """The tensor as the graph has it."""
        return self.run.described(name)

    def tensor(self, name: str) -> NDArray[Any]:
        """Shape ``at.dims``."""
        known, at = self.run.given.get(name), self.at
        if isinstance(known, np.ndarray):
            return known[at.step : at.step + at.steps, at.sample : at.sample + at.samples]
        if self._source is not None:
            cells = self._source.tensor(name)
            return cells[at.step : at.step + at.steps, at.sample : at.sample + at.samples]
        if name not in self._tensors:
            if known is not None:
                self._tensors[name] = known.cells(at)
            else:
                op = self.run.definitions[name]
                self._tensors[name] = twin(op).values(op, self)
        return self._tensors[name]

    def operand(self, name: str) -> Operand:
        """A factor of a matrix product: windows are not written down."""
        op = self.run.definitions.get(name)
        output = self.described(name)
        if isinstance(op, UnitMap) and isinstance(op.map, Window) and output.taps:
            source = self.described(op.source)
            return Patches(op.map, source, output, self.tensor(op.source))
        return Dense(self.tensor(name))


@dataclass(frozen=True, slots=True)
class Gathered:
    """Rows of the dataset in the order of the batches: ``rows`` ``(N, n)``, or one-hot ``rows``
    ``(N,)`` of ``width`` classes; ``order`` ``(steps, batch)``."""

    rows: NDArray[Any]
    order: NDArray[np.int64]
    width: int

    def cells(self, at: Range) -> NDArray[np.uint8]:
        """See ``Cells``."""
        order = self.order[at.step : at.step + at.steps, at.sample : at.sample + at.samples]
        out = np.zeros((at.steps, at.samples, 1 << log_width(self.width)), dtype=np.uint8)
        if self.rows.ndim == 2:
            out[: order.shape[0], : order.shape[1], : self.width] = self.rows[order]
        else:
            steps, samples = np.indices(order.shape)
            out[steps, samples, self.rows[order].astype(np.int64)] = 1
        return out


def batch_tensors(
    inputs: NDArray[np.uint8], labels: NDArray[Any], classes: int, order: Order
) -> dict[str, Gathered]:
    """``x`` and one-hot ``y`` of the run's batches. ``inputs`` is ``(N, features)``."""
    whole = np.concatenate(list(order))
    return {
        "x": Gathered(inputs, whole, inputs.shape[1]),
        "y": Gathered(labels, whole, classes),
    }
