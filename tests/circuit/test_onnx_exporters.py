"""Networks over images as both of torch's exporters write them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conv_networks import RESIDUAL, convolution, dense, features_of, forward
from image_modules import (
    Averages,
    Chain,
    FlatInput,
    Normalised,
    ReluLast,
    Residual,
    Unsqueezed,
    View,
    export,
)
from onnx_reading import import_onnx
from torch import nn

from zktrain.errors import RecipeError
from zktrain.layers import AnyLayer, Flatten, MaxPool, Unflatten

pytest.importorskip("onnxscript")

MODULES: dict[str, Callable[[], nn.Module]] = {
    "chain": Chain,
    "view": View,
    "flat input": FlatInput,
    "no channels": Unsqueezed,
    "relu last": ReluLast,
    "averages": Averages,
    "mean": Residual,
    "adaptive": lambda: Residual("flatten"),
    "squeezed": lambda: Residual("squeeze"),
    "skip first": lambda: Residual(skip_first=True),
}
CHAIN: tuple[AnyLayer, ...] = (
    Unflatten("image", 1, 8, 8),
    convolution("features.0", 1, 3, padding=1),
    MaxPool("maxpool1", (2, 2), (2, 2)),
    convolution("features.3", 3, 4, bias=False),
    MaxPool("maxpool2", (2, 2), (2, 2)),
    Flatten("flatten"),
    dense("classifier.1", 4, 5, relu=True),
    dense("classifier.4", 5, 3),
)
both_exporters = pytest.mark.parametrize("dynamo", [True, False], ids=["dynamo", "torchscript"])


def check_logits(module: nn.Module, layers: tuple[AnyLayer, ...], weights: dict) -> None:
    """The layers compute what the module does."""
    torch.manual_seed(1)
    samples = torch.rand(3, *module.sample)
    assert features_of(layers) == samples[0].numel()
    with torch.no_grad():
        expected = module(samples).numpy()
    found = forward(layers, weights, samples.reshape(3, -1).numpy())
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("dynamic", [True, False], ids=["dynamic", "fixed"])
@both_exporters
def test_exported_network(tmp_path: Path, name: str, dynamo: bool, dynamic: bool) -> None:
    torch.manual_seed(0)
    module = MODULES[name]().eval()
    layers, weights = import_onnx(
        export(module, tmp_path / "net.onnx", dynamo=dynamo, dynamic=dynamic)
    )
    state = module.state_dict()
    assert set(weights) == set(state)
    for key, values in state.items():
        np.testing.assert_array_equal(weights[key], values.numpy().astype(np.float64))
    check_logits(module, layers, weights)
    if name in ("chain", "view", "flat input", "no channels"):
        assert layers == CHAIN
    if name in ("mean", "adaptive", "squeezed"):
        assert layers == (*RESIDUAL[:-1], dense("fc", 4, 3))


@both_exporters
def test_parameters_of_a_bare_sequence_keep_their_numbers(tmp_path: Path, dynamo: bool) -> None:
    """torch calls them ``0.weight``; the file that is trained must load into the module."""
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2)).eval()
    module.sample = (1, 4, 4)
    layers, weights = import_onnx(
        export(module, tmp_path / "net.onnx", dynamo=dynamo, dynamic=False)
    )
    assert set(weights) == set(module.state_dict())
    assert [layer.name for layer in layers] == ["image", "0", "flatten", "3"]
    check_logits(module, layers, weights)


@both_exporters
def test_normalisation_in_evaluation_mode_is_folded_by_the_exporter(
    tmp_path: Path, dynamo: bool
) -> None:
    torch.manual_seed(0)
    module = Normalised().eval()
    layers, weights = import_onnx(
        export(module, tmp_path / "net.onnx", dynamo=dynamo, dynamic=True)
    )
    assert [type(layer).__name__ for layer in layers] == [
        "Unflatten", "Convolution", "Flatten", "Layer"
    ]  # fmt: skip
    check_logits(module, layers, weights)


@both_exporters
def test_dropout_in_training_mode_is_refused(tmp_path: Path, dynamo: bool) -> None:
    path = export(Chain().train(), tmp_path / "net.onnx", dynamo=dynamo, dynamic=True)
    with pytest.raises(RecipeError, match=r"Dropout.*module\.eval\(\)"):
        import_onnx(path)


def test_normalisation_in_training_mode_is_refused(tmp_path: Path) -> None:
    path = export(Normalised().train(), tmp_path / "net.onnx", dynamo=False, dynamic=True)
    with pytest.raises(RecipeError, match=r"BatchNormalization.*fuse_conv_bn_eval"):
        import_onnx(path)
