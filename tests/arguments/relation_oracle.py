"""Tiny training segments in Python integers, and a ledger check by direct extension."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import filter_oracle
import numpy as np
from field_oracle import extension, pair, random_pairs
from numpy.typing import NDArray

from zktrain.arguments.claims import Ledger, WeightLedger
from zktrain.arguments.tensors import Shape
from zktrain.arguments.tensors import Tensor as Described
from zktrain.arguments.time_filter import PlainSteps, TimeFilter
from zktrain.circuit.circuit import Circuit
from zktrain.field.extension import Ext, Point
from zktrain.operations import Operation
from zktrain.operations.base import Context, StepGraph
from zktrain.prover.operations import twin
from zktrain.prover.operations.base import Given
from zktrain.prover.transcript.channel import ProverChannel
from zktrain.prover.witness import RunWitness
from zktrain.transcript.challenger import Challenger
from zktrain.transcript.channel import VerifierChannel

Tensor = NDArray[Any]
BIAS_SHIFT = 8


def padded(size: int) -> int:
    return 1 << (size - 1).bit_length()


def truth(tensor: Tensor, point: Point) -> Ext:
    """Extension of all cells in memory order, by interpolation."""
    cells = [int(v) for v in tensor.reshape(-1)]
    return Ext(*extension(cells, [pair(x) for x in point]))


def random_point(rng: np.random.Generator, tensor: Tensor) -> Point:
    return tuple(Ext(*x) for x in random_pairs(rng, tensor.size.bit_length() - 1))


def real_cells(
    rng: np.random.Generator, shape: Shape, width: int, low: int, high: int, kind: type[Any]
) -> Tensor:
    """Random ``(t, b[, j])`` cells, all padding zero."""
    real = (shape.steps, shape.batch, width) if width else (shape.steps, shape.batch)
    out = np.zeros(tuple(padded(n) for n in real), dtype=kind)
    out[tuple(slice(n) for n in real)] = rng.integers(low, high, size=real)
    return out


def graph(*operations: Operation, **tensors: int | Described) -> StepGraph:
    """``tensors`` by name, or their widths."""
    described = [Described(n, t) if isinstance(t, int) else t for n, t in tensors.items()]
    return StepGraph(tuple(described), operations)


def proof_of(
    op: Operation, context: Context, witness: dict[str, Tensor] | None = None, **given: Any
) -> bytes:
    """What the operation's prover sends; the same with very little memory."""

    def sent(here: Context, memory: int | None) -> bytes:
        channel = prover()
        own = RunWitness(here.graph, here.shape, witness or {}, memory)
        twin(op).prove(op, channel, here, Given(own, **given))
        return channel.proof()

    little = [sent(_copied(context), memory) for memory in (1, 3000)]
    proof = sent(context, None)
    assert little == [proof, proof]
    return proof


def _copied(context: Context) -> Context:
    ledger = deepcopy(context.ledger)
    weights = WeightLedger({name: list(claims) for name, claims in context.weights.claims.items()})
    return replace(context, ledger=ledger, weights=weights, dataset=[])


@dataclass
class Segment:
    """Activations, errors and the weights that follow from them, step by step."""

    shape: Shape
    widths: tuple[int, int]
    multipliers: NDArray[np.uint64]
    activation: Tensor
    error: Tensor
    weights: list[Tensor]
    biases: list[Tensor]
    filtered: Circuit | None = None

    @property
    def starts(self) -> list[int]:
        """``D[t]`` of a filtered segment."""
        assert self.filtered is not None
        return filter_oracle.integers(self.filtered, 0, self.shape.steps)[0]

    @property
    def time_filter(self) -> TimeFilter:
        if self.filtered is None:
            return PlainSteps(self.multipliers)
        steps, log_steps = self.shape.steps, self.shape.log_steps
        return self.filtered.optimizer.of(self.filtered, "W").time_filter(
            self.filtered, 0, steps, log_steps
        )

    @property
    def witness(self) -> dict[str, Tensor]:
        return {"a": self.activation, "e": self.error}

    @property
    def first(self) -> dict[str, NDArray[np.int64]]:
        """The first weights."""
        return {"w": self.weights[0].astype(np.int64), "b": self.biases[0].astype(np.int64)}

    def context(self, *operations: Operation, **more: Any) -> Context:
        """A graph of these operations, ``a W = acc`` and ``e W^T = bac``."""
        inputs, outputs = self.widths
        described = graph(*operations, a=inputs, bac=inputs, e=outputs, acc=outputs)
        more.setdefault("ledger", Ledger())
        return Context(described, self.shape, time_filters=lambda _: self.time_filter, **more)

    def forward(self) -> Tensor:
        """``A W_t + 2^8 b_t`` on real cells, zero elsewhere."""
        steps, batch, _ = self.activation.shape
        out = np.zeros((steps, batch, padded(self.widths[1])), dtype=object)
        for t in range(self.shape.steps):
            for b in range(self.shape.batch):
                row = self.activation[t, b].astype(object)
                out[t, b] = row @ self.weights[t] + (self.biases[t] << BIAS_SHIFT)
        return out

    def backward(self) -> Tensor:
        """``E W_t^T``."""
        steps, batch, _ = self.error.shape
        out = np.zeros((steps, batch, padded(self.widths[0])), dtype=object)
        for t in range(self.shape.steps):
            for b in range(self.shape.batch):
                out[t, b] = self.weights[t] @ self.error[t, b].astype(object)
        return out


def segment(
    seed: int, steps: int, batch: int, inputs: int, outputs: int, filtered: bool = False
) -> Segment:
    """Random tensors; ``W_{t+1} = W_t - m_t sum_b A^T E`` and likewise for the bias, or weights
    under momentum and weight decay."""
    rng = np.random.default_rng(seed)
    shape = Shape(steps, batch)
    activation = real_cells(rng, shape, inputs, -(1 << 15), 1 << 15, np.int16)
    error = real_cells(rng, shape, outputs, -(1 << 15), 1 << 15, np.int16)
    multipliers = np.zeros(padded(steps), dtype=np.uint64)
    multipliers[:steps] = rng.integers(1, 1 << 20, size=steps)
    weight = np.zeros((padded(inputs), padded(outputs)), dtype=object)
    for i, j in np.ndindex(inputs, outputs):
        weight[i, j] = int(rng.integers(-(1 << 40), 1 << 40))
    bias = np.zeros(padded(outputs), dtype=object)
    for j in range(outputs):
        bias[j] = int(rng.integers(-(1 << 40), 1 << 40))
    if filtered:
        return _filtered(shape, (inputs, outputs), activation, error, weight << 12, bias << 12)
    weights, biases = [weight], [bias]
    for t in range(padded(steps)):
        a, e, m = activation[t].astype(object), error[t].astype(object), int(multipliers[t])
        weights.append(weights[-1] - m * (a.T @ e))
        biases.append(biases[-1] - m * (e.sum(axis=0) << BIAS_SHIFT))
    return Segment(shape, (inputs, outputs), multipliers, activation, error, weights, biases)


def _filtered(
    shape: Shape,
    widths: tuple[int, int],
    activation: Tensor,
    error: Tensor,
    weight: Tensor,
    bias: Tensor,
) -> Segment:
    stated = filter_oracle.stated(0.75, 0.01, nesterov=True, restart_steps=8)
    schedule = ((0, 3 << 20), (1, 7 << 19))[: shape.steps]
    circuit = filter_oracle.perceptron(shape.steps, stated, schedule)
    start, rows = filter_oracle.integers(circuit, 0, shape.steps)
    weights, biases = [], []
    cells = [(activation[t].astype(object), error[t].astype(object)) for t in range(shape.steps)]
    for t in range(padded(shape.steps) + 1):
        row = rows[min(t, shape.steps)]
        w, b = (start[min(t, shape.steps)] * (values // 4096) for values in (weight, bias))
        for factor, (a, e) in zip(row, cells, strict=False):
            w, b = w - factor * (a.T @ e), b - factor * (e.sum(axis=0) << BIAS_SHIFT)
        weights.append(w)
        biases.append(b)
    nothing = np.zeros(0, dtype=np.uint64)
    return Segment(shape, widths, nothing, activation, error, weights, biases, circuit)


def prover() -> ProverChannel:
    return ProverChannel(Challenger("relation"))


def verifier(proof: bytes) -> VerifierChannel:
    return VerifierChannel(Challenger("relation"), proof)


def copy(ledger: Ledger, names: list[str]) -> Ledger:
    """A ledger with the same claims on ``names``."""
    out = Ledger()
    for name in names:
        for point, value in ledger.of(name):
            out.add(name, point, value)
    return out


def false_claims(ledger: Ledger, tensors: dict[str, Tensor]) -> list[str]:
    """Names of tensors with a claim that is not true."""
    return [
        name
        for name, tensor in tensors.items()
        for point, value in ledger.of(name)
        if truth(tensor, point) != value
    ]
