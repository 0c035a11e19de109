"""Updates under momentum and weight decay: after step ``t`` all changes of the filter that are due.

    W_{t+1} = W_t + (D[t+1] - D[t]) (W_0 / 2^12) - sum_i by_i G_{tau_i}     i: changes due at t + 1

Of a dense layer ``G_tau`` is never kept: what is kept, as many steps back as a change reaches, are
the activations and errors that it is the product of, and all changes of a step are one product. Of
windows, which are larger than it, ``G_tau`` is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from ..arguments.time_filter import START_BITS, Coefficients
from ..circuit import bounds
from ..circuit.build import INPUTS
from ..operations import Accumulate
from .interpreter import Rules

LENGTH = 16
"""Steps that are tried at once, and taken back if they are not sound."""
_STEPS_AT_ONCE = 64
"""Steps whose activations and errors are put side by side for one product."""
_FLOAT32 = 1 << 24
"""Integers up to here are kept as float32, which holds them exactly."""

Moves = list[tuple[int, torch.Tensor]]


@dataclass(slots=True)
class _Kept:
    """Of one layer, by step modulo the length: activations and errors, or gradients. ``due`` are
    the places of the errors of some steps' changes and what they are multiplied by, ``(2, n)`` on
    the device, from change number ``first`` on."""

    op: Accumulate
    rows: torch.Tensor | None
    errors: torch.Tensor | None
    gradients: tuple[torch.Tensor, ...]
    due: torch.Tensor
    first: int = 0


class Past:
    """The steps since the last restart, and what their gradients still have to change."""

    def __init__(
        self, rules: Rules, weights: Mapping[str, torch.Tensor], inputs: torch.Tensor
    ) -> None:
        self._rules = rules
        self._weights = weights
        self._inputs = inputs
        self._known: dict[str, Coefficients] = {}
        self._first = self._next = 0
        self._indices = torch.zeros((0, 0), dtype=torch.int64)
        self._kept: list[_Kept] = []
        self._start: dict[str, torch.Tensor] = {}
        self.sizes: dict[str, float] = {}
        """The largest gradient since the last restart, by weight."""

    @property
    def windows(self) -> set[str]:
        """Weights of which gradients are kept."""
        return {op.weight for op in self._rules.updates if self._rules.tensors[op.error].grid}

    @property
    def reach(self) -> int:
        """How many steps back a change can be due."""
        return max(known.reach for known in self._known.values())

    def known(self, weight: str) -> Coefficients:
        """The filter of a layer since the last restart."""
        return self._known[weight]

    def seek(self, step: int) -> int:
        """Make ready for ``step``, the next one or one made before; velocities become zero where it
        is a restart. Returns how many steps there are up to the next restart or the end.

        Raises ``ValueError`` when the steps before it since the restart were not made here.
        """
        circuit = self._rules.circuit
        first, steps = circuit.optimizer.stretch(circuit, step)
        at = step - first
        if not at:
            self._restart(step, steps)
        elif not self._known or first != self._first or at > self._next:
            raise ValueError(f"step {step} goes on from step {first}, which was not made here")
        self._next = at
        return steps - at

    def _restart(self, step: int, steps: int) -> None:
        circuit = self._rules.circuit
        self._known = {
            op.weight: circuit.optimizer.of(circuit, op.weight).coefficients(circuit, step, steps)
            for op in self._rules.updates
        }
        self._first, self.sizes = step, {}
        # steps of a window that is taken back must not overwrite what it needs again
        count = self.reach + LENGTH
        if len(self._indices) != count:
            batch, device = circuit.batch_size, self._inputs.device
            self._indices = torch.zeros((count, batch), dtype=torch.int64, device=device)
            self._kept = [self._room(op, count) for op in self._rules.updates]
        if any((known.start != known.start[0]).any() for known in self._known.values()):
            self._start = {
                name: values * 2.0**-START_BITS for name, values in self._weights.items()
            }

    def _room(self, op: Accumulate, count: int) -> _Kept:
        sizes, batch = bounds.sizes(self._rules.circuit), self._rules.circuit.batch_size
        device = self._inputs.device
        none = torch.zeros((2, 0), dtype=torch.int64, device=device)

        def rows(name: str) -> torch.Tensor:
            kind = torch.float32 if sizes[name] <= _FLOAT32 else torch.float64
            width = self._rules.tensors[name].width
            return torch.zeros((count, batch, width), dtype=kind, device=device)

        if op.weight not in self.windows:
            activations = None if op.activation == INPUTS else rows(op.activation)
            return _Kept(op, activations, rows(op.error), (), none)
        return _Kept(op, None, None, tuple(
            torch.zeros((count, *self._weights[name].shape), dtype=torch.int64, device=device)
            for name in op.outputs()
        ), none)  # fmt: skip

    def prepare(self, steps: int) -> None:
        """Send the device what the changes after the next ``steps`` steps are made of: nothing then
        waits for it step by step."""
        for kept in self._kept:
            if kept.errors is None:
                continue
            known = self._known[kept.op.weight]
            kept.first, end = known.offsets[[self._next + 1, self._next + 1 + steps]].tolist()
            part = slice(kept.first, end)
            due = np.stack([known.tau[part] % len(self._indices), known.by[part]])
            kept.due = torch.from_numpy(due).to(self._inputs.device)

    def keep(
        self,
        indices: torch.Tensor,
        value: Callable[[str], torch.Tensor],
        gradients: Mapping[str, torch.Tensor],
    ) -> None:
        """What the gradients of this step are made of; ``value`` gives its tensors."""
        place = self._next % len(self._indices)
        self._indices.select(0, place).copy_(indices)
        for kept in self._kept:
            if kept.errors is not None:
                kept.errors.select(0, place).copy_(value(kept.op.error))
            if kept.rows is not None:
                kept.rows.select(0, place).copy_(value(kept.op.activation))
            for name, ring in zip(
                kept.op.outputs() if kept.gradients else (), kept.gradients, strict=True
            ):
                ring.select(0, place).copy_(gradients[name])

    def end(self) -> None:
        """The step is over."""
        self._next += 1

    def loads(self, steps: int) -> np.ndarray:
        """Sums of ``|by|`` over the changes due after each of the next ``steps`` steps, by
        layer."""
        part = slice(self._next + 1, self._next + 1 + steps)
        return np.stack([self._known[op.weight].loads[part] for op in self._rules.updates], axis=1)

    def _shrink(self, op: Accumulate) -> int:
        """``D[t+1] - D[t]`` of this step."""
        start = self._known[op.weight].start
        return int(start[self._next + 1] - start[self._next])

    def apply(self) -> None:
        """Make all changes that are due after this step, in place."""
        for kept in self._kept:
            op = kept.op
            for activations, errors in self._due(kept):
                weight = self._weights[op.weight]
                weight.addmm_(activations.t(), errors, alpha=-1)
                if op.bias is not None:
                    self._weights[op.bias].sub_(errors.sum(dim=0), alpha=1 << op.bias_shift)
            for name, by, gradient in self._changes(kept):
                self._weights[name].sub_(gradient, alpha=by)
            if shrink := self._shrink(op):
                for name in op.outputs():
                    self._weights[name].add_(self._start[name], alpha=float(shrink))

    def moves(self, multiply: Callable[[str, torch.Tensor, torch.Tensor], torch.Tensor]) -> dict[
        str, Moves
    ]:  # fmt: skip
        """The same as integers to subtract, each with its factor; ``multiply`` gives exact
        products, for the layer of a weight."""
        found: dict[str, Moves] = {name: [] for op in self._rules.updates for name in op.outputs()}
        for kept in self._kept:
            op = kept.op
            for activations, errors in self._due(kept):
                product = multiply(op.error, activations.t().contiguous(), errors)
                found[op.weight].append((1, product))
                if op.bias is not None:
                    total = errors.to(torch.int64).sum(dim=0)
                    found[op.bias].append((1 << op.bias_shift, total))
            for name, by, gradient in self._changes(kept):
                found[name].append((by, gradient))
            if shrink := self._shrink(op):
                for name in op.outputs():
                    found[name].append((-shrink, self._start[name].to(torch.int64)))
        return found

    def _range(self, op: Accumulate) -> range:
        offsets = self._known[op.weight].offsets
        return range(offsets[self._next + 1], offsets[self._next + 2])

    def _due(self, kept: _Kept) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Activations ``(n, inputs)`` and weighted errors ``(n, outputs)`` of the changes due after
        this step, in parts whose products add up to the change of the weight."""
        if kept.errors is None:
            return
        due = self._range(kept.op)
        for first in due[::_STEPS_AT_ONCE]:
            count = min(due.stop - first, _STEPS_AT_ONCE)
            places, by = kept.due.narrow(1, first - kept.first, count)
            errors = kept.errors.index_select(0, places).to(torch.float64)
            errors *= by.view(-1, 1, 1)
            if kept.rows is not None:
                activations = kept.rows.index_select(0, places)
            else:
                indices = self._indices.index_select(0, places).view(-1)
                activations = self._inputs.index_select(0, indices)
            flat = activations.reshape(-1, activations.shape[-1]).to(torch.float64)
            yield flat, errors.view(-1, errors.shape[-1])

    def _changes(self, kept: _Kept) -> Iterator[tuple[str, int, torch.Tensor]]:
        known = self._known[kept.op.weight]
        for at in self._range(kept.op) if kept.gradients else ():
            place = int(known.tau[at]) % len(self._indices)
            for name, ring in zip(kept.op.outputs(), kept.gradients, strict=True):
                yield name, int(known.by[at]), ring.select(0, place)
