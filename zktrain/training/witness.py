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


AT_ONCE = 32
"""Steps that a device keeps until they are fetched together, and after which arrays that are in
files need not stay in memory."""


class Traces:
    """Zeroed arrays of the padded shapes; steps are written to their real parts. Those of another
    device are ``staged`` there, and come by way of ``landing``, memory that a GPU writes itself."""

    def __init__(
        self, circuit: Circuit, padded_steps: int, device: torch.device | str, scratch: Scratch
    ) -> None:
        self.arrays: dict[str, npt.NDArray[Any]] = {}
        self.staged: dict[str, torch.Tensor] = {}
        self.landing: torch.Tensor | None = None
        self._scratch = scratch
        self._real: dict[str, torch.Tensor] = {}
        self._begun = self._ended = 0
        for tensor in circuit.graph().tensors:
            if not tensor.hint:
                continue
            real, kind = (circuit.batch_size, *tensor.axes), _cell_type(tensor)
            shape = (padded_steps, *(_padded(size) for size in real))
            array = scratch.zeros(shape, tensor.cell_type)
            cells = torch.from_numpy(array)
            for axis, size in enumerate(real, 1):
                cells = cells.narrow(axis, 0, size)
            self.arrays[tensor.name], self._real[tensor.name] = array, cells
            if torch.device(device).type != "cpu":
                staged = torch.empty((AT_ONCE, *real), dtype=kind, device=device)
                self.staged[tensor.name] = staged
        if self.staged and torch.cuda.is_available():
            most = max(staged.nbytes for staged in self.staged.values())
            self.landing = torch.empty(most, dtype=torch.uint8, pin_memory=True)

    def record(self, cells: Callable[[str], torch.Tensor], step: int) -> None:
        """Write the tensors of one step; steps come one after the other."""
        for name, place in self._real.items():
            if self.staged:
                self.staged[name].select(0, step - self._begun).copy_(cells(name))
            else:
                place.select(0, step).copy_(cells(name))
        self._ended = step + 1
        if self._ended - self._begun == AT_ONCE:
            self.fetch()

    def fetch(self) -> None:
        """All that was recorded is in the arrays."""
        first, count = self._begun, self._ended - self._begun
        for name, staged in self.staged.items():
            found = staged.narrow(0, 0, count)
            if self.landing is not None:
                landed = self.landing.narrow(0, 0, found.nbytes).view(found.dtype)
                found = landed.view(found.shape).copy_(found)
            self._real[name].narrow(0, first, count).copy_(found)
        self._begun = self._ended
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
    outputs = Traces(circuit, padded_steps, device, scratch)

    def on_window(done: int, losses: list[float]) -> None:
        progress("witness", done, steps, loss=losses[-1])

    trajectory.advance(first_step, steps, recorder=outputs.record, on_window=on_window)
    outputs.fetch()
    return outputs.arrays, trajectory.weights()
