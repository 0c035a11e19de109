"""One scaling from the training data to the verdict of an evaluation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from tiny_run import write_onnx, write_recipe

import zktrain
from zktrain.circuit.weights import read_metadata, read_weights
from zktrain.dataset.scaling import Scaling, stated_scaling
from zktrain.errors import InputError, StatementMismatch
from zktrain.training.weight_file import write_weights

WIDTH, CLASSES = 4, 3
SPAN = {"low": -3.0, "high": 3.0}


class Trained(NamedTuple):
    folder: Path
    weights: Path
    circuit: Path


def standardised(path: Path, seed: int, count: int, **more: Any) -> Path:
    """Records whose class shows."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % CLASSES
    centres = np.random.default_rng(0).normal(0, 2.0, (CLASSES, WIDTH))
    inputs = np.clip(centres[labels] + rng.normal(0, 0.3, (count, WIDTH)), -3, 3)
    np.savez(path, inputs=inputs, labels=labels, classes=CLASSES, **more)
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("scaled")
    recipe = write_recipe(folder, name="recipe", steps=400, learning_rate="0.125")
    write_onnx(folder / "tiny.onnx", (WIDTH, 8, CLASSES))
    assert recipe == folder / "recipe.toml"
    standardised(folder / "train.npz", 1, 60, **SPAN)
    standardised(folder / "test.npz", 2, 30)
    zktrain.commit(folder / "train.npz", out=folder / "train.zkd", public=True)
    result = zktrain.train(
        folder / "recipe.toml",
        data=folder / "train.npz",
        test=folder / "test.npz",
        out=folder / "run",
    )
    assert result.test_accuracy == 1.0
    zktrain.compile(folder / "recipe.toml", out=folder / "circuit.json")
    return Trained(folder, result.weights, folder / "circuit.json")


def evaluate(trained: Trained, data: Path, weights: Path | None = None, **more: Any) -> Any:
    return zktrain.prove_eval(
        weights or trained.weights,
        circuit=trained.circuit,
        data=data,
        out=trained.folder / "eval.zkt",
        zero_knowledge=False,
        **more,
    )


def test_weights_and_run_say_how_their_inputs_were_scaled(trained: Trained) -> None:
    assert stated_scaling(trained.weights) == Scaling(**SPAN)
    run = json.loads((trained.folder / "run" / "run.json").read_text())
    header = json.loads(run["dataset"]["header"])
    assert Scaling.from_json(header["low"], header["high"]) == Scaling(**SPAN)


def test_a_test_set_is_read_by_the_training_datas_scaling(trained: Trained, tmp_path: Path) -> None:
    """A file that states another range, or none, is not scaled by its own."""
    found = evaluate(trained, trained.folder / "test.npz")
    assert found.accuracy == 1.0
    verdict = zktrain.verify_eval(
        trained.weights,
        proof=found.path,
        dataset=found.dataset_root,
        circuit=trained.circuit,
        like=trained.folder / "train.zkd",
    )
    assert verdict.accuracy == 1.0 and verdict.statement.dataset.scaling == Scaling(**SPAN)
    assert verdict.warnings == ("this proof does not hide the dataset",)
    other = standardised(tmp_path / "other.npz", 2, 30, low=-6.0, high=6.0)
    with pytest.raises(InputError, match=r"scaled from -6\.\.6.*training data from -3\.\.3"):
        evaluate(trained, other)
    with pytest.raises(InputError, match=r"scaled from -6\.\.6.*training data from -3\.\.3"):
        zktrain.train(
            trained.folder / "recipe.toml",
            data=trained.folder / "train.npz",
            test=other,
            out=tmp_path / "run",
        )
    with pytest.raises(InputError, match=r"scaled from -6\.\.6.*training data from -3\.\.3"):
        zktrain.commit(other, public=True, like=trained.folder / "train.zkd")


def without_scaling(trained: Trained, path: Path, **metadata: str) -> Path:
    """The same weights in a file with other metadata."""
    circuit = zktrain.compile(trained.folder / "recipe.toml").circuit
    bits = circuit.fixed_point.weight_bits
    write_weights(
        path, read_weights(trained.weights, circuit.parameter_shapes(), bits), bits, metadata
    )
    return path


def test_a_verifier_compares_the_scaling_of_a_prover_who_hides_it(
    trained: Trained, tmp_path: Path
) -> None:
    """Whoever evaluates may commit to data of any range; weights without metadata do not tell.
    What the training's public file says is compared."""
    other = standardised(tmp_path / "other.npz", 2, 30, low=-6.0, high=6.0)
    bare = without_scaling(trained, tmp_path / "bare.safetensors")
    assert stated_scaling(bare) is None
    found = evaluate(trained, other, bare)
    judged = {"proof": found.path, "dataset": found.dataset_root}
    verdict = zktrain.verify_eval(bare, **judged)
    assert verdict.statement.dataset.scaling == Scaling(-6, 6)
    assert not any("scaled" in warning for warning in verdict.warnings)
    verdict = zktrain.verify_eval(trained.weights, **judged)
    assert any("-3..3" in warning and "-6..6" in warning for warning in verdict.warnings)
    with pytest.raises(StatementMismatch, match="scaled otherwise"):
        zktrain.verify_eval(bare, **judged, like=trained.folder / "train.zkd")
    with pytest.raises(InputError, match="of the training data"):
        zktrain.verify_eval(bare, **judged, like=trained.circuit)
    with pytest.raises(InputError, match=r"training data from -3\.\.3"):
        evaluate(trained, other, bare, like=trained.folder / "train.zkd")


@pytest.mark.parametrize(
    "metadata",
    [
        {"input_low": "0"},
        {"input_low": "0", "input_high": "nan"},
        {"input_low": "1", "input_high": "0"},
        {"input_low": "x", "input_high": "9" * 5000},
    ],
)
def test_metadata_that_are_no_range(
    trained: Trained, metadata: dict[str, str], tmp_path: Path
) -> None:
    path = without_scaling(trained, tmp_path / "odd.safetensors", **metadata)
    assert read_metadata(path) == metadata
    with pytest.raises(InputError, match="input_low and input_high are not a range"):
        evaluate(trained, trained.folder / "test.npz", path)
    found = evaluate(trained, trained.folder / "test.npz")
    verdict = zktrain.verify_eval(path, proof=found.path, dataset=found.dataset_root)
    assert any("from no range" in warning for warning in verdict.warnings)


def test_a_commitment_of_the_same_bytes_with_another_scaling_is_another(
    trained: Trained, tmp_path: Path
) -> None:
    """Bytes alone do not make a commitment known: the digest in a secret file is of bytes."""
    inputs, labels = np.array([[0.0, 1.0, 0.5, 0.0]] * 6), np.arange(6) % CLASSES
    for name, factor in (("one", 1.0), ("two", 2.0)):
        path = tmp_path / f"{name}.npz"
        np.savez(path, inputs=inputs * factor, labels=labels, low=0.0, high=factor)
    zktrain.commit(tmp_path / "one.npz", out=tmp_path / "one.zkd")
    with pytest.raises(StatementMismatch, match="not the committed dataset"):
        zktrain.train(
            trained.folder / "recipe.toml",
            data=tmp_path / "two.npz",
            out=tmp_path / "run",
            dataset=tmp_path / "one.zkd",
        )
