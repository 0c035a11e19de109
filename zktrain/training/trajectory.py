"""A run of consecutive exact steps: batches in their public order, in windows checked together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from ..circuit.circuit import Circuit
from ..circuit.initial import start_violation
from ..circuit.order import batch_indices
from ..dataset.readers import Records
from ..errors import InputError
from .arithmetic import WEIGHT_LIMIT, Softmax, largest
from .figures import Seen
from .graph import Repeated
from .interpreter import Rules, Step
from .past import LENGTH, Past
from .program import Program

_MOST_INDICES = 1 << 22
_SHARED_MULTIPLICATIONS = 1 << 27

Weights = dict[str, npt.NDArray[np.int64]]
Recorder = Callable[[Callable[[str], torch.Tensor], int], None]
"""Takes what gives the tensors with a hint of a step by their names, and the number of the step,
counted from that of ``advance``. A step may come again; what came last is right."""


@dataclass(frozen=True, slots=True)
class _Batches:
    """What some consecutive steps are given: records on the device, multipliers of every update
    ``(steps, updates)`` off it, and minus these on it."""

    first: int
    indices: torch.Tensor
    negated: torch.Tensor
    multipliers: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.multipliers)

    def part(self, begin: int, end: int) -> _Batches:
        return _Batches(
            self.first + begin,
            self.indices.narrow(0, begin, end - begin),
            self.negated.narrow(0, begin, end - begin),
            self.multipliers[begin:end],
        )


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
        self._rules = Rules(circuit)
        self._softmax = Softmax(circuit.classes, device)
        self._weights = {
            name: torch.from_numpy(np.asarray(values)).to(device=device, dtype=torch.float64)
            for name, values in weights.items()
        }
        self._saved = {name: torch.empty_like(values) for name, values in self._weights.items()}
        self._inputs = torch.from_numpy(records.inputs).to(device)
        self._labels = torch.from_numpy(records.labels.astype(np.int64)).to(device)
        self._one_hot = torch.eye(circuit.classes, dtype=torch.float64, device=device)
        self._past: Past | None = None
        if circuit.optimizer.remembers:
            self._past = Past(self._rules, self._weights, self._inputs)
        self._program: Program | None = None
        self._precise: set[str] = set()
        self._steps = LENGTH

    def weights(self) -> Weights:
        """The integer weights now, on the CPU."""
        return {
            name: values.to(torch.int64).cpu().numpy() for name, values in self._weights.items()
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

        After each window ``on_window(steps done, losses of the window)`` is called. The first step
        of a window that is not sound is made again by the interpreter, which names what leaves its
        range. Raises ``RangeOverflow``.
        """
        with torch.inference_mode():
            self._advance(first_step, steps, recorder, on_window)

    def _advance(
        self,
        first_step: int,
        steps: int,
        recorder: Recorder | None,
        on_window: Callable[[int, list[float]], None] | None,
    ) -> None:
        done = 0
        for batches in self._batches(first_step, steps):
            at = 0
            while at < len(batches):
                size = min(self._steps, len(batches) - at)
                if self._past is not None:
                    size = min(size, self._past.seek(batches.first + at))
                window = batches.part(at, at + size)
                found = self.attempt(window, recorder, done)
                if len(found) < size:
                    failed = window.part(len(found), len(found) + 1)
                    found.append(self._careful(failed, recorder, done + len(found)))
                    self._steps = max(1, self._steps // 2)
                else:
                    self._steps = min(LENGTH, 2 * self._steps)
                at += len(found)
                done += len(found)
                if on_window is not None:
                    on_window(done, found)

    def _batches(self, first_step: int, steps: int) -> Iterator[_Batches]:
        circuit, device = self.circuit, self._inputs.device
        most = max(LENGTH, _MOST_INDICES // circuit.batch_size)
        for first in range(first_step, first_step + steps, most):
            count = min(most, first_step + steps - first)
            order = batch_indices(
                circuit.order_seed,
                len(self._labels),
                circuit.batch_size,
                first,
                count,
                drop_last=circuit.drop_last,
            )
            multipliers = np.array(
                [
                    circuit.optimizer.of(circuit, op.weight).multipliers_at(circuit, first, count)
                    for op in self._rules.updates
                ],
                dtype=np.int64,
            ).T
            negated = torch.from_numpy(-multipliers.astype(np.float64)).to(device)
            yield _Batches(first, torch.from_numpy(order).to(device), negated, multipliers)

    def attempt(self, window: _Batches, recorder: Recorder | None, done: int) -> list[float]:
        """Losses of the first steps of a window that are sound, and that are made then."""
        for name, values in self._weights.items():
            self._saved[name].copy_(values)
        while True:
            program = self._prepared()
            seen = self._run(program, window, recorder, done)
            sound, doubted = program.figures.judge(seen)
            count = len(window) if sound.all() else int(sound.argmin())
            losses = program.losses(seen)[:count]
            if count < len(window):
                for name, values in self._weights.items():
                    values.copy_(self._saved[name])
                if self._past is not None:
                    self._past.seek(window.first)
                if doubted:
                    self._precise |= doubted
                    self._program = None
                    continue
                self._run(program, window.part(0, count), recorder, done)
            if self._past is not None:
                self._past.sizes = program.grown(seen, count)
            return losses

    def _prepared(self) -> Program:
        if self._program is None:
            self._program = program = Program(
                self._rules,
                self._weights,
                self._softmax,
                self._inputs,
                self._labels,
                self._precise,
                None if self._past is None else self._past.windows,
            )
            self._step = Repeated(program.run, self._inputs.device)
            self._figures = program.figures.now.new_zeros(LENGTH + 1, *program.figures.now.shape)
        return self._program

    def _run(
        self, program: Program, window: _Batches, recorder: Recorder | None, done: int
    ) -> Seen:
        """All steps of a window, and their figures."""
        past, rates = self._past, window.multipliers.astype(np.float64)
        if past is not None:
            rates = past.loads(len(window)).astype(np.float64)
            past.prepare(len(window))
        with _threads_for(program.multiplications, self._inputs.device):
            self._issue(program, window, recorder, done)
        fetched = self._figures[: len(window) + 1].cpu().numpy()
        return Seen(fetched[:-1], fetched[1:], rates, {} if past is None else past.sizes)

    def _issue(
        self, program: Program, window: _Batches, recorder: Recorder | None, done: int
    ) -> None:
        """All operations of a window; nothing here waits for the device."""
        past = self._past
        program.measure()
        self._figures.select(0, 0).copy_(program.figures.now)
        for at in range(len(window)):
            program.indices.copy_(window.indices.select(0, at))
            program.negated.copy_(window.negated.select(0, at))
            self._step()
            program.ended()
            if recorder is not None:
                recorder(program.cells, done + at)
            if past is not None:
                past.keep(program.indices, program.rows, program.gradients)
                past.apply()
                past.end()
                program.measure()
            self._figures.select(0, at + 1).copy_(program.figures.now)

    def _careful(self, window: _Batches, recorder: Recorder | None, done: int) -> float:
        """The only step of a window, value by value; its loss."""
        indices = window.indices[0]
        if self._past is not None:
            self._past.seek(window.first)
            self._past.prepare(1)
        step = Step(
            self._rules,
            self._weights,
            self._softmax,
            self._inputs[indices].to(torch.float64),
            self._one_hot[self._labels[indices]],
            window.first,
        )
        for name in self._rules.traced:
            step.value(name)
        for name in self._rules.ranges:
            step.value(name)
        if recorder is not None:
            recorder(step.value, done)
        if self._past is not None:
            self._past.keep(indices, step.value, step.gradients())
        for name, values in self._after(step, window.multipliers[0]).items():
            self._weights[name].copy_(values)
        if self._past is not None:
            self._past.end()
        return step.loss()

    def _after(self, step: Step, multipliers: npt.NDArray[np.int64]) -> dict[str, torch.Tensor]:
        """All parameters that a careful step changes."""
        gradients = step.gradients()
        moves = {
            name: [(multiplier, gradients[name])]
            for op, multiplier in zip(self._rules.updates, multipliers.tolist(), strict=True)
            for name in op.outputs()
        }
        if self._past is not None:
            for name, gradient in gradients.items():
                most = float(largest(gradient))
                self._past.sizes[name] = max(self._past.sizes.get(name, 0.0), most)
            moves = self._past.moves(step.product)
        return {name: step.changed(name, changes) for name, changes in moves.items()}


@contextmanager
def _threads_for(multiplications: int, device: torch.device) -> Iterator[None]:
    """One thread where a step is too small to share: threads that wait for each other every few
    microseconds cost little on an idle machine and triple the time on a busy one."""
    before = torch.get_num_threads()
    if device.type == "cpu" and multiplications < _SHARED_MULTIPLICATIONS:
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
