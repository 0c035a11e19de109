"""A residual network from a torch module to an accepted proof, and its weights back in torch."""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from torch import nn

import zktrain
from zktrain.circuit.compile import compile_recipe, initial_weights
from zktrain.errors import RecipeError, StatementMismatch

FEATURES, CLASSES, RECORDS, STEPS = 16, 3, 12, 3
RECIPE = """[model]
onnx = "net.onnx"
[training]
loss = "cross_entropy"
optimizer = "sgd"
learning_rate = 0.25
batch_size = 4
steps = {steps}
order_seed = "order"
[init]
onnx = true
[proof]
zero_knowledge = false
"""


class Network(nn.Module):
    """Images of 1 x 4 x 4: a convolution, a block beside it, a maximum and a dense layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.inner = (
            nn.Conv2d(1, 2, 3, padding=1),
            nn.Conv2d(2, 2, (1, 3), padding=(0, 1)),
        )
        self.head = nn.Linear(8, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.stem(x))
        x = torch.relu(x + self.inner(x))
        return self.head(nn.functional.max_pool2d(x, 2).flatten(1))


@dataclass(frozen=True)
class Trained:
    folder: Path
    module: Network
    """With the initial weights."""
    records: np.ndarray
    labels: np.ndarray
    run: zktrain.TrainedRun
    proof: Path


def export(module: nn.Module, path: Path) -> None:
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (torch.zeros(2, 1, 4, 4),), str(path), dynamo=False)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("images")
    torch.manual_seed(0)
    module = Network().eval()
    export(module, folder / "net.onnx")
    (folder / "recipe.toml").write_text(RECIPE.format(steps=STEPS))
    records = np.random.default_rng(0).integers(0, 256, (RECORDS, FEATURES), dtype=np.uint8)
    labels = (np.arange(RECORDS) % CLASSES).astype(np.uint8)
    np.savez(folder / "data.npz", inputs=records, labels=labels, classes=CLASSES)
    run = zktrain.train(
        folder / "recipe.toml",
        data=folder / "data.npz",
        out=folder / "run",
        test=folder / "data.npz",
        compare_float=True,
    )
    proof = zktrain.prove(folder / "run").path
    return Trained(folder, module, records, labels, run, proof)


def test_initial_weights_are_those_of_the_module(trained: Trained) -> None:
    """At ``(height, width, inputs, outputs)``, where torch has ``(outputs, inputs, height,
    width)``."""
    weights = initial_weights(compile_recipe(trained.folder / "recipe.toml"))
    state = {name: value.double().numpy() for name, value in trained.module.state_dict().items()}
    assert weights["inner.weight"].shape == (1, 3, 2, 2)
    assert list(weights) == list(state)
    for name in ("stem.weight", "inner.weight"):
        outputs, inputs, height, width = state[name].shape
        for index in np.ndindex(height, width, inputs, outputs):
            y, x, i, o = index
            assert weights[name][index] == np.rint(state[name][o, i, y, x] * 2.0**32)


def test_integers_follow_the_same_run_in_float32(trained: Trained) -> None:
    run = trained.run
    assert run.steps == STEPS and len(run.float_losses) == STEPS
    for (_, exact), (_, floating) in zip(run.losses, run.float_losses, strict=True):
        assert abs(exact - floating) < 0.02


def test_proof_is_accepted_and_the_weights_load_in_torch(trained: Trained) -> None:
    initial = trained.folder / "run" / "initial.safetensors"
    zktrain.verify(
        trained.run.weights,
        proof=trained.proof,
        dataset=trained.run.path / "dataset.zkd",
        initial=initial,
    )
    weights = {
        name: torch.from_numpy(w).float() for name, w in load_file(trained.run.weights).items()
    }
    module = Network()
    module.load_state_dict(weights)
    images = torch.from_numpy(trained.records).float().reshape(-1, 1, 4, 4) / 256
    labels = torch.from_numpy(trained.labels.astype(np.int64))
    with torch.no_grad():
        before = nn.functional.cross_entropy(trained.module(images), labels)
        after = nn.functional.cross_entropy(module(images), labels)
        accuracy = (module(images).argmax(1) == labels).double().mean()
    assert after < before - 0.001
    assert trained.run.test_accuracy == pytest.approx(float(accuracy))


def test_a_kernel_turned_over_is_refused(trained: Trained, tmp_path: Path) -> None:
    """The weights are those of the file, at their places: another order is another network."""
    weights = load_file(trained.run.weights)
    turned = np.ascontiguousarray(weights["stem.weight"][..., ::-1])
    assert not np.array_equal(turned, weights["stem.weight"])
    forged = tmp_path / "weights.safetensors"
    save_file(weights | {"stem.weight": turned}, forged)
    with pytest.raises(StatementMismatch, match="weight"):
        zktrain.verify(
            forged,
            proof=trained.proof,
            dataset=trained.run.path / "dataset.zkd",
            initial=trained.folder / "run" / "initial.safetensors",
        )


def test_limits_of_images_are_errors_of_the_recipe(tmp_path: Path) -> None:
    """What the graph can say but a circuit cannot."""
    module = nn.Sequential(nn.Conv2d(1, 1, (1, 1), (300, 1)), nn.Flatten(), nn.Linear(4, 2))
    export(module.eval(), tmp_path / "net.onnx")
    (tmp_path / "recipe.toml").write_text(RECIPE.format(steps=1))
    with pytest.raises(RecipeError, match=r"kernel and stride of layer '0' must be from 1 to 256"):
        compile_recipe(tmp_path / "recipe.toml")
