"""Where a layer stands in its network."""

from __future__ import annotations

from dataclasses import dataclass

from ..operations.extent import Extent


@dataclass(frozen=True, slots=True)
class Place:
    """``index`` counts layers from 1; ``sources`` are the tensors that it reads, of the extents
    ``inputs``. ``bounded`` says that a table of the loss bounds the layer's output."""

    index: int
    sources: tuple[str, ...]
    inputs: tuple[Extent, ...]
    output: Extent
    bounded: bool = False


@dataclass(frozen=True, slots=True)
class Parameter:
    """``name`` in the weight file, ``shape`` in the internal layout; each output sums up
    ``inputs`` values."""

    name: str
    shape: tuple[int, ...]
    inputs: int


@dataclass(frozen=True, slots=True)
class Torch:
    """The module ``torch.nn.<module>`` that a layer is in floating point."""

    module: str
    arguments: tuple[object, ...] = ()
