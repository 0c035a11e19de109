"""Public linear maps on a device."""

from __future__ import annotations

import torch

from ..arguments.tensors import Tensor
from ..operations.map_arrays import window_moves
from ..operations.maps import Before, Map, Reorder, Window


def map_values(map_: Map, values: torch.Tensor, source: Tensor, output: Tensor) -> torch.Tensor:
    """``operations.map_arrays.apply_map`` on a device: ``(B, *output.axes)``, float64."""
    batch = len(values)
    match map_:
        case Reorder():
            if source.grid:
                return values.permute(0, 3, 1, 2).reshape(batch, output.width)
            planes = values.reshape(batch, output.width, *output.grid)
            return planes.permute(0, 2, 3, 1).contiguous()
        case Before():
            axis = 1 + len(source.grid)
            rest = (source.width,) if source.taps else ()
            flat = values.reshape(*values.shape[:axis], -1, *rest)
            return (torch.cumsum(flat, dim=axis) - flat).reshape(values.shape)
        case Window():
            return _windows(map_, values, source, output)


def _windows(map_: Window, values: torch.Tensor, source: Tensor, output: Tensor) -> torch.Tensor:
    out = torch.zeros((len(values), *output.axes), dtype=torch.float64, device=values.device)
    for place, taken in window_moves(map_, source, output):
        if output.taps:
            out[(slice(None), *place)] = values[(slice(None), *taken)]
        else:
            out[(slice(None), *place)] += values[(slice(None), *taken)]
    return out
