"""The buffers of a few consecutive steps, allocated once: what they are given, and their trace.

Nothing that a step touches changes its address, so that a window can be captured as a graph of
device operations and run again with other indices and multipliers.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..circuit.circuit import Circuit
from .arithmetic import ONE

LENGTH = 16
# Of the accumulators, so that wide networks have shorter windows.
_MOST_CELLS = 1 << 23


@dataclass(frozen=True, slots=True)
class Quotient:
    """The rescaled product ``z`` (``forward``) or ``q`` of layer ``layer``, from 1."""

    layer: int
    forward: bool

    @property
    def through(self) -> int:
        """The layer whose weight it is multiplied by: an error comes through the one above."""
        return self.layer if self.forward else self.layer + 1


@dataclass(frozen=True, slots=True)
class Slot:
    """Views of a window's buffers for one step; ``negated`` are minus the step's multipliers, by
    layer, and ``ranges`` the smallest and largest value of every parameter after it."""

    indices: torch.Tensor
    negated: tuple[torch.Tensor, ...]
    targets: torch.Tensor
    accumulators: dict[Quotient, torch.Tensor]
    input_sums: torch.Tensor
    estimate: torch.Tensor
    c: torch.Tensor
    p: torch.Tensor
    p_before: torch.Tensor
    ranges: tuple[tuple[torch.Tensor, torch.Tensor], ...]


class Window:
    """Up to ``length`` steps. With ``B`` the batch size and ``C`` the number of classes:

    ``indices`` int64 ``(length, B)`` and ``negated`` float64 ``(length, layers)`` are given; the
    trace is ``accumulators`` ``(length, B, n)`` by their quotient, with ``2^(k-1)`` added,
    ``estimate`` and ``c`` ``(length, B)``, ``p`` and ``p_before`` ``(length, B, C)``, all float64.
    ``quotients``, ``activations`` (what each layer reads) and ``errors`` (of each layer's output)
    are those of the step that ran last.
    """

    def __init__(self, circuit: Circuit, inputs: torch.Tensor, labels: torch.Tensor) -> None:
        layers, batch, classes = circuit.dense_layers, circuit.batch_size, circuit.classes
        widths = {Quotient(at, True): layer.outputs for at, layer in enumerate(layers, 1)}
        widths |= {Quotient(at, False): layer.outputs for at, layer in enumerate(layers[:-1], 1)}
        device = inputs.device
        self.length = max(1, min(LENGTH, _MOST_CELLS // (batch * sum(widths.values()))))
        self.inputs = inputs
        self._labels = labels
        self._down = 2.0**-circuit.fixed_point.shift

        def zeros(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
            return torch.zeros(shape, dtype=dtype, device=device)

        n = self.length
        self.indices = zeros(n, batch, dtype=torch.int64)
        self.negated = zeros(n, len(layers))
        self._classes = torch.eye(classes, dtype=torch.float64, device=device) * ONE
        self._batch_labels = zeros(n * batch, dtype=torch.int64)
        self.targets = zeros(n, batch, classes)
        self.accumulators = {name: zeros(n, batch, width) for name, width in widths.items()}
        self.input_sums = zeros(n, batch)
        self.estimate, self.c = zeros(n, batch), zeros(n, batch)
        self.p, self.p_before = zeros(n, batch, classes), zeros(n, batch, classes)
        # The first row is that of the parameters before the window.
        self.ranges = zeros(n + 1, len(circuit.parameter_shapes()), 2)

        self.records = zeros(batch, circuit.features, dtype=torch.uint8)
        self.quotients = {name: zeros(batch, width) for name, width in widths.items()}
        outputs = [layer.outputs for layer in layers]
        self.activations = [zeros(batch, width) for width in (circuit.features, *outputs[:-1])]
        self.errors = [zeros(batch, width) for width in outputs]
        self.slots = [self._slot(at) for at in range(n)]

    def _slot(self, at: int) -> Slot:
        return Slot(
            self.indices.select(0, at),
            self.negated.select(0, at).unbind(),
            self.targets.select(0, at),
            {name: cells.select(0, at) for name, cells in self.accumulators.items()},
            self.input_sums.select(0, at),
            self.estimate.select(0, at),
            self.c.select(0, at),
            self.p.select(0, at),
            self.p_before.select(0, at),
            self.ranges_at(at + 1),
        )

    def ranges_at(self, row: int) -> tuple[tuple[torch.Tensor, torch.Tensor], ...]:
        """Places for the smallest and largest value of every parameter before step ``row``."""
        return tuple(
            (pair.select(0, 0), pair.select(0, 1)) for pair in self.ranges.select(0, row).unbind(0)
        )

    def fill(self, indices: torch.Tensor, negated: torch.Tensor) -> None:
        """Copy the batches and negated multipliers of the next steps, at most ``length``."""
        self.indices.narrow(0, 0, len(indices)).copy_(indices)
        self.negated.narrow(0, 0, len(negated)).copy_(negated)

    def gather_targets(self) -> None:
        """One-hot labels times ``2^14`` of all slots."""
        torch.index_select(self._labels, 0, self.indices.view(-1), out=self._batch_labels)
        targets = self.targets.view(-1, self.targets.shape[2])
        torch.index_select(self._classes, 0, self._batch_labels, out=targets)

    def trace(self, name: Quotient, size: int) -> torch.Tensor:
        """A new tensor of the quotients of the first ``size`` steps."""
        return (self.accumulators[name].narrow(0, 0, size) * self._down).floor_()
