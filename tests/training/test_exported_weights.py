"""The exported weights give in torch what the run says, fed as ``docs/train.md`` says."""

from __future__ import annotations

import logging
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zktrain

torch = pytest.importorskip("torch")
datasets = pytest.importorskip("sklearn.datasets")
pytest.importorskip("safetensors")

DOCUMENT = Path(__file__).parents[2] / "docs" / "train.md"


def snippet() -> str:
    """The code of the page that loads weights and asks the network."""
    blocks = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.S)
    (found,) = [block for block in blocks if "load_state_dict" in block]
    return str(found)


def test_standardised_wine_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs, labels = datasets.load_wine(return_X_y=True)
    inputs = np.clip((inputs - inputs.mean(0)) / inputs.std(0), -3, 3)
    order = np.random.default_rng(0).permutation(len(labels))
    train, test = order[:125], order[125:]
    np.savez(tmp_path / "train.npz", inputs=inputs[train], labels=labels[train], low=-3, high=3)
    np.savez(tmp_path / "test.npz", inputs=inputs[test], labels=labels[test])
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(13, 3))
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network, (torch.zeros(2, 13),), tmp_path / "net.onnx", dynamo=False, verbose=False
        )
    (tmp_path / "recipe.toml").write_text(
        '[model]\nonnx = "net.onnx"\n[training]\nloss = "cross_entropy"\noptimizer = "sgd"\n'
        'learning_rate = 1.0\nbatch_size = 16\nsteps = 1024\norder_seed = "o"\n'
        '[init]\nseed = "s"\n'
    )
    monkeypatch.chdir(tmp_path)
    result = zktrain.train("recipe.toml", data="train.npz", test="test.npz", out="run")
    assert result.test_accuracy is not None and result.test_accuracy > 0.9
    names: dict[str, Any] = {"network": network, "inputs": inputs[test]}
    exec(snippet(), names)
    hits = names["answers"].numpy() == labels[test]
    assert float(hits.mean()) == pytest.approx(result.test_accuracy, abs=1e-9)
    exact = names["x"].copy()
    assert np.abs(exact - (inputs[test] + 3) / 6 * 255 / 256).max() <= 0.5 / 256 + 1e-9
    raw = network(torch.from_numpy(inputs[test]).float()).argmax(1)
    assert bool((raw != names["answers"]).any())  # what the page warns of
