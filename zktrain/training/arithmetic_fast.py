"""A step's arithmetic in plain float64, with all checks put off to the end of a window of steps.

Nothing here waits for the device: the figures that exactness hangs on are gathered in one device
tensor, which ``sound`` fetches. If they are in order, every value of the window was exact and in
range; if not, the window is void and is run again (in smaller pieces, at last by
``arithmetic_careful``). The checks are sound although they read figures of a possibly inexact
run: before the first operation that breaks a bound everything was exact, and so are the figures
that reveal it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from .arithmetic import EXACT_FLOAT, MAX_DISTANCE, ONE, normalised
from .step import QUOTIENT_HIGH, QUOTIENT_LOW, WEIGHT_LIMIT, Network, error_unit, losses, run_step
from .window import Quotient, Slot, Window

_FIRST = Quotient(1, True)
# The bounds are products of floats themselves; the margin is far above their rounding.
_LIMIT = EXACT_FLOAT * (1 - 2.0**-40)


def update_is_exact(network: Network, multiplier: int) -> bool:
    """``m |a|^T |e| < 2^52`` for all 16-bit activations and errors of the loss's range."""
    error_bits: int = 22 if network.circuit.loss == "mse" else 15
    records: int = multiplier * network.circuit.batch_size
    return records << (15 + error_bits) < WEIGHT_LIMIT


class FastArithmetic:
    """``Arithmetic`` of whole windows, with one set of buffers."""

    def __init__(self, network: Network, window: Window) -> None:
        circuit = network.circuit
        fixed_point = circuit.fixed_point
        self._network = network
        self._window = window
        self._half = float(1 << (fixed_point.shift - 1))
        self._up = float(1 << fixed_point.shift)
        self._down = 2.0**-fixed_point.shift
        self._bias_factor = float(1 << fixed_point.activation_bits)
        self._ones = torch.ones(circuit.features, dtype=torch.float64, device=network.device)
        # For the addends of a product, and for its left factor times the multiplier.
        self._halves = {
            name: torch.full((1, values.shape[1]), self._half, dtype=torch.float64).to(
                network.device
            )
            for name, values in window.quotients.items()
        }
        self._offsets = {name: torch.empty_like(values) for name, values in self._halves.items()}
        self._scaled = [torch.empty_like(values) for values in window.errors]
        self._positions = {name: at for at, name in enumerate(network.weights)}
        most = max(cells.numel() for cells in window.accumulators.values())
        self._scratch = torch.empty(most, dtype=torch.float64, device=network.device)
        self._figures = torch.zeros(
            window.ranges.numel() + 3 * len(window.accumulators) + 3 + window.length,
            dtype=torch.float64,
            device=network.device,
        )

    def run(self, size: int) -> None:
        """Run the first ``size`` steps of the window and gather their figures."""
        window = self._window
        window.gather_targets()
        for values, place in zip(self._network.weights.values(), window.ranges_at(0), strict=True):
            torch.aminmax(values, out=place)
        self.steps(size)
        self._gather_figures(size)

    def steps(self, size: int) -> None:
        """Run the first ``size`` steps, nothing else."""
        for slot in self._window.slots[:size]:
            run_step(self._network, self._window, slot, self)

    def quotient(
        self, name: Quotient, left: torch.Tensor, weight: str, bias: str | None, slot: Slot
    ) -> torch.Tensor:
        """See ``Arithmetic``."""
        matrix = self._network.weights[weight]
        offset = self._halves[name]
        if bias is not None:
            values = self._network.weights[bias]
            offset = torch.add(offset, values, alpha=self._bias_factor, out=self._offsets[name])
        right = matrix.t() if name.forward else matrix
        accumulator = torch.addmm(offset, left, right, out=slot.accumulators[name])
        if name == _FIRST:
            torch.mv(left, self._ones, out=slot.input_sums)
        return torch.mul(accumulator, self._down, out=self._window.quotients[name]).floor_()

    def normaliser(self, logits: torch.Tensor, estimate: torch.Tensor) -> torch.Tensor:
        """See ``Arithmetic``."""
        return self._network.softmax.normaliser(logits, estimate)

    def update(self, layer: int, activation: torch.Tensor, error: torch.Tensor, slot: Slot) -> None:
        """See ``Arithmetic``."""
        weights = self._network.weights
        names = self._network.circuit.dense_layers[layer - 1]
        scaled = torch.mul(error, slot.negated[layer - 1], out=self._scaled[layer - 1])
        weights[names.weight].addmm_(scaled.t(), activation)
        self._note_range(names.weight, slot)
        if names.bias is not None:
            weights[names.bias].add_(scaled.sum(dim=0), alpha=self._bias_factor)
            self._note_range(names.bias, slot)

    def _note_range(self, name: str, slot: Slot) -> None:
        torch.aminmax(self._network.weights[name], out=slot.ranges[self._positions[name]])

    def _row_sums(self, name: Quotient, size: int) -> torch.Tensor:
        """At least ``max_row sum_i |left_i|`` of the left factor of the product ``name``."""
        window, circuit = self._window, self._network.circuit
        if name == _FIRST:
            return window.input_sums.narrow(0, 0, size).amax()
        ends = not name.forward and name.through == len(circuit.dense_layers)
        if ends and circuit.loss == "cross_entropy":
            return window.p.narrow(0, 0, size).sum(dim=2).amax() + float(ONE)
        if ends and circuit.loss == "binary_cross_entropy":
            return window.p.new_full((), float(ONE * circuit.classes))
        before = Quotient(name.layer + (-1 if name.forward else 1), name.forward or ends)
        cells = window.accumulators[before].narrow(0, 0, size)
        magnitudes = self._scratch.narrow(0, 0, cells.numel()).view(cells.shape)
        # |floor(acc / 2^k)| <= |acc| / 2^k + 1
        norm = torch.abs(cells, out=magnitudes).sum(dim=2).amax()
        norm = norm * self._down + float(cells.shape[2])
        if ends:
            norm = norm * error_unit(circuit) + float(ONE)
        return norm

    def _gather_figures(self, size: int) -> None:
        """Ranges of the parameters; range and row sum of every product; the softmax; losses."""
        window = self._window
        parts = [window.ranges.narrow(0, 0, size + 1).reshape(-1)]
        for name, cells in window.accumulators.items():
            low, high = torch.aminmax(cells.narrow(0, 0, size))
            parts.append(torch.stack([low, high, self._row_sums(name, size)]))
        if self._network.circuit.loss == "cross_entropy":
            logits = window.trace(Quotient(len(self._network.circuit.dense_layers), True), size)
            distance = window.c.narrow(0, 0, size) - logits.amin(dim=2)
            at = window.p.narrow(0, 0, size).sum(dim=2).amax()
            before = window.p_before.narrow(0, 0, size).sum(dim=2).amin()
            parts.append(torch.stack([at, before, distance.amax()]))
        parts.append(losses(self._network, window, size))
        count = sum(part.numel() for part in parts)
        torch.cat(parts, out=self._figures.narrow(0, 0, count))

    def sound(self, size: int) -> list[float] | None:
        """Fetch the figures: the losses if everything was exact and in range, else ``None``."""
        parameters, products = len(self._positions), len(self._window.accumulators)
        fetched = self._figures.cpu().numpy()
        ranges, rest = np.split(fetched, [(size + 1) * parameters * 2])
        bounds, rest = np.split(rest, [3 * products])
        largest = np.abs(ranges).reshape(size + 1, parameters, 2).max(axis=2)
        sound = bool((largest < WEIGHT_LIMIT).all())
        for name, figures in zip(self._window.accumulators, bounds.reshape(-1, 3), strict=True):
            sound = sound and self._product_sound(name, figures, largest[:size].max(axis=0))
        if self._network.circuit.loss == "cross_entropy":
            at, before, distance = rest[:3]
            sound = sound and normalised(at, before) and bool(distance <= MAX_DISTANCE)
            rest = rest[3:]
        return rest[:size].tolist() if sound else None

    def _product_sound(
        self, name: Quotient, figures: npt.NDArray[np.float64], largest: npt.NDArray[np.float64]
    ) -> bool:
        low, high, row_sum = figures
        layer = self._network.circuit.dense_layers[name.through - 1]
        bound = row_sum * largest[self._positions[layer.weight]] + self._half
        if name.forward and layer.bias is not None:
            bound += self._bias_factor * largest[self._positions[layer.bias]]
        return bool(
            bound < _LIMIT
            and low >= QUOTIENT_LOW * self._up
            and high < (QUOTIENT_HIGH + 1) * self._up
        )
