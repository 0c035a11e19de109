"""A step's arithmetic in plain float64, with all checks put off to the end of a window of steps.

Nothing here waits for the device: each operation notes the figures that its exactness hangs on as
device scalars, and ``sound`` fetches all of them at once. If they are in order, every
value of the window was exact and in range; if not, the window is void and is run again (in
smaller pieces, at last by ``arithmetic_careful``). The checks are sound although they read
figures of a possibly inexact run: before the first operation that breaks a bound everything was
exact, and so are the figures that reveal it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from .arithmetic import EXACT_FLOAT, MAX_DISTANCE
from .step import QUOTIENT_HIGH, QUOTIENT_LOW, WEIGHT_LIMIT, Network, Tape

_LIMB = 1 << 16
# The bounds are products of floats themselves; the margin is far above their rounding.
_LIMIT = EXACT_FLOAT * (1 - 2.0**-40)


def update_is_exact(network: Network, multiplier: int) -> bool:
    """``m |a|^T |e| < 2^52`` for all 16-bit activations and errors of the loss's range."""
    error_bits: int = 15 if network.circuit.loss == "cross_entropy" else 22
    records: int = multiplier * network.circuit.batch_size
    return records << (15 + error_bits) < WEIGHT_LIMIT


class FastArithmetic:
    """``Arithmetic`` for one window of steps."""

    def __init__(self, network: Network) -> None:
        fixed_point = network.circuit.fixed_point
        self._network = network
        self._half = float(1 << (fixed_point.shift - 1))
        self._down = 2.0**-fixed_point.shift
        self._up = float(1 << fixed_point.shift)
        self._bias_factor = 1 << fixed_point.activation_bits
        # Notes of all steps, in the order of execution, which is the same in every step.
        self._notes: list[torch.Tensor] = []
        self._names: dict[str, int] = {}
        self._steps = 0
        self._products: dict[str, tuple[str, str | None]] = {}
        self._before = self._parameter_ranges()

    def _parameter_ranges(self) -> list[torch.Tensor]:
        return [
            bound for values in self._network.weights.values() for bound in torch.aminmax(values)
        ]

    def _note(self, name: str, value: torch.Tensor) -> None:
        if self._steps == 0:
            self._names[name] = len(self._names)
        self._notes.append(value)

    def _note_range(self, name: str, values: torch.Tensor) -> None:
        low, high = torch.aminmax(values)
        self._note(f"{name}.low", low)
        self._note(f"{name}.high", high)

    def quotient(
        self, name: str, left: torch.Tensor, weight: str, bias: str | None, tape: Tape | None
    ) -> torch.Tensor:
        """See ``Arithmetic``."""
        matrix = self._network.weights[weight]
        if bias is None:
            accumulator = left @ (matrix if name[0] == "z" else matrix.T)
            accumulator += self._half
        else:
            offset = self._network.weights[bias] * self._bias_factor + self._half
            accumulator = torch.addmm(offset, left, matrix)
        result: torch.Tensor = (accumulator * self._down).floor_()
        if tape is not None:
            tape(name, result)
            remainder = accumulator.sub_(result, alpha=self._up)
            high = (remainder * (1 / _LIMB)).floor_()
            tape(f"{name}.high", high)
            tape(f"{name}.low", remainder.sub_(high, alpha=_LIMB))
        self._products[name] = (weight, bias)
        self._note(f"{name}.row", torch.linalg.vector_norm(left, 1, dim=1).amax())
        self._note_range(name, result)
        return result

    def normaliser(self, logits: torch.Tensor, log_sum: torch.Tensor) -> torch.Tensor:
        """See ``Arithmetic``."""
        c, certain = self._network.softmax.normaliser(logits, log_sum)
        self._note("c.certain", certain.to(torch.float64))
        self._note("c.distance", (c - logits.amin(dim=1)).amax())
        return c

    def update(
        self,
        weight: str,
        bias: str | None,
        activation: torch.Tensor,
        error: torch.Tensor,
        multiplier: int,
    ) -> None:
        """See ``Arithmetic``."""
        weights = self._network.weights
        weights[weight].addmm_(activation.T, error, alpha=-multiplier)
        self._note_range(weight, weights[weight])
        if bias is not None:
            weights[bias].sub_(error.sum(dim=0), alpha=multiplier * self._bias_factor)
            self._note_range(bias, weights[bias])

    def end_step(self) -> None:
        """The step is complete: from the second on, the notes have known names."""
        self._steps += 1

    def sound(self) -> bool:
        """Fetch the figures of all steps: was everything exact and in range?"""
        fetched = torch.stack(self._before + self._notes).cpu().numpy()
        first = np.abs(fetched[: len(self._before)]).reshape(-1, 2).max(axis=1)
        notes = fetched[len(self._before) :].reshape(self._steps, len(self._names))
        figures = {name: notes[:, column] for name, column in self._names.items()}
        # Largest parameter at the start of each step, and after the last.
        largest = {
            name: np.append(start, np.maximum(-figures[f"{name}.low"], figures[f"{name}.high"]))
            for name, start in zip(self._network.weights, first, strict=True)
        }
        return (
            all(bool((values < WEIGHT_LIMIT).all()) for values in largest.values())
            and all(self._product_sound(name, figures, largest) for name in self._products)
            and ("c.certain" not in figures or _softmax_sound(figures))
        )

    def _product_sound(
        self,
        name: str,
        figures: dict[str, npt.NDArray[np.float64]],
        largest: dict[str, npt.NDArray[np.float64]],
    ) -> bool:
        weight, bias = self._products[name]
        bound = figures[f"{name}.row"] * largest[weight][:-1] + self._half
        if bias is not None:
            bound = bound + self._bias_factor * largest[bias][:-1]
        return bool(
            (
                (bound < _LIMIT)
                & (figures[f"{name}.low"] >= QUOTIENT_LOW)
                & (figures[f"{name}.high"] <= QUOTIENT_HIGH)
            ).all()
        )


def _softmax_sound(figures: dict[str, npt.NDArray[np.float64]]) -> bool:
    certain, distance = figures["c.certain"], figures["c.distance"]
    return bool(((certain == 1) & (distance <= MAX_DISTANCE)).all())
