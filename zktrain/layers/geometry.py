"""What each layer reads and how large its output is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from ..operations.extent import Extent
from . import AnyLayer
from .limits import GeometryError

MAX_READERS = 3
"""Of one output."""


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
    if first.takes is None:
        raise GeometryError(
            f"the first layer, {first.name!r}, takes no records: it must be a dense layer or "
            "Unflatten"
        )
    extents = [Extent((), first.takes)]
    sources: list[tuple[int, ...]] = [()]
    names = {layer.name: index for index, layer in enumerate(layers, 1)}
    for index, layer in enumerate(layers, 1):
        reads = [
            index - 1 if source is None else _earlier(layer.name, source, names, index)
            for source in layer.reads
        ]
        sources.append(tuple(reads))
        extents.append(layer.output([extents[read] for read in reads]))
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
