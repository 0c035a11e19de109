"""Sums and means over axes: imported from both exporters, trained, proved, and lied about."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from check_sites import refused_by
from image_run import CLASSES, NETWORKS, Attempt, conv, dense
from onnx_reading import import_onnx
from torch import nn

from zktrain.arguments.tensors import Tensor
from zktrain.errors import (
    HiddenMismatch,
    LookupMismatch,
    MalformedProof,
    RecipeError,
    SumcheckMismatch,
)
from zktrain.layers import AveragePool, Flatten, Reduce, Unflatten
from zktrain.layers.geometry import geometry
from zktrain.layers.limits import GeometryError
from zktrain.operations import Sum
from zktrain.operations.reach import Bounds, Reach
from zktrain.training.float_network import float_network

NAME = "reduced"
LAYERS = (
    Unflatten("image", 1, 4, 5),
    conv("c1", 1, 3, 2),
    Reduce("channels", 3, 1, 1, True),
    conv("c2", 1, 2, 2, relu=False),
    Reduce("lines", 1, 2, 1, False),
    Flatten("flat"),
    dense("fc", 6, CLASSES),
)


@pytest.fixture(autouse=True)
def network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(NETWORKS, NAME, LAYERS)


class Reduced(nn.Module):
    """A convolution, a sum or a mean, a dense layer."""

    def __init__(self, axes: tuple[int, ...], *, mean: bool, keep: bool) -> None:
        super().__init__()
        self.c = nn.Conv2d(1, 3, 2)
        self.axes, self.mean, self.keep = axes, mean, keep
        sizes = [1 if axis in axes else size for axis, size in ((1, 3), (2, 3), (3, 4))]
        self.fc = nn.Linear(int(np.prod(sizes)), 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        act = torch.relu(self.c(x))
        found = act.mean if self.mean else act.sum
        return self.fc(found(dim=self.axes, keepdim=self.keep).flatten(1))


@pytest.mark.parametrize("dynamo", [True, False], ids=["dynamo", "torchscript"])
@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize(
    ("axes", "mean", "layer"),
    [
        ((1,), False, Reduce("reduce1", 3, 1, 1, False)),
        ((2,), True, Reduce("reduce1", 1, 3, 1, True)),
        ((1, 3), True, Reduce("reduce1", 3, 1, 4, True)),
        ((2, 3), False, Reduce("reduce1", 1, 3, 4, False)),
        ((2, 3), True, AveragePool("averagepool1", (3, 4), (3, 4))),
    ],
)
def test_exported(
    tmp_path: Path, axes: tuple[int, ...], mean: bool, layer: Any, keep: bool, dynamo: bool
) -> None:
    if dynamo:
        pytest.importorskip("onnxscript")
    torch.manual_seed(1)
    module = Reduced(axes, mean=mean, keep=keep).eval()
    path = tmp_path / "net.onnx"
    torch.onnx.export(module, (torch.zeros(2, 1, 4, 5),), str(path), dynamo=dynamo)
    layers, floats = import_onnx(path)
    assert layers[2] == layer
    moved = {4: (2, 3, 1, 0), 2: (1, 0), 1: (0,)}
    integers = {
        name: np.rint(np.ldexp(value.transpose(moved[value.ndim]), 32)).astype(np.int64)
        for name, value in floats.items()
    }
    samples = torch.randn(7, 20)
    with torch.no_grad():
        found = float_network(layers, integers, 32)(samples)
        expected = module(samples.reshape(7, 1, 4, 5))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("axes", [(0,), (0, 2)])
def test_sums_over_samples(tmp_path: Path, axes: tuple[int, ...]) -> None:
    class Over(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.sum(dim=axes, keepdim=True).flatten(1)

    path = tmp_path / "net.onnx"
    module = nn.Sequential(nn.Conv2d(1, 1, 1), Over())
    torch.onnx.export(module, (torch.zeros(2, 1, 4, 5),), str(path), dynamo=False)
    with pytest.raises(RecipeError, match="sum or average images, over channels"):
        import_onnx(path)


def test_sums_of_rows(tmp_path: Path) -> None:
    class Over(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.sum(dim=1, keepdim=True)

    path = tmp_path / "net.onnx"
    module = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), Over(), nn.Linear(1, 2))
    torch.onnx.export(module, (torch.zeros(2, 4),), str(path), dynamo=False)
    with pytest.raises(RecipeError, match="sum or average images"):
        import_onnx(path)


def test_axes_that_an_image_has_not() -> None:
    def attack() -> None:
        try:
            geometry((LAYERS[0], LAYERS[1], Reduce("r", 2, 1, 1, False)))
        except GeometryError as error:
            raise MalformedProof(str(error), stage="circuit") from None

    place = "layers.reduce.Reduce.output: "
    refused_by(place + "any((n not in (1, size)", attack, MalformedProof, "sums other axes")


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (Reduce("", 1, 2, 1, False), "a name of layer"),
        (Reduce("r", 0, 2, 1, False), "the widths of layer 'r'"),
        (Reduce("r", 200, 200, 1, True), "averages 40000 values"),
    ],
)
def test_limits(layer: Reduce, message: str) -> None:
    assert message in str(layer.violation(1))


def test_sums_of_the_largest_values() -> None:
    """Of 3 channels at most 2 are not 0; 4 lines of them meet."""
    tensors = {
        "a": Tensor("a", 3, grid=(4, 5)),
        "b": Tensor("b", 1, grid=(1, 5)),
    }
    bounds = Bounds(tensors, 1, 0, {}, {"a": Reach(-3, 5, units=2)})
    assert Sum("b", "a").reach(bounds) == {"b": Reach(-24, 40)}
    bounds.known["b"] = Reach(-1, 7)
    assert Sum("a", "b").reach(bounds) == {"a": Reach(-1, 7, units=3)}


def test_gradients_are_those_of_torch() -> None:
    """One step without rounding to speak of, against autograd."""
    attempt = Attempt(NAME, steps=1)
    scale = 1 << attempt.circuit.fixed_point.weight_bits
    module = float_network(LAYERS, attempt.start, attempt.circuit.fixed_point.weight_bits)
    module = module.to(torch.float64)
    statement = attempt.statement()
    (order,) = np.concatenate(list(statement.task.order(statement.dataset)))
    inputs = torch.from_numpy(attempt.records.inputs[order] / 256.0)
    labels = torch.from_numpy(attempt.records.labels[order].astype(np.int64))
    nn.functional.cross_entropy(module(inputs), labels, reduction="sum").backward()
    rate = attempt.circuit.optimizer.multipliers[0][1] / 2**attempt.circuit.fixed_point.rate_bits
    for layer, step in zip(LAYERS, module.steps, strict=True):
        for stated, parameter in zip(layer.parameters(), step.parameters(), strict=True):
            moved = (attempt.start[stated.name] - attempt.end[stated.name]) / scale / rate
            kinds = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}
            found = torch.from_numpy(moved.transpose(kinds[moved.ndim]).copy())
            torch.testing.assert_close(found, parameter.grad, rtol=0.02, atol=0.02)
            assert float(parameter.grad.abs().max()) > 0.02


@pytest.mark.parametrize("hiding", [False, True])
def test_accepted(hiding: bool) -> None:
    attempt = Attempt(NAME, hiding=hiding)
    attempt.verify(attempt.prove())


def one_more(values: torch.Tensor) -> torch.Tensor:
    return values + 1


@pytest.mark.parametrize(
    ("name", "lie"), [("acc3", one_more), ("z3", one_more), ("z5", one_more), ("q2", one_more)]
)
def test_refused(name: str, lie: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """Another sum, another mean, another error of what was summed."""
    attempt = Attempt(NAME, lies={name: lie})
    with pytest.raises((LookupMismatch, SumcheckMismatch)):
        attempt.verify(attempt.prove())


@pytest.mark.parametrize("hiding", [False, True])
def test_errors_that_are_not_those_of_the_sum(hiding: bool) -> None:
    """The prover trains with errors twice as large below a sum, and tells the truth about all of
    them but that they are those above it."""
    true = Sum.apply

    def doubled(op: Sum, tensors: Mapping[str, Tensor], value: Callable[[str], Any]) -> Any:
        source, output = tensors[op.source], tensors[op.output]
        return true(op, tensors, value) * (2 if output.axes > source.axes else 1)

    with mock.patch.object(Sum, "apply", doubled):
        attempt = Attempt(NAME, hiding=hiding)
        proofs = attempt.prove()
    if hiding:
        with pytest.raises(HiddenMismatch):
            attempt.verify(proofs)
        return
    refused_by(
        "operations.sum.Sum.verify: call channel.check(lambda: sent * factor - value)",
        lambda: attempt.verify(proofs), SumcheckMismatch, "the sum",
    )  # fmt: skip
