"""Small networks over images, their weights, and what they compute, place by place."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from zktrain.layers import (
    Add,
    AnyLayer,
    AveragePool,
    Convolution,
    Flatten,
    Layer,
    MaxPool,
    Unflatten,
)


def convolution(
    name: str,
    inputs: int,
    outputs: int,
    kernel: int = 3,
    *,
    stride: int = 1,
    padding: int = 0,
    bias: bool = True,
    relu: bool = True,
    source: str | None = None,
) -> Convolution:
    """A square convolution with parameters ``name.weight`` and ``name.bias``."""
    return Convolution(
        name,
        inputs,
        outputs,
        (kernel, kernel),
        (stride, stride),
        (padding, padding),
        f"{name}.weight",
        f"{name}.bias" if bias else None,
        relu,
        source,
    )


def dense(name: str, inputs: int, outputs: int, *, relu: bool = False) -> Layer:
    """A dense layer with parameters ``name.weight`` and ``name.bias``."""
    return Layer(name, inputs, outputs, f"{name}.weight", f"{name}.bias", relu)


TINY: tuple[AnyLayer, ...] = (
    Unflatten("image", 1, 6, 6),
    convolution("conv", 1, 2, padding=1),
    MaxPool("maxpool1", (2, 2), (2, 2)),
    Flatten("flatten"),
    dense("head", 18, 3),
)
"""One convolution and a maximum, for quick proofs."""

AVERAGED: tuple[AnyLayer, ...] = (
    Unflatten("image", 2, 5, 4),
    convolution("conv", 2, 3, 2, bias=False),
    AveragePool("averagepool1", (3, 2), (1, 1)),
    Flatten("flatten"),
    dense("head", 12, 3),
)
"""Means over overlapping windows that are no squares, and a convolution without bias."""

STRIDED: tuple[AnyLayer, ...] = (
    Unflatten("image", 1, 7, 7),
    convolution("conv1", 1, 3, stride=2, padding=1),
    convolution("conv2", 3, 2, 2, relu=False),
    MaxPool("maxpool1", (2, 1), (1, 2)),
    Flatten("flatten"),
    dense("fc", 8, 4, relu=True),
    dense("head", 4, 2),
)
"""Strides, places that no window reaches, no ReLU before a maximum, two dense layers."""

RESIDUAL: tuple[AnyLayer, ...] = (
    Unflatten("image", 1, 6, 6),
    convolution("stem", 1, 2, padding=1),
    convolution("a1", 2, 2, padding=1),
    convolution("a2", 2, 2, padding=1, relu=False),
    Add("add1", "stem", True),
    convolution("b1", 2, 4, padding=1, stride=2),
    convolution("b2", 4, 4, padding=1, relu=False),
    convolution("down", 2, 4, 1, stride=2, relu=False, source="add1"),
    Add("add2", "b2", True),
    AveragePool("averagepool1", (3, 3), (3, 3)),
    Flatten("flatten"),
    dense("head", 4, 3),
)
"""A block beside the image itself, one beside a 1 x 1 convolution of it, the mean of the image."""

NETWORKS: dict[str, tuple[AnyLayer, ...]] = {
    "tiny": TINY,
    "averaged": AVERAGED,
    "strided": STRIDED,
    "residual": RESIDUAL,
}


def features_of(layers: tuple[AnyLayer, ...]) -> int:
    """Width of a record."""
    first = layers[0]
    if isinstance(first, Unflatten):
        return first.channels * first.height * first.width
    assert isinstance(first, Layer)
    return first.inputs


def weight_shapes(layers: tuple[AnyLayer, ...]) -> dict[str, tuple[int, ...]]:
    """Shape by parameter name, as torch has it."""
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in layers:
        if isinstance(layer, Layer | Convolution):
            kernel = layer.kernel if isinstance(layer, Convolution) else ()
            shapes[layer.weight] = (layer.outputs, layer.inputs, *kernel)
            if layer.bias is not None:
                shapes[layer.bias] = (layer.outputs,)
    return shapes


def float_weights(layers: tuple[AnyLayer, ...], seed: int = 0) -> dict[str, np.ndarray]:
    """Random float32 weights as torch has them, as large as its default initialisation."""
    generator = np.random.default_rng(seed)
    fan_in = 1
    weights = {}
    for name, shape in weight_shapes(layers).items():
        fan_in = int(np.prod(shape[1:])) if len(shape) > 1 else fan_in
        weights[name] = generator.uniform(-1, 1, shape).astype(np.float32) / np.sqrt(fan_in)
    return {name: values.astype(np.float32) for name, values in weights.items()}


def integer_weights(
    layers: tuple[AnyLayer, ...], seed: int = 0, weight_bits: int = 32
) -> dict[str, np.ndarray]:
    """The same as integers with ``weight_bits`` fractional bits, in zktrain's own layout:
    ``(inputs, outputs)`` and ``(height, width, inputs, outputs)``."""
    axes = {1: (0,), 2: (1, 0), 4: (2, 3, 1, 0)}
    weights = {}
    for name, values in float_weights(layers, seed).items():
        scaled = np.rint(np.ldexp(values.astype(np.float64), weight_bits)).astype(np.int64)
        weights[name] = np.ascontiguousarray(scaled.transpose(axes[values.ndim]))
    return weights


def records_of(layers: tuple[AnyLayer, ...], count: int, seed: int = 0) -> np.ndarray:
    """Random bytes ``(count, features)``."""
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (count, features_of(layers)), dtype=np.uint8)


def forward(
    layers: tuple[AnyLayer, ...], weights: Mapping[str, np.ndarray], records: np.ndarray
) -> np.ndarray:
    """Logits of ``records`` ``(B, features)`` in float64, by the definition of every layer."""
    value = records.astype(np.float64)
    outputs: dict[str, np.ndarray] = {}
    for layer in layers:
        if isinstance(layer, Unflatten):
            value = value.reshape(len(value), layer.channels, layer.height, layer.width)
        elif isinstance(layer, Flatten):
            value = value.reshape(len(value), -1)
        elif isinstance(layer, Layer):
            value = value @ weights[layer.weight].astype(np.float64).T
        elif isinstance(layer, Convolution):
            value = _convolved(layer, value if layer.source is None else outputs[layer.source],
                               weights[layer.weight].astype(np.float64))  # fmt: skip
        elif isinstance(layer, MaxPool | AveragePool):
            over = np.max if isinstance(layer, MaxPool) else np.mean
            value = over(_windows(value, layer.kernel, layer.stride), axis=(-2, -1))
        else:
            value = value + outputs[layer.other]
        if isinstance(layer, Layer | Convolution) and layer.bias is not None:
            ones = (1,) * (value.ndim - 2)
            value = value + weights[layer.bias].astype(np.float64).reshape(1, -1, *ones)
        if isinstance(layer, Layer | Convolution | Add) and layer.relu:
            value = np.maximum(value, 0)
        outputs[layer.name] = value
    return value


def _convolved(layer: Convolution, image: np.ndarray, weight: np.ndarray) -> np.ndarray:
    vertical, horizontal = layer.padding
    padded = np.pad(image, ((0, 0), (0, 0), (vertical, vertical), (horizontal, horizontal)))
    return np.einsum("bcyxij,ocij->boyx", _windows(padded, layer.kernel, layer.stride), weight)


def _windows(image: np.ndarray, kernel: tuple[int, int], stride: tuple[int, int]) -> np.ndarray:
    """``(B, C, y, x, *kernel)``: the window at every place where it fits."""
    rows = range(0, image.shape[2] - kernel[0] + 1, stride[0])
    columns = range(0, image.shape[3] - kernel[1] + 1, stride[1])
    return np.stack(
        [
            np.stack([image[:, :, y : y + kernel[0], x : x + kernel[1]] for x in columns], axis=2)
            for y in rows
        ],
        axis=2,
    )
