"""A step's arithmetic that checks every value at once and splits products that need it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

import torch

from ..errors import RangeOverflow
from .arithmetic import (
    ACCUMULATOR_LIMIT,
    MAX_DISTANCE,
    AccumulatorOverflow,
    exact_matmul,
    largest,
    rescale,
)
from .step import QUOTIENT_HIGH, QUOTIENT_LOW, WEIGHT_LIMIT, Network
from .window import Quotient, Slot

_LOWER_RATE = "lower the learning rate, or start from smaller weights"


class CarefulArithmetic:
    """``Arithmetic`` for step number ``step``, with its multiplier of each layer; raises
    ``RangeOverflow`` at the first value that leaves its range, naming step, layer, value and
    remedy. It waits for the device all the time."""

    def __init__(self, network: Network, step: int, multipliers: Sequence[int]) -> None:
        self._network = network
        self._fixed_point = network.circuit.fixed_point
        self._step = step
        self._multipliers = multipliers

    def _overflow(self, where: str, what: str, remedy: str) -> NoReturn:
        raise RangeOverflow(
            f"step {self._step}, {where}: {what}; {remedy}", stage="training"
        ) from None

    def _layer(self, parameter: str) -> str:
        return next(
            f"layer {layer.name}"
            for layer in self._network.circuit.dense_layers
            if parameter in (layer.weight, layer.bias)
        )

    def _product(self, left: torch.Tensor, right: torch.Tensor, where: str) -> torch.Tensor:
        try:
            return exact_matmul(left, right)
        except AccumulatorOverflow as error:
            self._overflow(where, f"{error}, beyond exact arithmetic", _LOWER_RATE)

    def quotient(
        self, name: Quotient, left: torch.Tensor, weight: str, bias: str | None, slot: Slot
    ) -> torch.Tensor:
        """See ``Arithmetic``."""
        forward = name.forward
        matrix = self._network.weights[weight]
        layers = self._network.circuit.dense_layers
        where = f"layer {layers[name.layer - 1].name}, {'output' if forward else 'error'}"
        accumulator = self._product(left, matrix.t() if forward else matrix, where)
        if bias is not None:
            offset = self._network.weights[bias].to(torch.int64)
            accumulator = accumulator + (offset << self._fixed_point.activation_bits)
        shift = self._fixed_point.shift
        result = rescale(accumulator, shift)
        low, high = (int(bound.item()) for bound in torch.aminmax(result))
        if low < QUOTIENT_LOW or high > QUOTIENT_HIGH:
            value = low if -low > high else high
            bits = self._fixed_point.activation_bits if forward else self._fixed_point.error_bits
            real = value / (1 << bits)
            self._overflow(
                where,
                f"the value {value} (= {real:g}) is outside the 16-bit range "
                f"[{QUOTIENT_LOW}, {QUOTIENT_HIGH}]",
                _LOWER_RATE,
            )
        slot.accumulators[name].copy_(accumulator + (1 << (shift - 1)))  # below 2^48
        return result.to(torch.float64)

    def normaliser(self, logits: torch.Tensor, estimate: torch.Tensor) -> torch.Tensor:
        """See ``Arithmetic``."""
        c = self._network.softmax.search(logits)
        distance = int((c - logits.amin(dim=1)).amax().item())
        if distance > MAX_DISTANCE:
            self._overflow(
                f"layer {self._network.circuit.dense_layers[-1].name}, softmax",
                f"the value {distance} (= {distance / 256:g}) between two logits of one record "
                f"is above {MAX_DISTANCE}",
                _LOWER_RATE,
            )
        return c

    def update(self, layer: int, activation: torch.Tensor, error: torch.Tensor, slot: Slot) -> None:
        """See ``Arithmetic``."""
        names = self._network.circuit.dense_layers[layer - 1]
        where = f"layer {names.name}, update"
        gradient = self._product(error.t(), activation, where)
        multiplier = self._multipliers[layer - 1]
        self._subtract(names.weight, gradient, multiplier)
        if names.bias is not None:
            factor = multiplier << self._fixed_point.activation_bits
            self._subtract(names.bias, error.sum(dim=0).to(torch.int64), factor)

    def _subtract(self, name: str, gradient: torch.Tensor, factor: int) -> None:
        values = self._network.weights[name]
        change = largest(gradient) * factor
        if change < ACCUMULATOR_LIMIT:
            updated = values.to(torch.int64) - factor * gradient
            change = largest(updated)
            if change < WEIGHT_LIMIT:
                values.copy_(updated)
                return
        real = change / (1 << self._fixed_point.weight_bits)
        self._overflow(
            f"{self._layer(name)}, parameter {name}",
            f"a value of size {change} (= {real:g}) is not below 2^52",
            _LOWER_RATE,
        )
