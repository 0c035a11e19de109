"""One exact training step, the only one: the trainer and the witness both run it.

All tensors hold integers in float64 on one device. With ``k = weight_bits`` and
``f = activation_bits``, for a batch ``x (B, features)`` and ``m`` the step's multiplier:

    z_l = floor((a_{l-1} W_l + 2^f b_l + 2^(k-1)) / 2^k)      a_0 = x,  a_l = z_l [z_l > 0]
    e_L = T(c - z_L) - 2^14 y  (cross entropy)   or   2^6 z_L - 2^14 y  (mse)
    q_l = floor((e_{l+1} W_{l+1}^T + 2^(k-1)) / 2^k)          e_l = q_l [z_l > 0]
    W_l <- W_l - m a_{l-1}^T e_l                              b_l <- b_l - m 2^f sum_b e_l

Every ``z`` and ``q`` must fit 16 bits, every parameter must stay below ``2^52``. How this is
enforced is the ``Arithmetic``: ``arithmetic_fast`` checks afterwards, ``arithmetic_careful`` at
once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch

from ..circuit.circuit import Circuit
from .arithmetic import LOGIT_SCALE, ONE, Softmax

QUOTIENT_LOW, QUOTIENT_HIGH = -(1 << 15), (1 << 15) - 1
WEIGHT_LIMIT = 1 << 52


class Tape(Protocol):
    """Receives every committed tensor of a step, by its name in the step graph."""

    def __call__(self, name: str, values: torch.Tensor) -> None: ...


class Arithmetic(Protocol):
    """The three operations of a step that can leave their range."""

    def quotient(
        self, name: str, left: torch.Tensor, weight: str, bias: str | None, tape: Tape | None
    ) -> torch.Tensor:
        """``floor((left M + 2^f bias + 2^(k-1)) / 2^k)``, recorded as ``name`` with its high limb.

        ``M`` is the weight for a ``z``, its transpose for a ``q``; the first letter of ``name``
        says which.
        """
        ...

    def normaliser(self, logits: torch.Tensor, log_sum: torch.Tensor) -> torch.Tensor:
        """The softmax normaliser ``c``, one per sample."""
        ...

    def update(
        self,
        weight: str,
        bias: str | None,
        activation: torch.Tensor,
        error: torch.Tensor,
        multiplier: int,
    ) -> None:
        """Subtract ``multiplier`` times the gradients, in place."""
        ...


class Network:
    """What the arithmetic needs of a circuit, with the parameters on a device.

    ``weights`` are float64 tensors of integers in the internal layout and change in place.
    """

    def __init__(
        self, circuit: Circuit, weights: Mapping[str, torch.Tensor], device: torch.device | str
    ) -> None:
        self.circuit = circuit
        self.device = torch.device(device)
        self.weights = {
            name: weights[name].to(device=self.device, dtype=torch.float64, copy=True)
            for name in circuit.parameter_shapes()
        }
        self.softmax = Softmax(circuit.classes, self.device)
        self.targets = torch.eye(circuit.classes, dtype=torch.float64, device=self.device) * ONE


def run_step(
    network: Network,
    inputs: torch.Tensor,
    labels: torch.Tensor,
    multiplier: int,
    arithmetic: Arithmetic,
    tape: Tape | None,
) -> torch.Tensor:
    """Train on one batch; return the loss before the update as a scalar on the device.

    ``inputs`` is ``(B, features)`` with values 0..255, ``labels`` int64 ``(B,)``.
    """
    layers = network.circuit.layers
    activations = [inputs.to(torch.float64)]
    signs = []
    for index, layer in enumerate(layers[:-1], 1):
        z = arithmetic.quotient(f"z{index}", activations[-1], layer.weight, layer.bias, tape)
        sign = z > 0
        if tape is not None:
            tape(f"s{index}", sign)
        signs.append(sign)
        activations.append(z * sign)
    head = layers[-1]
    logits = arithmetic.quotient(f"z{len(layers)}", activations[-1], head.weight, head.bias, tape)

    targets = network.targets[labels]
    if network.circuit.loss == "cross_entropy":
        error, loss = _cross_entropy(network, logits, targets, arithmetic, tape)
    else:
        error, loss = _squared_error(network, logits, targets)

    for index in range(len(layers), 0, -1):
        layer = layers[index - 1]
        error_below = error
        if index > 1:
            q = arithmetic.quotient(f"q{index - 1}", error, layer.weight, None, tape)
            error_below = q * signs[index - 2]
        arithmetic.update(layer.weight, layer.bias, activations[index - 1], error, multiplier)
        error = error_below
    return loss


def _cross_entropy(
    network: Network,
    logits: torch.Tensor,
    targets: torch.Tensor,
    arithmetic: Arithmetic,
    tape: Tape | None,
) -> tuple[torch.Tensor, torch.Tensor]:
    log_sum = torch.logsumexp(logits / LOGIT_SCALE, dim=1)
    c = arithmetic.normaliser(logits, log_sum)
    probabilities, before = network.softmax.probabilities(c, logits)
    if tape is not None:
        tape("c", c)
        tape("p", probabilities)
        tape("p.before", before)
    wanted = (logits * targets).sum() / (ONE * LOGIT_SCALE)
    return probabilities - targets, (log_sum.sum() - wanted) / len(logits)


def _squared_error(
    network: Network, logits: torch.Tensor, targets: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    fixed_point = network.circuit.fixed_point
    error = logits * float(1 << (fixed_point.error_bits - fixed_point.activation_bits)) - targets
    return error, (error / ONE).square().sum() / (2 * len(error))
