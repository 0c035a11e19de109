"""The float32 network of a circuit against the definition of its layers and against torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conv_networks import (
    NETWORKS,
    TINY,
    dense,
    float_weights,
    forward,
    integer_weights,
    records_of,
)
from torch import nn

from zktrain.training.float_network import float_network

BITS = 32


def scaled(records: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(records).to(torch.float32) / 256


@pytest.mark.parametrize("name", NETWORKS)
def test_logits_are_those_of_the_definition(name: str) -> None:
    layers = NETWORKS[name]
    records = records_of(layers, 5)
    network = float_network(layers, integer_weights(layers), BITS)
    expected = forward(layers, float_weights(layers), records / 256)
    found = network(scaled(records))
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol=1e-4, atol=1e-5)


class Reference(nn.Module):
    """The layers of ``conv_networks.RESIDUAL``, written by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 2, 3, padding=1)
        self.a1, self.a2 = nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(2, 2, 3, padding=1)
        self.b1, self.b2 = nn.Conv2d(2, 4, 3, 2, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.down = nn.Conv2d(2, 4, 1, 2)
        self.head = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.stem(x.reshape(-1, 1, 6, 6)))
        x = torch.relu(x + self.a2(torch.relu(self.a1(x))))
        x = torch.relu(self.down(x) + self.b2(torch.relu(self.b1(x))))
        return self.head(x.mean((2, 3)))


def test_gradients_are_those_of_a_torch_module() -> None:
    layers = NETWORKS["residual"]
    reference = Reference()
    weights = float_weights(layers, seed=3)
    reference.load_state_dict({name: torch.from_numpy(v) for name, v in weights.items()})
    network = float_network(layers, integer_weights(layers, seed=3), BITS)
    records, labels = scaled(records_of(layers, 6)), torch.tensor([0, 1, 2, 0, 1, 2])
    for module in (reference, network):
        nn.functional.cross_entropy(module(records), labels).backward()
    expected = dict(reference.named_parameters())
    found = dict(zip(weights, network.parameters(), strict=True))
    for name, parameter in found.items():
        assert parameter.grad is not None and expected[name].grad is not None
        torch.testing.assert_close(parameter.grad, expected[name].grad, rtol=1e-4, atol=1e-6)


def test_dense_network_is_a_plain_sequence() -> None:
    layers = (dense("fc1", 6, 5, relu=True), dense("fc2", 5, 3))
    weights = integer_weights(layers)
    plain = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
    state = [torch.from_numpy(v.T / 2.0**BITS).float() for v in weights.values()]
    plain.load_state_dict(dict(zip(plain.state_dict(), state, strict=True)))
    records = scaled(records_of(layers, 4))
    torch.testing.assert_close(
        float_network(layers, weights, BITS)(records), plain(records), rtol=0, atol=0
    )


def test_weights_are_copied_and_checked() -> None:
    weights = integer_weights(TINY)
    network = float_network(TINY, weights, BITS)
    before = network(scaled(records_of(TINY, 2)))
    weights["conv.weight"][:] = 0
    torch.testing.assert_close(network(scaled(records_of(TINY, 2))), before, rtol=0, atol=0)
    with pytest.raises(KeyError):
        float_network(TINY, {n: v for n, v in weights.items() if n != "head.bias"}, BITS)
    weights["conv.bias"] = weights["conv.bias"][:1]
    with pytest.raises(RuntimeError, match="shape"):
        float_network(TINY, weights, BITS)
