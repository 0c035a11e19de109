"""How large values can get, against provers who make them as large as lookups let them."""

from __future__ import annotations

import itertools
from dataclasses import replace
from math import prod
from typing import Any

import image_run
import numpy as np
import pytest
from image_run import CLASSES, conv, dense
from numpy.typing import NDArray

from zktrain.arguments.tensors import Tensor
from zktrain.circuit import bounds
from zktrain.circuit.circuit import Circuit, parameter_shapes
from zktrain.circuit.evaluation import build_evaluation
from zktrain.circuit.initialisation import Initialisation
from zktrain.layers import Add, AnyLayer, AveragePool, Flatten, MaxPool, Unflatten
from zktrain.operations import (
    Accumulate,
    Affine,
    AffineTransposed,
    Batch,
    Linear,
    Lookup,
    Product,
    UnitMap,
)
from zktrain.operations.fixed_point import FixedPoint
from zktrain.operations.maps import Before, Reorder, Window
from zktrain.optimizers.filtered_sgd import FilteredSgd
from zktrain.optimizers.sgd import Sgd
from zktrain.tables import TABLES

Array = NDArray[Any]
BATCH = 2


INT16 = (-(1 << 15), (1 << 15) - 1)
RANGES = {
    "range16": [(0, 65535)],
    "range18": [(0, 65535), (0, 3)],
    "relu": [INT16, (0, 1)],
    "exp": [(0, 65534), (0, 16384), (0, 16448)],  # its indicator is no column of a graph
    "byte": [(0, 255), (0, 1)],
    "winner": [(0, 65534), (0, 1)],
    "sigmoid": [INT16, (-8192, 8192)],
    "curve.sigmoid": [INT16, (-128, 128), (-4096, 0)],
    "curve.tanh": [INT16, (-256, 256), (-16384, 0)],
    "curve.gelu": [INT16, (-44, 32767), (-10304, 10304)],
}
"""Worked out by hand: ``2^14 e^(1/256)``, ``2^14 / 4`` of slope, the steepest place of GELU."""


@pytest.mark.parametrize("name", TABLES)
def test_ranges_are_those_of_the_tables(name: str) -> None:
    assert TABLES[name].ranges() == RANGES[name]


class Adversary:
    """One step in Python integers. Committed and looked-up values are what the tables allow, all at
    their highest or all at their lowest; one-hot ones choose one pixel wherever it is seen.
    Parameters are as large as they may be, all of one sign."""

    def __init__(self, circuit: Circuit, *, high: bool, sign: int) -> None:
        self.circuit, self.high = circuit, high
        self.graph, self.sizes = circuit.graph(), bounds.sizes(circuit)
        self.tensors = {tensor.name: tensor for tensor in self.graph.tensors}
        self.weights = {
            name: np.full(shape, sign * self.sizes[name], dtype=object)
            for name, shape in circuit.parameter_shapes().items()
        }
        self.values: dict[str, Array] = {}
        self.largest: dict[str, int] = {}
        self.forced: dict[str, tuple[int, int]] = {}
        for op in self.graph.operations:
            if isinstance(op, Lookup):
                for place, (name, (low, most)) in enumerate(
                    zip(op.columns, TABLES[op.table].ranges(), strict=True)
                ):
                    shift = op.offset if place == 0 else 0
                    self.forced[name] = (low - shift, most - shift)
        for op in self.graph.operations:
            self.work(op)
        for op in self.graph.operations:  # after all errors
            if isinstance(op, Accumulate):
                self.accumulate(op)

    def value(self, name: str) -> Array:
        if name not in self.values:
            tensor = self.tensors[name]
            if name.startswith("h"):
                return self.one_hot(tensor)
            low, most = self.forced.get(name, (-(1 << 15), (1 << 16) + (1 << 15)))  # else: c
            self.values[name] = np.full((BATCH, *tensor.axes), most if self.high else low, object)
        return self.values[name]

    def one_hot(self, tensor: Tensor) -> Array:
        """Of the windows that see the middle of the image all choose it, others their first tap."""
        maximum = next(
            op.map for op in self.graph.operations
            if isinstance(op, UnitMap) and op.output == f"w{tensor.name[1:]}"
        )  # fmt: skip
        assert isinstance(maximum, Window)
        out = np.zeros((BATCH, *tensor.axes), dtype=object)
        for y, x in itertools.product(*map(range, tensor.grid)):
            tap = []
            for steps, o in ((maximum.vertical, y), (maximum.horizontal, x)):
                k = steps.inputs // 2 - steps.stride * o + steps.padding
                tap.append(k if 0 <= k < steps.kernel else 0)
            out[:, y, x, tap[0], tap[1], :] = 1
        self.values[tensor.name] = out
        return out

    def define(self, name: str, found: Array) -> None:
        self.largest[name] = int(np.abs(found).max())
        if name in self.forced:
            low, most = self.forced[name]
            found = np.full_like(found, most if self.high else low)
        self.values[name] = found

    def work(self, op: Any) -> None:
        match op:
            case Batch("inputs", output):
                self.define(output, np.full((BATCH, *self.tensors[output].axes), 255, object))
            case Batch(_, output):
                found = np.zeros((BATCH, *self.tensors[output].axes), dtype=object)
                found[:, 0] = 1
                self.define(output, found)
            case Linear():
                self.linear(op)
            case Product():
                self.define(op.output, self.value(op.left) * self.value(op.right))
            case UnitMap():
                self.mapped(op)
            case Affine() | AffineTransposed():
                weight = self.weights[op.weight]
                if isinstance(op, Affine):
                    matrix = weight.reshape(-1, weight.shape[-1])
                else:
                    matrix = np.moveaxis(weight, -1, -2).reshape(-1, weight.shape[-2])
                source = self.tensors[op.source]
                flat = self.value(op.source).reshape(BATCH, *source.grid, -1)
                found = np.dot(flat, matrix)
                if isinstance(op, Affine) and op.bias is not None:
                    found = found + self.weights[op.bias] * (1 << op.bias_shift)
                self.define(op.output, found)
            case _:
                pass

    def linear(self, op: Linear) -> None:
        output = self.tensors[op.output]
        total = np.full((BATCH, *output.axes), op.constant, dtype=object)
        for coefficient, name in op.terms:
            term, own = self.value(name), self.tensors[name]
            grid = 1 + len(own.grid)
            if own.width and not output.width:
                term = term.sum(axis=-1)
            elif output.width and not own.width:
                term = term[..., None]
            if own.taps and not output.taps:
                term = term.sum(axis=(grid, grid + 1))
            elif output.taps and not own.taps:
                term = np.expand_dims(term, (grid, grid + 1))
            total = total + coefficient * term
        self.define(op.output, total)

    def mapped(self, op: UnitMap) -> None:
        source, output = self.tensors[op.source], self.tensors[op.output]
        cells = self.value(op.source)
        out = np.zeros((BATCH, *output.axes), dtype=object)
        match op.map:
            case Reorder() if source.grid:
                out = np.moveaxis(cells, -1, 1).reshape(out.shape)
            case Reorder():
                rows = cells.reshape(BATCH, output.width, *output.grid)
                out = np.moveaxis(rows, 1, -1)
            case Before():
                flat = cells.reshape(BATCH, *source.grid, prod(source.taps), -1)
                out = (np.cumsum(flat, axis=-2) - flat).reshape(out.shape)
            case Window() as seen:
                axes = [
                    [
                        (steps.stride * o + k - steps.padding, o, k)
                        for o in range(steps.outputs)
                        for k in range(steps.kernel)
                        if 0 <= steps.stride * o + k - steps.padding < steps.inputs
                    ]
                    for steps in (seen.vertical, seen.horizontal)
                ]
                for (iy, oy, ky), (ix, ox, kx) in itertools.product(*axes):
                    here, there = ((iy, ix), (oy, ox)) if seen.transposed else ((oy, ox), (iy, ix))
                    here = (*here, ky, kx) if output.taps else here
                    there = (*there, ky, kx) if source.taps else there
                    out[(slice(None), *here)] += cells[(slice(None), *there)]
        self.define(op.output, out)

    def accumulate(self, op: Accumulate) -> None:
        a, e = self.value(op.activation), self.value(op.error)
        rows, columns = (
            v.reshape(-1, prod(self.tensors[name].taps) * self.tensors[name].width)
            for v, name in ((a, op.activation), (e, op.error))
        )
        starts, rate = (
            bounds._start_max(self.circuit),
            self.circuit.optimizer.of(self.circuit, op.weight).largest_total(self.circuit),
        )
        moved = np.abs(np.dot(rows.T, columns)).max()
        self.largest[op.weight] = starts[op.weight] + rate * int(moved)
        if op.bias is not None:
            moved = np.abs(columns.sum(axis=0)).max() << op.bias_shift
            self.largest[op.bias] = starts[op.bias] + rate * int(moved)


def circuit_of(layers: tuple[AnyLayer, ...], loss: str) -> Circuit:
    return Circuit(layers, loss, FixedPoint(), BATCH, 3, Sgd(((0, 5), (1, 2))), "o",
                   Initialisation("seed", "s"))  # fmt: skip


STRIDED: tuple[AnyLayer, ...] = (
    Unflatten("image", 1, 7, 7), conv("c1", 1, 2, 3, stride=2, padding=1),
    conv("c2", 2, 2, 3, stride=2, padding=2, relu=False), MaxPool("m", (2, 3), (1, 1)),
    AveragePool("mean", (2, 1), (1, 1)), Flatten("f"), dense("fc", 2, CLASSES),
)  # fmt: skip
TOWER: tuple[AnyLayer, ...] = (
    Unflatten("image", 1, 2, 2), conv("c", 1, 1, 1, relu=False),
    *(Add(f"s{i}", "c" if i == 1 else f"s{i - 1}", False) for i in range(1, 20)),
    AveragePool("mean", (2, 2), (1, 1)), Flatten("f"), dense("fc", 1, CLASSES),
)  # fmt: skip
NETWORKS = {**image_run.NETWORKS, "strided": STRIDED, "tower": TOWER}
MOMENTUM = FilteredSgd(((0, 3 << 20),), 1 << 39, False, 1 << 30, 4)


@pytest.mark.parametrize("loss", ["cross_entropy", "mse", "binary_cross_entropy"])
@pytest.mark.parametrize("name", NETWORKS)
def test_no_value_is_larger_and_some_are_as_large(name: str, loss: str) -> None:
    """Nothing leaves its size; what is large enough to matter is met up to a factor
    of 4, for parameters of 16."""
    run = circuit_of(NETWORKS[name], loss)
    if loss == "mse":
        run = replace(run, optimizer=MOMENTUM, fixed_point=MOMENTUM.FORMAT)
    sizes = bounds.sizes(run)
    met: dict[str, int] = {}
    for high, sign in itertools.product((True, False), (1, -1)):
        for place, value in Adversary(run, high=high, sign=sign).largest.items():
            assert value <= sizes[place], place
            met[place] = max(met.get(place, 0), value)
    assert set(met) | {t.name for t in run.graph().tensors if t.committed} == set(sizes)
    parameters = run.parameter_shapes()  # of which errors of a pool reach some places only
    loose = {
        place for place, value in met.items()
        if value > 1 << 17 and (16 if place in parameters else 4) * value < sizes[place]
    }  # fmt: skip
    assert not loose
    assert max(met.values()).bit_length() >= run.no_wrap_bound_bits - 1


def test_errors_that_sums_double_until_a_mean_wraps() -> None:
    """All values and ``c.weight`` are 0, so every output is; ``fc.weight`` brings the error of one
    label, ``-2^14``, to the largest quotient. 33 sums double it, and the pool multiplies it by 2^16
    once more, where an honest run reaches ``2^64``."""
    sums = 33
    layers = (
        Unflatten("image", 1, 1, 1), conv("c", 1, 1, 1, relu=False),
        AveragePool("mean", (1, 1), (1, 1)),
        *(Add(f"s{i}", "mean" if i == 1 else f"s{i - 1}", False) for i in range(1, sums + 1)),
        Flatten("f"), dense("fc", 1, 2),
    )  # fmt: skip
    run = replace(circuit_of(layers, "mse"), initialisation=Initialisation("file", "0" * 64))
    label, weight = -(1 << 14), 1 << 33
    error = (label * weight + (1 << 31)) >> 32
    assert error == -(1 << 15)
    for _ in range(sums):
        error = error + error
    (mean,) = [op for op in run.graph().operations
               if isinstance(op, Linear) and op.output == "q2.low"]  # fmt: skip
    reached = abs(mean.terms[0][0] * error + mean.constant)
    sizes = bounds.sizes(run)
    assert reached <= sizes["q2.low"] < 4 * reached
    assert run.no_wrap_bound_bits >= reached.bit_length() == 64


def test_first_weights_of_a_file_and_bytes_meet_the_first_accumulator() -> None:
    """Weights of 2^52 - 1, inputs of 255, in the first step."""
    layers = (dense("a", 12, 5, relu=True), dense("b", 5, 2))
    run = replace(circuit_of(layers, "cross_entropy"), steps=1, optimizer=Sgd(((0, 1),)),
                  initialisation=Initialisation("file", "0" * 64))  # fmt: skip
    most = (1 << 52) - 1
    reached = sum(255 * most for _ in range(12)) + 256 * most
    assert reached <= bounds.sizes(run)["acc1"] < reached * 1.001


def test_graphs_of_evaluations_are_bounded() -> None:
    """Predictions are one-hot over classes: the sum of their products is one logit."""
    for layers in NETWORKS.values():
        graph = build_evaluation(layers, FixedPoint())
        starts = dict.fromkeys(parameter_shapes(layers), 1 << 40)
        found = bounds.graph_sizes(graph, 1, lambda _: 0, starts)
        assert {tensor.name for tensor in graph.tensors} <= set(found)
        assert found["hz"] == found["top"] == 1 << 15
        assert {found[name] for name in starts} == {1 << 40}


def test_a_committed_tensor_that_nothing_bounds() -> None:
    graph = circuit_of(NETWORKS["curves"], "cross_entropy").graph()
    for op in graph.operations:
        if isinstance(op, Lookup) and op.table.startswith("curve"):
            bare = replace(graph, operations=tuple(o for o in graph.operations if o != op))
            with pytest.raises(ValueError, match="nothing bounds the committed tensor"):
                bounds.graph_sizes(bare, 1, lambda _: 1, dict.fromkeys(("any",), 1))
