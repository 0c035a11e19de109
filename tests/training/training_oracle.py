"""Integer training in plain Python, written from the equations and without numpy or torch."""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal, localcontext

from zktrain.circuit.circuit import Circuit
from zktrain.circuit.initialisation import Initialisation
from zktrain.layers import Layer
from zktrain.operations.fixed_point import FixedPoint
from zktrain.optimizers.sgd import Sgd

Vector = list[int]
Matrix = list[list[int]]


def circuit_of(
    *sizes: int,
    loss: str = "cross_entropy",
    batch: int = 5,
    steps: int = 7,
    multipliers: tuple[tuple[int, int], ...] = ((0, 40), (3, 17)),
    bias: bool = True,
) -> Circuit:
    """A perceptron of the given widths."""
    layers = tuple(
        Layer(
            f"fc{index}",
            inputs,
            outputs,
            f"fc{index}.weight",
            f"fc{index}.bias" if bias else None,
            index < len(sizes) - 1,
        )
        for index, (inputs, outputs) in enumerate(itertools.pairwise(sizes), 1)
    )
    start = Initialisation("seed", "start")
    return Circuit(layers, loss, FixedPoint(), batch, steps, Sgd(multipliers), "order", start)


@functools.cache
def sigmoid(z: int) -> int:
    """``round(2^14 / (1 + exp(-z / 2^8)))``."""
    with localcontext() as context:
        context.prec = 40
        value = Decimal(1 << 14) / (1 + (Decimal(-z) / 256).exp())
        return int(value.to_integral_value(ROUND_HALF_EVEN))


@functools.cache
def exponential(d: int) -> int:
    """``T(d)``, and a value above every sum of interest for ``d < -1``."""
    if d < -1:
        return 1 << 20
    with localcontext() as context:
        context.prec = 40
        value = Decimal(1 << 14) * (Decimal(-d) / 256).exp()
        return int(value.to_integral_value(ROUND_HALF_EVEN))


def normaliser(logits: Vector) -> int:
    """The smallest ``c``, by counting up."""
    c = min(logits) - 10
    while sum(exponential(c - z) for z in logits) > 1 << 14:
        c += 1
    return c


@dataclass
class Oracle:
    """Weights and, after ``step``, every committed value of that step by name and sample."""

    circuit: Circuit
    weights: dict[str, Matrix]
    biases: dict[str, Vector]
    seen: dict[str, list[Vector]] = field(default_factory=dict)
    low: dict[str, list[Vector]] = field(default_factory=dict)

    def _divide(self, name: str, accumulators: Vector) -> Vector:
        quotients, highs, middles, lows = [], [], [], []
        for accumulator in accumulators:
            shift = self.circuit.fixed_point.shift
            shifted = accumulator + 2 ** (shift - 1)
            quotients.append(shifted // 2**shift)
            highs.append(shifted % 2**shift // 2 ** (shift - 16))
            middles.append(shifted % 2 ** (shift - 16) // 2**16)
            lows.append(shifted % 2**16)
        if self.circuit.fixed_point.shift > 32:
            self.seen.setdefault(f"{name}.middle", []).append(middles)
        self.seen.setdefault(name, []).append(quotients)
        self.seen.setdefault(f"{name}.high", []).append(highs)
        self.low.setdefault(name, []).append(lows)
        return quotients

    def _errors(self, logits: Vector, label: int) -> Vector:
        target = [2**14 if j == label else 0 for j in range(len(logits))]
        if self.circuit.loss == "mse":
            return [64 * z - y for z, y in zip(logits, target, strict=True)]
        if self.circuit.loss == "binary_cross_entropy":
            chances = [sigmoid(z) for z in logits]
            self.seen.setdefault("p", []).append([value - 2**13 for value in chances])
            return [value - y for value, y in zip(chances, target, strict=True)]
        c = normaliser(logits)
        p = [exponential(c - z) for z in logits]
        self.seen.setdefault("c", []).append([c])
        self.seen.setdefault("p", []).append(p)
        self.seen.setdefault("p.before", []).append([exponential(c - 1 - z) for z in logits])
        return [value - y for value, y in zip(p, target, strict=True)]

    def step(self, inputs: Matrix, labels: Vector, multiplier: int) -> None:
        """Train on one batch."""
        self.seen, self.low = {}, {}
        layers = self.circuit.layers
        weight_steps = {name: [[0] * len(row) for row in w] for name, w in self.weights.items()}
        bias_steps = {name: [0] * len(b) for name, b in self.biases.items()}
        for record, label in zip(inputs, labels, strict=True):
            activations = [record]
            outputs = []
            for index, layer in enumerate(layers, 1):
                a, w = activations[-1], self.weights[layer.weight]
                b = self.biases[layer.bias] if layer.bias is not None else [0] * layer.outputs
                acc = [
                    sum(a[i] * w[i][j] for i in range(layer.inputs)) + 256 * b[j]
                    for j in range(layer.outputs)
                ]
                outputs.append(self._divide(f"z{index}", acc))
                if index < len(layers):
                    signs = [int(z > 0) for z in outputs[-1]]
                    self.seen.setdefault(f"s{index}", []).append(signs)
                    activations.append([max(z, 0) for z in outputs[-1]])
            error = self._errors(outputs[-1], label)
            for index in range(len(layers), 0, -1):
                layer = layers[index - 1]
                w = self.weights[layer.weight]
                for j in range(layer.outputs):
                    for i in range(layer.inputs):
                        weight_steps[layer.weight][i][j] += activations[index - 1][i] * error[j]
                    if layer.bias is not None:
                        bias_steps[layer.bias][j] += 256 * error[j]
                if index > 1:
                    acc = [
                        sum(error[j] * w[i][j] for j in range(layer.outputs))
                        for i in range(layer.inputs)
                    ]
                    q = self._divide(f"q{index - 1}", acc)
                    error = [v if z > 0 else 0 for v, z in zip(q, outputs[index - 2], strict=True)]
        for name, change in weight_steps.items():
            for i, row in enumerate(change):
                for j, value in enumerate(row):
                    self.weights[name][i][j] -= multiplier * value
        for name, totals in bias_steps.items():
            for j, value in enumerate(totals):
                self.biases[name][j] -= multiplier * value
