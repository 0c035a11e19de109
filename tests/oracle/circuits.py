"""Random circuits, drawn from everything that ``canonical`` admits, with records and first weights.

Layers are drawn one after the other from all that can follow; what ``canonical.violation`` refuses
is drawn again. ``FEATURES`` names what a case can have, ``impossible`` the pairs that no case can
have, and ``Coverage`` counts the pairs that did occur.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from random import Random

import numpy as np

from zktrain.circuit import canonical
from zktrain.circuit.circuit import Circuit
from zktrain.circuit.initialisation import Initialisation
from zktrain.circuit.weights import digest
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
from zktrain.operations.fixed_point import FixedPoint
from zktrain.optimizers import Optimizer
from zktrain.optimizers.filtered_sgd import FilteredSgd
from zktrain.optimizers.layer_rates import LayerRates
from zktrain.optimizers.schedule import Schedule
from zktrain.optimizers.sgd import Sgd

from .interpreter import Extent, Network, Vector, Weights, filter_of, seeded

MOST_CELLS, MOST_LAYERS, LONG = 60, 16, 16
CURVES = ("sigmoid", "tanh", "gelu")
LOSSES = ("cross_entropy", "mse", "binary_cross_entropy", "l1")
ONE = 1 << 40


@dataclass(frozen=True)
class Case:
    """A circuit with its records (``inputs`` of 0..255), first weights, and how it is proved.

    ``key`` draws it again: ``circuits.draw(key)``.
    """

    key: str
    circuit: Circuit
    inputs: list[Vector]
    labels: Vector
    first: Weights
    hiding: bool
    checkpoints: tuple[int, ...] = ()
    """Steps after which weights are published too."""

    @property
    def restarts(self) -> int:
        """How often velocities begin anew."""
        found = filter_of(self.circuit)
        return 1 if found is None else -(-self.circuit.steps // found.restart_steps)

    def arrays(self) -> dict[str, np.ndarray]:
        """The first weights as ``zktrain`` has them."""
        shapes = self.circuit.parameter_shapes()
        return {
            name: np.array(self.first[name], dtype=np.int64).reshape(shape)
            for name, shape in shapes.items()
        }


class _Dead(Exception):
    """Nothing fits any more."""


class _Network:
    """Layers under construction; ``extents`` are those of the input and of every layer's output."""

    def __init__(self, random: Random, wishes: frozenset[str]) -> None:
        self.random = random
        self.wishes = wishes
        self.layers: list[AnyLayer] = []
        self.extents: list[Extent] = []
        self.styles = random.choice(("{kind}{n}", "{n}", "m.{n}.{kind}", "{kind} {n}/~"))

    def wants(self, wish: str, chance: float) -> bool:
        return wish in self.wishes or self.random.random() < chance

    @property
    def now(self) -> Extent:
        return self.extents[-1]

    def name(self, kind: str) -> str:
        return self.styles.format(kind=kind, n=len(self.layers) + 1)

    def add(self, layer: AnyLayer, extent: Extent) -> None:
        most = canonical.MAX_LAYERS if "many layers" in self.wishes else MOST_LAYERS
        if extent.cells > MOST_CELLS or len(self.layers) >= most:
            raise _Dead
        self.layers.append(layer)
        self.extents.append(extent)

    def bias(self, name: str) -> str | None:
        return None if self.wants("no bias", 0.2) else f"{name}.bias"

    def dense(self, outputs: int | None = None) -> None:
        random, own = self.random, self.now
        outputs = outputs or random.choice((1, 2, 3, 4, 5, 6, 7, 8, 9))
        name = self.name("fc")
        curved = random.random() < 0.3
        self.add(
            Layer(name, own.units, outputs, f"{name}.weight", self.bias(name), not curved),
            Extent(0, 0, outputs),
        )
        if curved:
            self.activation()

    def activation(self) -> None:
        wished = [c for c in (*CURVES, "leaky ReLU") if c in self.wishes]
        function = self.random.choice(wished or (*CURVES, "leaky ReLU"))
        if function == "leaky ReLU":
            slope = self.random.choice((1, 655, 6554, 1 << 15, (1 << 16) - 1))
            self.add(LeakyReLU(self.name("leaky"), slope), self.now)
            return
        self.add(Activation(self.name(function), function), self.now)

    def unflatten(self) -> None:
        cells, options = self.now.cells, []
        for channels in range(1, 4):
            for height in range(1, 8):
                if cells % (channels * height) == 0 and cells // (channels * height) <= 8:
                    options.append((channels, height, cells // (channels * height)))
        if not options:
            raise _Dead
        # images of more than a line, where there are any
        wide = [option for option in options if min(option[1:]) > 1]
        channels, height, width = self.random.choice(wide or options)
        layer = Unflatten(self.name("image"), channels, height, width)
        self.add(layer, Extent(height, width, channels))

    def _window(self, own: Extent, *, padded: bool) -> tuple[tuple[int, int], ...]:
        random, out = self.random, []
        square = random.random() < 0.5
        for size in (own.height, own.width):
            pad = 0
            kernel = random.randint(1, min(random.choice((3, 3, 3, 7)), size))
            if padded and self.wants("padding", 0.3):
                kernel = random.randint(2, 3)
                pad = random.randint(1, kernel - 1)
            stride = random.choice((1, 1, 1, 2, 3))
            if not 1 <= kernel <= size + 2 * pad:
                raise _Dead
            out.append((kernel, stride, pad))
        if square and own.height == own.width:
            out[1] = out[0]
        return tuple(zip(*out, strict=True))  # type: ignore[return-value]

    @staticmethod
    def _seen(own: Extent, window: tuple[tuple[int, int], ...], units: int) -> Extent:
        sizes = [
            (size + 2 * pad - kernel) // stride + 1
            for size, kernel, stride, pad in zip((own.height, own.width), *window, strict=True)
        ]
        if min(sizes) < 1:
            raise _Dead
        return Extent(sizes[0], sizes[1], units)

    def convolution(
        self,
        *,
        source: int | None = None,
        window: tuple[tuple[int, int], ...] | None = None,
        outputs: int | None = None,
        relu: bool | None = None,
    ) -> None:
        random = self.random
        own = self.now if source is None else self.extents[source]
        window = window or self._window(own, padded=True)
        outputs = outputs or random.randint(1, 3)
        name = self.name("conv")
        reads = None if source is None else self.layers[source - 1].name
        relu = random.random() < 0.6 if relu is None else relu
        kernel, stride, pad = window
        layer = Convolution(
            name, own.units, outputs, kernel, stride, pad, f"{name}.weight", self.bias(name),
            relu, reads,
        )  # fmt: skip
        self.add(layer, self._seen(own, window, outputs))

    def pool(self, kind: type[MaxPool] | type[AveragePool]) -> None:
        own = self.now
        word = "maximum" if kind is MaxPool else "mean"
        kernel, stride, _ = self._window(own, padded=False)
        if f"overlapping {word}" in self.wishes:
            kernel = tuple(max(k, min(2, s)) for k, s in zip(kernel, (own.height, own.width),
                                                              strict=True))  # fmt: skip
            stride = (1, 1)
        if f"{word} with gaps" in self.wishes:
            stride = tuple(k + 1 for k in kernel)
        layer = kind(self.name(word), kernel, stride)
        self.add(layer, self._seen(own, (kernel, stride, (0, 0)), own.units))

    def reduce(self) -> None:
        random, own = self.random, self.now
        sizes = (own.units, own.height, own.width)
        chosen = [n if random.random() < 0.5 else 1 for n in sizes]
        mean = random.random() < 0.5
        if "mean over axes" in self.wishes:
            mean = True
        elif "sum over axes" in self.wishes:
            mean = False
        if max(chosen) == 1 < max(sizes):
            at = sizes.index(max(sizes))
            chosen[at] = sizes[at]
        units, height, width = (size // n for size, n in zip(sizes, chosen, strict=True))
        self.add(Reduce(self.name("reduce"), *chosen, mean), Extent(height, width, units))

    def flatten(self) -> None:
        self.add(Flatten(self.name("flat")), Extent(0, 0, self.now.cells))

    def sum(self, other: int) -> None:
        relu = self.random.random() < 0.5
        if "sum with ReLU" in self.wishes:
            relu = True
        elif "sum without ReLU" in self.wishes:
            relu = False
        self.add(Add(self.name("sum"), self.layers[other - 1].name, relu), self.now)

    def any_sum(self) -> None:
        """The sum with any output of the same extent, the one before it included."""
        others = [index for index in range(1, len(self.extents)) if self.extents[index] == self.now]
        if not others:
            raise _Dead
        self.sum(self.random.choice(others))

    def keeping(self, depth: int) -> None:
        """A layer or more that keep the extent."""
        random, own = self.random, self.now
        if depth and random.random() < (0.9 if "nested sums" in self.wishes else 0.25):
            self.block(depth - 1)
            return
        if own.height:
            kind = random.choice(("conv", "conv", "curve", "conv1", "pool"))
            if kind == "curve":
                self.activation()
            elif kind == "pool":
                word = random.choice((MaxPool, AveragePool))
                self.add(word(self.name("pool"), (1, 1), (1, 1)), own)
            else:
                size = 3 if kind == "conv" else 1
                window = ((size, size), (1, 1), (size // 2, size // 2))
                self.convolution(window=window, outputs=own.units)
            return
        if own.units >= 2 and self.wants("sum around an Unflatten", 0.4):
            self.unflatten()
            image = self.now
            if random.random() < 0.7:
                self.keeping(depth)
            if self.now != image:
                raise _Dead
            self.flatten()
        elif random.random() < 0.3:
            self.activation()
        else:
            self.dense(own.units)

    def block(self, depth: int = 1) -> None:
        """Layers with a sum around them, sometimes with a convolution on the way."""
        random, start = self.random, len(self.layers)
        if not start:
            raise _Dead
        own = self.extents[start]
        if own.height and self.wants("convolution of an earlier layer", 0.3):
            window = self._window(own, padded=True)
            outputs = random.randint(1, 3)
            self.convolution(window=window, outputs=outputs)
            if random.random() < 0.5:
                self.keeping(depth)
            other = len(self.layers)
            self.convolution(source=start, window=window, outputs=outputs)
            self.sum(other)
            return
        for _ in range(random.randint(1, 2)):
            self.keeping(depth)
        self.sum(start)

    def one_more(self) -> None:
        random = self.random
        moves: list[Callable[[], None]] = [self.activation, self.any_sum, self.block]
        if self.now.height:
            moves += [
                self.convolution,
                self.convolution,
                lambda: self.pool(MaxPool),
                lambda: self.pool(AveragePool),
                self.reduce,
                self.flatten,
            ]
        else:
            moves += [self.dense, self.dense, self.unflatten]
        random.choice(moves)()

    def wished(self, wish: str) -> None:
        """One of the layers that a wish asks for, where it fits now."""
        image, row = bool(self.now.height), not self.now.height
        made: dict[str, tuple[bool, Callable[[], None]]] = {
            "dense with ReLU": (row, self.dense),
            "sigmoid": (True, self.activation),
            "tanh": (True, self.activation),
            "gelu": (True, self.activation),
            "leaky ReLU": (True, self.activation),
            "convolution": (image, self.convolution),
            "convolution without ReLU": (image, lambda: self.convolution(relu=False)),
            "stride": (image, self.convolution),
            "oblong kernel": (image, self.convolution),
            "padding": (image, self.convolution),
            "convolution of an earlier layer": (image, self.block),
            "maximum": (image, lambda: self.pool(MaxPool)),
            "overlapping maximum": (image, lambda: self.pool(MaxPool)),
            "maximum with gaps": (image, lambda: self.pool(MaxPool)),
            "mean": (image, lambda: self.pool(AveragePool)),
            "overlapping mean": (image, lambda: self.pool(AveragePool)),
            "mean with gaps": (image, lambda: self.pool(AveragePool)),
            "sum over axes": (image, self.reduce),
            "mean over axes": (image, self.reduce),
            "sum with ReLU": (True, self.block),
            "sum without ReLU": (True, self.block),
            "nested sums": (True, self.block),
            "sum with itself": (True, lambda: self.sum(len(self.layers))),
            "sum around an Unflatten": (row, self.block),
            "Unflatten inside": (row, self.unflatten),
        }
        if wish not in made:
            return
        fits, move = made[wish]
        trained = any(isinstance(layer, (Layer, Convolution)) for layer in self.layers)
        if not trained and "conv" not in wish and "dense" not in wish:
            (self.convolution if image else self.dense)()
        if not fits:
            (self.flatten if image else self.unflatten)()
        move()


def _layers(random: Random, wishes: frozenset[str]) -> tuple[AnyLayer, ...]:
    net = _Network(random, wishes)
    if "dense network" in wishes or (not wishes and random.random() < 0.08):
        net.extents.append(Extent(0, 0, random.randint(1, 12)))
        for _ in range(random.randint(0, 3)):
            outputs = random.randint(1, 9)
            name = net.name("fc")
            net.add(
                Layer(name, net.now.units, outputs, f"{name}.weight", net.bias(name), True),
                Extent(0, 0, outputs),
            )
    elif "image input" in wishes or ("row input" not in wishes and random.random() < 0.6):
        most = 7 if random.random() < 0.5 else 4
        height, width = random.randint(2, most), random.randint(2, most)
        if "odd image" in wishes:
            height |= 1
        channels = random.randint(1, 2)
        net.extents.append(Extent(0, 0, channels * height * width))
        net.add(
            Unflatten(net.name("image"), channels, height, width), Extent(height, width, channels)
        )
    else:
        net.extents.append(Extent(0, 0, random.randint(1, 16)))
        net.dense(random.choice((4, 6, 8, 9, 12)))
    if "dense network" not in wishes:
        asked = sorted(wishes)
        random.shuffle(asked)
        for wish in asked:
            net.wished(wish)
        more = random.choice((0, 0, 1, 1, 2, 3)) if wishes else random.randint(0, 6)
        for _ in range(random.randint(12, 30) if "many layers" in wishes else more):
            net.one_more()
    if net.now.height:
        net.flatten()
    classes = 1 if net.wants("one output", 0.08) else random.choice((2, 3, 4, 5, 11))
    name = net.name("head")
    last = Layer(name, net.now.units, classes, f"{name}.weight", net.bias(name), False)
    net.add(last, Extent(0, 0, classes))
    return tuple(net.layers)


def _momentum(random: Random, wishes: frozenset[str]) -> FilteredSgd | None:
    filtered = {
        "momentum",
        "Nesterov",
        "weight decay",
        "several restarts",
        "short last stretch",
    } & wishes
    if "plain SGD" in wishes or (not filtered and random.random() < 0.5):
        return None
    mu = round(random.choice((0.3, 0.5, 0.75, 0.9, 0.95, random.random() * 0.98)) * ONE)
    decay = random.choice((0, 0, 1e-4, 5e-3, 0.02, 0.1))
    if "weight decay" in wishes:
        decay = random.choice((1e-3, 0.02, 0.1, 0.4))
        if "momentum" not in wishes and "Nesterov" not in wishes and random.random() < 0.3:
            mu = 0
    if wishes & {"several restarts", "short last stretch"}:
        decay = 0
    nesterov = bool(mu) and ("Nesterov" in wishes or random.random() < 0.4)
    return FilteredSgd((), mu, nesterov, round(decay * ONE), random.choice((1, 2, 4, 8)))


def _circuit(random: Random, wishes: frozenset[str]) -> Circuit:
    layers = _layers(random, wishes)
    wished = [loss for loss in LOSSES if loss in wishes]
    loss = random.choice(wished or LOSSES)
    momentum = _momentum(random, wishes)
    batch = random.choice((1, 2, 2, 3, 3, 4, 5, random.choice((7, 12, 17))))
    if "batch of one" in wishes:
        batch = 1
    steps = random.randint(1, 6)
    restart = random.choice((1, 2, 2, 4, 4, 8, 8))
    if "several restarts" in wishes or "short last stretch" in wishes:
        restart = random.choice((1, 2, 2, 4)) if "short last stretch" not in wishes else 4
        steps = restart + random.randint(1, 3)
    elif random.random() < 0.6:
        restart = 1 << (steps - 1).bit_length()
    dense = all(isinstance(layer, Layer) for layer in layers)
    long = "long run" in wishes or random.random() < (0.3 if dense else 0.03)
    if long:  # longer than the windows of steps in which dense networks are trained
        batch = min(batch, 4)
        steps = random.randint(LONG + 1, 40)
        restart = random.choice((8, 16, 32, 64))
        if "several restarts" in wishes or "short last stretch" in wishes:
            restart = random.choice((8, 16))
            steps += steps % restart == 0 and "short last stretch" in wishes
    if momentum is not None:
        if momentum.weight_decay:
            restart = 1 << (steps - 1).bit_length() << random.randint(0, 1)
        momentum = replace(momentum, restart_steps=restart)
    entries = random.randint(2, 3) if "schedule" in wishes else random.choice((1, 1, 2, 3))
    if "schedule" in wishes:
        steps = max(steps, 2) if restart > 1 or momentum is None else steps
    firsts = sorted(random.sample(range(1, steps), min(entries, steps) - 1)) if steps > 1 else []
    sizes = (0.01, 0.05) if long else (0.01, 0.05, 0.1, 0.3, random.choice((0.1, 1.0)))
    rates = [random.choice(sizes) for _ in range(1 + len(firsts))]
    bits = 10 if momentum is None else 32
    share = 1.0 if momentum is None else 1 - momentum.momentum / ONE

    def multipliers() -> Schedule:
        return tuple(
            (first, max(1, round(rate * share / batch * (1 << bits))))
            for first, rate in zip((0, *firsts), rates, strict=True)
        )

    schedule = multipliers()
    frozen: tuple[str, ...] = ()
    trained = [layer.name for layer in layers if isinstance(layer, (Layer, Convolution))]
    if "frozen" in wishes or "frozen first layers" in wishes or random.random() < 0.2:
        frozen = tuple(name for name in trained if random.random() < 0.5)
        if "frozen first layers" in wishes:
            frozen = tuple(trained[: random.randint(1, max(1, len(trained) - 1))])
    optimizer: Optimizer = Sgd(schedule)
    if momentum is not None:
        optimizer = replace(momentum, multipliers=schedule)
    moving = [name for name in trained if name not in frozen]
    apart = Random(f"{schedule} {steps} {batch} {moving}")  # so that no other draw depends on it
    if moving and ("rates of single layers" in wishes or apart.random() < 0.2):
        own = []
        for name in sorted(apart.sample(moving, apart.randint(1, len(moving))), key=moving.index):
            if apart.random() < 0.5:
                firsts = [apart.randrange(1, steps)] if steps > 1 else []
            rates = [apart.choice(sizes) for _ in range(1 + len(firsts))]
            own.append((name, multipliers()))
        optimizer = LayerRates(optimizer, tuple(own))
    start = Initialisation("seed", random.choice(("s", "a longer seed, with äöü", "0")))
    if "weights from a file" in wishes or random.random() < 0.25:
        start = Initialisation("file", "00" * 32)
    return Circuit(
        layers,
        loss,
        FixedPoint() if momentum is None else FilteredSgd.FORMAT,
        batch,
        steps,
        optimizer,
        random.choice(("order", "o", "Reihenfolge № 1")),
        start,
        "last batch dropped" in wishes or random.random() < 0.25,
        frozen,
    )


def _given(random: Random, circuit: Circuit) -> Weights:
    """First weights of a file: as large as seeded ones or larger, some rows 0 or alike."""
    out: Weights = {}
    shift = circuit.fixed_point.weight_bits
    stated = filter_of(circuit)
    decays = stated is not None and stated.weight_decay > 0
    trained = circuit.trained_shapes()  # only these decay, and begin with multiples
    alike = random.random() < 0.3  # so that maxima meet equal values of different cells
    for name, shape in circuit.parameter_shapes().items():
        count = int(np.prod(shape))
        fan_in = count // shape[-1]
        style = random.choice(("random", "random", "coarse", "zeros"))
        style = "coarse" if alike else style
        bound = (1 << shift) * random.choice((0.5, 1, 1.5)) / max(fan_in, 1) ** 0.5
        values = [round(random.uniform(-bound, bound)) for _ in range(count)]
        if style == "coarse":
            values = [random.choice((-1, 0, 1)) * round(bound / 2) for _ in range(count)]
        if style == "zeros":
            values = [value if random.random() < 0.6 else 0 for value in values]
        out[name] = (
            [value >> 12 << 12 for value in values] if decays and name in trained else values
        )
    return out


def _data(random: Random, circuit: Circuit, wishes: frozenset[str]) -> tuple[list[Vector], Vector]:
    batch = circuit.batch_size
    count = random.choice((1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13))
    if "batch larger than the dataset" in wishes:
        count = max(1, batch - random.randint(1, 2))
    if circuit.drop_last:
        count = max(count, batch)
        if count % batch == 0 and batch > 1:
            count += random.randint(1, batch - 1)
    style = random.choice(("bytes", "bytes", "levels", "flat"))
    if "equal inputs" in wishes:
        style = random.choice(("levels", "flat"))
    inputs = []
    for _ in range(count):
        if style == "bytes":
            row = [random.randint(0, 255) for _ in range(circuit.features)]
        elif style == "levels":
            row = [random.choice((0, 127, 255)) for _ in range(circuit.features)]
        else:
            row = [random.choice((0, 100, 255))] * circuit.features
        inputs.append(row)
    return inputs, [random.randrange(circuit.classes) for _ in range(count)]


def draw(key: str) -> Case:
    """The case of ``key``: ``SEED``, or ``SEED|wish|wish`` for one that has these features if it
    can."""
    seed, *wishes = key.split("|")
    random = Random(f"{seed}|{'|'.join(wishes)}")
    asked = frozenset(wishes)
    while True:
        try:
            circuit = _circuit(random, asked)
        except _Dead:
            continue
        if canonical.violation(circuit) is not None:
            continue
        if circuit.initialisation.kind == "file":
            first = _given(random, circuit)
        else:
            first = seeded(circuit)
        inputs, labels = _data(random, circuit, asked)
        case = Case(key, circuit, inputs, labels, first, random.random() < 0.5)
        if circuit.initialisation.kind == "file":
            start = Initialisation("file", digest(case.arrays()))
            case = replace(case, circuit=replace(circuit, initialisation=start))
        if "clear" in asked or "hiding" in asked:
            case = replace(case, hiding="hiding" in asked)
        return replace(case, checkpoints=_checkpoints(random, case.circuit.steps))


def _checkpoints(random: Random, steps: int) -> tuple[int, ...]:
    """None, some or all of the steps before the last."""
    share = random.choice((0.0, 0.4, 1.0))
    return tuple(step for step in range(1, steps) if random.random() < share)


# Features


def _some(kind: type | tuple[type, ...], test: Callable[[AnyLayer], bool] = lambda _: True):  # type: ignore[no-untyped-def]
    def found(case: Case) -> bool:
        return any(isinstance(layer, kind) and test(layer) for layer in case.circuit.layers)

    return found


def _passed(kind: type, test: Callable[[AnyLayer], bool] = lambda _: True):  # type: ignore[no-untyped-def]
    """A layer of a kind that errors go back through, since something below is trained."""

    def found(case: Case) -> bool:
        network = Network.of(case.circuit.layers)
        trained = network.trained_from(case.circuit.frozen)
        return any(
            isinstance(layer, kind) and test(layer) and any(trained[read] for read in reads)
            for layer, reads in zip(case.circuit.layers, network.reads[1:], strict=True)
        )

    return found


def _below(case: Case) -> list[set[int]]:
    """Per layer the outputs that it follows from, itself included."""
    reads = Network.of(case.circuit.layers).reads
    out: list[set[int]] = [{0}]
    for index in range(1, len(reads)):
        out.append({index}.union(*(out[read] for read in reads[index])))
    return out


def _sums(case: Case) -> Iterator[tuple[int, set[int]]]:
    """Every sum, with what is on its longer way and not below the output that it takes again."""
    below, reads = _below(case), Network.of(case.circuit.layers).reads
    for index, layer in enumerate(case.circuit.layers, 1):
        if isinstance(layer, Add):
            first, second = (below[read] for read in reads[index])
            yield index, first.symmetric_difference(second)


def _around(kind: type) -> Callable[[Case], bool]:
    def found(case: Case) -> bool:
        layers = case.circuit.layers
        return any(
            any(isinstance(layers[k - 1], kind) for k in inside) for _, inside in _sums(case)
        )

    return found


def _frozen_first(case: Case) -> bool:
    """Something is read that no error reaches, beyond the input."""
    trained = Network.of(case.circuit.layers).trained_from(case.circuit.frozen)
    kinds = (Layer, Convolution)
    pairs = zip(case.circuit.layers, trained[1:], strict=True)
    return any(isinstance(layer, kinds) and not known for layer, known in pairs)


def _windows_meet(layer: AnyLayer) -> bool:
    assert isinstance(layer, (MaxPool, AveragePool))
    return any(s < k for s, k in zip(layer.stride, layer.kernel, strict=True))


def _windows_miss(layer: AnyLayer) -> bool:
    assert isinstance(layer, (MaxPool, AveragePool))
    return any(s > k for s, k in zip(layer.stride, layer.kernel, strict=True))


def _filtered(test: Callable[[FilteredSgd], bool]) -> Callable[[Case], bool]:
    def holds(case: Case) -> bool:
        stated = filter_of(case.circuit)
        return stated is not None and test(stated)

    return holds


def _images(case: Case) -> list[Extent]:
    return [extent for extent in Network.of(case.circuit.layers).extents if extent.height]


FEATURES: dict[str, Callable[[Case], bool]] = {
    "dense network": lambda c: c.circuit.is_dense,
    "dense with ReLU": _some(Layer, lambda layer: layer.relu),
    "image input": lambda c: isinstance(c.circuit.layers[0], Unflatten),
    "Unflatten inside": _passed(Unflatten),
    "odd image": lambda c: any(
        e.height * e.width % 2 and e.height * e.width > 1 for e in _images(c)
    ),
    "convolution": _some(Convolution),
    "convolution without ReLU": _some(Convolution, lambda layer: not layer.relu),
    "stride": _some(Convolution, lambda layer: max(layer.stride) > 1),
    "oblong kernel": _some(Convolution, lambda layer: layer.kernel[0] != layer.kernel[1]),
    "padding": _some(Convolution, lambda layer: max(layer.padding) > 0),
    "convolution of an earlier layer": _some(Convolution, lambda layer: layer.source is not None),
    "maximum": _passed(MaxPool),
    "overlapping maximum": _passed(MaxPool, _windows_meet),
    "maximum with gaps": _passed(MaxPool, _windows_miss),
    "mean": _passed(AveragePool),
    "overlapping mean": _passed(AveragePool, _windows_meet),
    "mean with gaps": _passed(AveragePool, _windows_miss),
    "sum over axes": _passed(Reduce, lambda layer: not layer.mean),
    "mean over axes": _passed(Reduce, lambda layer: layer.mean),
    "sigmoid": _passed(Activation, lambda layer: layer.function == "sigmoid"),
    "tanh": _passed(Activation, lambda layer: layer.function == "tanh"),
    "gelu": _passed(Activation, lambda layer: layer.function == "gelu"),
    "leaky ReLU": _passed(LeakyReLU),
    "sum with ReLU": _passed(Add, lambda layer: layer.relu),
    "sum without ReLU": _passed(Add, lambda layer: not layer.relu),
    "sum with itself": lambda c: any(not inside for _, inside in _sums(c)),
    "nested sums": _around(Add),
    "sum around an Unflatten": _around(Unflatten),
    "many layers": lambda c: len(c.circuit.layers) > MOST_LAYERS,
    "no bias": _some((Layer, Convolution), lambda layer: layer.bias is None),
    "one output": lambda c: c.circuit.classes == 1,
    "cross_entropy": lambda c: c.circuit.loss == "cross_entropy",
    "mse": lambda c: c.circuit.loss == "mse",
    "binary_cross_entropy": lambda c: c.circuit.loss == "binary_cross_entropy",
    "l1": lambda c: c.circuit.loss == "l1",
    "plain SGD": lambda c: filter_of(c.circuit) is None,
    "momentum": _filtered(lambda m: m.momentum > 0),
    "Nesterov": _filtered(lambda m: m.nesterov),
    "weight decay": _filtered(lambda m: m.weight_decay > 0),
    "several restarts": lambda c: c.restarts > 1,
    "schedule": lambda c: len(c.circuit.optimizer.multipliers) > 1,
    "rates of single layers": lambda c: bool(c.circuit.optimizer.own),
    "frozen": lambda c: bool(c.circuit.frozen),
    "frozen first layers": _frozen_first,
    "long run": lambda c: c.circuit.steps > LONG,
    "short last stretch": lambda c: (
        c.restarts > 1 and c.circuit.steps % (filter_of(c.circuit) or c).restart_steps > 0  # type: ignore[union-attr]
    ),
    "last batch dropped": lambda c: (
        c.circuit.drop_last and len(c.inputs) % c.circuit.batch_size > 0
    ),
    "batch larger than the dataset": lambda c: c.circuit.batch_size > len(c.inputs),
    "batch of one": lambda c: c.circuit.batch_size == 1,
    "weights from a file": lambda c: c.circuit.initialisation.kind == "file",
    "equal inputs": lambda c: any(row.count(row[0]) * 4 > len(row) > 3 for row in c.inputs),
    "hiding": lambda c: c.hiding,
    "clear": lambda c: not c.hiding,
}

_ALONE = [
    {"cross_entropy", "mse", "binary_cross_entropy", "l1"},
    {"hiding", "clear"},
    {"plain SGD", "momentum"},
    {"plain SGD", "Nesterov"},
    {"plain SGD", "weight decay"},
    {"plain SGD", "several restarts"},
    {"plain SGD", "short last stretch"},
    {"weight decay", "short last stretch"},
    {"weight decay", "several restarts"},
    {"batch of one", "batch larger than the dataset"},
    {"batch of one", "last batch dropped"},
    {"batch larger than the dataset", "last batch dropped"},
    {"cross_entropy", "one output"},
]
"""At most one of each set is in a case. Decay makes a run one stretch; a batch of one drops
nothing and is larger than no dataset; a softmax over one class is refused."""

_NOT_DENSE = {
    "image input", "Unflatten inside", "odd image", "convolution", "convolution without ReLU",
    "stride", "oblong kernel", "padding", "convolution of an earlier layer", "maximum",
    "overlapping maximum", "maximum with gaps", "mean", "overlapping mean", "mean with gaps",
    "sum over axes", "mean over axes", "sigmoid", "tanh", "gelu", "leaky ReLU", "sum with ReLU",
    "sum without ReLU", "sum with itself",
    "nested sums", "sum around an Unflatten", "many layers",
}  # fmt: skip

Pair = tuple[str, str]


def impossible(pair: Pair) -> bool:
    """Whether no case has both features."""
    both = set(pair)
    return any(both <= group for group in _ALONE) or (
        "dense network" in both and bool(both & _NOT_DENSE)
    )


PAIRS: list[Pair] = [pair for pair in combinations(FEATURES, 2) if not impossible(pair)]


def features(case: Case) -> list[str]:
    return [name for name, has in FEATURES.items() if has(case)]


class Coverage:
    """How often each feature and each pair of features occurred."""

    def __init__(self) -> None:
        self.pairs: Counter[Pair] = Counter()
        self.features: Counter[str] = Counter()

    def add(self, found: list[str]) -> None:
        self.features.update(found)
        self.pairs.update(combinations(found, 2))

    @property
    def missing(self) -> list[Pair]:
        return [pair for pair in PAIRS if not self.pairs[pair]]

    def new(self, found: list[str]) -> int:
        """How many pairs would occur for the first time."""
        return sum(not self.pairs[pair] for pair in combinations(found, 2))

    def table(self) -> str:
        """A line per feature: its number, how often it occurred, and with each of those before
        it: ``.`` cannot be, ``-`` did not, ``+`` more than nine times."""
        names = list(FEATURES)
        lines = []
        for i, name in enumerate(names):
            row = ""
            for other in names[:i]:
                count = self.pairs[other, name]
                mark = "+" if count > 9 else str(count) if count else "-"
                row += "." if impossible((other, name)) else mark
            lines.append(f"{i + 1:2} {name:32} {self.features[name]:5}  {row}")
        covered = len(PAIRS) - len(self.missing)
        lines.append(f"{covered} of {len(PAIRS)} pairs")
        return "\n".join(lines)


def draws(seed: str, count: int) -> Iterator[Case]:
    """``count`` cases: each the one of three random ones, or one made for a missing pair, that
    has the most new pairs; once all have occurred, random ones and wished-for ones in turn."""
    seen, random = Coverage(), Random(seed)
    for number in range(count):
        keys = [f"{seed}:{number}:{k}" for k in range(3)]
        missing = seen.missing
        if missing or number % 2:
            for k in range(3 if len(missing) > 100 else 8):
                pair = random.choice(missing or PAIRS)
                keys.append(f"{seed}:{number}:{k}|" + "|".join(pair))
        if not missing:
            keys = keys[-1:]
        cases = [draw(key) for key in keys]
        case = max(cases, key=lambda c: seen.new(features(c)))
        seen.add(features(case))
        yield case
