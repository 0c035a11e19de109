"""Sigmoid, tanh and GELU as tables, and as layers of imported networks."""

from __future__ import annotations

from decimal import Decimal, localcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx_reading import import_onnx

from zktrain.errors import RecipeError
from zktrain.layers import Activation, Layer
from zktrain.tables import TABLES
from zktrain.tables.curves import CURVES, ROWS, curve, real
from zktrain.training.float_network import float_network

HALF = ROWS // 2


@pytest.mark.parametrize("name", CURVES)
def test_every_real_value_is_far_from_a_tie(name: str) -> None:
    z = np.arange(-HALF, HALF, dtype=np.float64) / 256
    for column, bits in zip(real(name, z), (8, 14), strict=True):
        scaled = column * (1 << bits)
        assert np.abs(scaled - np.floor(scaled) - 0.5).min() > 1e-6


@pytest.mark.parametrize("name", CURVES)
def test_values_and_slopes_are_those_of_torch(name: str) -> None:
    z = (torch.arange(-HALF, HALF, dtype=torch.float64) / 256).requires_grad_()
    functions = {
        "sigmoid": torch.sigmoid, "tanh": torch.tanh, "gelu": torch.nn.functional.gelu,
    }  # fmt: skip
    value = functions[name](z)
    value.sum().backward()
    found = curve(name)
    assert z.grad is not None
    expected = torch.round(value.detach() * 256).numpy(), torch.round(z.grad * 16384).numpy()
    assert np.array_equal(found.values + found.value_at_0, expected[0])
    assert np.array_equal(found.slopes + found.slope_at_0, expected[1])
    assert found.values[HALF] == found.slopes[HALF] == 0
    assert (found.value_at_0, found.slope_at_0) == {
        "sigmoid": (128, 4096), "tanh": (0, 16384), "gelu": (0, 8192),
    }[name]  # fmt: skip


@pytest.mark.parametrize("z", [-3000, -700, -256, -1, 1, 2, 255, 256, 1000, 2000])
def test_sigmoid_and_tanh_in_decimals(z: int) -> None:
    with localcontext() as context:
        context.prec = 40
        x = Decimal(z) / 256
        share = 1 / (1 + (-x).exp())
        curved = 1 - 2 / ((2 * x).exp() + 1)
        for name, value, slope in (
            ("sigmoid", share, share * (1 - share)),
            ("tanh", curved, 1 - curved * curved),
        ):
            found, at = curve(name), z + HALF
            assert found.values[at] + found.value_at_0 == int((value * 256).to_integral_value())
            assert found.slopes[at] + found.slope_at_0 == int((slope * 16384).to_integral_value())


@pytest.mark.parametrize("name", CURVES)
def test_rows_of_the_table(name: str) -> None:
    z, values, slopes = TABLES[f"curve.{name}"].columns()
    assert z.tolist() == list(range(-HALF, HALF))
    assert np.array_equal(values, curve(name).values)
    assert np.array_equal(slopes, curve(name).slopes)


def export(module: torch.nn.Module, folder: Path, *, dynamo: bool, opset: int = 20) -> Path:
    path = folder / "network.onnx"
    torch.onnx.export(
        module, (torch.zeros(1, 6),), str(path), dynamo=dynamo, opset_version=opset, verbose=False
    )
    return path


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dynamo", [False, True])
@pytest.mark.parametrize("function", CURVES)
def test_imported(tmp_path: Path, function: str, dynamo: bool) -> None:
    kinds = {"sigmoid": torch.nn.Sigmoid, "tanh": torch.nn.Tanh, "gelu": torch.nn.GELU}
    torch.manual_seed(1)
    module = torch.nn.Sequential(
        torch.nn.Linear(6, 5), kinds[function](), torch.nn.Linear(5, 3)
    ).eval()
    layers, floats = import_onnx(export(module, tmp_path, dynamo=dynamo))
    assert layers == (
        Layer("0", 6, 5, "0.weight", "0.bias", False),
        Activation("activation1", function),
        Layer("2", 5, 3, "2.weight", "2.bias", False),
    )
    integers = {
        name: np.rint(np.ldexp(value.T, 32)).astype(np.int64) for name, value in floats.items()
    }
    records = torch.rand(7, 6)
    found = float_network(layers, integers, 32)(records)
    torch.testing.assert_close(found, module(records), rtol=1e-5, atol=1e-6)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("module", "opset", "message"),
    [
        (torch.nn.GELU(approximate="tanh"), 20, "approximat"),
        (torch.nn.GELU(), 17, "opset_version=20|not supported|constant"),
        (torch.nn.Softplus(), 20, "these activations are proved"),
    ],
    ids=["tanh", "erf", "softplus"],
)
def test_refused(tmp_path: Path, module: torch.nn.Module, opset: int, message: str) -> None:
    network = torch.nn.Sequential(torch.nn.Linear(6, 5), module, torch.nn.Linear(5, 3)).eval()
    with pytest.raises(RecipeError, match=message):
        import_onnx(export(network, tmp_path, dynamo=False, opset=opset))
