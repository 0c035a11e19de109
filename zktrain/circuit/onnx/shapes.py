"""Shapes in an ONNX graph: what its nodes compute with sizes, and how they regroup a sample.

The size of the batch axis is ``None``, whatever the file says of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from .constants import Constant, Unsupported, attributes

if TYPE_CHECKING:
    import onnx

_FLATTEN = "use torch.nn.Flatten"
_MOST = 64
"""Sizes that a value may hold: no shape has so many, and a graph could double them at will."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """A value of the graph that holds sizes of axes: a vector, or one number."""

    values: tuple[int | None, ...]
    scalar: bool = False


def shape_of(node: onnx.NodeProto, sample: tuple[int, ...]) -> Sizes:
    """What a ``Shape`` node gives for samples of this shape."""
    options = attributes(node)
    axes = (None, *sample)
    return Sizes(axes[options.get("start", 0) : options.get("end", len(axes))])


def computed(
    node: onnx.NodeProto, sizes: dict[str, Sizes], constants: dict[str, Constant]
) -> Sizes | None:
    """The sizes that ``node`` makes of other sizes; ``None`` if it is no such node."""
    if not any(name in sizes for name in node.input):
        return None
    operands = [sizes.get(name) or _constant_sizes(constants.get(name)) for name in node.input]
    first, rest = operands[0], operands[1:]
    if first is None or any(operand is None for operand in rest):
        return None
    if node.op_type in ("Identity", "Cast"):
        return first
    if node.op_type == "Unsqueeze" and first.scalar:
        return Sizes(first.values)
    if node.op_type == "Squeeze" and len(first.values) == 1:
        return Sizes(first.values, scalar=True)
    if node.op_type == "Concat":
        values = tuple(size for part in operands if part is not None for size in part.values)
        return Sizes(values) if len(values) <= _MOST else None
    if node.op_type == "Gather" and rest and rest[0] is not None:
        return _gathered(first, rest[0])
    if node.op_type == "Slice" and rest:
        return _sliced(first, [part.values for part in rest if part is not None])
    return None


def _constant_sizes(constant: Constant | None) -> Sizes | None:
    held = None if constant is None else constant.values
    if held is None or held.dtype.kind != "i" or held.ndim > 1 or held.size > _MOST:
        return None
    return Sizes(tuple(int(size) for size in held.reshape(-1)), scalar=held.ndim == 0)


def _gathered(source: Sizes, indices: Sizes) -> Sizes | None:
    count = len(source.values)
    chosen = [index for index in indices.values if index is not None and -count <= index < count]
    whole = len(chosen) == len(indices.values)
    return Sizes(tuple(source.values[at] for at in chosen), indices.scalar) if whole else None


def _sliced(source: Sizes, bounds: list[tuple[int | None, ...]]) -> Sizes | None:
    """``bounds`` are starts, ends and perhaps axes and steps, each of one number."""
    if len(bounds) < 2 or any(len(part) != 1 or part[0] is None for part in bounds):
        return None
    start, end, axis, step = [part[0] for part in bounds] + [0, 1][len(bounds) - 2 :]
    return Sizes(source.values[start:end]) if axis in (0, -1) and step == 1 else None


def target_sizes(name: str, target: Sizes | Constant | None) -> tuple[int | None, ...]:
    """The target ``name`` of a ``Reshape``. Raises ``Unsupported`` where the file does not fix
    it."""
    sizes = target if isinstance(target, Sizes) else _constant_sizes(target)
    if sizes is None or sizes.scalar:
        raise Unsupported(f"its target {name!r} is not a constant shape", _FLATTEN)
    return sizes.values


def reshaped(
    node: onnx.NodeProto,
    sample: tuple[int, ...],
    target: tuple[int | None, ...],
    batch: int | None,
) -> tuple[int, ...]:
    """The shape of a sample after a ``Reshape`` that keeps the batch axis and its cells' order.

    ``batch`` is the size that the file gives the first axis. Raises ``Unsupported``.
    """
    features = prod(sample)
    keeps_zero = bool(attributes(node).get("allowzero", 0))
    sizes = list(target[1:])
    if not keeps_zero:
        sizes = [
            sample[axis] if size == 0 and axis < len(sample) else size
            for axis, size in enumerate(sizes)
        ]
    first = {None, -1, batch} | (set() if keeps_zero else {0})
    known = prod(size for size in sizes if size is not None and size != -1)
    if target[:1] != (-1,) and sizes.count(-1) == 1 and known > 0 and features % known == 0:
        sizes[sizes.index(-1)] = features // known
    result = tuple(size for size in sizes if size is not None and size > 0)
    fits = target[:1] and target[0] in first and len(result) == len(sizes)
    if not fits or prod(result) != features or len(result) not in (1, 3):
        shown = ", ".join("batch" if size is None else str(size) for size in target)
        raise Unsupported(
            f"the target shape [{shown}] does not flatten samples of shape {sample}, nor make "
            "images of them",
            f"reshape to (-1, {features}) or to (-1, channels, height, width), or "
            "use torch.nn.Flatten",
        )
    return result


def flattened(node: onnx.NodeProto, sample: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a sample after a ``Flatten``. Raises ``Unsupported``."""
    axis = attributes(node).get("axis", 1)
    if axis not in (1, -len(sample)):
        raise Unsupported(
            f"axis = {axis} mixes samples", "flatten from axis 1, as torch.nn.Flatten"
        )
    return (prod(sample),)


def squeezed(sample: tuple[int, ...], axes: list[int] | None) -> tuple[int, ...]:
    """The shape of a sample after a ``Squeeze``. Raises ``Unsupported``."""
    chosen = {axis % (len(sample) + 1) for axis in axes or ()}
    if not chosen or 0 in chosen or any(sample[axis - 1] != 1 for axis in chosen):
        raise Unsupported(
            f"its axes {axes} are not axes of size 1 of samples of shape {sample}", _FLATTEN
        )
    return tuple(size for axis, size in enumerate(sample, 1) if axis not in chosen)


def unsqueezed(sample: tuple[int, ...], axes: list[int] | None) -> tuple[int, ...]:
    """The shape of a sample after an ``Unsqueeze``. Raises ``Unsupported``."""
    rank = len(sample) + 1 + len(axes or ())
    chosen = {axis % rank for axis in axes or ()}
    if not chosen or 0 in chosen or len(chosen) != len(axes or ()):
        raise Unsupported(
            f"its axes {axes} come before the batch axis or do not differ",
            "add axes of size 1 only after the first axis",
        )
    rest = iter(sample)
    return tuple(1 if axis in chosen else next(rest) for axis in range(1, rank))
