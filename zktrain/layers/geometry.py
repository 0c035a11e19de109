"""What each layer reads and how large its output is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import assert_never

from ..operations.maps import Steps, Window
from .network import (
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

MAX_READERS = 3
"""Of one output."""
MAX_WINDOW = 1 << 16
"""Places times taps along one axis: what a verifier's work for a map is proportional to."""


class GeometryError(ValueError):
    """The layers do not fit together; the text is a clause that says where."""


@dataclass(frozen=True, slots=True)
class Extent:
    """``grid`` is ``(height, width)`` of an image, empty for a row; ``width`` units at each
    place."""

    grid: tuple[int, ...]
    width: int

    @property
    def cells(self) -> int:
        """Values of one sample."""
        return prod(self.grid) * self.width

    def __str__(self) -> str:
        if not self.grid:
            return f"a row of {self.width}"
        return f"an image of {self.width} x {self.grid[0]} x {self.grid[1]}"


@dataclass(frozen=True, slots=True)
class Geometry:
    """``extents[0]`` is the network's input, ``extents[l]`` the output of layer ``l`` (from 1);
    ``sources[l]`` are the layers it reads, 0 for the input."""

    extents: tuple[Extent, ...]
    sources: tuple[tuple[int, ...], ...]

    @property
    def consumers(self) -> dict[int, list[int]]:
        """The layers that read each output."""
        out: dict[int, list[int]] = {index: [] for index in range(len(self.extents))}
        for index, sources in enumerate(self.sources):
            for source in sources:
                out[source].append(index)
        return out


@lru_cache(maxsize=64)
def geometry(layers: tuple[AnyLayer, ...]) -> Geometry:
    """Raises ``GeometryError`` when layers do not fit together."""
    if not layers:
        raise GeometryError("there is no layer")
    first = layers[0]
    if isinstance(first, Unflatten):
        extents = [Extent((), first.channels * first.height * first.width)]
    elif isinstance(first, Layer):
        extents = [Extent((), first.inputs)]
    else:
        raise GeometryError(
            f"the first layer, {first.name!r}, takes no records: it must be a dense layer or "
            "Unflatten"
        )
    sources: list[tuple[int, ...]] = [()]
    names = {layer.name: index for index, layer in enumerate(layers, 1)}
    for index, layer in enumerate(layers, 1):
        reads = [index - 1]
        if isinstance(layer, Convolution) and layer.source is not None:
            reads = [_earlier(layer.name, layer.source, names, index)]
        if isinstance(layer, Add):
            reads.append(_earlier(layer.name, layer.other, names, index))
        sources.append(tuple(reads))
        extents.append(_output(layer, [extents[read] for read in reads]))
    if len(names) != len(layers):
        raise GeometryError("two layers have the same name")
    found = Geometry(tuple(extents), tuple(sources))
    for read, readers in found.consumers.items():
        name = layers[read - 1].name if read else "input"
        if len(readers) > MAX_READERS:
            raise GeometryError(f"more than {MAX_READERS} layers read the output of {name!r}")
        if not readers and read != len(layers):
            raise GeometryError(f"the output of layer {name!r} is never read")
    return found


def _earlier(name: str, source: str, names: dict[str, int], index: int) -> int:
    found = names.get(source)
    if found is None or found >= index:
        raise GeometryError(f"layer {name!r} reads {source!r}, which is no layer before it")
    return found


def _output(layer: AnyLayer, inputs: list[Extent]) -> Extent:
    first = inputs[0]
    match layer:
        case Layer():
            if first != Extent((), layer.inputs):
                raise GeometryError(
                    f"layer {layer.name!r} takes {layer.inputs} inputs, "
                    f"but the layer before it gives {first}"
                )
            return Extent((), layer.outputs)
        case Unflatten():
            wanted = Extent((), layer.channels * layer.height * layer.width)
            if first != wanted:
                raise GeometryError(f"layer {layer.name!r} takes {wanted}, not {first}")
            return Extent((layer.height, layer.width), layer.channels)
        case Convolution():
            _image(layer.name, first)
            if first.width != layer.inputs:
                raise GeometryError(
                    f"layer {layer.name!r} takes {layer.inputs} channels, not {first.width}"
                )
            map_ = window(layer, first)
            return Extent((map_.vertical.outputs, map_.horizontal.outputs), layer.outputs)
        case MaxPool() | AveragePool():
            _image(layer.name, first)
            map_ = window(layer, first)
            return Extent((map_.vertical.outputs, map_.horizontal.outputs), first.width)
        case Activation():
            return first
        case Flatten():
            _image(layer.name, first)
            return Extent((), first.cells)
        case Add():
            if inputs[0] != inputs[1]:
                raise GeometryError(f"layer {layer.name!r} adds {inputs[0]} and {inputs[1]}")
            return first
        case _:
            assert_never(layer)


def _image(name: str, extent: Extent) -> None:
    if not extent.grid:
        raise GeometryError(f"layer {name!r} takes an image, not {extent}")


def window(layer: Convolution | MaxPool | AveragePool, source: Extent) -> Window:
    """The windows of a layer over its input. Raises ``GeometryError`` where none fits in."""
    padding = layer.padding if isinstance(layer, Convolution) else (0, 0)
    steps = []
    for size, kernel, stride, pad in zip(
        source.grid, layer.kernel, layer.stride, padding, strict=True
    ):
        outputs = (size + 2 * pad - kernel) // stride + 1
        if size + 2 * pad < kernel:
            raise GeometryError(
                f"the window of layer {layer.name!r} is larger than its input, {source}"
            )
        if outputs * kernel > MAX_WINDOW:
            raise GeometryError(
                f"layer {layer.name!r} has more than {MAX_WINDOW} places times taps along an axis"
            )
        steps.append(Steps(size, outputs, kernel, stride, pad))
    return Window(steps[0], steps[1])
