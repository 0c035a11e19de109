"""The witness of a run, computed by training again: every committed tensor of its steps, and the
low limbs of rescales, which are looked up although they are not committed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt
import torch

from ..arguments.hints import Column, Floor, Normaliser, Sign
from ..arguments.tensors import Tensor
from ..circuit.circuit import Circuit
from ..dataset.readers import Records
from ..errors import InputError
from ..operations import Affine, AffineTransposed
from ..operations.base import StepGraph
from ..progress import Progress, silent
from ..scratch import IN_MEMORY, Scratch
from .trajectory import Trajectory, Weights, trajectory_of
from .window import Quotient, Window


def _cell_type(tensor: Tensor) -> torch.dtype:
    found: torch.dtype = getattr(torch, tensor.cell_type)
    return found


def _padded(size: int) -> int:
    return 1 << (size - 1).bit_length()


_SETTLED = 32
"""Windows or steps after which arrays that are in files need not stay in memory."""


class _Outputs:
    """Zeroed arrays of the padded shapes; windows are written to their real parts."""

    def __init__(
        self, circuit: Circuit, padded_steps: int, device: torch.device | str, scratch: Scratch
    ) -> None:
        self.arrays: dict[str, npt.NDArray[Any]] = {}
        self._scratch = scratch
        self._written = 0
        self._real: dict[str, torch.Tensor] = {}
        self._cells = torch.empty(0, dtype=torch.int64, device=device)
        self._shifted = self._cells
        graph = circuit.graph()
        self._hints = {tensor.name: tensor.hint for tensor in graph.tensors if tensor.hint}
        self._accumulators = _accumulators(circuit, graph) if circuit.trains_in_windows else {}
        for tensor in graph.tensors:
            if not tensor.hint:
                continue
            real = (circuit.batch_size, *tensor.axes)
            shape = (padded_steps, *(_padded(size) for size in real))
            kind = torch.empty(0, dtype=_cell_type(tensor)).numpy().dtype
            self.arrays[tensor.name] = scratch.zeros(shape, kind)
            cells = torch.from_numpy(self.arrays[tensor.name])
            for axis, size in enumerate(real, 1):
                cells = cells.narrow(axis, 0, size)
            self._real[tensor.name] = cells

    def record(self, window: Window, size: int, first: int) -> None:
        """Write the trace of ``size`` steps from step ``first`` on."""

        def place(name: str) -> torch.Tensor:
            return self._real[name].narrow(0, first, size)

        totals: dict[str, torch.Tensor] = {}
        for name, hint in self._hints.items():
            match hint:
                case Floor(source, shift=shift, bits=bits):
                    if source not in totals:
                        accumulator = window.accumulators[self._accumulators[source]]
                        totals = {source: self._wide(accumulator.narrow(0, 0, size))}
                    # conversions keep the low 16 bits
                    found = torch.bitwise_right_shift(totals[source], shift, out=self._shifted)
                    if bits is not None and bits < 16:
                        found.bitwise_and_((1 << bits) - 1)
                    place(name).copy_(found)
                case Sign(source):
                    torch.gt(place(source), 0, out=place(name))
                case Normaliser():
                    place(name).copy_(window.c.narrow(0, 0, size))
                case Column(column=column):
                    traced = window.p if column == 1 else window.p_before
                    place(name).copy_(traced.narrow(0, 0, size))
                case _:
                    raise TypeError(f"windows leave no trace of {name!r}")
        self._settle()

    def record_step(self, values: Mapping[str, torch.Tensor], step: int) -> None:
        """Write the tensors of one step."""
        for name, cells in self._real.items():
            cells.select(0, step).copy_(values[name])
        self._settle()

    def _settle(self) -> None:
        self._written += 1
        if self._written % _SETTLED == 0:
            self._scratch.settle()

    def _wide(self, values: torch.Tensor) -> torch.Tensor:
        """``values`` as int64; there is a place of the same shape to shift them to. Both are used
        again."""
        count = values.numel()
        if self._cells.numel() < 2 * count:
            self._cells = self._cells.new_empty(2 * count)
        cells = self._cells.narrow(0, 0, 2 * count).view(2, *values.shape)
        self._shifted = cells.select(0, 1)
        return cells.select(0, 0).copy_(values)


def _accumulators(circuit: Circuit, graph: StepGraph) -> dict[str, Quotient]:
    """By the tensor of each product, what a window keeps of it."""
    through = {layer.weight: at for at, layer in enumerate(circuit.dense_layers, 1)}
    out = {}
    for op in graph.operations:
        match op:
            case Affine(output, _, weight):
                out[output] = Quotient(through[weight], True)
            case AffineTransposed(output, _, weight):
                out[output] = Quotient(through[weight] - 1, False)
            case _:
                pass
    return out


def run_witness(
    circuit: Circuit,
    records: Records,
    weights_start: Weights,
    first_step: int,
    steps: int,
    padded_steps: int,
    *,
    scratch: Scratch = IN_MEMORY,
    device: torch.device | str = "cpu",
    progress: Progress = silent,
) -> tuple[dict[str, npt.NDArray[Any]], Weights]:
    """Committed tensors and low limbs of steps ``first_step .. first_step + steps - 1``, and the
    weights after.

    Arrays are C-contiguous of shape ``(padded_steps, B', *axes')``, the axes those of the tensor
    in the graph, with ``B'`` and ``axes'`` the next powers of two; all padding is 0. Types: ``z``
    and ``q`` int16, bits uint8, ``*.high`` and ``*.low`` uint16, ``p`` and ``p.before`` int16,
    ``c`` int32. Keys are the names of ``circuit.graph()``, in its order. A rescale leaves
    ``acc + 2^(k-1) = 2^k z + 2^16 high + low`` with ``0 <= low, high < 2^16``.

    They are where ``scratch`` puts them; padded steps are never touched. ``weights_start`` are the
    weights before ``first_step``. Raises ``RangeOverflow`` as training
    does and ``InputError`` for steps outside the run.
    """
    if not 0 <= first_step <= first_step + steps <= circuit.steps or steps > padded_steps:
        raise InputError(
            f"no witness of {steps} steps from step {first_step}, padded to {padded_steps}, "
            f"exists in a run of {circuit.steps} steps"
        )
    trajectory = trajectory_of(circuit, records, weights_start, device)
    outputs = _Outputs(circuit, padded_steps, device, scratch)

    def on_window(done: int, losses: list[float]) -> None:
        progress("witness", done, steps, loss=losses[-1])

    if isinstance(trajectory, Trajectory):
        trajectory.advance(first_step, steps, recorder=outputs.record, on_window=on_window)
    else:
        trajectory.advance(first_step, steps, recorder=outputs.record_step, on_window=on_window)
    return outputs.arrays, trajectory.weights()
