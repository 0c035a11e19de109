"""The same run by torch in float64: its network, its loss, its autograd, its SGD.

The network is evaluated at the integers' own weights and activations: after each layer the real
value is replaced by the integer one (a straight-through rounding), once it is known to differ from
it by no more than that layer's rounding. So masks, winners and slopes are those of the integers and
the real gradient is that of the same piecewise linear map. What then differs is linear:

* the error of the loss, from the table of the exponential or the sigmoid;
* half a unit of ``2^-14`` for each error that a dense layer, a convolution, a mean or an activation
  sends back, and what the rounded factor of a mean or the rounded slope of an activation makes of
  the integer error.

These are carried to the parameters by a second backward pass, through the same network with the
absolute values of weights, activations and slopes: a bound of each cell of each gradient, in which
nothing is estimated. The weights of ``torch.optim.SGD``, which takes the real gradients along the
whole run, then differ by these bounds times the rates, and under momentum or decay by the rounding
of the coefficients ``M`` (less than a unit each) and ``D`` (half a unit) times what they multiply.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from zktrain.circuit.circuit import Circuit
from zktrain.layers import (
    Activation,
    Add,
    AveragePool,
    Convolution,
    Flatten,
    Layer,
    LeakyReLU,
    MaxPool,
    Reduce,
    Unflatten,
)

from .interpreter import (
    Extent,
    Network,
    Run,
    StepTrace,
    Vector,
    Weights,
    filter_of,
    multiplier,
    schedules,
)

Tensor = torch.Tensor
UNIT, ERROR_UNIT = 2.0**-8, 2.0**-14
NOISE = 2.0**-40
"""Of float64 itself, relative to the sum of the absolute values of what is added."""


class Disagreement(AssertionError):
    """Torch and the integers differ by more than roundings explain."""


class _Straight(torch.autograd.Function):
    """The second value, with the gradient of the first."""

    @staticmethod
    def forward(ctx: Any, real: Tensor, integer: Tensor) -> Tensor:
        return integer.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None


class _Added(torch.autograd.Function):
    """The value; ``more`` is added to its gradient."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, more: Tensor) -> Tensor:
        ctx.save_for_backward(more)
        return value.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient + ctx.saved_tensors[0], None


def _tensor(extent: Extent, samples: list[Vector], unit: float) -> Tensor:
    """Integers of all samples as torch has them: ``(B, units)`` or ``(B, channels, y, x)``."""
    flat = torch.tensor(samples, dtype=torch.float64) * unit
    if not extent.height:
        return flat
    image = flat.reshape(len(samples), extent.height, extent.width, extent.units)
    return image.permute(0, 3, 1, 2).contiguous()


def _parameter(layer: Layer | Convolution, values: Vector, unit: float) -> Tensor:
    """A weight in torch's layout."""
    flat = torch.tensor(values, dtype=torch.float64) * unit
    if isinstance(layer, Layer):
        return flat.reshape(layer.inputs, layer.outputs).t().contiguous()
    taps = flat.reshape(*layer.kernel, layer.inputs, layer.outputs)
    return taps.permute(3, 2, 0, 1).contiguous()


def _flat(layer: Layer | Convolution, values: Tensor) -> Tensor:
    """The inverse: row-major in the internal layout."""
    axes = (1, 0) if isinstance(layer, Layer) else (2, 3, 1, 0)
    return values.permute(axes).reshape(-1)


_FUNCTIONS = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "gelu": functional.gelu,
}


@dataclass
class Difference:
    """How far torch and the integers are apart: ``worst`` is the largest difference in units of
    what roundings explain, ``share`` the largest bound of a gradient's norm in units of that
    norm, where the gradient is not all roundings."""

    worst: float = 0.0
    forward: float = 0.0
    share: float = 0.0


class _Step:
    """One step of the run: forward once with true values and once with absolute ones."""

    def __init__(
        self, circuit: Circuit, network: Network, trace: StepTrace, labels: Vector
    ) -> None:
        self.circuit = circuit
        self.network = network
        self.trace = trace
        self.labels = torch.tensor(labels)
        self.unit = 2.0**-circuit.fixed_point.weight_bits
        self.outputs = self._all([sample.outputs for sample in trace.passes])
        self.before = self._all([sample.before for sample in trace.passes])
        self.forward_worst = 0.0

    def _all(self, samples: list[list[Vector]]) -> list[Tensor]:
        extents = self.network.extents
        return [
            _tensor(extent, [sample[index] for sample in samples], UNIT)
            for index, extent in enumerate(extents)
        ]

    def _arrived(self, index: int) -> Tensor | None:
        """The integer errors at the output of a layer, ``None`` where none are sent."""
        samples = [sample.arrived[index] for sample in self.trace.passes]
        if not samples[0]:
            return None
        return _tensor(self.network.extents[index], samples, ERROR_UNIT)

    def parameters(self, *, absolute: bool) -> dict[str, Tensor]:
        """Leaves by name, of all layers; frozen ones need no gradient."""
        out = {}
        for layer in self.circuit.layers:
            if not isinstance(layer, (Layer, Convolution)):
                continue
            weight = _parameter(layer, self.trace.weights[layer.weight], self.unit)
            found = {layer.weight: weight}
            if layer.bias is not None:
                bias = torch.tensor(self.trace.weights[layer.bias], dtype=torch.float64)
                found[layer.bias] = bias * self.unit
            for name, value in found.items():
                leaf = value.abs() if absolute else value
                out[name] = leaf.requires_grad_(layer.name not in self.circuit.frozen)
        return out

    def gradients(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Real gradients of the mean loss, and bounds of their differences from the integers'."""
        leaves = self.parameters(absolute=False)
        logits = self._forward(leaves, absolute=False)
        loss = self._loss(logits)
        logits.retain_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        assert logits.grad is not None
        allowed = self._loss_bound(logits.detach())
        error = self._arrived(len(self.circuit.layers))
        assert error is not None
        real = logits.grad * len(self.labels)
        self._compare("the error of the loss", real - error, allowed)
        bounds = self.parameters(absolute=True)
        end = self._forward(bounds, absolute=True)
        if end.requires_grad:
            (end * allowed).sum().backward()  # type: ignore[no-untyped-call]
        batch = len(self.labels)
        return (
            {name: leaf.grad for name, leaf in leaves.items() if leaf.grad is not None},
            {name: leaf.grad / batch for name, leaf in bounds.items() if leaf.grad is not None},
        )

    def _compare(self, what: str, difference: Tensor, allowed: Tensor | float) -> None:
        limit = torch.as_tensor(allowed, dtype=torch.float64)
        worst = float((difference.abs() / limit).max().item())
        self.forward_worst = max(self.forward_worst, worst)
        if not worst <= 1:
            raise Disagreement(f"{what}: {worst:.3g} times as far apart as roundings explain")

    def _forward(self, leaves: dict[str, Tensor], *, absolute: bool) -> Tensor:
        values = [self.outputs[0]]
        for index, layer in enumerate(self.circuit.layers, 1):
            reads = self.network.reads[index]
            sources = [self._read(values[read], index, read, absolute=absolute) for read in reads]
            real, off = self._layer(index, sources, leaves, absolute=absolute)
            before = self.before[index]
            if absolute:
                value = _Straight.apply(real, before.abs())
            else:
                noise = NOISE * (1 + before.abs())
                self._compare(f"layer {layer.name}", real.detach() - before, off + noise)
                value = _Straight.apply(real, before)
            if getattr(layer, "relu", False):
                value = value * (before > 0) if absolute else torch.relu(value)
            values.append(value)
        return values[-1]

    def _read(self, value: Tensor, index: int, source: int, *, absolute: bool) -> Tensor:
        """What layer ``index`` reads; in the pass of bounds its roundings enter here."""
        error = self._arrived(index) if absolute else None
        if error is None:
            return value
        layer = self.circuit.layers[index - 1]
        half = torch.full_like(value, ERROR_UNIT / 2)
        match layer:
            case Layer() | Convolution():
                more = half
            case AveragePool():
                leaf = self.outputs[source].clone().requires_grad_()
                means = functional.avg_pool2d(leaf, layer.kernel, layer.stride)
                (sums,) = torch.autograd.grad(means, leaf, error.abs())
                taps = layer.kernel[0] * layer.kernel[1]
                more = half + abs(_factor(taps) - 1 / taps) * taps * sums
            case Reduce(mean=True):
                count = layer.channels * layer.height * layer.width
                whole = error.abs().expand_as(self.outputs[source])
                more = half + abs(_factor(count) - 1 / count) * whole
            case Activation():
                more = half + 2.0**-15 * error.abs()
            case LeakyReLU():
                more = half
            case _:
                return value
        return _Added.apply(value, more)  # type: ignore[no-any-return]

    def _layer(
        self, index: int, sources: list[Tensor], leaves: dict[str, Tensor], *, absolute: bool
    ) -> tuple[Tensor, Tensor | float]:
        """A layer before its ReLU, and how far its rounding may move it."""
        layer, value = self.circuit.layers[index - 1], sources[0]
        true = self.outputs[self.network.reads[index][0]]
        half = UNIT / 2
        match layer:
            case Layer() | Convolution():
                weight = leaves[layer.weight]
                bias = leaves[layer.bias] if layer.bias is not None else None
                if isinstance(layer, Layer):
                    return functional.linear(value, weight, bias), half
                return functional.conv2d(value, weight, bias, layer.stride, layer.padding), half
            case MaxPool():
                pooled, cells = functional.max_pool2d(
                    true, layer.kernel, layer.stride, return_indices=True
                )
                if not absolute:
                    return functional.max_pool2d(value, layer.kernel, layer.stride), 0.0
                won = value.flatten(2).gather(2, cells.flatten(2))
                return won.reshape(pooled.shape), 0.0
            case AveragePool():
                taps = layer.kernel[0] * layer.kernel[1]
                means = functional.avg_pool2d(true.abs(), layer.kernel, layer.stride)
                off = half + abs(_factor(taps) - 1 / taps) * taps * means
                return functional.avg_pool2d(value, layer.kernel, layer.stride), off
            case Reduce():
                sizes = (layer.channels, layer.height, layer.width)
                axes = [axis for axis, n in enumerate(sizes, 1) if n > 1]
                total = value.sum(dim=axes, keepdim=True) if axes else value
                if not layer.mean:
                    return total, 0.0
                count = math.prod(sizes)
                every = true.abs().sum(dim=axes, keepdim=True) if axes else true.abs()
                return total / count, half + abs(_factor(count) - 1 / count) * every
            case Activation():
                if not absolute:
                    return _FUNCTIONS[layer.function](value), half
                leaf = true.clone().requires_grad_()
                (slope,) = torch.autograd.grad(_FUNCTIONS[layer.function](leaf).sum(), leaf)
                return value * slope.abs(), 0.0
            case LeakyReLU():
                slope = layer.slope / 2**16
                if not absolute:
                    return functional.leaky_relu(value, slope), half
                return value * torch.where(true > 0, 1.0, slope), 0.0
            case Unflatten():
                shape = (layer.channels, layer.height, layer.width)
                return value.reshape(len(value), *shape), 0.0
            case Flatten():
                return value.flatten(1), 0.0
            case Add():
                return value + sources[1], 0.0
        raise TypeError(layer)

    def _loss(self, logits: Tensor) -> Tensor:
        if self.circuit.loss == "cross_entropy":
            return functional.cross_entropy(logits, self.labels)
        wanted = functional.one_hot(self.labels, logits.shape[1]).to(torch.float64)
        if self.circuit.loss == "mse":
            return functional.mse_loss(logits, wanted, reduction="sum") / (2 * len(logits))
        if self.circuit.loss == "l1":
            return functional.l1_loss(logits, wanted, reduction="sum") / len(logits)
        total = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="sum")
        return total / len(logits)

    def _loss_bound(self, logits: Tensor) -> Tensor:
        """How far the tables may move the error of the loss, cell by cell.

        Cross entropy: with ``S = 2^14 sum_j exp((z_j - c) / 2^8)`` a probability is ``p_j = T(c -
        z_j)`` within half a unit of ``S softmax_j``. Each ``T`` is within half a unit, so the two
        inequalities of ``c`` are ``S <= 2^14 + n / 2`` and ``S exp(2^-8) > 2^14 - n / 2``.
        """
        noise = NOISE
        if self.circuit.loss in ("mse", "l1"):
            return torch.full_like(logits, noise) * (1 + logits.abs())
        half = torch.full_like(logits, ERROR_UNIT / 2 + noise)
        if self.circuit.loss == "binary_cross_entropy":
            return half
        n, one = logits.shape[1], 2.0**14
        above = n / 2
        below = one - (one - n / 2) * math.exp(-UNIT)
        return half + torch.softmax(logits, dim=1) * max(above, below) * ERROR_UNIT


def _factor(taps: int) -> float:
    """What the integers take for ``1 / taps``."""
    return round(2**16 / taps) / 2**16


class _Walk:
    """``torch.optim.SGD`` along the run, and how far its weights may be from the integers'."""

    def __init__(self, circuit: Circuit, first: Weights) -> None:
        self.circuit = circuit
        self.unit = 2.0**-circuit.fixed_point.weight_bits
        frozen = {
            name
            for layer in circuit.layers
            if isinstance(layer, (Layer, Convolution)) and layer.name in circuit.frozen
            for name in (layer.weight, layer.bias)
        }
        self.parameters = {
            name: torch.nn.Parameter(
                torch.tensor(values, dtype=torch.float64) * self.unit,
                requires_grad=name not in frozen,
            )
            for name, values in first.items()
        }
        stated = filter_of(circuit)
        one = 2.0**40
        self.optimizer = torch.optim.SGD(
            [{"params": [parameter]} for parameter in self.parameters.values()],
            lr=1.0,
            momentum=0 if stated is None else stated.momentum / one,
            nesterov=stated is not None and stated.nesterov,
            weight_decay=0 if stated is None else stated.weight_decay / one,
        )
        self.bits = circuit.fixed_point.rate_bits + (0 if stated is None else 20)
        self.allowed = {name: torch.zeros(len(v)) for name, v in first.items()}
        self._before = self.allowed
        self._restart: dict[str, Tensor] = {}
        self._past: list[tuple[dict[str, Tensor], dict[str, Tensor]]] = []

    def step(
        self,
        t: int,
        trace: StepTrace,
        gradients: dict[str, Tensor],
        bounds: dict[str, Tensor],
        known: dict[str, tuple[int, Vector]] | None,
    ) -> None:
        batch = self.circuit.batch_size
        stated = filter_of(self.circuit)
        if stated is not None and t % stated.restart_steps == 0:
            self.optimizer.state.clear()
            self._before, self._past = self.allowed, []
            self._restart = {
                name: torch.tensor(w, dtype=torch.float64).abs() * self.unit
                for name, w in trace.weights.items()
            }
        for name, parameter in self.parameters.items():
            parameter.grad = gradients.get(name)
        unit = batch * 2.0**-self.bits
        rates = {name: multiplier(m, t) * unit for name, m in schedules(self.circuit).items()}
        for name, group in zip(self.parameters, self.optimizer.param_groups, strict=True):
            group["lr"] = rates.get(name, 0.0)  # of what is frozen
        self.optimizer.step()
        # summed over the batch, as the integers have them
        sums = {
            name: torch.tensor(g, dtype=torch.float64).abs() * 2.0**-22
            for name, g in trace.gradients.items()
        }
        whole = {name: bound * batch for name, bound in bounds.items()}
        self._past.append((sums, whole))
        allowed = {name: value.clone() for name, value in self.allowed.items()}
        for name in sums:
            noise = NOISE * (1 + self.parameters[name].detach().abs())
            if known is None or stated is None:
                allowed[name] += rates[name] * bounds[name] + noise
                continue
            allowed[name] = self._before[name] + self._filtered(name, *known[name]) + noise
        self.allowed = allowed

    def _filtered(self, name: str, start: int, rows: Vector) -> Tensor:
        """``D`` is rounded to half a unit of ``2^-12``, ``M`` to less than one. Their 40-bit
        recurrence is off by at most ``8 t`` units of ``2^-40`` of the filter's own scale: a floor
        in each of three products per step, those of the velocity summed up by ``1 / (1 - mu)`` and
        then scaled by a rate that is at most ``1 - mu``."""
        stated = filter_of(self.circuit)
        assert stated is not None
        off = 8 * len(rows) * 2.0**-40
        scale = max(m for _, m in schedules(self.circuit)[name]) / 2.0**20
        scale = max(1.0, 2 * scale / (1 - stated.momentum / 2.0**40))
        out = torch.zeros(len(self.allowed[name]), dtype=torch.float64)
        if stated.weight_decay:
            out += self._restart[name] * (2.0**-13 + off)
        for m, (sums, whole) in zip(rows, self._past, strict=True):
            out += (1 + scale * off) * 2.0**-12 * sums[name]
            out += (m + 1 + scale * off) * 2.0**-12 * whole[name]
        return out

    def compare(self, t: int, weights: Weights) -> float:
        """The largest difference in units of what is allowed. Raises ``Disagreement``."""
        worst = 0.0
        for name, parameter in self.parameters.items():
            integer = torch.tensor(weights[name], dtype=torch.float64) * self.unit
            difference = (parameter.detach() - integer).abs()
            allowed = self.allowed[name] + NOISE * (1 + integer.abs()) * parameter.requires_grad
            ratio = torch.where(difference == 0, 0.0, difference / allowed)
            found = float(ratio.max().item())
            worst = max(worst, found)
            if not found <= 1:
                raise Disagreement(
                    f"step {t}, parameter {name}: {found:.3g} times as far from torch's SGD as "
                    "roundings explain"
                )
        return worst


def agree(circuit: Circuit, run: Run, labels: Vector) -> Difference:
    """Compare a run of integers with torch, step by step. Raises ``Disagreement``."""
    network = Network.of(circuit.layers)
    walk, out = _Walk(circuit, run.boundaries[0]), Difference()
    layers = {
        name: layer
        for layer in circuit.layers
        if isinstance(layer, (Layer, Convolution))
        for name in (layer.weight,)
    }
    with torch.random.fork_rng(devices=[]):
        for t, trace in enumerate(run.steps[: len(run.boundaries) - 1]):
            step = _Step(circuit, network, trace, [labels[row] for row in trace.rows])
            real, bounds = (
                {name: _flat(layers[name], g) if name in layers else g for name, g in found.items()}
                for found in step.gradients()
            )
            if set(real) != set(trace.gradients):
                raise Disagreement(
                    f"step {t}: torch has gradients of {sorted(real)}, the integers of "
                    f"{sorted(trace.gradients)}"
                )
            for name, gradient in trace.gradients.items():
                integer = torch.tensor(gradient, dtype=torch.float64) * 2.0**-22
                mean = integer / circuit.batch_size
                allowed = bounds[name] + NOISE * (1 + mean.abs())
                step._compare(f"step {t}, gradient of {name}", real[name] - mean, allowed)
                size, bound = float(mean.norm()), float(bounds[name].norm())
                if size > 64 * ERROR_UNIT:
                    out.share = max(out.share, bound / size)
            out.forward = max(out.forward, step.forward_worst)
            walk.step(t, trace, real, bounds, run.filters[t] if run.filters else None)
            out.worst = max(out.worst, walk.compare(t, run.boundaries[t + 1]))
    return out
