"""Windows over images on a device: views that see them, and sums of what they see."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from ..operations.maps import Window


@dataclass(frozen=True, slots=True)
class Frame:
    """An image ``(B, height, width, units)`` within its padding, if it has any, and its windows
    ``(B, rows, columns, *kernel, units)``: views of ``whole``."""

    whole: torch.Tensor
    image: torch.Tensor
    windows: torch.Tensor

    def taps(self) -> Iterator[torch.Tensor]:
        """What all windows see at one tap, in row-major order."""
        return taps(self.windows)


def taps(windows: torch.Tensor) -> Iterator[torch.Tensor]:
    """``(B, rows, columns, units)`` of ``(B, rows, columns, *kernel, units)``, tap by tap."""
    for row in windows.unbind(3):
        yield from row.unbind(3)


def fits(map_: Window) -> bool:
    """Whether no window reaches out of the image."""
    return all(
        not steps.padding and (steps.outputs - 1) * steps.stride + steps.kernel <= steps.inputs
        for steps in (map_.vertical, map_.horizontal)
    )


def apart(map_: Window) -> bool:
    """Whether no place is seen by two windows."""
    return all(steps.kernel <= steps.stride for steps in (map_.vertical, map_.horizontal))


def frame_of(map_: Window, image: torch.Tensor) -> Frame:
    """Of an image that its windows do not reach out of."""
    seen = image
    for axis, steps in enumerate((map_.vertical, map_.horizontal), 1):
        seen = seen.unfold(axis, steps.kernel, steps.stride).narrow(axis, 0, steps.outputs)
    return Frame(image, image, seen.permute(0, 1, 2, 4, 5, 3))


def new_frame(map_: Window, batch: int, units: int, like: torch.Tensor) -> Frame:
    """Zeros."""
    axes = (map_.vertical, map_.horizontal)
    sizes = [
        max(s.inputs + s.padding, (s.outputs - 1) * s.stride + s.kernel) for s in axes
    ]  # fmt: skip
    whole = like.new_zeros(batch, *sizes, units, dtype=torch.float64)
    image = whole
    for axis, steps in enumerate(axes, 1):
        image = image.narrow(axis, steps.padding, steps.inputs)
    return Frame(whole, image, frame_of(map_, whole).windows)
