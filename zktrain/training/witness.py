"""The witness of a run, computed by training again: every committed tensor of its steps, and the
low limbs of rescales, which are looked up although they are not committed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy.typing as npt
import torch

from ..arguments.tensors import Tensor
from ..circuit.circuit import Circuit
from ..dataset.readers import Records
from ..errors import InputError
from ..progress import Progress, silent
from ..scratch import IN_MEMORY, Scratch
from .trajectory import Trajectory, Weights


def _cell_type(tensor: Tensor) -> torch.dtype:
    found: torch.dtype = getattr(torch, tensor.cell_type)
    return found


def _padded(size: int) -> int:
    return 1 << (size - 1).bit_length()


_SETTLED = 32
"""Steps after which arrays that are in files need not stay in memory."""


class _Outputs:
    """Zeroed arrays of the padded shapes; windows are written to their real parts."""

    def __init__(
        self, circuit: Circuit, padded_steps: int, device: torch.device | str, scratch: Scratch
    ) -> None:
        self.arrays: dict[str, npt.NDArray[Any]] = {}
        self._scratch = scratch
        self._written = 0
        self._real: dict[str, torch.Tensor] = {}
        for tensor in circuit.graph().tensors:
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

    def record(self, cells: Callable[[str], torch.Tensor], step: int) -> None:
        """Write the tensors of one step."""
        for name, place in self._real.items():
            place.select(0, step).copy_(cells(name))
        self._written += 1
        if self._written % _SETTLED == 0:
            self._scratch.settle()


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
    trajectory = Trajectory(circuit, records, weights_start, device)
    outputs = _Outputs(circuit, padded_steps, device, scratch)

    def on_window(done: int, losses: list[float]) -> None:
        progress("witness", done, steps, loss=losses[-1])

    trajectory.advance(first_step, steps, recorder=outputs.record, on_window=on_window)
    return outputs.arrays, trajectory.weights()
