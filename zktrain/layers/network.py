"""What holds of the layers of a network together."""

from __future__ import annotations

from itertools import pairwise

from . import AffineLayer, AnyLayer, Layer
from .geometry import geometry
from .limits import MAX_WIDTH, GeometryError
from .place import Parameter

MAX_LAYERS = 64
MAX_CLASSES = 1 << 14


def affine_layers(layers: tuple[AnyLayer, ...]) -> tuple[AffineLayer, ...]:
    """The layers with parameters."""
    return tuple(layer for layer in layers if isinstance(layer, AffineLayer))


def parameters(layers: tuple[AnyLayer, ...]) -> dict[str, Parameter]:
    """Of all layers, in their order."""
    return {found.name: found for layer in layers for found in layer.parameters()}


def violation(layers: tuple[AnyLayer, ...]) -> str | None:
    """The first limit that a network breaks, as a clause; ``None`` if it is valid."""
    if not 1 <= len(layers) <= MAX_LAYERS:
        return f"there must be 1 to {MAX_LAYERS} layers, not {len(layers)}"
    for position, layer in enumerate(layers):
        if problem := layer.violation(position):
            return problem
    if not isinstance(layers[-1], Layer) or layers[-1].relu:
        return f"the last layer, {layers[-1].name!r}, must be a dense one without ReLU"
    try:
        plan = geometry(layers)
    except GeometryError as error:
        return str(error)
    for layer, extent in zip(layers, plan.extents[1:], strict=True):
        if extent.cells > MAX_WIDTH:
            return f"layer {layer.name!r} has more than {MAX_WIDTH} outputs"
    for before, after in pairwise(layers):
        if isinstance(before, Layer) and not before.relu and not after.activates:
            return (
                f"layer {before.name!r} has no activation, but layer {after.name!r} follows: every "
                "dense layer but the last has one"
            )
    if plan.extents[-1].cells > MAX_CLASSES:
        return f"there must be at most {MAX_CLASSES} classes, not {plan.extents[-1].cells}"
    names = [found.name for layer in layers for found in layer.parameters()]
    if len(set(names)) != len(names):
        return "two layers or two parameters have the same name"
    return None
