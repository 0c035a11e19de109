"""A run of consecutive exact steps: batches in their public order, in windows checked together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import torch

from ..circuit.circuit import Circuit
from ..dataset.readers import Records
from ..errors import InputError
from .arithmetic_careful import CarefulArithmetic
from .arithmetic_fast import FastArithmetic, update_is_exact
from .order import batch_indices
from .step import WEIGHT_LIMIT, Network, Tape, run_step

WINDOW = 16
_MOST_INDICES = 1 << 22
_SHARED_MULTIPLICATIONS = 1 << 27

Weights = dict[str, npt.NDArray[np.int64]]
Recorder = Callable[[int], Tape]
"""Gives the tape of a step, counted from the first one of ``advance``."""


class Trajectory:
    """The weights along a training run, on a device.

    Raises ``InputError`` when records or weights do not fit the circuit.
    """

    def __init__(
        self,
        circuit: Circuit,
        records: Records,
        weights: Mapping[str, npt.NDArray[np.int64]],
        device: torch.device | str = "cpu",
    ) -> None:
        check_records(circuit, records)
        check_weights(circuit, weights)
        self.circuit = circuit
        self.network = Network(
            circuit,
            {name: torch.from_numpy(np.asarray(values)) for name, values in weights.items()},
            device,
        )
        self._inputs = torch.from_numpy(records.inputs).to(device)
        self._labels = torch.from_numpy(records.labels.astype(np.int64)).to(device)
        self._window = WINDOW

    def weights(self) -> Weights:
        """The integer weights now, on the CPU."""
        return {
            name: values.to(torch.int64).cpu().numpy()
            for name, values in self.network.weights.items()
        }

    def advance(
        self,
        first_step: int,
        steps: int,
        *,
        recorder: Recorder | None = None,
        on_window: Callable[[int, list[float]], None] | None = None,
    ) -> None:
        """Run steps ``first_step .. first_step + steps - 1``.

        After each window ``on_window(steps done, losses of the window)`` is called. A window
        whose checks fail is taken back and repeated in halves down to a single careful step, so
        that an overflow is reported where it happens; a step may thus be recorded twice, the
        later one being right. Raises ``RangeOverflow``.
        """
        with _threads_for(self.circuit, self.network.device):
            self._advance(first_step, steps, recorder, on_window)

    def _advance(
        self,
        first_step: int,
        steps: int,
        recorder: Recorder | None,
        on_window: Callable[[int, list[float]], None] | None,
    ) -> None:
        batch = self.circuit.batch_size
        most = max(WINDOW, _MOST_INDICES // batch)
        for start in range(0, steps, most):
            count = min(most, steps - start)
            order = batch_indices(
                self.circuit.order_seed, len(self._labels), batch, first_step + start, count
            )
            indices = torch.from_numpy(order).to(self.network.device)
            done = 0
            while done < count:
                size = min(self._window, count - done)
                losses = self._run(first_step, start + done, indices[done : done + size], recorder)
                done += len(losses)
                if losses and on_window is not None:
                    on_window(start + done, losses)

    def _run(
        self, first_step: int, offset: int, indices: torch.Tensor, recorder: Recorder | None
    ) -> list[float]:
        """Try a window; returns the losses of the steps that were made (none, one, or all)."""
        size = len(indices)
        multipliers = self.circuit.multipliers_at(first_step + offset, size)
        saved = {name: values.clone() for name, values in self.network.weights.items()}
        if all(update_is_exact(self.network, m) for m in set(multipliers)):
            fast = FastArithmetic(self.network)
            losses = []
            for position, multiplier in enumerate(multipliers):
                losses.append(
                    self._step(indices[position], multiplier, fast, recorder, offset + position)
                )
                fast.end_step()
            if fast.sound():
                self._window = min(WINDOW, 2 * self._window)
                return torch.stack(losses).tolist()
            for name, values in saved.items():
                self.network.weights[name].copy_(values)
        if size > 1:
            self._window = size // 2
            return []
        careful = CarefulArithmetic(self.network, first_step + offset)
        loss = self._step(indices[0], multipliers[0], careful, recorder, offset)
        return [loss.item()]

    def _step(
        self,
        indices: torch.Tensor,
        multiplier: int,
        arithmetic: FastArithmetic | CarefulArithmetic,
        recorder: Recorder | None,
        offset: int,
    ) -> torch.Tensor:
        return run_step(
            self.network,
            self._inputs.index_select(0, indices),
            self._labels.index_select(0, indices),
            multiplier,
            arithmetic,
            None if recorder is None else recorder(offset),
        )


@contextmanager
def _threads_for(circuit: Circuit, device: torch.device) -> Iterator[None]:
    """One thread where a step is too small to share: threads that wait for each other every few
    microseconds cost little on an idle machine and triple the time on a busy one."""
    before = torch.get_num_threads()
    small = 3 * circuit.batch_size * circuit.parameters < _SHARED_MULTIPLICATIONS
    if device.type == "cpu" and small:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def check_records(circuit: Circuit, records: Records) -> None:
    """Raise ``InputError`` unless ``records`` have the circuit's inputs and labels."""
    features, labels = records.inputs.shape[1], int(records.labels.max(initial=0))
    if features != circuit.features:
        raise InputError(
            f"{records.source}: a record has {features} input values and the network takes "
            f"{circuit.features}; choose another dataset or network"
        )
    if labels >= circuit.classes:
        raise InputError(
            f"{records.source}: label {labels} occurs and the network has {circuit.classes} "
            f"outputs, 0 to {circuit.classes - 1}; choose another dataset or network"
        )


def check_weights(circuit: Circuit, weights: Mapping[str, npt.NDArray[np.int64]]) -> None:
    """Raise ``InputError`` unless ``weights`` are the circuit's parameters, below ``2^52``."""
    shapes = circuit.parameter_shapes()
    if {name: values.shape for name, values in weights.items()} != shapes:
        raise InputError(
            "the weights are not those of the circuit: other names or shapes; "
            "train or convert them for this network"
        )
    for name, values in weights.items():
        if values.size and max(-int(values.min()), int(values.max())) >= WEIGHT_LIMIT:
            raise InputError(f"the weights of {name} are not all below 2^52; scale them down")
