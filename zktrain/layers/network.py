"""The network, the fixed-point format and the training rule that a circuit states."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FixedPoint:
    """Numbers of fractional bits of every integer quantity.

    Inputs and activations carry ``activation_bits``, errors (dLoss/dz, per sample, not
    averaged) ``error_bits``; ``learning_rate / batch_size = m * 2**-rate_bits``. Weights carry
    the sum of the three, so that the update ``W -= m * A^T E`` is exact.
    """

    activation_bits: int = 8
    error_bits: int = 14
    rate_bits: int = 10

    @property
    def weight_bits(self) -> int:
        return self.activation_bits + self.error_bits + self.rate_bits

    @property
    def shift(self) -> int:
        """Rescale shift, forward and backward: accumulators carry this many bits too many."""
        return self.weight_bits


@dataclass(frozen=True, slots=True)
class Layer:
    """One affine layer ``acc = A W (+ 2**activation_bits * b)``, followed by ReLU or not.

    ``weight`` and ``bias`` are the parameter names in the weight file. The file stores the
    weight as torch does, ``(outputs, inputs)``; inside zktrain it is ``(inputs, outputs)``.
    """

    name: str
    inputs: int
    outputs: int
    weight: str
    bias: str | None
    relu: bool


@dataclass(frozen=True, slots=True)
class Unflatten:
    """A record of ``channels * height * width`` values, in this order, becomes an image."""

    name: str
    channels: int
    height: int
    width: int


@dataclass(frozen=True, slots=True)
class Convolution:
    """``acc = A * W (+ 2**activation_bits * b)``, a cross-correlation as torch's ``Conv2d`` with
    one group, followed by ReLU or not. Pairs are (vertical, horizontal).

    The file stores the weight as torch does, ``(outputs, inputs, height, width)``; inside
    zktrain it is ``(height, width, inputs, outputs)``. ``source`` names the layer whose output it
    reads, ``None`` the layer before it.
    """

    name: str
    inputs: int
    outputs: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    weight: str
    bias: str | None
    relu: bool
    source: str | None = None


@dataclass(frozen=True, slots=True)
class MaxPool:
    """Maximum of every window, without padding; of equal values the first one in row-major
    order wins."""

    name: str
    kernel: tuple[int, int]
    stride: tuple[int, int]


@dataclass(frozen=True, slots=True)
class AveragePool:
    """Mean of every window, without padding."""

    name: str
    kernel: tuple[int, int]
    stride: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Flatten:
    """An image becomes a row of values: channels, then lines, then columns."""

    name: str


@dataclass(frozen=True, slots=True)
class Add:
    """The sum of the output of the layer before it and that of ``other``, followed by ReLU or
    not."""

    name: str
    other: str
    relu: bool


@dataclass(frozen=True, slots=True)
class Activation:
    """``function`` of every value: ``sigmoid``, ``tanh`` or ``gelu`` (see ``curves``). ReLU is no
    layer of its own."""

    name: str
    function: str


AnyLayer = Layer | Unflatten | Convolution | MaxPool | AveragePool | Flatten | Add | Activation


@dataclass(frozen=True, slots=True)
class Initialisation:
    """Where ``W_0`` comes from: ``kind`` is ``"seed"`` (value: the public text) or ``"file"``
    (value: hex digest of the integer weights, see ``circuit.weights.digest``)."""

    kind: str
    value: str
