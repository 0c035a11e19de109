"""The layers of an imported network: their names and float values."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ...errors import RecipeError
from ...layers import Add, AffineLayer, AnyLayer, Convolution
from .constants import Constant, Origin

_MANGLED = re.compile(r"onnx::|val_\d|/|\d+$|[^/]*_output_\d")
"""Names that exporters make up for constants they have folded."""


@dataclass(slots=True)
class Draft:
    """One layer while the graph is read. Draft 0 is the network's input and no layer.

    ``layer`` has no names yet; ``source`` and ``other`` are the drafts it reads. ``relu`` says
    that its output is that of a ReLU; ``changes`` counts what has been folded into it, so that an
    earlier value of it can be told; ``readers`` counts the drafts that read it.
    """

    layer: AnyLayer | None
    shape: tuple[int, ...]
    node: str = ""
    source: int = 0
    other: int | None = None
    weight: Constant | None = None
    bias: Constant | None = None
    relu: bool = False
    changes: int = 0
    readers: int = 0

    @property
    def affine(self) -> bool:
        return isinstance(self.layer, AffineLayer)


def named_layers(
    drafts: list[Draft],
) -> tuple[
    tuple[AnyLayer, ...],
    dict[str, npt.NDArray[np.float64]],
    dict[str, tuple[Origin, str]],
]:
    """Layers with readable parameter names; of the parameters, the float values of those that
    have any, and what each is in the file, with its name there.

    ``drafts`` are those of layers, with the input in front.
    """
    values: dict[str, npt.NDArray[np.float64]] = {}
    origins: dict[str, tuple[Origin, str]] = {}
    named: dict[int, AnyLayer] = {}
    for number, draft in enumerate(drafts):
        if not isinstance(draft.layer, AffineLayer) or draft.weight is None:
            continue
        name, weight, bias = _names(len(named) + 1, draft.weight, draft.bias)
        named[number] = replace(draft.layer, name=name, weight=weight, bias=bias, relu=draft.relu)
        for parameter, constant in ((weight, draft.weight), (bias, draft.bias)):
            if parameter is None or constant is None:
                continue
            origins[parameter] = (constant.origin, constant.name)
            if constant.values is not None:
                values[parameter] = _finite(constant.values, parameter)

    taken = {layer.name for layer in named.values()}
    counts: Counter[str] = Counter()
    for number, draft in enumerate(drafts):
        if draft.layer is None or isinstance(draft.layer, AffineLayer):
            continue
        stem = draft.layer.stem
        counts[stem] += 1
        name = stem.format(counts[stem])
        while name in taken:
            name += "_"
        taken.add(name)
        named[number] = replace(draft.layer, name=name)
    layers = tuple(_linked(number, drafts[number], named) for number in sorted(named))
    return layers, values, origins


def _linked(number: int, draft: Draft, named: dict[int, AnyLayer]) -> AnyLayer:
    """The layer with the names of those that it reads."""
    layer = named[number]
    if isinstance(layer, Convolution) and draft.source != number - 1:
        return replace(layer, source=named[draft.source].name)
    if isinstance(layer, Add) and draft.other is not None:
        return replace(layer, other=named[draft.other].name, relu=draft.relu)
    return layer


def _names(index: int, weight: Constant, bias: Constant | None) -> tuple[str, str, str | None]:
    """Layer, weight and bias name: the file's own, unless an exporter has made them up; then they
    follow the layer's other parameter, and if that has none either, the layer's position."""
    weight_name = _readable(weight)
    bias_name = _readable(bias) if bias is not None else None
    stem = f"layer{index}"
    for name, suffix in ((weight_name, ".weight"), (bias_name, ".bias")):
        if name is not None and name.endswith(suffix) and name != suffix:
            stem = name.removesuffix(suffix)
            break
    weight_name = weight_name or f"{stem}.weight"
    return stem, weight_name, None if bias is None else bias_name or f"{stem}.bias"


def _readable(constant: Constant) -> str | None:
    return None if _MANGLED.match(constant.name) else constant.name


def _finite(values: npt.NDArray[np.generic], name: str) -> npt.NDArray[np.float64]:
    if values.dtype.name not in ("float16", "bfloat16", "float32", "float64"):
        raise RecipeError(
            f"the parameter {name!r} holds {values.dtype.name} numbers; export the "
            "network in float32, without quantisation"
        )
    floats = values.astype(np.float64)
    if not np.isfinite(floats).all():
        raise RecipeError(
            f"the parameter {name!r} holds infinities or NaN; export a network whose "
            "weights are finite"
        )
    return floats
