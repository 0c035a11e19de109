"""The network of a circuit in float32: an ordinary torch module, for comparison."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch

from ..circuit.weights import as_torch
from ..layers.network import (
    Activation,
    Add,
    AnyLayer,
    AveragePool,
    Convolution,
    Flatten,
    Layer,
    MaxPool,
    Unflatten,
)

_Affine = torch.nn.Linear | torch.nn.Conv2d


def float_network(
    layers: tuple[AnyLayer, ...],
    weights: Mapping[str, npt.NDArray[np.int64]],
    weight_bits: int,
) -> FloatNetwork:
    """``layers`` as a float32 module from records ``(B, features)``, scaled to [0, 1), to logits
    ``(B, classes)``.

    ``weights`` are integers with ``weight_bits`` fractional bits in the internal layout:
    ``(inputs, outputs)``, ``(height, width, inputs, outputs)``. They are copied; raises
    ``KeyError`` where one is missing, ``RuntimeError`` where one has another shape.
    """
    return FloatNetwork(layers, weights, weight_bits)


class FloatNetwork(torch.nn.Module):
    """See ``float_network``; ``steps`` are the modules of the layers."""

    def __init__(
        self,
        layers: tuple[AnyLayer, ...],
        weights: Mapping[str, npt.NDArray[np.int64]],
        weight_bits: int,
    ) -> None:
        super().__init__()
        self.layers = layers
        self.steps = torch.nn.ModuleList(_module(layer) for layer in layers)
        self.read_again = {
            layer.other if isinstance(layer, Add) else layer.source
            for layer in layers
            if isinstance(layer, Add | Convolution)
        }
        for layer, module in zip(layers, self.steps, strict=True):
            if isinstance(layer, Layer | Convolution) and isinstance(module, _Affine):
                _copy(module.weight, weights[layer.weight], weight_bits)
                if layer.bias is not None and module.bias is not None:
                    _copy(module.bias, weights[layer.bias], weight_bits)

    def forward(self, records: torch.Tensor) -> torch.Tensor:
        value = records
        kept: dict[str | None, torch.Tensor] = {}
        for layer, module in zip(self.layers, self.steps, strict=True):
            if isinstance(layer, Convolution) and layer.source is not None:
                value = kept[layer.source]
            value = value + kept[layer.other] if isinstance(layer, Add) else module(value)
            if isinstance(layer, Layer | Convolution | Add) and layer.relu:
                value = torch.relu(value)
            if layer.name in self.read_again:
                kept[layer.name] = value
        return value


def _module(layer: AnyLayer) -> torch.nn.Module:
    match layer:
        case Layer():
            return torch.nn.Linear(layer.inputs, layer.outputs, layer.bias is not None)
        case Unflatten():
            return torch.nn.Unflatten(1, (layer.channels, layer.height, layer.width))
        case Convolution():
            return torch.nn.Conv2d(
                layer.inputs,
                layer.outputs,
                layer.kernel,
                layer.stride,
                layer.padding,
                bias=layer.bias is not None,
            )
        case Activation():
            return {"sigmoid": torch.nn.Sigmoid, "tanh": torch.nn.Tanh, "gelu": torch.nn.GELU}[
                layer.function
            ]()
        case MaxPool():
            return torch.nn.MaxPool2d(layer.kernel, layer.stride)
        case AveragePool():
            return torch.nn.AvgPool2d(layer.kernel, layer.stride)
        case Flatten():
            return torch.nn.Flatten()
        case Add():
            return torch.nn.Identity()


def _copy(parameter: torch.Tensor, values: npt.NDArray[np.int64], weight_bits: int) -> None:
    floats = np.ldexp(as_torch(values).astype(np.float64), -weight_bits)
    if parameter.shape != floats.shape:
        raise RuntimeError(f"a parameter has shape {floats.shape}, not {tuple(parameter.shape)}")
    with torch.no_grad():
        parameter.copy_(torch.from_numpy(np.ascontiguousarray(floats)))
