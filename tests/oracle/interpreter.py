"""Training in plain Python integers, as ``docs/protocol.md`` (3, 7.11) and ``docs/format.md`` (4)
describe it.

Nothing here is taken from the code that trains, builds graphs or computes filters: of ``zktrain``
only the records that state a network are read. Every value is an ``int``, every tensor a flat
list; an image is in the order lines, columns, channels, a parameter in row-major order of its
internal layout.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from functools import cache

from zktrain.circuit.circuit import Circuit
from zktrain.layers import (
    Activation,
    Add,
    AnyLayer,
    AveragePool,
    Convolution,
    Flatten,
    Layer,
    LeakyReLU,
    MaxPool,
    Reduce,
    Unflatten,
)
from zktrain.optimizers.filtered_sgd import FilteredSgd
from zktrain.optimizers.layer_rates import LayerRates
from zktrain.optimizers.schedule import Schedule

Vector = list[int]
Weights = dict[str, Vector]
Windows = list[list[tuple[int, int]]]
"""Per place of the output the pairs ``(tap, place of the input)`` that lie inside the image."""

F, ERROR_BITS = 8, 14
LOW, HIGH = -(1 << 15), (1 << 15) - 1
MOST_DISTANCE = (1 << 16) - 2
WEIGHT_LIMIT = 1 << 52


class OutOfRange(Exception):
    """A value that has no proof: the honest run ends before the update of ``step``."""

    def __init__(self, step: int, layer: str, what: str) -> None:
        super().__init__(f"step {step}, layer {layer}: {what}")
        self.step = step
        self.layer = layer


def rounded(value: int, bits: int) -> int:
    """``R_n(v) = floor((v + 2^(n-1)) / 2^n)``."""
    return (value + (1 << (bits - 1))) >> bits


# Tables, from their formulas


@cache
def exponential(d: int) -> int:
    """``T(d) = round(2^14 exp(-d / 2^8))``."""
    return round(math.exp(-d / 256) * (1 << 14))


@cache
def chance(z: int) -> int:
    """``P(z) = round(2^14 / (1 + exp(-z / 2^8)))``."""
    return round((1 << 14) / (1 + math.exp(-z / 256)))


def _sigmoid(x: float) -> tuple[float, float]:
    value = 1 / (1 + math.exp(-x))
    return value, value * (1 - value)


def _tanh(x: float) -> tuple[float, float]:
    value = math.tanh(x)
    return value, 1 - value * value


def _gelu(x: float) -> tuple[float, float]:
    below = math.erfc(-x / math.sqrt(2)) / 2
    return x * below, below + x * math.exp(-x * x / 2) / math.sqrt(2 * math.pi)


CURVES = {"sigmoid": _sigmoid, "tanh": _tanh, "gelu": _gelu}


@cache
def curve(function: str, z: int) -> tuple[int, int]:
    """Value with 8 and slope with 14 fractional bits."""
    value, slope = CURVES[function](z / 256)
    return round(value * (1 << F)), round(slope * (1 << 14))


def normaliser(logits: Vector) -> int:
    """The smallest ``c >= max z`` with ``sum_j T(c - z_j) <= 2^14``."""
    c = max(logits)
    while sum(exponential(c - z) for z in logits) > 1 << 14:
        c += 1
    return c


# What is public: order, first weights, the filter of momentum and decay


def _text(text: str) -> bytes:
    data = text.encode()
    return len(data).to_bytes(8, "little") + data


def batches(circuit: Circuit, records: int) -> list[Vector]:
    """Record numbers of the batch of every step."""
    batch = circuit.batch_size
    used = records // batch * batch if circuit.drop_last else records
    stream: Vector = []
    epoch = 0
    while len(stream) < circuit.steps * batch:
        seed = b"zktrain order v1" + _text(circuit.order_seed) + epoch.to_bytes(8, "little")
        keys = hashlib.shake_256(seed).digest(8 * records)
        numbers = [int.from_bytes(keys[8 * n : 8 * n + 8], "little") for n in range(records)]
        stream += sorted(range(records), key=lambda n: (numbers[n], n))[:used]
        epoch += 1
    return [stream[t * batch : (t + 1) * batch] for t in range(circuit.steps)]


def filter_of(circuit: Circuit) -> FilteredSgd | None:
    """What all layers have beside their rates; None for plain SGD."""
    stated = circuit.optimizer
    base = stated.base if isinstance(stated, LayerRates) else stated
    return base if isinstance(base, FilteredSgd) else None


def schedules(circuit: Circuit) -> dict[str, Schedule]:
    """``(first step, multiplier)`` of every parameter that is trained."""
    stated = circuit.optimizer
    own = dict(stated.own) if isinstance(stated, LayerRates) else {}
    return {
        name: own.get(layer.name, stated.multipliers)
        for layer in circuit.layers
        if isinstance(layer, (Layer, Convolution)) and layer.name not in circuit.frozen
        for name in (layer.weight, layer.bias)
        if name is not None
    }


def multiplier(schedule: Schedule, t: int) -> int:
    """``m_t``."""
    return [m for first, m in schedule if first <= t][-1]


def _taps(layer: Layer | Convolution) -> int:
    return layer.kernel[0] * layer.kernel[1] if isinstance(layer, Convolution) else 1


def seeded(circuit: Circuit) -> Weights:
    """The first weights of a circuit that starts from a seed."""
    stated = filter_of(circuit)
    decays = stated is not None and stated.weight_decay > 0
    out: Weights = {}
    for layer in circuit.layers:
        if not isinstance(layer, (Layer, Convolution)):
            continue
        inputs = _taps(layer) * layer.inputs
        bound = math.isqrt((1 << (64 if filter_of(circuit) is None else 68)) // inputs)
        sizes = [(layer.weight, inputs * layer.outputs)]
        sizes += [(layer.bias, layer.outputs)] if layer.bias is not None else []
        for name, count in sizes:
            seed = b"zktrain init v1" + _text(circuit.initialisation.value) + _text(name)
            stream = hashlib.shake_256(seed).digest(4 * count)
            u = [int.from_bytes(stream[4 * n : 4 * n + 4], "little") for n in range(count)]
            values = [((v * (2 * bound + 1)) >> 32) - bound for v in u]
            out[name] = [v >> 12 << 12 for v in values] if decays else values
    return out


@dataclass
class Filter:
    """``D[t]`` and ``M[t][tau]`` of the steps since a restart, by the recurrence of format.md;
    one call of ``step`` per step."""

    circuit: Circuit
    schedule: Schedule
    start: int = 1 << 12
    rows: Vector = field(default_factory=list)
    _pairs: list[tuple[int, int]] = field(default_factory=lambda: [(0, 1 << 40)])

    def step(self, multiplier: int) -> None:
        """Make ``start`` and ``rows`` those after one more step."""
        stated = filter_of(self.circuit)
        assert stated is not None
        one, mu, restart = 1 << 40, stated.momentum, stated.restart_steps
        most, s = max(m for _, m in self.schedule), 0
        while most << 20 > (one - mu) << s:
            s += 1
        kappa = (stated.weight_decay * self.circuit.batch_size << s) >> 12
        rate = multiplier << (20 - s)
        tau = len(self._pairs) - 1
        pairs = []
        for v, c in self._pairs:
            u = (c * kappa) >> 40
            v = ((v * mu) >> 40) - u
            move = ((v * mu) >> 40) - u if stated.nesterov else v
            pairs.append((v, c + ((move * rate) >> 40)))
        first = one + mu if stated.nesterov else one
        pairs.append((one, (first * rate) >> 40))
        self._pairs = pairs
        self.start = (pairs[0][1] + (1 << 27)) >> 28 if stated.weight_decay else 1 << 12
        bits = restart.bit_length() - 1
        self.rows = []
        for tau, (_, c) in enumerate(pairs[1:]):
            reverse = int(f"{tau:0{bits}b}"[::-1], 2) if bits else 0
            phi = (2 * reverse + 1) * one // (2 * restart)
            self.rows.append(((c << s) + phi) >> 40)


# The network


@dataclass(frozen=True)
class Extent:
    """``height`` and ``width`` are 0 of a row; ``units`` values at each place."""

    height: int
    width: int
    units: int

    @property
    def cells(self) -> int:
        return self.units * max(1, self.height * self.width)


def _places(size: int, kernel: int, stride: int, pad: int) -> int:
    return (size + 2 * pad - kernel) // stride + 1


def _seen(layer: Convolution | MaxPool | AveragePool, own: Extent) -> tuple[Extent, Windows]:
    """Extent of the output (units as the input's) and what each place reads."""
    pad = layer.padding if isinstance(layer, Convolution) else (0, 0)
    (kh, kw), (sh, sw) = layer.kernel, layer.stride
    height = _places(own.height, kh, sh, pad[0])
    width = _places(own.width, kw, sw, pad[1])
    windows: Windows = []
    for y in range(height):
        for x in range(width):
            inside = []
            for ky in range(kh):
                for kx in range(kw):
                    iy, ix = sh * y + ky - pad[0], sw * x + kx - pad[1]
                    if 0 <= iy < own.height and 0 <= ix < own.width:
                        inside.append((ky * kw + kx, iy * own.width + ix))
            windows.append(inside)
    return Extent(height, width, own.units), windows


@dataclass
class Network:
    """``reads`` are, per layer, those whose outputs it reads, 0 the input; ``windows`` what each of
    its places sees."""

    layers: tuple[AnyLayer, ...]
    reads: list[list[int]]
    extents: list[Extent]
    windows: list[Windows]

    @classmethod
    def of(cls, layers: tuple[AnyLayer, ...]) -> Network:
        first = layers[0]
        if isinstance(first, Unflatten):
            extents = [Extent(0, 0, first.channels * first.height * first.width)]
        else:
            assert isinstance(first, Layer)
            extents = [Extent(0, 0, first.inputs)]
        number = {layer.name: index for index, layer in enumerate(layers, 1)}
        reads: list[list[int]] = [[]]
        seen: list[Windows] = [[]]
        for index, layer in enumerate(layers, 1):
            sources = [index - 1]
            if isinstance(layer, Convolution) and layer.source is not None:
                sources = [number[layer.source]]
            if isinstance(layer, Add):
                sources = [index - 1, number[layer.other]]
            own = extents[sources[0]]
            windows: Windows = [[(0, 0)]]
            match layer:
                case Layer():
                    out = Extent(0, 0, layer.outputs)
                case Convolution():
                    out, windows = _seen(layer, own)
                    out = Extent(out.height, out.width, layer.outputs)
                case MaxPool() | AveragePool():
                    out, windows = _seen(layer, own)
                case Reduce():
                    units, height, width = (
                        size // n
                        for size, n in zip(
                            (own.units, own.height, own.width), summed(layer), strict=True
                        )
                    )
                    out = Extent(height, width, units)
                case Unflatten():
                    out = Extent(layer.height, layer.width, layer.channels)
                case Flatten():
                    out = Extent(0, 0, own.cells)
                case _:
                    out = own
            reads.append(sources)
            extents.append(out)
            seen.append(windows)
        return cls(layers, reads, extents, seen)

    def trained_from(self, frozen: tuple[str, ...]) -> list[bool]:
        """Whether something at or below each output is trained."""
        out = [False]
        for layer, reads in zip(self.layers, self.reads[1:], strict=True):
            own = isinstance(layer, (Layer, Convolution)) and layer.name not in frozen
            out.append(own or any(out[read] for read in reads))
        return out


def summed(layer: Reduce) -> tuple[int, int, int]:
    return layer.channels, layer.height, layer.width


def met(layer: Reduce, own: Extent) -> list[int]:
    """Per cell of the input, the cell of the output that it is added to."""
    c, h, w = summed(layer)
    units, width = own.units // c, own.width // w
    return [
        ((y // h) * width + x // w) * units + i // c
        for y in range(own.height)
        for x in range(own.width)
        for i in range(own.units)
    ]


def row_of_image(extent: Extent, image: Vector) -> Vector:
    """Channels, lines, columns from lines, columns, channels."""
    places = range(extent.height * extent.width)
    return [image[p * extent.units + c] for c in range(extent.units) for p in places]


def image_of_row(extent: Extent, row: Vector) -> Vector:
    places = extent.height * extent.width
    return [row[c * places + p] for p in range(places) for c in range(extent.units)]


@dataclass
class Pass:
    """One sample: of every layer ``before`` the ReLU and ``outputs`` after it; ``arrived`` are the
    errors ``E`` at the outputs, empty where none are sent."""

    outputs: list[Vector]
    before: list[Vector]
    arrived: list[Vector] = field(default_factory=list)
    winners: dict[int, Vector] = field(default_factory=dict)
    """Per maximum the input's cell that each output's cell is."""


@dataclass
class StepTrace:
    """A step: its batch, the weights before it, the summed gradients ``G`` in units of ``2^-22``
    (biases too), and per sample all values."""

    rows: Vector
    weights: Weights
    passes: list[Pass]
    gradients: Weights


@dataclass
class Run:
    """A run to its end, or to the step where a value left its range (``stopped``)."""

    steps: list[StepTrace]
    boundaries: list[Weights]
    """Weights before step ``0, 1, ..``; the last ones are the result unless the run stopped."""
    filters: list[dict[str, tuple[int, Vector]]]
    """Under momentum or decay ``D`` and ``M`` after each step, since its restart, by parameter."""
    stopped: OutOfRange | None = None


class Interpreter:
    """Runs a circuit on records, ``inputs`` of 0..255 and one label each."""

    def __init__(self, circuit: Circuit, inputs: list[Vector], labels: Vector) -> None:
        self.circuit = circuit
        self.inputs = inputs
        self.labels = labels
        self.network = Network.of(circuit.layers)
        self.trained = self.network.trained_from(circuit.frozen)
        self.shift = 32 if filter_of(circuit) is None else 34
        self._step = 0

    def run(self, first: Weights) -> Run:
        """All steps from the weights ``first``."""
        order = batches(self.circuit, len(self.inputs))
        weights = {name: list(values) for name, values in first.items()}
        out = Run([], [weights], [])
        stated = filter_of(self.circuit)
        rates = schedules(self.circuit)
        filters, restart, past = dict[Schedule, Filter](), weights, list[Weights]()
        for t in range(self.circuit.steps):
            self._step = t
            m = {name: multiplier(schedule, t) for name, schedule in rates.items()}
            try:
                step = self._one(order[t], weights)
            except OutOfRange as stopped:
                out.stopped = stopped
                return out
            if stated is None:
                moves = {
                    name: [w - m[name] * g for w, g in zip(weights[name], gradient, strict=True)]
                    for name, gradient in step.gradients.items()
                }
            else:
                if t % stated.restart_steps == 0:
                    filters = {rate: Filter(self.circuit, rate) for rate in rates.values()}
                    restart, past = weights, []
                past.append(step.gradients)
                for schedule, known in filters.items():
                    known.step(multiplier(schedule, t))
                own = {name: filters[schedule] for name, schedule in rates.items()}
                out.filters.append({name: (f.start, f.rows) for name, f in own.items()})
                moves = {
                    name: self._filtered(own[name], restart[name], [g[name] for g in past])
                    for name in step.gradients
                }
            out.steps.append(step)
            weights = {**weights, **moves}
            for name, values in moves.items():
                if max(map(abs, values)) >= WEIGHT_LIMIT:
                    out.stopped = OutOfRange(t, name, "a weight is not below 2^52")
                    return out
            out.boundaries.append(weights)
        return out

    def _filtered(self, known: Filter, start: Vector, gradients: list[Vector]) -> Vector:
        """``W_t = D (W_0 / 2^12) - sum_tau M G_tau``; without decay ``D = 2^12``."""
        out = []
        for cell, w in enumerate(start):
            first = w if known.start == 1 << 12 else known.start * (w >> 12)
            moved = sum(m * g[cell] for m, g in zip(known.rows, gradients, strict=True))
            out.append(first - moved)
        return out

    def _one(self, rows: Vector, weights: Weights) -> StepTrace:
        passes = [self._forward(self.inputs[row], weights) for row in rows]
        gradients = {
            name: [0] * len(weights[name])
            for layer in self.circuit.layers
            if isinstance(layer, (Layer, Convolution)) and layer.name not in self.circuit.frozen
            for name in (layer.weight, layer.bias)
            if name is not None
        }
        last = len(self.circuit.layers)
        for row, sample in zip(rows, passes, strict=True):
            sample.arrived = [[] for _ in range(last + 1)]
            sample.arrived[last] = self._loss(sample.outputs[last], self.labels[row])
            for index in range(last, 0, -1):
                if sample.arrived[index]:
                    self._backward(index, sample, weights, gradients)
        return StepTrace(rows, weights, passes, gradients)

    def _bounded(self, index: int, values: Vector, what: str) -> Vector:
        for value in values:
            if not LOW <= value <= HIGH:
                name = self.circuit.layers[index - 1].name
                raise OutOfRange(self._step, name, f"{what} {value} is not in 16 bits")
        return values

    # Forward

    def _forward(self, record: Vector, weights: Weights) -> Pass:
        sample = Pass([record], [record])
        for index in range(1, len(self.circuit.layers) + 1):
            before = self._layer(index, sample, weights)
            relu = getattr(self.circuit.layers[index - 1], "relu", False)
            sample.before.append(before)
            sample.outputs.append([z if z > 0 else 0 for z in before] if relu else before)
        return sample

    def _layer(self, index: int, sample: Pass, weights: Weights) -> Vector:
        layer, reads = self.circuit.layers[index - 1], self.network.reads[index]
        windows, own = self.network.windows[index], self.network.extents[reads[0]]
        a = sample.outputs[reads[0]]
        match layer:
            case Layer() | Convolution():
                w, inputs, outputs = weights[layer.weight], layer.inputs, layer.outputs
                bias = weights[layer.bias] if layer.bias is not None else [0] * outputs
                z = []
                for seen in windows:
                    accumulators = [b << F for b in bias]
                    for tap, place in seen:
                        for i in range(inputs):
                            value = a[place * inputs + i]
                            if value:
                                at = (tap * inputs + i) * outputs
                                for j in range(outputs):
                                    accumulators[j] += value * w[at + j]
                    z += [rounded(value, self.shift) for value in accumulators]
                return self._bounded(index, z, "the value")
            case MaxPool():
                return self._maximum(index, sample, a, own.units)
            case AveragePool():
                taps = layer.kernel[0] * layer.kernel[1]
                c = ((1 << 16) + taps // 2) // taps
                z = [
                    rounded(c * sum(a[place * own.units + i] for _, place in seen), 16)
                    for seen in windows
                    for i in range(own.units)
                ]
                return self._bounded(index, z, "the mean")
            case Reduce():
                z = [0] * self.network.extents[index].cells
                for value, cell in zip(a, met(layer, own), strict=True):
                    z[cell] += value
                if layer.mean:
                    count = layer.channels * layer.height * layer.width
                    z = [rounded(((1 << 16) + count // 2) // count * v, 16) for v in z]
                return self._bounded(index, z, "the sum")
            case Activation():
                return [curve(layer.function, value)[0] for value in a]
            case LeakyReLU():
                return [v if v > 0 else rounded(layer.slope * v, 16) for v in a]
            case Unflatten():
                return image_of_row(self.network.extents[index], a)
            case Flatten():
                return row_of_image(own, a)
            case Add():
                z = [v + u for v, u in zip(a, sample.outputs[reads[1]], strict=True)]
                return self._bounded(index, z, "the sum")
        raise TypeError(layer)

    def _maximum(self, index: int, sample: Pass, a: Vector, units: int) -> Vector:
        sample.winners[index] = winners = []
        for seen in self.network.windows[index]:
            for i in range(units):
                cells = [place * units + i for _, place in seen]
                values = [a[cell] for cell in cells]
                won = values.index(max(values))
                for k, value in enumerate(values):
                    if values[won] - value - (k < won) > MOST_DISTANCE:
                        name = self.circuit.layers[index - 1].name
                        raise OutOfRange(self._step, name, "values of a window are too far apart")
                winners.append(cells[won])
        return [a[cell] for cell in winners]

    def _loss(self, logits: Vector, label: int) -> Vector:
        """The error of the last layer."""
        y = [(j == label) << ERROR_BITS for j in range(len(logits))]
        if self.circuit.loss == "mse":
            chances = [z << (ERROR_BITS - F) for z in logits]
        elif self.circuit.loss == "l1":
            apart = [z - ((j == label) << F) for j, z in enumerate(logits)]
            if max(map(abs, apart)) > HIGH:
                name = self.circuit.layers[-1].name
                raise OutOfRange(self._step, name, "an error is not in 16 bits")
            return [((d > 0) - (d < 0)) << ERROR_BITS for d in apart]
        elif self.circuit.loss == "binary_cross_entropy":
            chances = [chance(z) for z in logits]
        else:
            c = normaliser(logits)
            if c - min(logits) > MOST_DISTANCE:
                name = self.circuit.layers[-1].name
                raise OutOfRange(self._step, name, "logits are too far apart")
            chances = [exponential(c - z) for z in logits]
        return [p - target for p, target in zip(chances, y, strict=True)]

    # Backward

    def _backward(self, index: int, sample: Pass, weights: Weights, gradients: Weights) -> None:
        layer, reads = self.circuit.layers[index - 1], self.network.reads[index]
        e = sample.arrived[index]
        if getattr(layer, "relu", False):
            e = [v if z > 0 else 0 for v, z in zip(e, sample.before[index], strict=True)]
        if isinstance(layer, (Layer, Convolution)) and layer.name not in self.circuit.frozen:
            self._gradient(index, layer, sample, e, gradients)
        for source in reads:
            if self.trained[source]:
                sent = self._sent(index, sample, e, weights)
                had = sample.arrived[source] or [0] * len(sent)
                sample.arrived[source] = [v + u for v, u in zip(had, sent, strict=True)]

    def _gradient(
        self, index: int, layer: Layer | Convolution, sample: Pass, e: Vector, gradients: Weights
    ) -> None:
        a, inputs, outputs = (
            sample.outputs[self.network.reads[index][0]],
            layer.inputs,
            layer.outputs,
        )
        total = gradients[layer.weight]
        for p, seen in enumerate(self.network.windows[index]):
            errors = e[p * outputs : (p + 1) * outputs]
            if not any(errors):
                continue
            for tap, place in seen:
                for i in range(inputs):
                    value = a[place * inputs + i]
                    if value:
                        at = (tap * inputs + i) * outputs
                        for j in range(outputs):
                            total[at + j] += value * errors[j]
            if layer.bias is not None:
                for j in range(outputs):
                    gradients[layer.bias][j] += errors[j] << F

    def _sent(self, index: int, sample: Pass, e: Vector, weights: Weights) -> Vector:
        """What layer ``index`` sends back to one of those that it reads."""
        layer, source = self.circuit.layers[index - 1], self.network.reads[index][0]
        own, extent = self.network.extents[source], self.network.extents[index]
        windows, back = self.network.windows[index], [0] * own.cells
        match layer:
            case Layer() | Convolution():
                w, inputs, outputs = weights[layer.weight], layer.inputs, layer.outputs
                for p, seen in enumerate(windows):
                    errors = e[p * outputs : (p + 1) * outputs]
                    if not any(errors):
                        continue
                    for tap, place in seen:
                        for i in range(inputs):
                            at = (tap * inputs + i) * outputs
                            back[place * inputs + i] += sum(
                                errors[j] * w[at + j] for j in range(outputs)
                            )
                back = [rounded(value, self.shift) for value in back]
            case MaxPool():
                for cell, error in zip(sample.winners[index], e, strict=True):
                    back[cell] += error
                return back
            case AveragePool():
                taps = layer.kernel[0] * layer.kernel[1]
                c = ((1 << 16) + taps // 2) // taps
                for p, seen in enumerate(windows):
                    for _, place in seen:
                        for i in range(own.units):
                            back[place * own.units + i] += e[p * own.units + i]
                back = [rounded(c * value, 16) for value in back]
            case Reduce():
                back = [e[cell] for cell in met(layer, own)]
                if not layer.mean:
                    return back
                count = layer.channels * layer.height * layer.width
                back = [rounded(((1 << 16) + count // 2) // count * v, 16) for v in back]
            case Activation():
                slopes = [curve(layer.function, z)[1] for z in sample.outputs[source]]
                back = [rounded(s * v, 14) for s, v in zip(slopes, e, strict=True)]
            case LeakyReLU():
                pairs = zip(sample.outputs[source], e, strict=True)
                back = [v if z > 0 else rounded(layer.slope * v, 16) for z, v in pairs]
            case Unflatten():
                return row_of_image(extent, e)
            case Flatten():
                return image_of_row(own, e)
            case Add():
                return e
        return self._bounded(index, back, "the error")
