"""Updates under momentum and weight decay: after step ``t`` all changes of the filter that are due.

    W_{t+1} = W_t + (D[t+1] - D[t]) (W_0 / 2^12) - sum_i by_i G_{tau_i}     i: changes due at t + 1

``G_tau`` is never kept: what is kept are the activations and errors that it is the product of, as
many steps back as a change reaches, and all changes of a step are one product.
"""

from __future__ import annotations

import numpy as np
import torch

from ..arguments.time_filter import START_BITS, Coefficients
from ..circuit.circuit import Circuit
from .arithmetic import ACCUMULATOR_LIMIT, largest
from .arithmetic_careful import CarefulArithmetic
from .arithmetic_fast import FastArithmetic
from .step import Network, run_step
from .window import LENGTH, Slot, Window

_STEPS_AT_ONCE = 64
"""Steps whose activations and errors are put side by side for one product."""


class Past:
    """The steps since the last restart, and what their gradients still have to change.

    Values of at most 24 bits are kept as float32, which holds them exactly.
    """

    def __init__(self, network: Network, inputs: torch.Tensor) -> None:
        self._network = network
        self._inputs = inputs
        self._known: list[Coefficients] = []
        self._first = self._next = 0
        self._errors: dict[int, torch.Tensor] = {}
        self._activations: dict[int, torch.Tensor] = {}
        self._indices = torch.zeros((0, 0), dtype=torch.int64)
        self._start: dict[str, torch.Tensor] = {}

    def known(self, layer: int) -> Coefficients:
        """The filter of a layer (from 1) since the last restart."""
        return self._known[layer - 1]

    def seek(self, step: int) -> int:
        """Make ready for ``step``, the next one or one made before; velocities become zero where it
        is a restart. Returns how many steps there are up to the next restart or the end.

        Raises ``ValueError`` when the steps before it since the restart were not made here.
        """
        circuit = self._network.circuit
        first, steps = circuit.optimizer.stretch(circuit, step)
        at = step - first
        if not at:
            self._restart(circuit, step, steps)
        elif not self._known or first != self._first or at > self._next:
            raise ValueError(f"step {step} goes on from step {first}, which was not made here")
        self._next = at
        return steps - at

    def _restart(self, circuit: Circuit, step: int, steps: int) -> None:
        self._known = [
            circuit.optimizer.of(circuit, layer.weight).coefficients(circuit, step, steps)
            for layer in circuit.dense_layers
        ]
        self._first = step
        batch, device = circuit.batch_size, self._network.device

        # steps of a window that is taken back must not overwrite what it needs again
        count = max(known.reach for known in self._known) + LENGTH

        def zeros(*shape: int, dtype: torch.dtype) -> torch.Tensor:
            return torch.zeros((count, *shape), dtype=dtype, device=device)

        if len(self._indices) != count:
            self._indices = zeros(batch, dtype=torch.int64)
            for index, layer in enumerate(circuit.dense_layers, 1):
                self._errors[index] = zeros(batch, layer.outputs, dtype=torch.float32)
                if index > 1:
                    self._activations[index] = zeros(batch, layer.inputs, dtype=torch.float32)
        if any((known.start != known.start[0]).any() for known in self._known):
            self._start = {
                name: values * 2.0**-START_BITS for name, values in self._network.weights.items()
            }

    def begin(self, slot: Slot) -> None:
        """The next step, with its batch."""
        self._indices[self._next % len(self._indices)].copy_(slot.indices)

    def keep(self, layer: int, activation: torch.Tensor, error: torch.Tensor) -> None:
        """What the gradient of a layer (from 1) is made of in this step."""
        place = self._next % len(self._indices)
        self._errors[layer][place].copy_(error)
        if layer > 1:
            self._activations[layer][place].copy_(activation)

    def end(self) -> None:
        """The step is over."""
        self._next += 1

    def load(self, steps: int) -> int:
        """The largest sum of ``|by|`` over the changes due after one of ``steps`` steps."""
        here = slice(self._next + 1, self._next + 1 + steps)
        return max(int(known.loads[here].max()) for known in self._known)

    def shrink(self, layer: int) -> int:
        """``D[t+1] - D[t]`` of this step."""
        start = self.known(layer).start
        return int(start[self._next + 1] - start[self._next])

    def start(self, name: str) -> torch.Tensor:
        """``W_0 / 2^12`` of a parameter, as the network keeps it."""
        return self._start[name]

    def due(self, layer: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Activations ``(n, inputs)`` and weighted errors ``(n, outputs)`` of the changes due after
        this step, in parts whose products add up to the change of the weight."""
        known = self.known(layer)
        begin, end = known.offsets[self._next + 1], known.offsets[self._next + 2]
        parts = []
        for first in range(begin, end, _STEPS_AT_ONCE):
            last = min(end, first + _STEPS_AT_ONCE)
            places = self._on_device(known.tau[first:last] % len(self._indices))
            errors = self._errors[layer].index_select(0, places).to(torch.float64)
            errors *= self._on_device(known.by[first:last]).view(-1, 1, 1)
            if layer > 1:
                activations = self._activations[layer].index_select(0, places)
            else:
                indices = self._indices.index_select(0, places).view(-1)
                activations = self._inputs.index_select(0, indices)
            flat = activations.reshape(-1, activations.shape[-1]).to(torch.float64)
            parts.append((flat, errors.view(-1, errors.shape[-1])))
        return parts

    def _on_device(self, values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self._network.device)


class FastFiltered(FastArithmetic):
    """``FastArithmetic`` with the updates of a filter, on any device one operation at a time."""

    def __init__(self, network: Network, window: Window, past: Past) -> None:
        super().__init__(network, window)
        self._past = past

    def steps(self, size: int) -> None:
        """See ``FastArithmetic``."""
        for slot in self._window.slots[:size]:
            self._past.begin(slot)
            run_step(self._network, self._window, slot, self)
            self._past.end()

    def update(self, layer: int, activation: torch.Tensor, error: torch.Tensor, slot: Slot) -> None:
        """See ``Arithmetic``."""
        self._past.keep(layer, activation, error)
        weights = self._network.weights
        names = self._network.circuit.dense_layers[layer - 1]
        for activations, errors in self._past.due(layer):
            weights[names.weight].addmm_(errors.t(), activations, alpha=-1)
            if names.bias is not None:
                weights[names.bias].sub_(errors.sum(dim=0), alpha=self._bias_factor)
        for name in (names.weight, names.bias):
            if name is not None:
                if shrink := self._past.shrink(layer):
                    weights[name].add_(self._past.start(name), alpha=float(shrink))
                self._note_range(name, slot)


class CarefulFiltered(CarefulArithmetic):
    """``CarefulArithmetic`` with the updates of a filter."""

    def __init__(self, network: Network, step: int, past: Past) -> None:
        super().__init__(network, step, ())
        self._past = past

    def update(self, layer: int, activation: torch.Tensor, error: torch.Tensor, slot: Slot) -> None:
        """See ``Arithmetic``."""
        self._past.keep(layer, activation, error)
        names = self._network.circuit.dense_layers[layer - 1]
        where = f"layer {names.name}, update"
        weight = self._change(layer, names.weight)
        bias = None if names.bias is None else self._change(layer, names.bias)
        scale = 1 << self._fixed_point.activation_bits
        for activations, errors in self._past.due(layer):
            if largest(weight) >= ACCUMULATOR_LIMIT:
                break  # refused below
            weight += self._product(errors.t(), activations, where)
            if bias is not None:
                bias += scale * errors.to(torch.int64).sum(dim=0)
        self._subtract(names.weight, weight, 1)
        if bias is not None and names.bias is not None:
            self._subtract(names.bias, bias, 1)

    def _change(self, layer: int, name: str) -> torch.Tensor:
        """What weight decay takes away in this step, as int64."""
        shrink = self._past.shrink(layer)
        if not shrink:
            return torch.zeros_like(self._network.weights[name], dtype=torch.int64)
        return -shrink * self._past.start(name).to(torch.int64)
