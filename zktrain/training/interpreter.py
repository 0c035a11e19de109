"""Exact training of any step graph, operation by operation.

Dense networks have a program of their own (``step``, ``window``) that checks a whole window of
steps at once; this one serves every other network. It evaluates the tensors of the graph that
are asked for, in float64 or int64 integers of shape ``(B, *axes)``, checks every range where it
can be left, and then makes the updates. What the circuit only constrains has one value:

    quotient and high limb  from the equation of the low limb, all floored
    ``s``                   1 where ``z > 0``
    ``h``                   1 at the first largest tap of a window, or logit of a record
    ``f``, ``df``           value and slope of an activation, from its table
    ``c``, ``p``            the softmax of ``arithmetic.Softmax``, or ``p`` the sigmoid
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import NoReturn

import numpy as np
import numpy.typing as npt
import torch

from ..arguments.tensors import Tensor
from ..circuit import bounds
from ..circuit.circuit import Circuit
from ..circuit.order import batch_indices
from ..dataset.readers import Records
from ..errors import RangeOverflow
from ..operations import (
    Accumulate,
    Affine,
    AffineTransposed,
    Linear,
    Lookup,
    Product,
    UnitMap,
)
from ..operations.base import StepGraph
from ..operations.map_arrays import window_moves
from ..operations.maps import Before, Map, Reorder, Window
from ..optimizers.momentum import START_BITS, Coefficients, coefficients_of
from ..tables.curves import curve
from .arithmetic import (
    ACCUMULATOR_LIMIT,
    LOGIT_SCALE,
    MAX_DISTANCE,
    AccumulatorOverflow,
    Sigmoid,
    Softmax,
    exact_matmul,
    largest,
)
from .step import QUOTIENT_HIGH, QUOTIENT_LOW, WEIGHT_LIMIT

EXACT_BITS = 52
EXACT = 1 << EXACT_BITS
"""Sums of two such integers are exact in float64."""
LIMB = 16
_LIMB_MASK = (1 << LIMB) - 1
_MOST_DISTANCE = (1 << 16) - 2
_LOWER_RATE = "lower the learning rate, or start from smaller weights"

Values = Mapping[str, torch.Tensor]
StepRecorder = Callable[[Values, int], None]
"""Takes the committed tensors and low limbs of one step, and its number, counted from that of
``advance``."""


class Rules:
    """How each tensor of a circuit's graph comes about, or of another one of its network."""

    def __init__(self, circuit: Circuit, graph: StepGraph | None = None) -> None:
        self.circuit = circuit
        sizes = bounds.sizes(circuit) if graph is None else {}
        graph = graph or circuit.graph()
        self.tensors = {tensor.name: tensor for tensor in graph.tensors}
        self.definitions: dict[str, Linear | Product | UnitMap | Affine | AffineTransposed] = {}
        self.updates: list[Accumulate] = []
        self.rescaled: dict[str, Linear] = {}
        """By quotient, high and low limb: the equation of the low limb."""
        self.signs: dict[str, str] = {}
        self.winners: dict[str, str] = {}
        self.sigmoids: dict[str, str] = {}
        self.curves: dict[str, tuple[str, str, int]] = {}
        """Of values and slopes: the curve, the tensor it is taken of, and which of both."""
        products: dict[str, str] = {}
        for op in graph.operations:
            match op:
                case Accumulate():
                    self.updates.append(op)
                case Linear() if op.output.endswith(".low"):
                    for name in (op.output, *(name for _, name in op.terms[1:])):
                        self.rescaled[name] = op
                case Linear() | Product() | UnitMap() | Affine() | AffineTransposed():
                    self.definitions[op.output] = op
                    if isinstance(op, Product):
                        products[op.left] = op.right
                case Lookup("relu", (z, sign)):
                    self.signs[sign] = z
                case Lookup("sigmoid", (z, p)):
                    self.sigmoids[p] = z
                case Lookup(table, (z, value, slope)) if table.startswith("curve."):
                    self.curves[value] = (table.removeprefix("curve."), z, 0)
                    self.curves[slope] = (table.removeprefix("curve."), z, 1)
                case Lookup("winner", (_, wins)):
                    self.winners[wins] = products[wins]
                case _:
                    pass
        self.logits = f"z{len(circuit.layers)}"
        self.ranges = {
            op.columns[0]: _range(op)
            for op in graph.operations
            if isinstance(op, Lookup) and op.columns[0] in self.definitions
        }
        """Of tensors that are looked up although their values follow from others."""
        self.wide = {
            name
            for name, op in self.definitions.items()
            if isinstance(op, (Linear, Product, UnitMap)) and sizes.get(name, 0) >> EXACT_BITS
        }
        """Tensors that no lookup keeps within exact floating-point arithmetic."""

    def layer(self, name: str) -> str:
        """What an error calls the layer of a tensor; what has no number is about the logits."""
        digits = "".join(c if c.isdigit() else " " for c in name).split()
        number = int(digits[0]) if digits else len(self.circuit.layers)
        return f"layer {self.circuit.layers[number - 1].name}"


def _range(op: Lookup) -> tuple[int, int]:
    """What the first column of a lookup may be."""
    if op.table in ("winner", "exp"):
        return 0, _MOST_DISTANCE
    if op.table in ("range16", "range18"):
        return -op.offset, _LIMB_MASK - op.offset
    return QUOTIENT_LOW, QUOTIENT_HIGH


@lru_cache(maxsize=8)
def _curve_column(function: str, which: int, device: str) -> torch.Tensor:
    """Values or slopes of a curve on a device, float64, row ``z + 2^15``."""
    known = curve(function)
    column = (known.values, known.slopes)[which]
    return torch.from_numpy(column.copy()).to(dtype=torch.float64, device=device)


@lru_cache(maxsize=2)
def _sigmoid(device: str) -> Sigmoid:
    return Sigmoid(device)


def _looked_up(table: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    """Row ``z + 2^15`` of the table; of one outside 16 bits the nearest."""
    rows = (z + float(1 << 15)).clamp_(0.0, float(len(table) - 1))
    return torch.take(table, rows.to(torch.int64))


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
        self._values = {"x": inputs}
        if targets is not None:
            self._values["y"] = targets

    def value(self, name: str) -> torch.Tensor:
        """A tensor without padding."""
        if name not in self._values:
            self._compute(name)
        return self._values[name]

    def _compute(self, name: str) -> None:
        rules = self._rules
        if name in rules.rescaled:
            self._rescale(rules.rescaled[name])
        elif name in rules.signs:
            self._values[name] = (self.value(rules.signs[name]) > 0).to(torch.float64)
        elif name in rules.winners:
            self._values[name] = self._winner(name)
        elif name in rules.curves:
            function, source, which = rules.curves[name]
            z = self.value(source)
            self._values[name] = _looked_up(_curve_column(function, which, str(z.device)), z)
        elif name in rules.sigmoids:
            logits = self.value(rules.sigmoids[name])
            self._values[name] = found = torch.empty_like(logits)
            _sigmoid(str(logits.device)).centred(logits, found)
        elif name in ("c", "p", "p.before"):
            self._normalise()
        else:
            self._values[name] = self._define(name)

    def _define(self, name: str) -> torch.Tensor:
        op = self._rules.definitions[name]
        match op:
            case Product():
                found = self.value(op.left) * self.value(op.right)
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
                found = self._product(self.value(op.source), matrix, name)
        if name in self._rules.ranges:
            self._check(found, *self._rules.ranges[name], name)
        elif name in self._rules.wide:
            self._check(found, -EXACT, EXACT, name)
        axes = self._rules.tensors[name].axes
        return found.reshape(len(self._values["x"]), *axes)

    def _affine(self, op: Affine) -> torch.Tensor:
        weight = self._weights[op.weight]
        found = self._product(
            self.value(op.source), weight.reshape(-1, weight.shape[-1]), op.output
        )
        if op.bias is not None:
            found += self._weights[op.bias].to(torch.int64) << op.bias_shift
        return found

    def _product(self, source: torch.Tensor, matrix: torch.Tensor, where: str) -> torch.Tensor:
        """Units, taps included, times a matrix: int64."""
        try:
            return exact_matmul(source.reshape(-1, len(matrix)), matrix)
        except AccumulatorOverflow as error:
            if self._number is None:
                raise
            self._overflow(where, f"{error}, beyond exact arithmetic")

    def _linear(self, op: Linear) -> torch.Tensor:
        output = self._rules.tensors[op.output]
        batch = len(self._values["x"])
        total = torch.full(
            (batch, *output.axes),
            op.constant,
            dtype=torch.float64,
            device=self._values["x"].device,
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

    def _rescale(self, op: Linear) -> None:
        """``low`` is what the equation leaves when quotient and higher limbs are floors."""
        (factor, accumulator), (minus_unit, quotient), *high = op.terms
        source = self.value(accumulator).to(torch.int64)
        if factor != 1:
            self._check(
                source, -(ACCUMULATOR_LIMIT // factor), ACCUMULATOR_LIMIT // factor, quotient
            )
        total = factor * source + op.constant
        shift = (-minus_unit).bit_length() - 1
        found = total >> shift
        if self._number is not None:
            low, high_value = (int(bound.item()) for bound in torch.aminmax(found))
            if low < QUOTIENT_LOW or high_value > QUOTIENT_HIGH:
                fixed_point = self._rules.circuit.fixed_point
                forward = quotient[0] == "z"
                bits = fixed_point.activation_bits if forward else fixed_point.error_bits
                value = low if -low > high_value else high_value
                self._overflow(
                    quotient,
                    f"the value {value} (= {value / (1 << bits):g}) is outside the 16-bit range "
                    f"[{QUOTIENT_LOW}, {QUOTIENT_HIGH}]",
                )
        self._values[quotient] = found.to(torch.float64)
        self._values[op.output] = total & _LIMB_MASK
        for unit, name in high:
            limb = total >> ((-unit).bit_length() - 1)
            self._values[name] = limb & self._rules.tensors[name].high

    def _winner(self, name: str) -> torch.Tensor:
        """One-hot over the taps of each window, or over the units where there are none."""
        tensor = self._rules.tensors[name]
        seen = self.value(self._rules.winners[name])
        grid = 1 + len(tensor.grid)
        flat = seen.reshape(*seen.shape[:grid], -1, tensor.width if tensor.taps else 1)
        # argmax does not promise the first of equal values
        count = flat.shape[grid]
        ahead = torch.arange(count, 0, -1, dtype=flat.dtype, device=flat.device).unsqueeze(-1)
        scores = (flat == flat.amax(dim=grid, keepdim=True)) * ahead
        first = scores == scores.amax(dim=grid, keepdim=True)
        return first.to(torch.float64).reshape(seen.shape)

    def _normalise(self) -> None:
        logits = self.value(self._rules.logits)
        c = self._softmax.search(logits)
        distance = int((c - logits.amin(dim=1)).amax().item())
        if distance > MAX_DISTANCE:
            self._overflow(
                self._rules.logits,
                f"the value {distance} (= {distance / 256:g}) between two logits of one record "
                f"is above {MAX_DISTANCE}",
            )
        at, before = torch.empty_like(logits), torch.empty_like(logits)
        self._softmax.probabilities(c, logits, at, before)
        self._values |= {"c": c, "p": at, "p.before": before}

    def _check(self, values: torch.Tensor, low: int, high: int, name: str) -> None:
        if self._number is None:
            return
        least, most = (int(bound.item()) for bound in torch.aminmax(values))
        if least < low or most > high:
            value = least if least < low else most
            self._overflow(name, f"the value {value} is outside the range [{low}, {high}]")

    def _overflow(self, name: str, what: str) -> NoReturn:
        where = self._rules.layer(name)
        raise RangeOverflow(
            f"step {self._number}, {where}: {what}; {_LOWER_RATE}", stage="training"
        ) from None

    def loss(self) -> float:
        """Mean loss of the batch, in floating point."""
        logits, targets = self.value(self._rules.logits), self._values["y"]
        if self._rules.circuit.loss == "cross_entropy":
            wanted = (logits * targets).sum(dim=1)
            total = self._softmax.estimate(logits) - wanted
            return float(total.mean().item()) / LOGIT_SCALE
        if self._rules.circuit.loss == "binary_cross_entropy":
            scaled = logits / LOGIT_SCALE
            total = torch.nn.functional.softplus(scaled) - scaled * targets
            return float(total.sum(dim=1).mean().item())
        error = logits / LOGIT_SCALE - targets
        return float(error.square().sum(dim=1).mean().item()) / 2

    def gradients(self) -> dict[str, torch.Tensor]:
        """Of all parameters, int64, a bias times the scale of its activation."""
        out = {}
        for op in self._rules.updates:
            activation = self.value(op.activation).reshape(-1, self._units(op.activation))
            error = self.value(op.error).reshape(-1, self._units(op.error))
            try:
                gradient = exact_matmul(activation.t().contiguous(), error)
            except AccumulatorOverflow as overflow:
                self._overflow(op.error, f"{overflow}, beyond exact arithmetic")
            out[op.weight] = gradient.reshape(self._weights[op.weight].shape)
            if op.bias is not None:
                out[op.bias] = error.sum(dim=0).to(torch.int64) << op.bias_shift
        return out

    def updates(self, multiplier: int) -> dict[str, torch.Tensor]:
        """All parameters after a step of plain SGD, float64."""
        return {
            name: self.changed(name, [(multiplier, gradient)])
            for name, gradient in self.gradients().items()
        }

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
            f"step {self._number}, parameter {name}: a value of size {change} (= {real:g}) is not "
            f"below 2^52; {_LOWER_RATE}",
            stage="training",
        )

    def _units(self, name: str) -> int:
        tensor = self._rules.tensors[name]
        return int(np.prod((*tensor.taps, tensor.width)))


def map_values(map_: Map, values: torch.Tensor, source: Tensor, output: Tensor) -> torch.Tensor:
    """``operations.map_arrays.apply_map`` on a device: ``(B, *output.axes)``, float64."""
    batch = len(values)
    match map_:
        case Reorder():
            if source.grid:
                return values.permute(0, 3, 1, 2).reshape(batch, output.width)
            planes = values.reshape(batch, output.width, *output.grid)
            return planes.permute(0, 2, 3, 1).contiguous()
        case Before():
            axis = 1 + len(source.grid)
            rest = (source.width,) if source.taps else ()
            flat = values.reshape(*values.shape[:axis], -1, *rest)
            return (torch.cumsum(flat, dim=axis) - flat).reshape(values.shape)
        case Window():
            return _windows(map_, values, source, output)


def _windows(map_: Window, values: torch.Tensor, source: Tensor, output: Tensor) -> torch.Tensor:
    out = torch.zeros((len(values), *output.axes), dtype=torch.float64, device=values.device)
    for place, taken in window_moves(map_, source, output):
        if output.taps:
            out[(slice(None), *place)] = values[(slice(None), *taken)]
        else:
            out[(slice(None), *place)] += values[(slice(None), *taken)]
    return out


class GraphTrajectory:
    """The weights along a training run, as ``trajectory.Trajectory``, for any step graph."""

    def __init__(
        self,
        circuit: Circuit,
        records: Records,
        weights: Mapping[str, npt.NDArray[np.int64]],
        device: torch.device | str = "cpu",
    ) -> None:
        self.circuit = circuit
        self.rules = Rules(circuit)
        self.softmax = Softmax(circuit.classes, device)
        self._weights = {
            name: torch.from_numpy(np.asarray(values)).to(device=device, dtype=torch.float64)
            for name, values in weights.items()
        }
        self._inputs = torch.from_numpy(records.inputs).to(device)
        self._labels = torch.from_numpy(records.labels.astype(np.int64)).to(device)
        self._one_hot = torch.eye(circuit.classes, dtype=torch.float64, device=device)
        self._known: Coefficients | None = None
        self._restart = 0
        self._past: list[dict[str, torch.Tensor]] = []
        """Gradients since the last restart; of those that no change needs again, nothing."""
        self._start: dict[str, torch.Tensor] = {}
        committed = {tensor.name for tensor in circuit.graph().tensors if tensor.committed}
        self._traced = [
            tensor.name
            for tensor in circuit.graph().tensors
            if tensor.name in committed or tensor.name.endswith(".low")
        ]

    def weights(self) -> dict[str, npt.NDArray[np.int64]]:
        """The integer weights now, on the CPU."""
        return {
            name: values.to(torch.int64).cpu().numpy() for name, values in self._weights.items()
        }

    def advance(
        self,
        first_step: int,
        steps: int,
        *,
        recorder: StepRecorder | None = None,
        on_window: Callable[[int, list[float]], None] | None = None,
    ) -> None:
        """Run steps ``first_step .. first_step + steps - 1``; after each ``on_window(steps done,
        [loss])`` is called, and before its update ``recorder``. Raises ``RangeOverflow``."""
        circuit = self.circuit
        order = batch_indices(
            circuit.order_seed,
            len(self._labels),
            circuit.batch_size,
            first_step,
            steps,
            drop_last=circuit.drop_last,
        )
        with torch.inference_mode():
            for done in range(steps):
                indices = torch.from_numpy(order[done]).to(self._inputs.device)
                step = Step(
                    self.rules,
                    self._weights,
                    self.softmax,
                    self._inputs[indices].to(torch.float64),
                    self._one_hot[self._labels[indices]],
                    first_step + done,
                )
                if recorder is not None:
                    recorder({name: step.value(name) for name in self._traced}, done)
                for name in self.rules.ranges:
                    step.value(name)
                self._weights |= self._after(step, first_step + done)
                if on_window is not None:
                    on_window(done + 1, [step.loss()])

    def _after(self, step: Step, number: int) -> dict[str, torch.Tensor]:
        """All parameters after a step."""
        stated = self.circuit.momentum
        if stated is None:
            return step.updates(self.circuit.multiplier(number))
        at = number % stated.restart_steps
        if not at:
            count = min(stated.restart_steps, self.circuit.steps - number)
            self._known = coefficients_of(self.circuit, number, count)
            self._restart, self._past = number, []
            self._start = {
                name: w.to(torch.int64) >> START_BITS for name, w in self._weights.items()
            }
        known = self._known
        if known is None or number - at != self._restart or len(self._past) != at:
            raise ValueError(f"step {number} goes on from steps that were not made here")
        self._past.append(step.gradients())
        if at >= known.reach:
            self._past[at - known.reach] = {}  # no later change reaches so far back
        due = slice(known.offsets[at + 1], known.offsets[at + 2])
        changes = list(zip(known.by[due].tolist(), known.tau[due].tolist(), strict=True))
        shrink = int(known.start[at + 1] - known.start[at])
        out = {}
        for name in self._past[at]:
            moves = [(by, self._past[tau][name]) for by, tau in changes]
            if shrink:
                moves.append((-shrink, self._start[name]))
            out[name] = step.changed(name, moves)
        return out


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
