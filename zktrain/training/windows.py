"""Public maps of images as operations on buffers, and what windows pick and give back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import assert_never

import torch

from ..arguments.tensors import Tensor
from ..operations import UnitMap
from ..operations.maps import Before, Reorder, Window
from .tape import Tape


@dataclass(frozen=True, slots=True)
class Frame:
    """An image ``(B, height, width, units)`` within its padding, if it has any, and its windows
    ``(B, rows, columns, *kernel, units)``: views of ``whole``."""

    whole: torch.Tensor
    image: torch.Tensor
    windows: torch.Tensor


def taps(windows: torch.Tensor) -> Iterator[torch.Tensor]:
    """``(B, rows, columns, units)`` of ``(B, rows, columns, *kernel, units)``, tap by
    tap, row-major."""
    for row in windows.unbind(3):
        yield from row.unbind(3)


def mapped(tape: Tape, op: UnitMap) -> torch.Tensor:
    """The output of a map."""
    source, output = tape.tensors[op.source], tape.tensors[op.output]
    match op.map:
        case Reorder():
            return _reordered(tape, tape.value(op.source), source, output)
        case Window() if op.map.transposed:
            return _spread(tape, op.map, source, output)
        case Window():
            frame = _framed(tape, op.map, tape.value(op.source))
            return frame.windows if output.taps else _added(tape, output.name, frame)
        case Before():
            raise TypeError("what comes before is only looked up")
        case _:
            assert_never(op.map)


def _reordered(tape: Tape, values: torch.Tensor, source: Tensor, output: Tensor) -> torch.Tensor:
    image = source if source.grid else output
    if 1 in (source.width, output.width, image.width):
        return values.reshape(tape.batch, *output.axes)
    out = tape.buffer(output.name)
    planes = (tape.batch, image.width, *image.grid)
    if source.grid:
        tape.do(out.view(planes).copy_, values.permute(0, 3, 1, 2))
    else:
        tape.do(out.copy_, values.view(planes).permute(0, 2, 3, 1))
    return out


def _framed(tape: Tape, map_: Window, image: torch.Tensor) -> Frame:
    if _fits(map_):
        return _frame_of(map_, image)
    frame = new_frame(map_, tape.batch, image.shape[-1], tape.device)
    tape.do(frame.image.copy_, image)
    return frame


def _added(tape: Tape, name: str, frame: Frame) -> torch.Tensor:
    """The sum of every window."""
    out = tape.buffer(name)
    first, *rest = taps(frame.windows)
    tape.do(out.copy_, first)
    for tap in rest:
        tape.do(out.add_, tap)
    return out


def _spread(tape: Tape, map_: Window, source: Tensor, output: Tensor) -> torch.Tensor:
    """What windows give back to the places that they saw, added up."""
    if output.taps:
        raise TypeError("windows of errors are only multiplied by weights")
    frame = new_frame(map_, tape.batch, output.width, tape.device)
    if map_.apart and source.taps and source.name not in tape.values:
        tape.places[source.name] = frame.windows
        if tape.value(source.name) is frame.windows:
            return frame.image
    values = tape.value(source.name)
    if not source.taps:
        values = values.unsqueeze(3).unsqueeze(3).expand(frame.windows.shape)
    return scattered(tape, frame, taps(values), 0.0)


def scattered(
    tape: Tape, frame: Frame, parts: Iterable[torch.Tensor], offset: float
) -> torch.Tensor:
    """``offset`` and, tap by tap, what each window gives its places."""
    tape.do(frame.whole.fill_, offset)
    for place, part in zip(taps(frame.windows), parts, strict=True):
        tape.do(place.add_, part)
    return frame.image


def winner(tape: Tape, tensor: Tensor, source: str) -> torch.Tensor:
    """One-hot over the taps of each window, as booleans; the largest value itself is kept."""
    if not tensor.taps:
        raise TypeError("a step has no first largest unit")
    windows = tape.value(source)
    shape = (tape.batch, *tensor.grid, tensor.width)
    best = tape.kept["largest", tensor.name] = tape.zeros(*shape)
    wins = tape.zeros(*tensor.taps, *shape, dtype=torch.bool)
    taken = tape.zeros(*shape, dtype=torch.bool)
    first, *rest = taps(windows)
    tape.do(best.copy_, first)
    for tap in rest:
        tape.do(torch.maximum, best, tap, out=best)
    tape.do(taken.zero_)
    for tap, won in zip([first, *rest], wins.view(-1, *shape), strict=True):
        tape.do(torch.eq, best, tap, out=won)
        tape.do(torch.gt, won, taken, out=won)
        tape.do(taken.logical_or_, won)
    return wins.permute(2, 3, 4, 0, 1, 5)


def _frame_of(map_: Window, image: torch.Tensor) -> Frame:
    """Of an image that its windows do not reach out of."""
    seen = image
    for axis, steps in enumerate((map_.vertical, map_.horizontal), 1):
        seen = seen.unfold(axis, steps.kernel, steps.stride).narrow(axis, 0, steps.outputs)
    return Frame(image, image, seen.permute(0, 1, 2, 4, 5, 3))


def new_frame(map_: Window, batch: int, units: int, device: torch.device) -> Frame:
    """Zeros."""
    axes = (map_.vertical, map_.horizontal)
    sizes = [max(s.inputs + s.padding, (s.outputs - 1) * s.stride + s.kernel) for s in axes]
    whole = torch.zeros((batch, *sizes, units), dtype=torch.float64, device=device)
    image = whole
    for axis, steps in enumerate(axes, 1):
        image = image.narrow(axis, steps.padding, steps.inputs)
    return Frame(whole, image, _frame_of(map_, whole).windows)


def _fits(map_: Window) -> bool:
    """Whether no window reaches out of the image."""
    return all(
        not steps.padding and (steps.outputs - 1) * steps.stride + steps.kernel <= steps.inputs
        for steps in (map_.vertical, map_.horizontal)
    )
