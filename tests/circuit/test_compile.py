"""Recipes to circuits and initial weights."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from circuit_networks import save_onnx, two_layer_nodes, two_layers
from onnx import helper

from zktrain.circuit.circuit import Circuit
from zktrain.circuit.compile import compile_recipe, compile_to_file, initial_weights
from zktrain.errors import InputError, RecipeError, ZktrainError

ROOT = Path(__file__).resolve().parents[2]
RECIPE = """\
[model]
onnx = "net.onnx"
[training]
loss = "cross_entropy"
optimizer = "sgd"
learning_rate = [[0, 0.25], [5, 0.1]]
batch_size = 8
steps = 20
order_seed = "order"
[init]
seed = "weights"
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    save_onnx(tmp_path / "net.onnx", two_layer_nodes(), two_layers())
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE)
    return path


def initialised(recipe: Path, line: str) -> Path:
    recipe.write_text(RECIPE.replace('seed = "weights"', line))
    return recipe


def test_seeded_recipe(recipe: Path) -> None:
    compiled = compile_recipe(recipe)
    circuit = compiled.circuit
    assert circuit.optimizer.multipliers == ((0, 32), (5, 13))
    assert circuit.effective_learning_rate == [(0, 0.25), (5, 13 * 8 / 1024)]
    assert (circuit.initialisation.kind, circuit.initialisation.value) == ("seed", "weights")
    assert compiled.initial_float is None
    assert Circuit.from_json(circuit.canonical_json()) == circuit
    weights = initial_weights(compiled)
    assert {name: value.shape for name, value in weights.items()} == circuit.parameter_shapes()
    bound = 2**32 / np.sqrt(6)
    assert bound * 0.8 < np.abs(weights["fc1.weight"]).max() <= bound


def test_the_folder_of_the_recipe_does_not_matter(recipe: Path, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere"
    shutil.copytree(recipe.parent, other, ignore=shutil.ignore_patterns("elsewhere"))
    assert compile_recipe(other / recipe.name).circuit == compile_recipe(recipe).circuit


def test_weights_of_the_network_file(recipe: Path) -> None:
    compiled = compile_recipe(initialised(recipe, "onnx = true"))
    assert compiled.circuit.initialisation.kind == "file"
    assert Circuit.from_json(compiled.circuit.canonical_json()) == compiled.circuit
    weights = initial_weights(compiled)
    assert list(weights) == list(compiled.circuit.parameter_shapes())
    for name, value in two_layers().items():
        assert weights[name].dtype == np.int64
        exact = value.astype(np.float64).T * 2.0**32
        np.testing.assert_array_equal(weights[name], np.rint(exact))
        assert weights[name].flags.c_contiguous


def test_weights_of_a_weight_file(recipe: Path) -> None:
    safetensors = pytest.importorskip("safetensors.numpy")
    stored = {
        name: np.rint(v.astype(np.float64) * 2**20) / 2**20 for name, v in two_layers().items()
    }
    path = recipe.parent / "base.safetensors"
    safetensors.save_file(stored, path)
    compiled = compile_recipe(initialised(recipe, 'weights = "base.safetensors"'))
    weights = initial_weights(compiled)
    for name, value in stored.items():
        np.testing.assert_array_equal(weights[name] / 2.0**32, value.T)
    stored["fc1.bias"] = stored["fc1.bias"] + 2.0**-32
    safetensors.save_file(stored, path)
    with pytest.raises(InputError, match="has changed since"):
        initial_weights(compiled)
    assert compile_recipe(recipe).circuit.id != compiled.circuit.id
    path.unlink()
    with pytest.raises(ZktrainError, match=r"base\.safetensors"):
        compile_recipe(recipe)


def test_equal_weights_have_equal_circuits(recipe: Path) -> None:
    """The circuit states the integers, not the file they came in."""
    safetensors = pytest.importorskip("safetensors.numpy")
    from_network = compile_recipe(initialised(recipe, "onnx = true"))
    stored = {
        name: np.ascontiguousarray(value.T).astype(np.float64) / 2.0**32
        for name, value in initial_weights(from_network).items()
    }
    safetensors.save_file(stored, recipe.parent / "base.safetensors")
    from_file = compile_recipe(initialised(recipe, 'weights = "base.safetensors"'))
    assert from_file.circuit == from_network.circuit


def test_network_without_values_has_no_weights(recipe: Path) -> None:
    parameters = two_layers()
    shape = np.array(parameters.pop("fc1.weight").shape)
    fill = helper.make_node("ConstantOfShape", ["shape"], ["fc1.weight"])
    save_onnx(recipe.parent / "net.onnx", [fill, *two_layer_nodes()], parameters | {"shape": shape})
    compile_recipe(recipe)
    with pytest.raises(RecipeError, match=r"only the shape of 'fc1.weight'; export .* init.seed"):
        compile_recipe(initialised(recipe, "onnx = true"))


def test_weights_too_large(recipe: Path) -> None:
    parameters = {name: value.astype(np.float64) for name, value in two_layers().items()}
    for value in (2.0**20, 1e308):
        parameters["fc2.bias"][1] = value
        save_onnx(recipe.parent / "net.onnx", two_layer_nodes(), parameters)
        with pytest.raises(RecipeError, match=r"'fc2\.bias' has a value .* stay below 1048576"):
            compile_recipe(initialised(recipe, "onnx = true"))


def test_limits_of_the_circuit_are_errors_of_the_recipe(recipe: Path) -> None:
    for old, new, message in (
        ("fc1.weight", "acc1", "'acc1' is the name of a tensor"),
        ("fc1.bias", "b" * 129, "1 to 128 ASCII characters"),
        ("fc2.weight", "w\n", "printable"),
        ("fc2.weight", "fc1.other", None),
    ):
        nodes, constants = two_layer_nodes(), two_layers()
        constants[new] = constants.pop(old)
        for gemm in (nodes[0], nodes[2]):
            for position, name in enumerate(gemm.input):
                gemm.input[position] = new if name == old else name
        save_onnx(recipe.parent / "net.onnx", nodes, constants)
        if message is None:
            compile_recipe(recipe)
            continue
        with pytest.raises(RecipeError, match=message):
            compile_recipe(recipe)


def test_clash_of_derived_names(recipe: Path) -> None:
    """The second layer's weight has a made-up name and its bias says ``fc1``."""
    nodes, constants = two_layer_nodes(), two_layers()
    del nodes[0].input[2], constants["fc1.bias"]
    constants["val_0"] = constants.pop("fc2.weight")
    constants["fc1.bias"] = constants.pop("fc2.bias")
    nodes[2].input[1], nodes[2].input[2] = "val_0", "fc1.bias"
    save_onnx(recipe.parent / "net.onnx", nodes, constants)
    with pytest.raises(RecipeError, match="have the same name; change"):
        compile_recipe(recipe)


def test_unrepresentable_rate(recipe: Path) -> None:
    recipe.write_text(RECIPE.replace("0.1]", "0.0001]"))
    with pytest.raises(RecipeError, match=r"learning_rate = 0.0001 cannot be represented"):
        compile_recipe(recipe)


def test_missing_network(recipe: Path) -> None:
    (recipe.parent / "net.onnx").unlink()
    with pytest.raises(InputError, match=r"net\.onnx' cannot be read"):
        compile_recipe(recipe)


def test_file_is_written_whole_or_not_at_all(recipe: Path, tmp_path: Path) -> None:
    out = tmp_path / "out" / "net.circuit.json"
    with pytest.raises(InputError, match="cannot be written"):
        compile_to_file(recipe, out)
    out.parent.mkdir()
    circuit = compile_to_file(recipe, out).circuit
    assert out.read_bytes() == circuit.canonical_json()
    recipe.write_text(RECIPE.replace("steps = 20", "steps = 0"))
    with pytest.raises(RecipeError):
        compile_to_file(recipe, out)
    assert out.read_bytes() == circuit.canonical_json()
    assert [path.name for path in out.parent.iterdir()] == [out.name]


def run_check(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(folder / "compile_all.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )


def test_the_circuits_of_this_repository_are_current(tmp_path: Path) -> None:
    assert run_check(ROOT / "circuits").returncode == 0
    shutil.copytree(ROOT / "circuits", tmp_path / "circuits")
    shutil.copytree(ROOT / "models", tmp_path / "models")
    text = tmp_path / "circuits" / "digits-mlp-64.toml"
    text.write_text(text.read_text().replace("steps = 256", "steps = 255"))
    done = run_check(tmp_path / "circuits")
    assert done.returncode == 2
    assert done.stderr == "digits-mlp-64.circuit.json is not what its recipe compiles to\n"
