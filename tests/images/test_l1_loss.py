"""The absolute error: its gradient is that of torch, it is proved, and signs are not free."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import image_run
import numpy as np
import pytest
import torch
from image_run import CLASSES, NETWORKS, Attempt, circuit, conv, dense, records

from zktrain.circuit.initial import seeded_weights
from zktrain.circuit.order import batch_indices
from zktrain.errors import LookupMismatch, SumcheckMismatch
from zktrain.layers import Flatten, Unflatten
from zktrain.optimizers.sgd import Sgd
from zktrain.training.float_network import float_network
from zktrain.training.trainer import train

NAME = "absolute"
LAYERS = (
    Unflatten("image", 1, 3, 3),
    conv("c1", 1, 2, 2),
    Flatten("flat"),
    dense("fc", 8, CLASSES),
)


@pytest.fixture(autouse=True)
def loss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(NETWORKS, NAME, LAYERS)
    monkeypatch.setattr(image_run, "circuit", lambda name: replace(circuit(name), loss="l1"))


def test_the_first_step_is_that_of_torch() -> None:
    run = replace(image_run.circuit(NAME), steps=1, optimizer=Sgd(((0, 9),)))
    data = records(NAME)
    start = seeded_weights(run)
    moved = train(run, data, start).weights
    bits = run.fixed_point.weight_bits
    network = float_network(run.layers, start, bits).double()
    batch = batch_indices(run.order_seed, len(data.labels), run.batch_size, 0, 1)[0]
    logits = network(torch.from_numpy(data.inputs[batch]).double() / 256)
    wanted = torch.nn.functional.one_hot(torch.from_numpy(data.labels[batch]).long(), CLASSES)
    torch.nn.functional.l1_loss(logits, wanted.double(), reduction="sum").backward()
    rate = 9 / 2**run.fixed_point.rate_bits
    gradients = [parameter.grad.numpy() for parameter in network.parameters()]
    names = [name for layer in run.trained for name in (layer.weight, layer.bias)]
    for name, gradient in zip(names, gradients, strict=True):
        change = np.ldexp((moved[name] - start[name]).astype(float), -bits)
        axes = (2, 3, 1, 0) if gradient.ndim == 4 else tuple(range(gradient.ndim))[::-1]
        expected = -rate * gradient.transpose(axes)
        np.testing.assert_allclose(change, expected, atol=0.02 * np.abs(expected).max())


@pytest.mark.parametrize("hiding", [False, True])
def test_accepted(hiding: bool) -> None:
    attempt = Attempt(NAME, hiding=hiding)
    assert attempt.statement().circuit.loss == "l1"
    attempt.verify(attempt.prove())


def other(values: torch.Tensor) -> torch.Tensor:
    return 1 - values


def nothing(values: torch.Tensor) -> torch.Tensor:
    return torch.zeros_like(values)


@pytest.mark.parametrize("name", ["above", "below"])
@pytest.mark.parametrize("lie", [other, nothing])
def test_other_signs(name: str, lie: Callable[[torch.Tensor], torch.Tensor]) -> None:
    attempt = Attempt(NAME, lies={name: lie})
    with pytest.raises((LookupMismatch, SumcheckMismatch)):
        attempt.verify(attempt.prove())
