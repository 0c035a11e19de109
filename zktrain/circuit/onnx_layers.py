"""The affine layers of an imported network: their names and float values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import RecipeError
from .network import Layer
from .onnx_constants import Constant

_MANGLED = re.compile(r"onnx::|val_\d|/|\d|[^/]*_output_\d")
"""Names that exporters make up for constants they have folded."""


@dataclass(slots=True)
class AffineLayer:
    """One affine layer while the chain is read; ``weight`` is ``(outputs, inputs)`` as in torch."""

    weight: Constant
    bias: Constant | None = None
    relu: bool = False


def named_layers(
    affine_layers: list[AffineLayer], path: Path
) -> tuple[tuple[Layer, ...], dict[str, npt.NDArray[np.float64]]]:
    """Layers with readable parameter names, and the float values of those that have any."""
    layers: list[Layer] = []
    values: dict[str, npt.NDArray[np.float64]] = {}
    for index, affine in enumerate(affine_layers, 1):
        name, weight, bias = _names(index, affine)
        outputs, inputs = affine.weight.shape
        layers.append(Layer(name, inputs, outputs, weight, bias, affine.relu))
        for parameter, constant in ((weight, affine.weight), (bias, affine.bias)):
            if parameter is not None and constant is not None and constant.values is not None:
                values[parameter] = _finite(constant.values, parameter, path)
    return tuple(layers), values


def _names(index: int, affine: AffineLayer) -> tuple[str, str, str | None]:
    """Layer, weight and bias name: the file's own, unless an exporter has made them up; then they
    follow the layer's other parameter, and if that has none either, the layer's position."""
    weight = _readable(affine.weight)
    bias = _readable(affine.bias) if affine.bias is not None else None
    stem = f"layer{index}"
    for name, suffix in ((weight, ".weight"), (bias, ".bias")):
        if name is not None and name.endswith(suffix) and name != suffix:
            stem = name.removesuffix(suffix)
            break
    weight = weight or f"{stem}.weight"
    return stem, weight, None if affine.bias is None else bias or f"{stem}.bias"


def _readable(constant: Constant) -> str | None:
    return None if _MANGLED.match(constant.name) else constant.name


def _finite(values: npt.NDArray[np.generic], name: str, path: Path) -> npt.NDArray[np.float64]:
    if values.dtype.name not in ("float16", "bfloat16", "float32", "float64"):
        raise RecipeError(
            f"{path.name}: the parameter {name!r} holds {values.dtype.name} numbers; export the "
            "network in float32, without quantisation"
        )
    floats = values.astype(np.float64)
    if not np.isfinite(floats).all():
        raise RecipeError(
            f"{path.name}: the parameter {name!r} holds infinities or NaN; export a network whose "
            "weights are finite"
        )
    return floats
