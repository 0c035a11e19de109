"""From a network and a loss to the operations of one training step, backward pass included."""

from __future__ import annotations

from typing import assert_never

from ..arguments.tensors import Tensor
from ..layers.geometry import Extent, Geometry, geometry, window
from ..layers.network import (
    Activation,
    Add,
    AnyLayer,
    AveragePool,
    Convolution,
    FixedPoint,
    Flatten,
    Layer,
    MaxPool,
    Unflatten,
)
from ..operations import (
    Accumulate,
    Affine,
    AffineTransposed,
    Batch,
    Fixed,
    Linear,
    Lookup,
    Product,
    UnitMap,
    Vanish,
)
from ..operations.base import Operation, StepGraph
from ..operations.maps import Before, Map, Reorder, Window
from ..tables.curves import SLOPE_BITS, curve
from ..tables.sigmoid_table import SIGMOID_HALF

LIMB_BITS = 16
_INT16 = (-(1 << 15), (1 << 15) - 1)
_UINT16 = (0, (1 << 16) - 1)
EXP_SCALE_BITS = 14
EXP_DISTANCES = (1 << 16) - 1


AVERAGE_BITS = 16
"""A mean is a sum times ``round(2^16 / taps)``, divided by ``2^16``."""


class _Builder:
    def __init__(self, fixed_point: FixedPoint) -> None:
        self.fixed_point = fixed_point
        self.tensors: list[Tensor] = []
        self.operations: list[Operation] = []

    def virtual(self, name: str, extent: Extent, taps: tuple[int, ...] = ()) -> str:
        self.tensors.append(Tensor(name, extent.width, grid=extent.grid, taps=taps))
        return name

    def graph(self) -> StepGraph:
        """``ValueError`` if two tensors have one name."""
        names = [tensor.name for tensor in self.tensors]
        if len(set(names)) != len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"two tensors of the step are called {twice!r}")
        return StepGraph(tuple(self.tensors), tuple(self.operations))

    def committed(
        self, name: str, extent: Extent, bounds: tuple[int, int], taps: tuple[int, ...] = ()
    ) -> str:
        self.tensors.append(Tensor(name, extent.width, True, *bounds, extent.grid, taps))
        return name

    def mapped(
        self, name: str, extent: Extent, source: str, map_: Map, taps: tuple[int, ...] = ()
    ) -> str:
        self.virtual(name, extent, taps)
        self.operations.append(UnitMap(name, source, map_))
        return name

    def rescale(
        self, accumulator: str, quotient: str, extent: Extent, *, signed_range: bool
    ) -> str:
        """``accumulator + 2^{k-1} I = 2^k quotient + 2^16 high + low``, both limbs in 16 bits.

        With ``k = 34`` it is ``2^34 quotient + 2^18 high + 2^16 middle + low``, two bits in the
        middle. The low limb is defined by the equation, so the range of it is the whole check.
        ``signed_range`` is false where another table already bounds the quotient.
        """
        shift = self.fixed_point.shift
        self.committed(quotient, extent, _INT16)
        limbs: tuple[str, ...] = (self.committed(f"{quotient}.high", extent, _UINT16),)
        terms: tuple[tuple[int, str], ...] = ((-(1 << (shift - LIMB_BITS)), limbs[0]),)
        if shift > 2 * LIMB_BITS:
            rest = shift - 2 * LIMB_BITS
            middle = self.committed(f"{quotient}.middle", extent, (0, (1 << rest) - 1))
            limbs += (middle,)
            terms += ((-(1 << LIMB_BITS), middle),)
        low = self.virtual(f"{quotient}.low", extent)
        self.operations.append(
            Linear(low, ((1, accumulator), (-(1 << shift), quotient), *terms), 1 << (shift - 1))
        )
        self.operations += [
            Lookup("range16" if len(limbs) == 1 else "range18", limbs),
            Lookup("range16", (low,)),
        ]
        if signed_range:
            self.operations.append(Lookup("range16", (quotient,), 1 << 15))
        return quotient

    def mean(self, sums: str, quotient: str, extent: Extent, factor: int) -> str:
        """``factor sums + 2^15 I = 2^16 quotient + low``."""
        self.committed(quotient, extent, _INT16)
        low = self.virtual(f"{quotient}.low", extent)
        self.operations += [
            Linear(
                low, ((factor, sums), (-(1 << AVERAGE_BITS), quotient)), 1 << (AVERAGE_BITS - 1)
            ),
            Lookup("range16", (low,)),
            Lookup("range16", (quotient,), 1 << 15),
        ]
        return quotient

    def activation(self, index: int, z: str, extent: Extent, *, relu: bool) -> str:
        """The output of layer ``index`` from the value in front of its activation."""
        if not relu:
            return z
        sign = self.committed(f"s{index}", extent, (0, 1))
        self.operations.append(Lookup("relu", (z, sign)))
        output = self.virtual(f"a{index}", extent)
        self.operations.append(Product(output, sign, z))
        return output


def mean_factor(layer: AveragePool) -> int:
    """``round(2^16 / taps)``."""
    taps = layer.kernel[0] * layer.kernel[1]
    return ((1 << AVERAGE_BITS) + taps // 2) // taps


def forward(
    layers: tuple[AnyLayer, ...], fixed_point: FixedPoint, *, bounded: bool = False
) -> tuple[_Builder, Geometry, list[str]]:
    """A graph that ends in the logits, and the output of every layer, ``x`` first. ``bounded``: a
    table of the loss bounds the logits.

    Names: ``x``, ``y`` batch; per layer ``l`` (from 1) ``acc{l}``, ``z{l}``, ``s{l}``, ``a{l}``.
    Of images, ``u{l}`` are the windows of the input of layer ``l``.
    """
    build, plan = _Builder(fixed_point), geometry(layers)
    build.virtual("x", plan.extents[0])
    build.operations.append(Batch("inputs", "x"))
    build.virtual("y", plan.extents[-1])
    build.operations.append(Batch("labels", "y"))
    return build, plan, _forward(build, layers, plan, bounded)


def build_step(
    layers: tuple[AnyLayer, ...],
    loss: str,
    fixed_point: FixedPoint,
    frozen: tuple[str, ...] = (),
) -> StepGraph:
    """Graph of one step of ``layers`` under ``loss`` (one of ``canonical.LOSSES``); the layers
    named in ``frozen`` keep their parameters.

    Names: those of ``forward``, and ``e{l}`` = dLoss/dz{l}, ``bac{l}``, ``q{l}`` backward, the last
    two towards layer ``l``; of images, ``v{l}`` are the windows of the errors of layer ``l``.
    """
    build, plan, values = forward(layers, fixed_point, bounded=loss == "binary_cross_entropy")
    last, classes = len(layers), plan.extents[-1]
    error = _LOSSES[loss](build, values[last], f"e{last}", classes)
    _backward(build, layers, plan, values, error, frozen)
    return build.graph()


def _forward(
    build: _Builder, layers: tuple[AnyLayer, ...], plan: Geometry, bounded: bool
) -> list[str]:
    """The output of every layer, ``x`` first."""
    values = ["x"]
    bias_shift = build.fixed_point.activation_bits
    for index, layer in enumerate(layers, 1):
        extent, sources = plan.extents[index], plan.sources[index]
        source, own = values[sources[0]], plan.extents[sources[0]]
        match layer:
            case Layer() | Convolution():
                if isinstance(layer, Convolution):
                    seen = Extent(extent.grid, own.width)
                    windows = window(layer, own)
                    source = build.mapped(f"u{index}", seen, source, windows, layer.kernel)
                accumulator = build.virtual(f"acc{index}", extent)
                build.operations.append(
                    Affine(accumulator, source, layer.weight, layer.bias, bias_shift)
                )
                elsewhere = layer.relu or (bounded and index == len(layers))
                z = build.rescale(accumulator, f"z{index}", extent, signed_range=not elsewhere)
                value = build.activation(index, z, extent, relu=layer.relu)
            case Unflatten() | Flatten():
                value = build.mapped(f"a{index}", extent, source, Reorder())
            case MaxPool():
                value = _maximum(build, index, layer, source, own, extent)
            case Activation():
                value = _curved(build, index, layer, source, extent)
            case AveragePool():
                sums = build.mapped(f"acc{index}", extent, source, window(layer, own))
                value = build.mean(sums, f"z{index}", extent, mean_factor(layer))
            case Add():
                z = build.virtual(f"z{index}", extent)
                build.operations.append(Linear(z, ((1, source), (1, values[sources[1]]))))
                if not layer.relu:
                    build.operations.append(Lookup("range16", (z,), 1 << 15))
                value = build.activation(index, z, extent, relu=layer.relu)
            case _:
                assert_never(layer)
        values.append(value)
    return values


def _curved(build: _Builder, index: int, layer: Activation, source: str, extent: Extent) -> str:
    """``a = f + f(0) I`` and ``slope = df + f'(0) I``, where ``(z, f, df)`` is a row of the
    table."""
    known = curve(layer.function)
    columns = (known.values, known.slopes)
    names = [
        build.committed(f"{letter}{index}", extent, (int(column.min()), int(column.max())))
        for letter, column in zip(("f", "df"), columns, strict=True)
    ]
    build.operations.append(Lookup(f"curve.{layer.function}", (source, *names)))
    value = build.virtual(f"a{index}", extent)
    slope = build.virtual(f"slope{index}", extent)
    build.operations += [
        Linear(value, ((1, names[0]),), known.value_at_0),
        Linear(slope, ((1, names[1]),), known.slope_at_0),
    ]
    return value


def _maximum(
    build: _Builder, index: int, layer: MaxPool, source: str, own: Extent, extent: Extent
) -> str:
    """``a = sum_k h_k w_k`` over the taps, ``h`` one-hot, and ``d_k = a - w_k - before_k``, where
    ``before_k = 1 - sum_{j <= k} h_j``, is 0 where ``h_k = 1`` and in 16 bits elsewhere.

    So the tap with ``h = 1`` holds the maximum, and every tap before it less than that.
    """
    taps = layer.kernel
    seen = build.mapped(f"w{index}", extent, source, window(layer, own), taps)
    wins = build.committed(f"h{index}", extent, (0, 1), taps)
    before = build.mapped(f"h{index}.before", extent, wins, Before(), taps)
    won = build.virtual(f"hw{index}", extent, taps)
    build.operations.append(Product(won, wins, seen))
    value = build.virtual(f"a{index}", extent)
    build.operations.append(Linear(value, ((1, won),)))
    distance = build.virtual(f"d{index}", extent, taps)
    build.operations += [
        Linear(distance, ((1, value), (-1, seen), (1, wins), (1, before)), -1),
        Lookup("winner", (distance, wins)),
    ]
    rest = build.virtual(f"h{index}.rest", extent)
    build.operations += [Linear(rest, ((1, wins),), -1), Vanish(rest)]
    return value


def _backward(
    build: _Builder,
    layers: tuple[AnyLayer, ...],
    plan: Geometry,
    values: list[str],
    error: str,
    frozen: tuple[str, ...],
) -> None:
    """Errors from the last layer to the first one that is trained, and the updates.

    Every kind of layer has a rule here; a kind without one is an error of types, and of the first
    circuit that has it. Errors go back to every source below which something is trained.
    """
    trained_below = [False]
    for layer, reads in zip(layers, plan.sources[1:], strict=True):
        trained = isinstance(layer, (Layer, Convolution)) and layer.name not in frozen
        trained_below.append(trained or any(trained_below[read] for read in reads))
    arriving: dict[int, list[str]] = {index: [] for index in range(len(layers) + 1)}
    arriving[len(layers)] = [error]

    for index in range(len(layers), 0, -1):
        layer, sources = layers[index - 1], plan.sources[index]
        if not trained_below[index]:
            if isinstance(layer, (Layer, Convolution)):
                build.operations.append(Fixed(layer.weight, layer.bias))
            continue
        if not arriving[index]:
            raise ValueError(f"no error arrives at layer {layer.name!r}, which is trained or above")
        error = _arrived(build, index, layer, plan.extents[index], arriving[index])
        if isinstance(layer, (Layer, Convolution)):
            _update(build, index, layer, values[sources[0]], error, frozen)
        for source in sources:
            if trained_below[source]:
                arriving[source].append(_passed(build, index, layer, plan, source, error))


def _arrived(
    build: _Builder, index: int, layer: AnyLayer, extent: Extent, errors: list[str]
) -> str:
    """The error of a layer's output in front of its ReLU: the sum over all that read it."""
    error = errors[0]
    if len(errors) > 1:
        error = build.virtual(f"g{index}", extent)
        build.operations.append(Linear(error, tuple((1, name) for name in errors)))
    if getattr(layer, "relu", False):
        incoming, error = error, build.virtual(f"e{index}", extent)
        build.operations.append(Product(error, f"s{index}", incoming))
    return error


def _update(
    build: _Builder,
    index: int,
    layer: Layer | Convolution,
    source: str,
    error: str,
    frozen: tuple[str, ...],
) -> None:
    """``Accumulate`` of a trained layer, ``Fixed`` of a frozen one."""
    if layer.name in frozen:
        build.operations.append(Fixed(layer.weight, layer.bias))
        return
    seen = f"u{index}" if isinstance(layer, Convolution) else source
    shift = build.fixed_point.activation_bits
    build.operations.append(Accumulate(layer.weight, layer.bias, seen, error, shift))


def _passed(
    build: _Builder, index: int, layer: AnyLayer, plan: Geometry, source: int, error: str
) -> str:
    """The error of a source of the layer, from that of its output."""
    extent, own = plan.extents[index], plan.extents[source]
    several = len(plan.consumers[source]) > 1
    below = f"{source}.{index}" if several else f"{source}"
    match layer:
        case Layer() | Convolution():
            if isinstance(layer, Convolution):
                arrives = Extent(own.grid, layer.outputs)
                back = _back(window(layer, own))
                error = build.mapped(f"v{index}", arrives, error, back, layer.kernel)
            accumulator = build.virtual(f"bac{below}", own)
            build.operations.append(AffineTransposed(accumulator, error, layer.weight))
            return build.rescale(accumulator, f"q{below}", own, signed_range=True)
        case MaxPool():
            spread = build.virtual(f"up{index}", extent, layer.kernel)
            build.operations.append(Linear(spread, ((1, error),)))
            won = build.virtual(f"he{index}", extent, layer.kernel)
            build.operations.append(Product(won, f"h{index}", spread))
            return build.mapped(f"g{below}", own, won, _back(window(layer, own)))
        case Activation():
            steep = build.virtual(f"steep{index}", extent)
            build.operations.append(Product(steep, f"slope{index}", error))
            return build.mean(steep, f"q{below}", own, 1 << (AVERAGE_BITS - SLOPE_BITS))
        case AveragePool():
            sums = build.mapped(f"bac{below}", own, error, _back(window(layer, own)))
            return build.mean(sums, f"q{below}", own, mean_factor(layer))
        case Flatten() | Unflatten():
            return build.mapped(f"g{below}", own, error, Reorder())
        case Add():
            return error
        case _:
            assert_never(layer)


def _back(map_: Window) -> Window:
    return Window(map_.vertical, map_.horizontal, True)


def _cross_entropy(build: _Builder, logits: str, error: str, classes: Extent) -> str:
    """``c`` is the smallest integer with ``sum_j T(c - z_j) <= 2^14``; ``E = T(c - z) - 2^14 Y``.

    Both slacks (sum at ``c`` not above, sum at ``c - 1`` above) are looked up as 16-bit values.
    """
    one = 1 << EXP_SCALE_BITS
    sample = Extent((), 0)
    build.committed("c", sample, (-(1 << 15), (1 << 15) - 1 + EXP_DISTANCES))
    build.committed("p", classes, (0, one))
    build.committed("p.before", classes, (0, one + 64))
    build.virtual("d", classes)
    build.virtual("slack.at", sample)
    build.virtual("slack.before", sample)
    build.virtual(error, classes)
    build.operations += [
        Linear("d", ((1, "c"), (-1, logits))),
        Lookup("exp", ("d", "p", "p.before")),
        Linear("slack.at", ((-1, "p"),), one),
        Linear("slack.before", ((1, "p.before"),), -(one + 1)),
        Lookup("range16", ("slack.at",)),
        Lookup("range16", ("slack.before",)),
        Linear(error, ((1, "p"), (-one, "y"))),
    ]
    return error


def _binary_cross_entropy(build: _Builder, logits: str, error: str, classes: Extent) -> str:
    """``p = P(z) - 2^13`` from the table of the sigmoid; ``E = p + 2^13 I - 2^14 Y``.

    The table bounds the logits, and holds ``(0, 0)``, which padded cells are.
    """
    one = 1 << EXP_SCALE_BITS
    build.committed("p", classes, (-SIGMOID_HALF, SIGMOID_HALF))
    build.virtual(error, classes)
    build.operations += [
        Lookup("sigmoid", (logits, "p")),
        Linear(error, ((1, "p"), (-one, "y")), SIGMOID_HALF),
    ]
    return error


def _squared_error(build: _Builder, logits: str, error: str, classes: Extent) -> str:
    """``E = z - y`` brought to the errors' scale."""
    up = build.fixed_point.error_bits - build.fixed_point.activation_bits
    build.virtual(error, classes)
    build.operations.append(
        Linear(error, ((1 << up, logits), (-(1 << build.fixed_point.error_bits), "y")))
    )
    return error


_LOSSES = {
    "cross_entropy": _cross_entropy,
    "binary_cross_entropy": _binary_cross_entropy,
    "mse": _squared_error,
}
