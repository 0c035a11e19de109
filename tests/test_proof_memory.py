"""Whole processes that prove keep to the memory that they are given."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zktrain

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="peaks are read from /proc"),
    pytest.mark.slow("some ten processes that prove, one after the other"),
]

ROOT = Path(__file__).resolve().parents[1]
NETWORKS = {
    "dense": ("mlp-64-64-10.onnx", 64, 256),
    "residual": ("resnet-8x8.onnx", 32, 16),
}
"""Network, batch, steps."""


@pytest.fixture(scope="module", params=NETWORKS)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained on digits, and proved once, so that the dataset has its certificate."""
    network, batch, steps = NETWORKS[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    recipe = folder / "recipe.toml"
    recipe.write_text(
        f"""[model]
onnx = "{ROOT / "models" / network}"
[training]
loss = "cross_entropy"
optimizer = "sgd"
learning_rate = 0.0625
batch_size = {batch}
steps = {steps}
order_seed = "memory order"
[init]
seed = "memory weights"
[proof]
"""
    )
    zktrain.train(recipe, data="digits", out=folder / "run")
    child("prove", 1, folder / "run" / "proof.zkt", run=str(folder / "run"))
    return folder / "run"


def child(what: str, share: float, out: Path, **arguments: Any) -> list[Any]:
    script = Path(__file__).with_name("proof_memory.py")
    given = [sys.executable, str(script), what, str(share), str(out), json.dumps(arguments)]
    done = subprocess.run(given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: list[Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("share", [-1, 0, 0.5])
def test_a_proof_keeps_to_its_memory(run: Path, tmp_path: Path, share: float) -> None:
    """And has the bytes that it has anyway; predictions are not far above what is taken."""
    out = tmp_path / "proof.zkt"
    limit, expected, peak, files, memory, _ = child("prove", share, out, run=str(run))
    assert peak <= expected <= limit
    assert peak > 0.6 * expected
    assert out.read_bytes() == (run / "proof.zkt").read_bytes()
    assert files is (share < 0) and memory is not None


def test_an_evaluation_keeps_to_its_memory(run: Path, tmp_path: Path) -> None:
    arguments = {
        "weights": str(run / "weights.safetensors"),
        "circuit": str(run / "circuit.json"),
        "data": "digits",
    }
    proofs = []
    for share in (-1, 0, 1):
        out = tmp_path / f"{len(proofs)}.zkt"
        limit, expected, peak, *_ = child("prove_eval", share, out, **arguments)
        assert peak <= expected <= limit
        proofs.append(out.read_bytes())
    assert proofs == [proofs[0]] * 3


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Records of which the columns alone have ``2^27`` cells, and their commitment, made in
    memory."""
    folder = tmp_path_factory.mktemp("dataset")
    rng = np.random.default_rng(1)
    inputs = rng.integers(0, 256, (1 << 17, 784), dtype=np.uint8)
    labels = rng.integers(0, 10, 1 << 17, dtype=np.uint8)
    np.savez(folder / "images.npz", inputs=inputs, labels=labels)
    found = {"data": folder / "images.npz", "whole": folder / "whole.zkd"}
    limit, expected, peak, files, *_ = child("commit", 1, found["whole"], data=str(found["data"]))
    assert 0.7 * expected < peak <= expected <= limit and not files
    return found


@pytest.mark.parametrize("share", [0, 0.1])
def test_a_dataset_keeps_to_its_memory(
    images: dict[str, Path], tmp_path: Path, share: float
) -> None:
    """A quarter of what it takes otherwise is enough, and the file is the same."""
    out = tmp_path / "images.zkd"
    found = child("commit", share, out, data=str(images["data"]))
    limit, expected, peak, files, memory, whole = found
    assert 0.6 * expected < peak <= expected <= limit
    assert out.read_bytes() == images["whole"].read_bytes()
    assert files and memory is not None
    assert share > 0 or 4 * limit < whole
    assert list(tmp_path.iterdir()) == [out]
