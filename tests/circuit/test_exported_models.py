"""The exporter of ``models/``: graphs that import, the right weights, no traces of the machine."""

from __future__ import annotations

import importlib.util
import math
import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from conv_networks import forward, weight_shapes
from onnx_reading import import_onnx

MODELS = Path(__file__).resolve().parents[2] / "models"


@pytest.fixture(scope="module")
def exporter() -> ModuleType:
    pytest.importorskip("onnxscript")
    spec = importlib.util.spec_from_file_location("models_export", MODELS / "export.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["models_export"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("name", "widths"),
    [
        ("mlp-4-8-3", (4, 8, 3)),
        ("mlp-64-16-10", (64, 16, 10)),
        ("mlp-64-64-10", (64, 64, 10)),
        ("mlp-784-128-10", (784, 128, 10)),
        ("mlp-784-1024-1024-10", (784, 1024, 1024, 10)),
        ("mlp-1024-2", (1024, 2)),
    ],
)
def test_stored_models(name: str, widths: tuple[int, ...]) -> None:
    path = MODELS / f"{name}.onnx"
    assert path.stat().st_size < 2048
    layers, weights = import_onnx(path)
    assert weights == {}
    assert [layer.name for layer in layers] == [f"fc{i}" for i in range(1, len(widths))]
    assert (*(layer.inputs for layer in layers), layers[-1].outputs) == widths
    assert [layer.bias for layer in layers] == [f"fc{i}.bias" for i in range(1, len(widths))]


@pytest.mark.parametrize(
    ("name", "size", "parameters", "kinds"),
    [
        ("lenet5", 4096, 61_706, "Unflatten (Convolution MaxPool)2 Flatten Layer3"),
        (
            "vgg11",
            9216,
            9_750_922,
            "Unflatten (Convolution MaxPool)2 (Convolution2 MaxPool)3 Flatten Layer3",
        ),
        (
            "resnet-8x8",
            6144,
            5_050,
            "Unflatten Convolution3 Add Convolution3 Add AveragePool Flatten Layer",
        ),
    ],
)
def test_stored_image_networks(
    exporter: ModuleType, name: str, size: int, parameters: int, kinds: str
) -> None:
    path = MODELS / f"{name}.onnx"
    assert path.stat().st_size < size
    layers, weights = import_onnx(path)
    assert weights == {}
    assert [type(layer).__name__ for layer in layers] == repeated(kinds)
    module = exporter.IMAGE_NETWORKS[name][0]()
    state = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    assert weight_shapes(layers) == state
    assert sum(math.prod(shape) for shape in state.values()) == parameters


def repeated(kinds: str) -> list[str]:
    """``A (B C2)2`` as ``A B C C B C C``."""
    kinds = re.sub(r"\(([^)]*)\)(\d)", lambda part: f"{part[1]} " * int(part[2]), kinds)
    kinds = re.sub(r"([A-Za-z]+)(\d)", lambda part: f"{part[1]} " * int(part[2]), kinds)
    return kinds.split()


def test_image_network_with_weights(exporter: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(exporter.export_images("resnet-8x8", with_weights=True))
    layers, weights = import_onnx(path)
    torch.manual_seed(0)
    module = exporter.ResNet()
    for name, value in module.state_dict().items():
        np.testing.assert_array_equal(weights[name], value.numpy().astype(np.float64))
    images = torch.rand(3, 1, 8, 8)
    with torch.no_grad():
        expected = module(images).numpy()
    found = forward(layers, weights, images.reshape(3, -1).numpy())
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_export_with_weights(exporter: ModuleType, tmp_path: Path) -> None:
    data = exporter.export((12, 7, 3), with_weights=True)
    path = tmp_path / "net.onnx"
    path.write_bytes(data)
    layers, weights = import_onnx(path)
    torch.manual_seed(0)
    module = exporter.MLP(12, 7, 3)
    assert len(layers) == 2
    for name, value in module.state_dict().items():
        np.testing.assert_array_equal(weights[name], value.numpy().astype(np.float64))


@pytest.mark.slow("exports every model twice")
def test_export_is_the_same_each_time_and_names_no_path(exporter: ModuleType) -> None:
    for with_weights in (False, True):
        data = exporter.export((12, 7, 3), with_weights=with_weights)
        images = exporter.export_images("resnet-8x8", with_weights=with_weights)
        assert data == exporter.export((12, 7, 3), with_weights=with_weights)
        assert images == exporter.export_images("resnet-8x8", with_weights=with_weights)
        for trace in (b"stack_trace", b"export.py", b"pkg.torch", str(MODELS.parent).encode()):
            assert trace not in data + images
