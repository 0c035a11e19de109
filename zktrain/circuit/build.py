"""From a network and a loss to the operations of one training step, backward pass included."""

from __future__ import annotations

from .network import FixedPoint, Layer
from .operations import (
    Accumulate,
    Affine,
    AffineTransposed,
    Batch,
    Linear,
    Lookup,
    Operation,
    Product,
    StepGraph,
    Tensor,
)
from .sigmoid_table import SIGMOID_HALF

LIMB_BITS = 16
_INT16 = (-(1 << 15), (1 << 15) - 1)
_UINT16 = (0, (1 << 16) - 1)
EXP_SCALE_BITS = 14
EXP_DISTANCES = (1 << 16) - 1


class _Builder:
    def __init__(self, fixed_point: FixedPoint) -> None:
        self.fixed_point = fixed_point
        self.tensors: list[Tensor] = []
        self.operations: list[Operation] = []

    def virtual(self, name: str, width: int) -> str:
        self.tensors.append(Tensor(name, width))
        return name

    def committed(self, name: str, width: int, bounds: tuple[int, int]) -> str:
        self.tensors.append(Tensor(name, width, True, *bounds))
        return name

    def rescale(self, accumulator: str, quotient: str, width: int, *, signed_range: bool) -> str:
        """``accumulator + 2^{k-1} I = 2^k quotient + 2^16 high + low``, both limbs in 16 bits.

        The low limb is defined by the equation, so the range of it is the whole check.
        ``signed_range`` is false where another table already bounds the quotient.
        """
        shift = self.fixed_point.shift
        self.committed(quotient, width, _INT16)
        high = self.committed(f"{quotient}.high", width, _UINT16)
        low = self.virtual(f"{quotient}.low", width)
        self.operations.append(
            Linear(
                low,
                ((1, accumulator), (-(1 << shift), quotient), (-(1 << LIMB_BITS), high)),
                1 << (shift - 1),
            )
        )
        self.operations += [Lookup("range16", (high,)), Lookup("range16", (low,))]
        if signed_range:
            self.operations.append(Lookup("range16", (quotient,), 1 << 15))
        return quotient


def build_step(layers: tuple[Layer, ...], loss: str, fixed_point: FixedPoint) -> StepGraph:
    """Graph of one step of ``layers`` under ``loss`` (one of ``canonical.LOSSES``).

    Names: ``x``, ``y`` batch; per layer ``l`` (from 1) ``acc{l}``, ``z{l}``, ``s{l}``, ``a{l}``
    forward and ``e{l}`` = dLoss/dz{l}, ``bac{l}``, ``q{l}`` backward.
    """
    build = _Builder(fixed_point)
    bias_shift = fixed_point.activation_bits
    activation = build.virtual("x", layers[0].inputs)
    build.operations.append(Batch("inputs", "x"))
    build.virtual("y", layers[-1].outputs)
    build.operations.append(Batch("labels", "y"))

    activations = [activation]
    for index, layer in enumerate(layers, 1):
        width = layer.outputs
        accumulator = build.virtual(f"acc{index}", width)
        build.operations.append(
            Affine(accumulator, activation, layer.weight, layer.bias, bias_shift)
        )
        build.rescale(accumulator, f"z{index}", width, signed_range=_signed(layer, loss))
        if layer.relu:
            sign = build.committed(f"s{index}", width, (0, 1))
            build.operations.append(Lookup("relu", (f"z{index}", sign)))
            activation = build.virtual(f"a{index}", width)
            build.operations.append(Product(activation, sign, f"z{index}"))
            activations.append(activation)

    last = len(layers)
    if loss == "cross_entropy":
        error = _cross_entropy(build, f"z{last}", f"e{last}", layers[-1].outputs)
    elif loss == "binary_cross_entropy":
        error = _binary_cross_entropy(build, f"z{last}", f"e{last}", layers[-1].outputs)
    else:
        error = _squared_error(build, f"z{last}", f"e{last}", layers[-1].outputs)

    for index in range(last, 0, -1):
        layer = layers[index - 1]
        build.operations.append(
            Accumulate(layer.weight, layer.bias, activations[index - 1], error, bias_shift)
        )
        if index == 1:
            break
        width = layer.inputs
        accumulator = build.virtual(f"bac{index - 1}", width)
        build.operations.append(AffineTransposed(accumulator, error, layer.weight))
        build.rescale(accumulator, f"q{index - 1}", width, signed_range=True)
        error = build.virtual(f"e{index - 1}", width)
        build.operations.append(Product(error, f"s{index - 1}", f"q{index - 1}"))
    return StepGraph(tuple(build.tensors), tuple(build.operations))


def _cross_entropy(build: _Builder, logits: str, error: str, width: int) -> str:
    """``c`` is the smallest integer with ``sum_j T(c - z_j) <= 2^14``; ``E = T(c - z) - 2^14 Y``.

    Both slacks (sum at ``c`` not above, sum at ``c - 1`` above) are looked up as 16-bit values.
    """
    one = 1 << EXP_SCALE_BITS
    build.committed("c", 0, (-(1 << 15), (1 << 15) - 1 + EXP_DISTANCES))
    build.committed("p", width, (0, one))
    build.committed("p.before", width, (0, one + 64))
    build.virtual("d", width)
    build.virtual("slack.at", 0)
    build.virtual("slack.before", 0)
    build.virtual(error, width)
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


def _signed(layer: Layer, loss: str) -> bool:
    """Whether the range of a layer's output needs a lookup of its own."""
    return not layer.relu and loss != "binary_cross_entropy"


def _binary_cross_entropy(build: _Builder, logits: str, error: str, width: int) -> str:
    """``p = P(z) - 2^13`` from the table of the sigmoid; ``E = p + 2^13 I - 2^14 Y``.

    The table bounds the logits, and holds ``(0, 0)``, which padded cells are.
    """
    one = 1 << EXP_SCALE_BITS
    build.committed("p", width, (-SIGMOID_HALF, SIGMOID_HALF))
    build.virtual(error, width)
    build.operations += [
        Lookup("sigmoid", (logits, "p")),
        Linear(error, ((1, "p"), (-one, "y")), SIGMOID_HALF),
    ]
    return error


def _squared_error(build: _Builder, logits: str, error: str, width: int) -> str:
    """``E = z - y`` brought to the errors' scale."""
    up = build.fixed_point.error_bits - build.fixed_point.activation_bits
    build.virtual(error, width)
    build.operations.append(
        Linear(error, ((1 << up, logits), (-(1 << build.fixed_point.error_bits), "y")))
    )
    return error
