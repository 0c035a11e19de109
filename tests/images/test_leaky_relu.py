"""LeakyReLU: imported from both exporters, trained, proved, and lied about."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from check_sites import refused_by
from image_run import CLASSES, NETWORKS, Attempt, circuit, conv, dense
from onnx_reading import import_onnx
from torch import nn

from zktrain.circuit import canonical
from zktrain.errors import LookupMismatch, MalformedProof, RecipeError, SumcheckMismatch
from zktrain.layers import Flatten, Layer, LeakyReLU, Unflatten
from zktrain.training.float_network import float_network

NAME, SLOPE = "leaky", round(0.3 * 2**16)
LAYERS = (
    Unflatten("image", 1, 3, 3),
    conv("c1", 1, 2, 2, relu=False),
    LeakyReLU("l1", SLOPE),
    Flatten("flat"),
    dense("fc1", 8, 5),
    LeakyReLU("l2", 655),
    dense("fc2", 5, CLASSES),
)


@pytest.fixture(autouse=True)
def network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(NETWORKS, NAME, LAYERS)


@pytest.mark.parametrize("dynamo", [True, False], ids=["dynamo", "torchscript"])
@pytest.mark.parametrize("slope", [0.01, 0.3])
def test_exported(tmp_path: Path, slope: float, dynamo: bool) -> None:
    if dynamo:
        pytest.importorskip("onnxscript")
    torch.manual_seed(1)
    module = nn.Sequential(nn.Linear(6, 5), nn.LeakyReLU(slope), nn.Linear(5, 3)).eval()
    path = tmp_path / "net.onnx"
    torch.onnx.export(module, (torch.zeros(2, 6),), str(path), dynamo=dynamo)
    layers, floats = import_onnx(path)
    assert layers == (
        Layer("0", 6, 5, "0.weight", "0.bias", False),
        LeakyReLU("leakyrelu1", round(slope * 2**16)),
        Layer("2", 5, 3, "2.weight", "2.bias", False),
    )
    integers = {
        name: np.rint(np.ldexp(value.T, 32)).astype(np.int64) for name, value in floats.items()
    }
    samples = torch.randn(7, 6)
    with torch.no_grad():
        found, expected = float_network(layers, integers, 32)(samples), module(samples)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("slope", [-0.5, 0.0, 1.0])
def test_slopes_that_are_refused(slope: float) -> None:
    layer = LeakyReLU("l1", round(slope * 2**16))
    run = replace(circuit(NAME), layers=tuple(layer if v.name == "l1" else v for v in LAYERS))
    assert "slope" in str(canonical.violation(run))


@pytest.mark.parametrize("slope", [math.nan, math.inf, -math.inf, -0.5, 2.0, 1e-9])
def test_slopes_of_a_network_that_are_refused(tmp_path: Path, slope: float) -> None:
    """Whatever number is in the file, the network is read and its layer says what is wrong."""
    path = tmp_path / "net.onnx"
    module = nn.Sequential(nn.Linear(6, 5), nn.LeakyReLU(slope), nn.Linear(5, 3)).eval()
    torch.onnx.export(module, (torch.zeros(2, 6),), str(path), dynamo=False)
    layers, _ = import_onnx(path)
    assert "slope of layer 'leakyrelu1' must be above 0" in str(layers[1].violation(1))


@pytest.mark.parametrize(("slope", "check"), [(0, "not 0 < self.slope"), (65536, "not self.slope")])
def test_each_limit_alone(slope: int, check: str) -> None:
    def attack() -> None:
        problem = LeakyReLU("l1", slope).violation(1)
        if problem is not None:
            raise MalformedProof(problem, stage="circuit")

    place = "layers.leaky_relu.LeakyReLU._slope_problem"
    refused_by(f"{place}: {check}", attack, MalformedProof)


@pytest.mark.parametrize("hiding", [False, True])
def test_accepted(hiding: bool) -> None:
    attempt = Attempt(NAME, hiding=hiding)
    attempt.verify(attempt.prove())


def other_sign(values: torch.Tensor) -> torch.Tensor:
    return 1 - values


def one_more(values: torch.Tensor) -> torch.Tensor:
    return values + 1


@pytest.mark.parametrize(("name", "lie"), [("s3", other_sign), ("z3", one_more), ("q2", one_more)])
def test_refused(name: str, lie: Callable[[torch.Tensor], torch.Tensor]) -> None:
    attempt = Attempt(NAME, lies={name: lie})
    with pytest.raises((LookupMismatch, SumcheckMismatch)):
        attempt.verify(attempt.prove())


def test_a_network_that_ends_in_one(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    module = nn.Sequential(nn.Linear(6, 3), nn.LeakyReLU()).eval()
    torch.onnx.export(module, (torch.zeros(2, 6),), str(path), dynamo=False)
    with pytest.raises(RecipeError, match="the network ends in it"):
        import_onnx(path)
