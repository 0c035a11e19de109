"""The real thing at its real size, for few steps: 60,000 images through the public verbs."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import zktrain
from zktrain.circuit.weights import read_weights
from zktrain.errors import Rejected, StatementMismatch, ZktrainError
from zktrain.training.weight_file import write_weights

DATA = Path("/usr/share/datasets/fashion-mnist")
ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.skipif(not DATA.is_dir(), reason="needs the Debian package dataset-fashion-mnist"),
    pytest.mark.slow("a run on all 60,000 records"),
]


@dataclass(frozen=True)
class Proven:
    """A short run, not of a power of two steps, and what a verifier is given."""

    weights: Path
    proof: Path
    dataset: Path


@pytest.fixture(scope="module")
def proven(tmp_path_factory: pytest.TempPathFactory) -> Proven:
    folder = tmp_path_factory.mktemp("fashion")
    text = (ROOT / "circuits" / "fashion-mlp-128.toml").read_text()
    text = text.replace("../models", str(ROOT / "models")).replace("steps = 1024", "steps = 50")
    recipe = folder / "recipe.toml"
    recipe.write_text(text)
    dataset = folder / "fashion.zkd"
    zktrain.commit(str(DATA), out=dataset)
    trained = zktrain.train(
        recipe, data=str(DATA), out=folder / "run", dataset=dataset, compare_float=True
    )
    assert trained.test_accuracy is not None and trained.float_test_accuracy is not None
    assert abs(trained.test_accuracy - trained.float_test_accuracy) < 0.01
    proved = zktrain.prove(folder / "run")
    return Proven(Path(trained.weights), proved.path, dataset)


def test_a_short_run_on_all_records_is_accepted(proven: Proven) -> None:
    """Accuracy within a point of float32 is checked by the fixture."""
    verdict = zktrain.verify(proven.weights, proof=proven.proof, dataset=proven.dataset)
    assert verdict.statement.dataset.records == 60_000
    assert verdict.security_bits >= 100
    assert verdict.proof_bytes < 2_000_000


def test_one_weight_off_by_one_unit_is_refused(proven: Proven, tmp_path: Path) -> None:
    """The last weight, by 2^-32."""
    verdict = zktrain.verify(proven.weights, proof=proven.proof, dataset=proven.dataset)
    circuit = verdict.statement.circuit
    bits = circuit.fixed_point.weight_bits
    weights = read_weights(proven.weights, circuit.parameter_shapes(), bits)
    weights["fc2.weight"][-1, -1] += np.int64(1)
    forged = tmp_path / "forged.safetensors"
    write_weights(forged, weights, bits, {})
    with pytest.raises(StatementMismatch, match="weight file"):
        zktrain.verify(forged, proof=proven.proof, dataset=proven.dataset)


def test_flipped_bits_are_refused(proven: Proven, tmp_path: Path) -> None:
    """A sample over the whole bundle."""
    data = proven.proof.read_bytes()
    generator = random.Random(11)
    flipped = tmp_path / "flipped.zkt"
    for _ in range(25):
        damaged = bytearray(data)
        damaged[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
        flipped.write_bytes(damaged)
        with pytest.raises(ZktrainError) as caught:
            zktrain.verify(proven.weights, proof=flipped, dataset=proven.dataset)
        assert isinstance(caught.value, (Rejected, zktrain.MalformedProof))
