"""A run of consecutive exact steps: batches in their public order, in windows checked together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import torch

from ..circuit.circuit import Circuit
from ..circuit.initial import start_violation
from ..circuit.order import batch_indices
from ..dataset.readers import Records
from ..errors import InputError
from .arithmetic_careful import CarefulArithmetic
from .arithmetic_fast import FastArithmetic, update_is_exact
from .filtered import CarefulFiltered, FastFiltered, Past
from .graph import Repeated
from .interpreter import GraphTrajectory
from .step import WEIGHT_LIMIT, Network, losses, run_step
from .window import Window

_MOST_INDICES = 1 << 22
_SHARED_MULTIPLICATIONS = 1 << 27

Weights = dict[str, npt.NDArray[np.int64]]
Recorder = Callable[[Window, int, int], None]
"""Takes the trace of a window: its number of steps, and its first one, counted from that of
``advance``."""


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
        check_start(circuit, weights)
        self.circuit = circuit
        self.network = Network(
            circuit,
            {name: torch.from_numpy(np.asarray(values)) for name, values in weights.items()},
            device,
        )
        inputs = torch.from_numpy(records.inputs).to(device)
        labels = torch.from_numpy(records.labels.astype(np.int64)).to(device)
        self._records = len(labels)
        self._window = Window(circuit, inputs, labels)
        self._saved = {name: torch.empty_like(v) for name, v in self.network.weights.items()}
        self._past = Past(self.network, inputs) if circuit.optimizer.remembers else None
        self._whole: Callable[[], None]
        if self._past is None:
            self._fast = FastArithmetic(self.network, self._window)
            self._whole = Repeated(lambda: self._fast.run(self._window.length), self.network.device)
        else:
            self._fast = FastFiltered(self.network, self._window, self._past)
            self._whole = lambda: self._fast.run(self._window.length)
        self._steps = self._window.length

    def weights(self) -> Weights:
        """The integer weights now, on the CPU."""
        return {name: values.cpu().numpy() for name, values in self.network.integers().items()}

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
        that an overflow is reported where it happens. ``recorder`` gets what is right only.
        Raises ``RangeOverflow``.
        """
        with torch.inference_mode(), _threads_for(self.circuit, self.network.device):
            self._advance(first_step, steps, recorder, on_window)

    def _advance(
        self,
        first_step: int,
        steps: int,
        recorder: Recorder | None,
        on_window: Callable[[int, list[float]], None] | None,
    ) -> None:
        batch, device = self.circuit.batch_size, self.network.device
        most = max(self._window.length, _MOST_INDICES // batch)
        for start in range(0, steps, most):
            count, first = min(most, steps - start), first_step + start
            order = batch_indices(
                self.circuit.order_seed,
                self._records,
                batch,
                first,
                count,
                drop_last=self.circuit.drop_last,
            )
            multipliers = self._multipliers(first, count)
            indices = torch.from_numpy(order).to(device)
            negated = torch.from_numpy(-multipliers.astype(np.float64)).to(device)
            done = 0
            while done < count:
                size = min(self._steps, count - done)
                if self._past is not None:
                    size = min(size, self._past.seek(first + done))
                self._window.fill(indices.narrow(0, done, size), negated.narrow(0, done, size))
                found = self._run(first + done, multipliers[done : done + size])
                if found and recorder is not None:
                    recorder(self._window, len(found), start + done)
                done += len(found)
                if found and on_window is not None:
                    on_window(start + done, found)

    def _multipliers(self, first: int, count: int) -> npt.NDArray[np.int64]:
        """Of steps and layers."""
        circuit = self.circuit
        rules = (circuit.optimizer.of(circuit, layer.weight) for layer in circuit.dense_layers)
        found = [rule.multipliers_at(circuit, first, count) for rule in rules]
        return np.array(found, dtype=np.int64).T

    def _run(self, step: int, multipliers: npt.NDArray[np.int64]) -> list[float]:
        """Try a window; returns the losses of the steps that were made (none, one, or all)."""
        size, weights = len(multipliers), self.network.weights
        factors = np.unique(multipliers).tolist() if self._past is None else [self._past.load(size)]
        if all(update_is_exact(self.network, m) for m in factors):
            for name, values in weights.items():
                self._saved[name].copy_(values)
            if size == self._window.length:
                self._whole()
            else:
                self._fast.run(size)
            found = self._fast.sound(size)
            if found is not None:
                self._steps = min(self._window.length, 2 * self._steps)
                return found
            for name, values in weights.items():
                values.copy_(self._saved[name])
        if size > 1:
            self._steps = size // 2
            return []
        self._window.gather_targets()
        slot = self._window.slots[0]
        if self._past is None:
            careful = CarefulArithmetic(self.network, step, multipliers[0].tolist())
            run_step(self.network, self._window, slot, careful)
        else:
            self._past.seek(step)
            self._past.begin(slot)
            run_step(
                self.network, self._window, slot, CarefulFiltered(self.network, step, self._past)
            )
            self._past.end()
        return losses(self.network, self._window, 1).tolist()


def trajectory_of(
    circuit: Circuit,
    records: Records,
    weights: Mapping[str, npt.NDArray[np.int64]],
    device: torch.device | str = "cpu",
) -> Trajectory | GraphTrajectory:
    """The run of a circuit: dense networks in windows, others operation by operation.

    Raises ``InputError`` when records or weights do not fit.
    """
    if circuit.trains_in_windows:
        return Trajectory(circuit, records, weights, device)
    check_records(circuit, records)
    check_weights(circuit, weights)
    check_start(circuit, weights)
    return GraphTrajectory(circuit, records, weights, device)


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


def check_start(circuit: Circuit, weights: Mapping[str, npt.NDArray[np.int64]]) -> None:
    """Raise ``InputError`` unless a run of the circuit can start from ``weights``."""
    if problem := start_violation(circuit, weights):
        raise InputError(
            f"{problem}, as first weights under weight decay are; start from a seed, or round them"
        )
