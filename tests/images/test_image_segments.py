"""Segments of networks on images: true ones are accepted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from image_run import CLASSES, NETWORKS, SEGMENT_STEPS, Attempt, conv, dense

from zktrain.circuit.circuit import Circuit
from zktrain.circuit.momentum import Momentum
from zktrain.circuit.network import Add, Convolution, FixedPoint, Flatten, Initialisation, Unflatten
from zktrain.cost.dry import segment_claims
from zktrain.dataset.commitment import DatasetHeader
from zktrain.errors import ZktrainError
from zktrain.transcript.statement import MAX_CLAIMS, Statement


@pytest.mark.parametrize("hiding", [False, True], ids=["clear", "hiding"])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_true_segment_is_accepted(name: str, hiding: bool) -> None:
    attempt = Attempt(name, steps=3, hiding=hiding)
    attempt.verify(attempt.prove())


def claims(layers: tuple[object, ...]) -> int:
    """The most claims on one tensor or parameter."""
    circuit = Circuit(layers, "cross_entropy", FixedPoint(), 3, 3, ((0, 1),), "o",
                      Initialisation("seed", "s"))  # type: ignore[arg-type]  # fmt: skip
    header = DatasetHeader(9, circuit.features, CLASSES, bytes(32), 0)
    found = segment_claims(Statement(circuit, header, "0" * 64, "0" * 64, 4, 100, False), 0)
    return max(*found.tensors.values(), *found.weights.values())


@pytest.mark.parametrize("name", NETWORKS)
def test_claims_stay_within_what_soundness_allows(name: str) -> None:
    assert 2 <= claims(NETWORKS[name]) <= MAX_CLAIMS


def test_claims_on_an_output_that_three_layers_read() -> None:
    branches = [conv("b1", 2, 2, 3, padding=1, relu=False)]
    branches += [conv(f"b{i}", 2, 2, 3, padding=1, relu=False, source="c1") for i in (2, 3)]
    assert all(isinstance(branch, Convolution) for branch in branches)
    layers = (
        Unflatten("image", 1, 4, 4), conv("c1", 1, 2, 3, padding=1), *branches,
        Add("sum", "b1", True), Add("all", "b2", True), Flatten("flat"), dense("fc", 32, CLASSES),
    )  # fmt: skip
    assert 8 < claims(layers) <= MAX_CLAIMS


MOMENTUM = Momentum(round(0.8 * 2**40), True, round(0.01 * 2**40), SEGMENT_STEPS)


@pytest.mark.parametrize("hiding", [False, True], ids=["clear", "hiding"])
@pytest.mark.parametrize("name", ["maximum", "residual"])
def test_momentum_and_weight_decay(name: str, hiding: bool) -> None:
    attempt = Attempt(name, hiding=hiding, momentum=MOMENTUM)
    plain = Attempt(name)
    layer = attempt.circuit.trained[0]
    assert not np.array_equal(attempt.end[layer.weight], plain.end[layer.weight])
    attempt.verify(attempt.prove())


def test_weights_that_were_not_decayed() -> None:
    attempt = Attempt("maximum", momentum=replace(MOMENTUM, weight_decay=0))
    attempt.circuit = replace(attempt.circuit, momentum=MOMENTUM)
    with pytest.raises(ZktrainError):
        attempt.verify(attempt.prove())
