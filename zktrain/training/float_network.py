"""The network of a circuit in float32: an ordinary torch module, for comparison."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch

from ..layers import AnyLayer
from .weight_file import as_torch


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
        self.steps = torch.nn.ModuleList(
            getattr(torch.nn, layer.torch.module)(*layer.torch.arguments) for layer in layers
        )
        self.read_again = {name for layer in layers for name in layer.reads if name is not None}
        for layer, module in zip(layers, self.steps, strict=True):
            for stated, parameter in zip(layer.parameters(), module.parameters(), strict=True):
                _copy(parameter, weights[stated.name], weight_bits)

    def forward(self, records: torch.Tensor) -> torch.Tensor:
        value = records
        kept: dict[str, torch.Tensor] = {}
        for layer, module in zip(self.layers, self.steps, strict=True):
            sources = [value if name is None else kept[name] for name in layer.reads]
            value = module(sources[0])
            for other in sources[1:]:
                value = value + other
            if layer.relu:
                value = torch.relu(value)
            if layer.name in self.read_again:
                kept[layer.name] = value
        return value


def _copy(parameter: torch.Tensor, values: npt.NDArray[np.int64], weight_bits: int) -> None:
    floats = np.ldexp(as_torch(values).astype(np.float64), -weight_bits)
    if parameter.shape != floats.shape:
        raise RuntimeError(f"a parameter has shape {floats.shape}, not {tuple(parameter.shape)}")
    with torch.no_grad():
        parameter.copy_(torch.from_numpy(np.ascontiguousarray(floats)))
