"""Prover of ``operations.linear``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...cost.parts import Work
from ...field.extension import Ext, Point
from ...operations import Linear
from ...operations.base import Context
from ..transcript.channel import ProverChannel
from .base import Given, Sizes, Tensors, smallest


def prove(op: Linear, channel: ProverChannel, context: Context, given: Given) -> None:
    def send(label: str, wanted: Sequence[tuple[str, Point]]) -> list[Ext]:
        sent = [given.witness.evaluate(name, point) for name, point in wanted]
        if sent:
            channel.send(label, sent)  # P -> V
        return sent

    op.reduce(context, send)


def values(op: Linear, tensors: Tensors) -> NDArray[Any]:
    at, output = tensors.at, tensors.described(op.output)
    out = np.zeros(at.dims(output), dtype=np.int64)
    out[at.real(tensors.shape, output)] = op.constant
    for coefficient, name in op.terms:
        term, own = tensors.tensor(name), tensors.described(name)
        if own.axes == output.axes:
            out += coefficient * term.astype(np.int64)
            continue
        cells = term.astype(np.int64)  # padded ones too, as the relation has it
        grid = 2 + len(own.grid)
        place: list[slice] = [slice(None)] * grid
        if own.width and not output.width:
            cells = cells.sum(axis=-1)
        if own.taps and not output.taps:
            cells = cells.sum(axis=tuple(range(grid, grid + len(own.taps))))
        elif output.taps and not own.taps:
            cells = np.expand_dims(cells, tuple(range(grid, grid + len(output.taps))))
            place += [slice(size) for size in output.taps]
        elif output.taps:
            place += [slice(None)] * len(output.taps)
        if output.width and not own.width:
            cells = cells[..., None]
            place.append(slice(output.width))
        elif output.width:
            place.append(slice(None))
        out[tuple(place)] += coefficient * cells
    return smallest(out)


def work(op: Linear, sizes: Sizes) -> Work:
    names = op.inputs()
    cells = sum(map(sizes.cells, names))
    fresh = sum(sizes.cells(n) for n in names if not sizes.graph.tensor(n).committed)
    return sizes.work(op, "linear", {"cells": fresh, "calls": 1}, cells, 2.0 * fresh, reads=names)
