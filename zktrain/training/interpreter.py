"""A step of any circuit value by value: each range is checked where it can be left.

Tensors of the graph are evaluated when they are asked for, in float64 or int64 integers of shape
``(B, *axes)``, and products are cut where they need it. What the circuit only constrains has one
value, that of the tensor's hint (``arguments.hints``). It is what says where a run leaves its
range, evaluates networks, and is compared with ``program``, which makes the steps of a run. It
waits for the device all the time.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import NoReturn, assert_never

import numpy as np
import torch

from ..arguments.hints import Column, FirstLargest, Floor, Normaliser, Sign
from ..arguments.tensors import Tensor
from ..circuit import bounds
from ..circuit.build import INPUTS, LABELS
from ..circuit.circuit import Circuit
from ..errors import RangeOverflow
from ..losses import LOSSES
from ..operations import (
    Accumulate,
    Affine,
    AffineTransposed,
    Linear,
    Lookup,
    UnitMap,
)
from ..operations.base import Applied, Defining, StepGraph
from ..tables import TABLES
from .arithmetic import (
    ACCUMULATOR_LIMIT,
    LOGIT_SCALE,
    MAX_DISTANCE,
    QUOTIENT_HIGH,
    QUOTIENT_LOW,
    WEIGHT_LIMIT,
    AccumulatorOverflow,
    Softmax,
    exact_matmul,
    largest,
)
from .map_tensors import map_values

EXACT_BITS = 52
EXACT = 1 << EXACT_BITS
"""Sums of two such integers are exact in float64."""
_LOWER_RATE = "lower the learning rate, or start from smaller weights"

Values = Mapping[str, torch.Tensor]


class Rules:
    """How each tensor of a circuit's graph comes about, or of another one of its network."""

    def __init__(self, circuit: Circuit, graph: StepGraph | None = None) -> None:
        self.circuit = circuit
        sizes = bounds.sizes(circuit) if graph is None else {}
        graph = graph or circuit.graph()
        self.tensors = {tensor.name: tensor for tensor in graph.tensors}
        self.definitions: dict[str, Defining] = {}
        self.updates = [op for op in graph.operations if isinstance(op, Accumulate)]
        for op in graph.operations:
            if isinstance(op, Defining) and self.tensors[op.output].hint is None:
                self.definitions[op.output] = op
        self.logits = graph.logits
        self.traced = [tensor.name for tensor in graph.tensors if tensor.hint]
        self.lookups = [
            op
            for op in graph.operations
            if isinstance(op, Lookup) and op.columns[0] in self.definitions
        ]
        """Of tensors whose values follow from others."""
        self.ranges = {op.columns[0]: first_range(op) for op in self.lookups}
        self.wide = {
            name
            for name, op in self.definitions.items()
            if not isinstance(op, (Affine, AffineTransposed)) and sizes.get(name, 0) >> EXACT_BITS
        }
        """Tensors that no lookup keeps within exact floating-point arithmetic."""

        names = list(self.tensors)
        self._backward = set(names[names.index(self.logits) + 1 :])

    def owner(self, parameter: str) -> str:
        """What an error calls the layer of a parameter."""
        return next(
            f"layer {layer.name}"
            for layer in self.circuit.trained
            if any(parameter == stated.name for stated in layer.parameters())
        )

    def part(self, name: str) -> str:
        """What an error of a step calls a tensor."""
        if isinstance(self.tensors[name].hint, Normaliser):
            return f"{self.layer(name)}, softmax"
        return f"{self.layer(name)}, {'error' if name in self._backward else 'output'}"

    def layer(self, name: str) -> str:
        """What an error calls the layer of a tensor; what has none is about the logits."""
        layers = self.circuit.layers
        return f"layer {layers[(self.tensors[name].layer or len(layers)) - 1].name}"


def first_range(op: Lookup) -> tuple[int, int]:
    """What the first column of a lookup may be."""
    low, high = TABLES[op.table].ranges()[0]
    return low - op.offset, high - op.offset


@lru_cache(maxsize=16)
def column_of(table: str, column: int, device: str) -> torch.Tensor:
    """A column of a lookup table on a device, float64."""
    return torch.from_numpy(TABLES[table].columns()[column]).to(dtype=torch.float64, device=device)


class Step:
    """The tensors of one step, each computed when it is first asked for."""

    def __init__(
        self,
        rules: Rules,
        weights: Values,
        softmax: Softmax,
        inputs: torch.Tensor,
        targets: torch.Tensor | None,
        number: int | None,
    ) -> None:
        """``inputs (B, features)``, one-hot ``targets (B, classes)``, both float64; without a
        ``number`` values may leave 16 bits."""
        self._rules = rules
        self._weights = weights
        self._softmax = softmax
        self._number = number
        self._values = {INPUTS: inputs}
        if targets is not None:
            self._values[LABELS] = targets
        self._totals: dict[tuple[str, int, int], torch.Tensor] = {}

    def value(self, name: str) -> torch.Tensor:
        """A tensor without padding."""
        if name not in self._values:
            self._compute(name)
        return self._values[name]

    def _compute(self, name: str) -> None:
        tensor = self._rules.tensors[name]
        match tensor.hint:
            case None:
                found = self._define(name)
            case Floor() as hint:
                found = self._floor(tensor, hint)
            case Sign(source):
                found = (self.value(source) > 0).to(torch.float64)
            case FirstLargest(source):
                found = self._winner(tensor, source)
            case Column(table, source, column, first):
                at = self.value(source)
                rows = column_of(table, column, str(at.device))
                # of a value without a row the nearest
                place = (at - float(first)).clamp_(0.0, float(len(rows) - 1))
                found = torch.take(rows, place.to(torch.int64))
            case Normaliser(logits):
                found = self._normaliser(logits)
            case _:
                assert_never(tensor.hint)
        self._values[name] = found

    def _define(self, name: str) -> torch.Tensor:
        op = self._rules.definitions[name]
        match op:
            case Linear():
                found = self._linear(op)
            case UnitMap():
                source, output = (self._rules.tensors[n] for n in (op.source, op.output))
                found = map_values(op.map, self.value(op.source), source, output)
            case Affine():
                found = self._affine(op)
            case AffineTransposed():
                weight = self._weights[op.weight]
                matrix = weight.transpose(-1, -2).reshape(-1, weight.shape[-2])
                found = self._times(name, op.source, matrix)
            case Applied():
                found = op.apply(self._rules.tensors, self.value)
            case _:
                raise TypeError(f"training has no {type(op).__name__}")
        if name in self._rules.ranges:
            self._check(found, *self._rules.ranges[name], name)
        elif name in self._rules.wide:
            self._check(found, -EXACT, EXACT, name)
        axes = self._rules.tensors[name].axes
        return found.reshape(len(self._values[INPUTS]), *axes)

    def _affine(self, op: Affine) -> torch.Tensor:
        weight = self._weights[op.weight]
        found = self._times(op.output, op.source, weight.reshape(-1, weight.shape[-1]))
        if op.bias is not None:
            found += self._weights[op.bias].to(torch.int64) << op.bias_shift
        return found

    def _times(self, where: str, source: str, matrix: torch.Tensor) -> torch.Tensor:
        """Units, taps included, times a matrix."""
        return self.product(where, self.value(source).reshape(-1, len(matrix)), matrix)

    def product(self, where: str, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        """An exact matrix product, int64, for the layer of a tensor."""
        try:
            return exact_matmul(left, right)
        except AccumulatorOverflow as error:
            if self._number is None:
                raise
            self._overflow(where, f"{error}, beyond exact arithmetic")

    def _linear(self, op: Linear) -> torch.Tensor:
        output = self._rules.tensors[op.output]
        batch = len(self._values[INPUTS])
        total = torch.full(
            (batch, *output.axes),
            op.constant,
            dtype=torch.float64,
            device=self._values[INPUTS].device,
        )
        for coefficient, name in op.terms:
            term, own = self.value(name).to(torch.float64), self._rules.tensors[name]
            grid = 1 + len(own.grid)
            if own.width and not output.width:
                term = term.sum(dim=-1)
            elif output.width and not own.width:
                term = term.unsqueeze(-1)
            if own.taps and not output.taps:
                term = term.sum(dim=tuple(range(grid, grid + len(own.taps))))
            elif output.taps and not own.taps:
                term = term.reshape(
                    *term.shape[:grid], *(1,) * len(output.taps), *term.shape[grid:]
                )
            total = total + coefficient * term
        return total

    def _floor(self, tensor: Tensor, hint: Floor) -> torch.Tensor:
        """A quotient, which must have 16 bits, in float64, or a limb in int64."""
        key = (hint.source, hint.factor, hint.offset)
        if key not in self._totals:
            source = self.value(hint.source).to(torch.int64)
            if hint.factor != 1:
                most = ACCUMULATOR_LIMIT // hint.factor
                self._check(source, -most, most, tensor.name)
            self._totals[key] = hint.factor * source + hint.offset
        found = self._totals[key] >> hint.shift
        if hint.bits is not None:
            return found & ((1 << hint.bits) - 1)
        if self._number is not None:
            low, high = (int(bound.item()) for bound in torch.aminmax(found))
            if low < QUOTIENT_LOW or high > QUOTIENT_HIGH:
                value = low if -low > high else high
                self._overflow(
                    tensor.name,
                    f"the value {value} (= {value / (1 << tensor.fraction):g}) is outside the "
                    f"16-bit range [{QUOTIENT_LOW}, {QUOTIENT_HIGH}]",
                )
        return found.to(torch.float64)

    def _winner(self, tensor: Tensor, source: str) -> torch.Tensor:
        """One-hot over the taps of each window, or over the units where there are none."""
        seen = self.value(source)
        grid = 1 + len(tensor.grid)
        flat = seen.reshape(*seen.shape[:grid], -1, tensor.width if tensor.taps else 1)
        # argmax does not promise the first of equal values
        count = flat.shape[grid]
        ahead = torch.arange(count, 0, -1, dtype=flat.dtype, device=flat.device).unsqueeze(-1)
        scores = (flat == flat.amax(dim=grid, keepdim=True)) * ahead
        first = scores == scores.amax(dim=grid, keepdim=True)
        return first.to(torch.float64).reshape(seen.shape)

    def _normaliser(self, name: str) -> torch.Tensor:
        logits = self.value(name)
        c = self._softmax.search(logits)
        distance = int((c - logits.amin(dim=1)).amax().item())
        if distance > MAX_DISTANCE:
            self._overflow(
                name,
                f"the value {distance} (= {distance / LOGIT_SCALE:g}) between two logits of one "
                f"record is above {MAX_DISTANCE}",
            )
        return c

    def _check(self, values: torch.Tensor, low: int, high: int, name: str) -> None:
        if self._number is None:
            return
        least, most = (int(bound.item()) for bound in torch.aminmax(values))
        if least < low or most > high:
            value = least if least < low else most
            self._overflow(name, f"the value {value} is outside the range [{low}, {high}]")

    def _overflow(self, name: str, what: str) -> NoReturn:
        where = self._rules.part(name)
        raise RangeOverflow(
            f"step {self._number}, {where}: {what}; {_LOWER_RATE}", stage="training"
        ) from None

    def loss(self) -> float:
        """Mean loss of the batch, in floating point."""
        logits, targets = self.value(self._rules.logits) / LOGIT_SCALE, self._values[LABELS]
        per_record = LOSSES[self._rules.circuit.loss].per_record
        return float(per_record(logits, targets).mean().item())

    def gradients(self) -> dict[str, torch.Tensor]:
        """Of all parameters, int64, a bias times the scale of its activation."""
        out = {}
        for op in self._rules.updates:
            activation = self.value(op.activation).reshape(-1, self._units(op.activation))
            error = self.value(op.error).reshape(-1, self._units(op.error))
            gradient = self.product(op.error, activation.t().contiguous(), error)
            out[op.weight] = gradient.reshape(self._weights[op.weight].shape)
            if op.bias is not None:
                out[op.bias] = error.sum(dim=0).to(torch.int64) << op.bias_shift
        return out

    def changed(self, name: str, moves: list[tuple[int, torch.Tensor]]) -> torch.Tensor:
        """A parameter minus all moves, each with its factor, float64."""
        change = sum(largest(move) * abs(factor) for factor, move in moves)
        if change < ACCUMULATOR_LIMIT:
            updated = self._weights[name].to(torch.int64)
            for factor, move in moves:
                updated = updated - factor * move
            change = largest(updated)
            if change < WEIGHT_LIMIT:
                return updated.to(torch.float64)
        real = change / (1 << self._rules.circuit.fixed_point.weight_bits)
        raise RangeOverflow(
            f"step {self._number}, {self._rules.owner(name)}, parameter {name}: a value of size "
            f"{change} (= {real:g}) is not below 2^52; {_LOWER_RATE}",
            stage="training",
        )

    def _units(self, name: str) -> int:
        tensor = self._rules.tensors[name]
        return int(np.prod((*tensor.taps, tensor.width)))


class Outputs:
    """The integer network with fixed weights, float64; values may leave 16 bits."""

    def __init__(self, circuit: Circuit, weights: Values, device: torch.device | str) -> None:
        self._rules = Rules(circuit)
        self._weights = weights
        self._softmax = Softmax(circuit.classes, device)

    def logits(self, inputs: torch.Tensor) -> torch.Tensor:
        """Of records ``(B, features)``."""
        step = Step(self._rules, self._weights, self._softmax, inputs, None, None)
        return step.value(self._rules.logits)
