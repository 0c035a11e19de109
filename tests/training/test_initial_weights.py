"""Initial weights from a seed: known answers, definition, range."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import pytest
from training_oracle import circuit_of

from zktrain.circuit.circuit import Circuit
from zktrain.circuit.initial import seeded_weights, uniform_integers
from zktrain.circuit.initialisation import Initialisation
from zktrain.circuit.weights import digest
from zktrain.errors import InputError


def test_known_answer() -> None:
    weights = seeded_weights(circuit_of(6, 5, 3))
    assert list(weights) == ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"]
    assert weights["fc2.bias"].tolist() == [834730405, -800208211, 1532251235]
    assert digest(weights) == "b75dd51c28a04dbd01ba9a844fc03218491238b79ef6b0638a26fbfcedaf9792"


@pytest.mark.parametrize("inputs", [1, 2, 4, 5, 784])
def test_values_are_those_of_the_definition(inputs: int) -> None:
    bound = math.isqrt(2**64 // inputs)
    stream = hashlib.shake_256(
        b"zktrain init v1" + bytes([2]) + bytes(7) + b"ab" + bytes([1]) + bytes(7) + b"w"
    ).digest(4 * 50)
    expected = []
    for n in range(50):
        u = int.from_bytes(stream[4 * n : 4 * n + 4], "little")
        expected.append(u * (2 * bound + 1) // 2**32 - bound)
    assert uniform_integers("ab", "w", 50, bound).tolist() == expected
    assert max(map(abs, expected)) <= bound


def test_values_fill_the_range_of_torchs_default() -> None:
    weights = seeded_weights(circuit_of(100, 80, 10))
    for name, inputs in (("fc1.weight", 100), ("fc1.bias", 100), ("fc2.weight", 80)):
        real = weights[name] / 2**32 * math.sqrt(inputs)
        assert 0.9 < np.abs(real).max() <= 1
        assert abs(real.mean()) < 0.2


def test_a_circuit_that_starts_from_a_file_has_no_seed() -> None:
    circuit = circuit_of(6, 5, 3)
    other = Circuit(
        **{name: getattr(circuit, name) for name in Circuit.__dataclass_fields__}
        | {"initialisation": Initialisation("file", "0" * 64)}
    )
    with pytest.raises(InputError, match="from a weight file"):
        seeded_weights(other)
