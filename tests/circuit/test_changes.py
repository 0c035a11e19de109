"""What compiling changes is said, and a constant of a network stays one, or is refused."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import numpy as np
import pytest

import zktrain
from zktrain.circuit.compile import Compiled, compile_recipe, initial_weights
from zktrain.errors import RecipeError
from zktrain.training.weight_file import write_weights

torch = pytest.importorskip("torch")
nn = torch.nn


def export(
    module: torch.nn.Module, path: Path, *, dynamo: bool, sample: tuple[int, ...] = (8,)
) -> None:
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        zeros = (torch.zeros(2, *sample),)
        torch.onnx.export(module.eval(), zeros, path, dynamo=dynamo, verbose=False)


def compiled(
    folder: Path,
    module: torch.nn.Module,
    *,
    dynamo: bool = True,
    init: str = "onnx = true",
    more: str = "",
    rate: str = "0.125",
) -> Compiled:
    export(module, folder / "net.onnx", dynamo=dynamo)
    (folder / "recipe.toml").write_text(
        f'[model]\nonnx = "net.onnx"\n[training]\nloss = "cross_entropy"\noptimizer = "sgd"\n'
        f'learning_rate = {rate}\nbatch_size = 32\nsteps = 4\norder_seed = "o"\n{more}\n'
        f"[init]\n{init}\n"
    )
    return compile_recipe(folder / "recipe.toml")


class Rotated(nn.Module):
    """``relu(x R + c)`` before a dense layer; R and c as told."""

    def __init__(self, rotation: str = "buffer", shift: str = "none", name: str = "R") -> None:
        super().__init__()
        torch.manual_seed(1)
        self.g = nn.Linear(8, 3)
        self._names = (name, "shift")
        for kind, own, values in (
            (rotation, name, torch.linalg.qr(torch.randn(8, 8))[0]),
            (shift, "shift", torch.randn(8)),
        ):
            if kind == "buffer":
                self.register_buffer(own, values)
            elif kind == "passing buffer":
                self.register_buffer(own, values, persistent=False)
            elif kind == "tensor":
                setattr(self, own, values)
            elif kind == "parameter":
                setattr(self, own, nn.Parameter(values))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rotation, shift = (getattr(self, name, None) for name in self._names)
        x = x @ rotation
        return self.g(torch.relu(x if shift is None else x + shift))


@pytest.mark.parametrize("kind", ["buffer", "passing buffer", "tensor"])
def test_a_constant_stays_as_it_is(kind: str, tmp_path: Path) -> None:
    module = Rotated(kind)
    found = compiled(tmp_path, module)
    assert found.circuit.frozen == ("layer1",)
    assert any("'layer1' is a constant" in change for change in found.changes)
    kept = initial_weights(found)[found.circuit.layers[0].weight]
    assert np.array_equal(kept, np.rint(module.R.numpy().astype(np.float64) * 2.0**32))


def test_a_parameter_of_the_same_shape_is_trained(tmp_path: Path) -> None:
    found = compiled(tmp_path, Rotated("parameter", "parameter"), init='seed = "s"')
    assert found.circuit.frozen == () and found.changes == ()


@pytest.mark.parametrize("kind", ["buffer", "passing buffer", "tensor"])
def test_a_constant_is_not_drawn_from_a_seed(kind: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"layer 'layer1': 'R' is a constant.*init.onnx = true"):
        compiled(tmp_path, Rotated(kind), init='seed = "s"')


@pytest.mark.parametrize("kinds", [("buffer", "parameter"), ("parameter", "buffer")])
def test_a_layer_that_is_half_a_constant(kinds: tuple[str, str], tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="trained or frozen as a whole"):
        compiled(tmp_path, Rotated(*kinds))
    found = compiled(tmp_path, Rotated(*kinds), more='frozen = ["layer1"]')
    assert found.circuit.frozen == ("layer1",)


@pytest.mark.parametrize("init", ["onnx = true", 'seed = "s"'])
@pytest.mark.parametrize("kind", ["buffer", "parameter"])
def test_the_older_exporter_does_not_tell_constants(kind: str, init: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"does not tell whether 'R' is trained.*dynamo=True"):
        compiled(tmp_path, Rotated(kind), dynamo=False, init=init)


def test_the_older_exporter_tells_constants_inside_the_graph(tmp_path: Path) -> None:
    found = compiled(tmp_path, Rotated("passing buffer"), dynamo=False)
    assert found.circuit.frozen == ("layer1",)


def test_what_the_file_does_not_tell_the_recipe_may(tmp_path: Path) -> None:
    found = compiled(tmp_path, Rotated("buffer"), dynamo=False, more='frozen = ["layer1"]')
    assert found.circuit.frozen == ("layer1",)


class Transposed(Rotated):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.g(torch.relu(x @ self.R.T))


@pytest.mark.parametrize("dynamo", [True, False])
def test_a_transposed_constant_is_not_told_from_a_parameter(dynamo: bool, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="does not tell whether"):
        compiled(tmp_path, Transposed("buffer"), dynamo=dynamo)


@pytest.mark.parametrize("dynamo", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_plain_layers_are_trained_without_a_word(bias: bool, dynamo: bool, tmp_path: Path) -> None:
    module = nn.Sequential(nn.Linear(8, 8, bias=bias), nn.ReLU(), nn.Linear(8, 3, bias=bias))
    found = compiled(tmp_path, module, dynamo=dynamo, init='seed = "s"')
    assert (found.circuit.frozen, found.changes, found.warnings) == ((), (), ())


def test_first_weights_that_contradict_a_constant(tmp_path: Path) -> None:
    module = Rotated("buffer")
    found = compiled(tmp_path, module)
    weights = initial_weights(found)
    path = tmp_path / "start.safetensors"
    write_weights(path, weights, 32, {})
    again = compiled(tmp_path, module, init='weights = "start.safetensors"')
    assert again.circuit.frozen == ("layer1",)
    weights[found.circuit.layers[0].weight][0, 0] += 1
    write_weights(path, weights, 32, {})
    with pytest.raises(RecipeError, match="other values than the network file"):
        compiled(tmp_path, module, init='weights = "start.safetensors"')


@pytest.mark.parametrize("dynamo", [True, False])
def test_a_folded_normalisation_is_a_warning(dynamo: bool, tmp_path: Path) -> None:
    layers = nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3)
    export(nn.Sequential(*layers), tmp_path / "n.onnx", dynamo=dynamo, sample=(1, 2, 4))
    (tmp_path / "recipe.toml").write_text(
        '[model]\nonnx = "n.onnx"\n[training]\nloss = "cross_entropy"\noptimizer = "sgd"\n'
        'learning_rate = 0.125\nbatch_size = 32\nsteps = 4\norder_seed = "o"\n'
        '[init]\nseed = "s"\n'
    )
    found = compile_recipe(tmp_path / "recipe.toml")
    (warning,) = found.warnings
    assert "BatchNorm" in warning and "without the normalisation" in warning


def onnx_chain(path: Path) -> None:
    """A network with a Dropout in evaluation mode and an Identity, as other exporters write."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    generator = np.random.default_rng(0)
    weights = [
        numpy_helper.from_array(generator.normal(size=shape).astype(np.float32), name)
        for name, shape in (("a.weight", (8, 8)), ("b.weight", (8, 3)))
    ]
    nodes = [
        helper.make_node("MatMul", ["x", "a.weight"], ["u"], "a"),
        helper.make_node("Relu", ["u"], ["v"], "r"),
        helper.make_node("Dropout", ["v"], ["w"], "drop"),
        helper.make_node("Identity", ["w"], ["y"], "same"),
        helper.make_node("MatMul", ["y", "b.weight"], ["z"], "b"),
    ]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ("n", size))
        for name, size in (("x", 8), ("z", 3))
    ]
    graph = helper.make_graph(nodes, "chain", ends[:1], ends[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    onnx.save(model, str(path))


def test_nodes_that_are_left_out_are_listed(tmp_path: Path) -> None:
    compiled(tmp_path, nn.Sequential(nn.Linear(8, 3)))
    onnx_chain(tmp_path / "net.onnx")
    found = zktrain.compile(tmp_path / "recipe.toml")
    assert [change.split(" is left out")[0] for change in found.changes] == [
        "node 'drop' (Dropout)",
        "node 'same' (Identity)",
    ]
    assert found.warnings == ()


def test_rates_that_are_rounded_are_said(tmp_path: Path) -> None:
    """1 / 32 of a batch of 32 is the unit: 0.1 is 0.09375, and 0.0999 of a large multiple."""
    module = nn.Sequential(nn.Linear(8, 3))
    (warning,) = compiled(tmp_path, module, rate="0.1").warnings
    assert "0.09375 instead of 0.1, 6.3% off" in warning
    found = compiled(tmp_path, module, rate="[[0, 1.0], [2, 0.995]]")
    (change,) = found.changes
    assert found.warnings == () and "from step 2 on is 1 instead of 0.995" in change
    assert compiled(tmp_path, module, rate="0.125").changes == ()
    with pytest.raises(RecipeError, match=r"nearest 0.03125 and 0.0625; use one of these rates"):
        compiled(tmp_path, module, rate="0.05")


@pytest.mark.parametrize("line", ["weight_decay = 1e-13", "momentum = 1e-13"])
def test_numbers_of_the_filter_do_not_vanish(line: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="is too small: it is used in whole multiples"):
        compiled(tmp_path, nn.Sequential(nn.Linear(8, 3)), more=line)
