"""One exact training step, the only one: the trainer and the witness both run it.

All tensors hold integers in float64 on one device. With ``k = weight_bits`` and
``f = activation_bits``, for a batch ``x (B, features)`` and ``m`` the step's multiplier:

    z_l = floor((a_{l-1} W_l + 2^f b_l + 2^(k-1)) / 2^k)      a_0 = x,  a_l = z_l [z_l > 0]
    e_L = T(c - z_L) - 2^14 y  (cross entropy)   or   2^6 z_L - 2^14 y  (mse)
          or   P(z_L) - 2^14 y  (binary cross entropy)
    q_l = floor((e_{l+1} W_{l+1}^T + 2^(k-1)) / 2^k)          e_l = q_l [z_l > 0]
    W_l <- W_l - m a_{l-1}^T e_l                              b_l <- b_l - m 2^f sum_b e_l

Every ``z`` and ``q`` must fit 16 bits, every parameter must stay below ``2^52``. How this is
enforced is the ``Arithmetic``: ``arithmetic_fast`` checks afterwards, ``arithmetic_careful`` at
once. All that a step leaves behind is in the buffers of its ``window``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch

from ..circuit.circuit import Circuit
from .arithmetic import LOGIT_SCALE, ONE, Sigmoid, Softmax
from .window import Quotient, Slot, Window

QUOTIENT_LOW, QUOTIENT_HIGH = -(1 << 15), (1 << 15) - 1
WEIGHT_LIMIT = 1 << 52


class Arithmetic(Protocol):
    """The three operations of a step that can leave their range."""

    def quotient(
        self, name: Quotient, left: torch.Tensor, weight: str, bias: str | None, slot: Slot
    ) -> torch.Tensor:
        """``floor((left M + 2^f bias + 2^(k-1)) / 2^k)``; the dividend goes to the accumulator
        of the slot, the result to the quotients of the window.

        ``M`` is the weight forward, its transpose backward.
        """
        ...

    def normaliser(self, logits: torch.Tensor, estimate: torch.Tensor) -> torch.Tensor:
        """The softmax normaliser ``c``, one per sample."""
        ...

    def update(self, layer: int, activation: torch.Tensor, error: torch.Tensor, slot: Slot) -> None:
        """Subtract the step's multiplier times the gradients of a layer (from 1), in place; under
        momentum or weight decay what ``filtered`` says."""
        ...


class Network:
    """What the arithmetic needs of a circuit, with the parameters on a device.

    ``weights`` are float64 tensors of integers that change in place. Matrices are
    ``(outputs, inputs)``, the transposes of the internal layout: products are faster.
    """

    def __init__(
        self, circuit: Circuit, weights: Mapping[str, torch.Tensor], device: torch.device | str
    ) -> None:
        self.circuit = circuit
        self.device = torch.device(device)
        self.weights = {
            name: weights[name]
            .to(device=self.device, dtype=torch.float64)
            .t()
            .clone(memory_format=torch.contiguous_format)
            for name in circuit.parameter_shapes()
        }
        self.softmax = Softmax(circuit.classes, self.device)
        self.sigmoid = Sigmoid(self.device)

    def integers(self) -> dict[str, torch.Tensor]:
        """The weights now as int64 in the internal layout."""
        return {
            name: values.t().to(torch.int64).contiguous() for name, values in self.weights.items()
        }


def run_step(network: Network, window: Window, slot: Slot, arithmetic: Arithmetic) -> None:
    """Train on the batch of ``slot``."""
    layers = network.circuit.dense_layers
    torch.index_select(window.inputs, 0, slot.indices, out=window.records)
    activations, outputs = window.activations, []
    activations[0].copy_(window.records)
    for index, layer in enumerate(layers, 1):
        name = Quotient(index, True)
        z = arithmetic.quotient(name, activations[index - 1], layer.weight, layer.bias, slot)
        outputs.append(z)
        if index < len(layers):
            torch.clamp_min(z, 0.0, out=activations[index])

    error = window.errors[-1]
    if network.circuit.loss == "cross_entropy":
        estimate = slot.estimate.copy_(network.softmax.estimate(outputs[-1]))
        slot.c.copy_(arithmetic.normaliser(outputs[-1], estimate))
        network.softmax.probabilities(slot.c, outputs[-1], slot.p, slot.p_before)
        torch.sub(slot.p, slot.targets, out=error)
    elif network.circuit.loss == "binary_cross_entropy":
        network.sigmoid.centred(outputs[-1], slot.p)
        torch.sub(slot.p, slot.targets, out=error).add_(network.sigmoid.half)
    else:
        torch.mul(outputs[-1], error_unit(network.circuit), out=error).sub_(slot.targets)

    for index in range(len(layers), 0, -1):
        below = error
        if index > 1:
            weight = layers[index - 1].weight
            q = arithmetic.quotient(Quotient(index - 1, False), error, weight, None, slot)
            below = window.errors[index - 2]
            # q where z > 0, else 0
            torch.ops.aten.threshold_backward.grad_input(q, outputs[index - 2], 0, grad_input=below)
        arithmetic.update(index, activations[index - 1], error, slot)
        error = below


def error_unit(circuit: Circuit) -> float:
    """An activation of 1 in the scale of errors."""
    return float(1 << (circuit.fixed_point.error_bits - circuit.fixed_point.activation_bits))


def losses(network: Network, window: Window, size: int) -> torch.Tensor:
    """The loss before the update of the first ``size`` steps, float64 ``(size,)``."""
    circuit = network.circuit
    logits = window.trace(Quotient(len(circuit.dense_layers), True), size)
    targets = window.targets.narrow(0, 0, size)
    if circuit.loss == "cross_entropy":
        wanted = (logits * targets).sum(dim=(1, 2)) * (1 / ONE)
        total = window.estimate.narrow(0, 0, size).sum(dim=1) - wanted
        return total * (1 / (LOGIT_SCALE * circuit.batch_size))
    if circuit.loss == "binary_cross_entropy":
        wanted = (logits * targets).sum(dim=(1, 2)) * (1 / (ONE * LOGIT_SCALE))
        total = torch.nn.functional.softplus(logits * (1 / LOGIT_SCALE)).sum(dim=(1, 2)) - wanted
        return total * (1 / circuit.batch_size)
    error = logits * error_unit(circuit) - targets
    return (error * (1 / ONE)).square_().sum(dim=(1, 2)) * (1 / (2 * circuit.batch_size))
