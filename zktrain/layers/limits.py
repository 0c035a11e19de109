"""Limits that several layers share; every function gives the first one broken, as a clause."""

from __future__ import annotations

from ..operations.build import MEAN_BITS
from ..operations.extent import Extent
from ..operations.maps import Steps, Window

MAX_WIDTH = 1 << 16
MAX_KERNEL = 256
MAX_NAME = 128
MAX_WINDOW = 1 << 16
"""Places times taps along one axis: what a verifier's work for a map is proportional to."""

MEAN_PRECISION = 64
"""A mean is off by at most one part in so many."""

Pair = tuple[int, int]


class GeometryError(ValueError):
    """The layers do not fit together; the text is a clause that says where."""


def name_violation(text: str) -> str | None:
    """Why ``text`` cannot be a name: names also label the messages of a proof."""
    if not text or len(text) > MAX_NAME or not text.isascii():
        return f"must have 1 to {MAX_NAME} ASCII characters; rename it in the network"
    return None if text.isprintable() else "must have printable characters only"


def names_problem(position: int, *texts: str | None) -> str | None:
    """Of the layer at this position, and of what it names."""
    for text in texts:
        if text is not None and (problem := name_violation(text)):
            return f"a name of layer {position} {problem}"
    return None


def widths_problem(name: str, *sizes: int) -> str | None:
    """Of units, channels, height and width."""
    if not all(1 <= size <= MAX_WIDTH for size in sizes):
        return f"the widths of layer {name!r} must be from 1 to {MAX_WIDTH}"
    return None


def windows_problem(name: str, *sizes: int) -> str | None:
    """Of kernel and stride."""
    if not all(1 <= size <= MAX_KERNEL for size in sizes):
        return f"kernel and stride of layer {name!r} must be from 1 to {MAX_KERNEL}"
    return None


def mean_factor(count: int) -> int:
    """``round(2^16 / count)``."""
    return ((1 << MEAN_BITS) + count // 2) // count


def mean_problem(name: str, count: int) -> str | None:
    """For many values the factor is far from ``2^16 / count``."""
    off = abs(mean_factor(count) * count - (1 << MEAN_BITS))
    if not off * MEAN_PRECISION <= 1 << MEAN_BITS:
        return (
            f"layer {name!r} averages {count} values, and would be off by "
            f"{100 * off / (1 << MEAN_BITS):.1f} %; average in two layers, or over other windows"
        )
    return None


def image(name: str, extent: Extent) -> Extent:
    """The extent, if it is an image. Raises ``GeometryError``."""
    if not extent.grid:
        raise GeometryError(f"layer {name!r} takes an image, not {extent}")
    return extent


def window(name: str, source: Extent, kernel: Pair, stride: Pair, padding: Pair = (0, 0)) -> Window:
    """The windows of a layer over its input. Raises ``GeometryError`` where none fits in."""
    steps = []
    for size, taps, step, pad in zip(source.grid, kernel, stride, padding, strict=True):
        outputs = (size + 2 * pad - taps) // step + 1
        if size + 2 * pad < taps:
            raise GeometryError(f"the window of layer {name!r} is larger than its input, {source}")
        if outputs * taps > MAX_WINDOW:
            raise GeometryError(
                f"layer {name!r} has more than {MAX_WINDOW} places times taps along an axis"
            )
        steps.append(Steps(size, outputs, taps, step, pad))
    return Window(steps[0], steps[1])


def places(window: Window, width: int) -> Extent:
    """What a layer with these windows gives."""
    return Extent((window.vertical.outputs, window.horizontal.outputs), width)
