"""The step graph against two independent oracles.

``reference_step`` is the integer semantics written directly, in Python integers. A naive
interpreter executes the graph's operations on padded arrays, with committed tensors from
the reference, and every lookup, virtual tensor and update must agree. Gradients are compared with
torch's autograd in float64.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from circuit_networks import circuit_of

from zktrain.circuit.bounds import padded
from zktrain.circuit.circuit import Circuit
from zktrain.operations import Accumulate, Affine, AffineTransposed, Batch, Linear, Lookup, Product

Matrix = list[list[int]]
SHIFT = 32


def exp_value(distance: int) -> int:
    return round(2**14 * math.exp(-distance / 2**8))


def sigmoid_value(logit: int) -> int:
    return round(2**14 / (1 + math.exp(-logit / 2**8)))


def minimal_c(logits: list[int]) -> int:
    """The smallest ``c`` with ``sum_j T(c - z_j) <= 2^14``, from below."""
    c = max(logits)
    while sum(exp_value(c - z) for z in logits) > 2**14:
        c += 1
    return c


def rounded(value: int) -> int:
    return (value + 2 ** (SHIFT - 1)) // 2**SHIFT


def reference_step(
    circuit: Circuit, weights: dict[str, Any], inputs: Matrix, labels: Matrix, multiplier: int
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Tensors by name, gradients, and the next weights, all in Python integers."""
    tensors: dict[str, Any] = {"x": inputs, "y": labels}
    activation, activations = inputs, [inputs]
    batch = range(len(inputs))
    for number, layer in enumerate(circuit.layers, 1):
        w = weights[layer.weight]
        bias = weights[layer.bias] if layer.bias is not None else [0] * layer.outputs
        acc = [
            [
                sum(activation[b][i] * w[i][j] for i in range(layer.inputs)) + 2**8 * bias[j]
                for j in range(layer.outputs)
            ]
            for b in batch
        ]
        z = [[rounded(value) for value in row] for row in acc]
        tensors |= {f"acc{number}": acc, f"z{number}": z}
        if layer.relu:
            tensors[f"s{number}"] = [[int(value > 0) for value in row] for row in z]
            activation = [[max(value, 0) for value in row] for row in z]
            tensors[f"a{number}"] = activation
            activations.append(activation)
    if circuit.loss == "cross_entropy":
        c = [minimal_c(row) for row in z]
        tensors |= {
            "c": c,
            "p": [[exp_value(c[b] - value) for value in z[b]] for b in batch],
            "p.before": [[exp_value(c[b] - 1 - value) for value in z[b]] for b in batch],
        }
        error = [
            [p - 2**14 * y for p, y in zip(tensors["p"][b], labels[b], strict=True)] for b in batch
        ]
    elif circuit.loss == "binary_cross_entropy":
        tensors["p"] = [[sigmoid_value(value) - 2**13 for value in z[b]] for b in batch]
        error = [
            [sigmoid_value(value) - 2**14 * y for value, y in zip(z[b], labels[b], strict=True)]
            for b in batch
        ]
    else:
        error = [
            [2**6 * value - 2**14 * y for value, y in zip(z[b], labels[b], strict=True)]
            for b in batch
        ]
    gradients: dict[str, Any] = {}
    for number in range(len(circuit.layers), 0, -1):
        layer = circuit.layers[number - 1]
        tensors[f"e{number}"] = error
        before = activations[number - 1]
        gradients[layer.weight] = [
            [sum(before[b][i] * error[b][j] for b in batch) for j in range(layer.outputs)]
            for i in range(layer.inputs)
        ]
        if layer.bias is not None:
            gradients[layer.bias] = [
                2**8 * sum(error[b][j] for b in batch) for j in range(layer.outputs)
            ]
        if number == 1:
            break
        w = weights[layer.weight]
        bac = [
            [sum(error[b][j] * w[i][j] for j in range(layer.outputs)) for i in range(layer.inputs)]
            for b in batch
        ]
        q = [[rounded(value) for value in row] for row in bac]
        tensors |= {f"bac{number - 1}": bac, f"q{number - 1}": q}
        sign = tensors[f"s{number - 1}"]
        error = [[s * value for s, value in zip(sign[b], q[b], strict=True)] for b in batch]
    updated = {
        name: (np.array(weights[name], object) - multiplier * np.array(gradients[name], object))
        for name in weights
    }
    return tensors, gradients, updated


class Interpreter:
    """Executes the operations on padded object arrays; committed tensors come from outside."""

    def __init__(self, circuit: Circuit, committed: dict[str, Any], batch: dict[str, Any]) -> None:
        self.graph = circuit.graph()
        self.batch_size = circuit.batch_size
        self.rows = padded(circuit.batch_size)
        self.batch = batch
        self.values = {
            tensor.name: self.pad(committed[tensor.name], tensor.width)
            for tensor in self.graph.tensors
            if tensor.committed
        }

    def pad(self, cells: Any, width: int) -> np.ndarray:
        cells = np.array(cells, object).reshape(self.batch_size, -1)
        full = np.zeros((self.rows, padded(width)), object)
        full[: cells.shape[0], : cells.shape[1]] = cells
        return full

    def indicator(self, width: int) -> np.ndarray:
        return self.pad(np.ones((self.batch_size, max(width, 1)), object), width)

    def run(self, weights: dict[str, np.ndarray], multiplier: int) -> dict[str, np.ndarray]:
        updated = dict(weights)
        for operation in self.graph.operations:
            match operation:
                case Batch(source, output):
                    self.values[output] = self.pad(
                        self.batch[source], self.graph.tensor(output).width
                    )
                case Linear():
                    self.linear(operation)
                case Product(output, left, right):
                    self.values[output] = self.values[left] * self.values[right]
                case Affine(output, source, weight, bias, bias_shift):
                    inputs, outputs = weights[weight].shape
                    value = self.values[source][:, :inputs] @ weights[weight]
                    if bias is not None:
                        value = value + 2**bias_shift * weights[bias]
                    self.values[output] = self.pad(value[: self.batch_size], outputs)
                case AffineTransposed(output, source, weight):
                    inputs, outputs = weights[weight].shape
                    value = self.values[source][:, :outputs] @ weights[weight].T
                    self.values[output] = self.pad(value[: self.batch_size], inputs)
                case Accumulate():
                    updated |= self.accumulate(operation, weights, multiplier)
                case Lookup(table, columns, offset):
                    self.lookup(table, columns, offset)
        return updated

    def accumulate(
        self, operation: Accumulate, weights: dict[str, np.ndarray], multiplier: int
    ) -> dict[str, np.ndarray]:
        inputs, outputs = weights[operation.weight].shape
        before = self.values[operation.activation][:, :inputs]
        after = self.values[operation.error][:, :outputs]
        updated = {operation.weight: weights[operation.weight] - multiplier * (before.T @ after)}
        if operation.bias is not None:
            total = 2**operation.bias_shift * after.sum(axis=0)
            updated[operation.bias] = weights[operation.bias] - multiplier * total
        return updated

    def linear(self, operation: Linear) -> None:
        width = self.graph.tensor(operation.output).width
        indicator = self.indicator(width)
        total = operation.constant * indicator
        for coefficient, name in operation.terms:
            term = self.values[name]
            source = self.graph.tensor(name).width
            if source == 0 and width:
                term = term * (np.arange(indicator.shape[1]) < width)
            elif source and width == 0:
                term = term.sum(axis=1, keepdims=True)
            else:
                assert source == width
            total = total + coefficient * term
        self.values[operation.output] = total

    def lookup(self, table: str, columns: tuple[str, ...], offset: int) -> None:
        width = self.graph.tensor(columns[0]).width
        indicator = self.indicator(width)
        for cell in np.ndindex(indicator.shape):
            row = [self.values[name][cell] + offset for name in columns]
            where = (table, columns, cell, row)
            if table == "range16":
                assert 0 <= row[0] < 2**16, where
            elif table == "relu":
                assert -(2**15) <= row[0] < 2**15, where
                assert row[1] == (row[0] > 0), where
            elif table == "sigmoid":
                assert -(2**15) <= row[0] < 2**15, where
                assert row[1] == sigmoid_value(row[0]) - 2**13, where
            else:
                assert table == "exp"
                if indicator[cell]:
                    assert 0 <= row[0] < 2**16 - 1, where
                    assert row[1:] == [exp_value(row[0]), exp_value(row[0] - 1)], where
                else:
                    assert row == [0, 0, 0], where


def with_high_limbs(tensors: dict[str, Any], circuit: Circuit) -> dict[str, Any]:
    """Add the high limb of every rescale's remainder."""
    result = dict(tensors)
    for number in range(1, len(circuit.layers) + 1):
        for quotient, accumulator in (
            (f"z{number}", f"acc{number}"),
            (f"q{number}", f"bac{number}"),
        ):
            if quotient in tensors:
                acc = np.array(tensors[accumulator], object)
                rest = acc + 2 ** (SHIFT - 1) - 2**SHIFT * np.array(tensors[quotient], object)
                result[f"{quotient}.high"] = rest // 2**16
    return result


CASES = [
    (widths, loss, bias, batch_size)
    for widths in ((5, 4, 3), (6, 5, 4, 3), (4, 2))
    for loss in ("cross_entropy", "mse", "binary_cross_entropy")
    for bias in (True, False)
    for batch_size in (1, 3)
]


def start(circuit: Circuit, seed: int) -> tuple[dict[str, Any], np.random.Generator]:
    rng = np.random.default_rng(seed)
    weights = {
        name: rng.integers(-(2**30), 2**30, shape).astype(object)
        for name, shape in circuit.parameter_shapes().items()
    }
    return weights, rng


def draw_batch(circuit: Circuit, rng: np.random.Generator) -> tuple[Matrix, Matrix]:
    inputs = rng.integers(0, 256, (circuit.batch_size, circuit.features)).tolist()
    labels = np.eye(circuit.classes, dtype=int)[
        rng.integers(0, circuit.classes, circuit.batch_size)
    ].tolist()
    return inputs, labels


@pytest.mark.parametrize(("widths", "loss", "bias", "batch_size"), CASES)
def test_operations_agree_with_the_formulas(
    widths: tuple[int, ...], loss: str, bias: bool, batch_size: int
) -> None:
    circuit = circuit_of(
        *widths, loss=loss, bias=bias, batch_size=batch_size, steps=3, multipliers=((0, 2), (2, 5))
    )
    weights, rng = start(circuit, len(widths))
    for step in range(circuit.steps):
        inputs, labels = draw_batch(circuit, rng)
        multiplier = circuit.optimizer.multipliers_at(circuit, step, 1)[0]
        tensors, _, expected = reference_step(circuit, weights, inputs, labels, multiplier)
        interpreter = Interpreter(
            circuit, with_high_limbs(tensors, circuit), {"inputs": inputs, "labels": labels}
        )
        updated = interpreter.run(weights, multiplier)
        for name, value in tensors.items():
            width = circuit.graph().tensor(name).width
            assert (interpreter.values[name] == interpreter.pad(value, width)).all(), name
        assert updated.keys() == expected.keys()
        for name in expected:
            assert (updated[name] == expected[name]).all(), name
        for tensor in circuit.graph().tensors:
            if tensor.committed:
                cells = interpreter.values[tensor.name]
                assert tensor.low <= cells.min() <= cells.max() <= tensor.high
        weights = expected


@pytest.mark.parametrize("name", ["z1", "z1.high", "s1", "q1", "q1.high", "z2", "p", "c"])
def test_a_changed_committed_cell_breaks_a_lookup(name: str) -> None:
    """Also on padded cells: batch 3 of 4, widths 5 of 8 and 3 of 4."""
    _change_every_cell(circuit_of(6, 5, 3, batch_size=3), name)


@pytest.mark.parametrize("name", ["z2", "z2.high", "p"])
def test_a_changed_committed_cell_breaks_a_lookup_of_the_sigmoid(name: str) -> None:
    """Binary cross-entropy, likewise."""
    circuit = circuit_of(6, 5, 3, batch_size=3, loss="binary_cross_entropy")
    _change_every_cell(circuit, name)


def _change_every_cell(circuit: Circuit, name: str) -> None:
    weights, rng = start(circuit, 7)
    inputs, labels = draw_batch(circuit, rng)
    tensors, _, _ = reference_step(circuit, weights, inputs, labels, 2)
    batch = {"inputs": inputs, "labels": labels}
    honest = Interpreter(circuit, with_high_limbs(tensors, circuit), batch)
    shape = honest.values[name].shape
    for cell in np.ndindex(shape):
        for change in (-1, 1):
            forged = Interpreter(circuit, with_high_limbs(tensors, circuit), batch)
            forged.values[name][cell] += change
            with pytest.raises(AssertionError):
                forged.run(weights, 2)


@pytest.mark.parametrize("loss", ["cross_entropy", "mse", "binary_cross_entropy"])
@pytest.mark.parametrize("widths", [(8, 4), (20, 16, 5), (12, 16, 16, 4)])
def test_gradients_agree_with_autograd(widths: tuple[int, ...], loss: str) -> None:
    """Gradients carry 22 fractional bits. The tolerance covers the rounding of activations (2^-9)
    and errors (2^-15), and that of ``c`` (a factor below e^(2^-8) on every probability).
    Where rounding decides the sign of a value near 0, torch takes the integers' side."""
    circuit = circuit_of(*widths, loss=loss, batch_size=16)
    rng = np.random.default_rng(3)
    weights: dict[str, Any] = {}
    for name, shape in circuit.parameter_shapes().items():
        bound = 2**32 / math.sqrt(shape[0])
        weights[name] = rng.integers(-int(bound), int(bound), shape).astype(object)
    inputs, labels = draw_batch(circuit, rng)
    tensors, gradients, _ = reference_step(circuit, weights, inputs, labels, 1)

    parameters = {
        name: torch.tensor(value.astype(np.float64) / 2**32, requires_grad=True)
        for name, value in weights.items()
    }
    value = torch.tensor(inputs, dtype=torch.float64) / 2**8
    for number, layer in enumerate(circuit.layers, 1):
        assert layer.bias is not None
        value = value @ parameters[layer.weight] + parameters[layer.bias]
        if layer.relu:
            sign = torch.tensor(tensors[f"s{number}"], dtype=torch.bool)
            assert (value[sign != (value > 0)].abs() < 2**-6).all()
            value = value * sign
    target = torch.tensor(labels, dtype=torch.float64)
    if loss == "cross_entropy":
        total = torch.nn.functional.cross_entropy(value, target, reduction="sum")
    elif loss == "binary_cross_entropy":
        total = torch.nn.BCEWithLogitsLoss(reduction="sum")(value, target)
    else:
        total = ((value - target) ** 2).sum() / 2
    total.backward()
    for name, parameter in parameters.items():
        assert parameter.grad is not None
        exact = parameter.grad.numpy()
        found = np.array(gradients[name], dtype=np.float64) / 2**22
        assert np.linalg.norm(exact) > 0.1
        assert np.linalg.norm(found - exact) < 0.02 * np.linalg.norm(exact), name
