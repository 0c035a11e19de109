"""Runs with checkpoints, from the recipe to the verdict, under every optimizer."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny_run import write_data, write_recipe

import zktrain
from zktrain._compile import estimate
from zktrain.circuit.initial import seeded_weights
from zktrain.circuit.weights import read_metadata
from zktrain.errors import InputError, StatementMismatch
from zktrain.training.run import Run
from zktrain.training.trainer import train as exactly
from zktrain.training.weight_file import write_weights

pytestmark = pytest.mark.full_work

STEPS, KEPT = 14, (6, 12)
"""Two epochs of 24 records in batches of 4, and two steps."""
FILES = [f"checkpoint-{step:06d}.safetensors" for step in KEPT]
OPTIMIZERS = {
    "plain": "",
    "momentum": "momentum = 0.5\nrestart_steps = 4\n",
    "decay, own rates, frozen": (
        'momentum = 0.5\nnesterov = true\nweight_decay = 0.001\nfrozen = ["fc1"]\n'
        "[training.rates]\nfc2 = 0.05\n"
    ),
}


def recipe(folder: Path, optimizer: str, checkpoints: str = '"epoch"') -> Path:
    path = write_recipe(folder, steps=STEPS, learning_rate="0.03125")
    more = f"checkpoints = {checkpoints}\n{OPTIMIZERS[optimizer]}"
    path.write_text(path.read_text().replace("[init]", f"{more}[init]"))
    return path


@pytest.fixture(scope="module", params=OPTIMIZERS)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("checkpoints")
    data = write_data(folder / "data.npz")
    zktrain.train(recipe(folder, request.param), data=data, out=folder / "run")
    zktrain.prove(folder / "run")
    return folder / "run"


def judged(run: Path, *names: str | Path) -> zktrain.Verdict:
    return zktrain.verify(
        run / "weights.safetensors",
        proof=run / "proof.zkt",
        dataset=run / "dataset.zkd",
        checkpoints=[run / name for name in names],
    )


def test_any_of_the_files_is_checked_alone(run: Path) -> None:
    for names in ([], FILES[:1], FILES[1:], FILES, FILES[::-1], FILES[:1] * 2):
        found = judged(run, *names)
        assert tuple(one.step for one in found.checkpoints) == KEPT
        for one, file in zip(found.checkpoints, FILES, strict=True):
            assert (one.checked, one.file) == (file in names, run / file if file in names else None)


def test_the_files_hold_the_weights_of_their_steps(run: Path) -> None:
    """As training that stops there would leave them."""
    opened = Run.open(run)
    kept = {}
    exactly(
        opened.circuit,
        opened.records(),
        seeded_weights(opened.circuit),
        boundaries=KEPT,
        on_boundary=lambda step, weights: kept.update({step: weights}),
    )
    for step, file in zip(KEPT, FILES, strict=True):
        found = opened.checkpoint(step)
        assert all(np.array_equal(found[name], kept[step][name]) for name in found)
        said = read_metadata(run / file)
        assert said["step"] == str(step) and said["circuit_id"] == opened.circuit.id


def test_a_file_with_one_unit_changed_is_of_no_checkpoint(run: Path, tmp_path: Path) -> None:
    opened = Run.open(run)
    weights = opened.checkpoint(KEPT[0])
    weights["fc2.bias"][1] += 1
    write_weights(tmp_path / "w", weights, opened.circuit.fixed_point.weight_bits, {})
    with pytest.raises(StatementMismatch, match="not hold the weights of any checkpoint"):
        judged(run, tmp_path / "w")


def test_the_last_weights_are_no_checkpoint(run: Path) -> None:
    with pytest.raises(StatementMismatch, match="any checkpoint that the proof states"):
        judged(run, "weights.safetensors")


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    write_data(tmp_path / "data.npz")
    recipe(tmp_path, "plain")
    return tmp_path


class Stopped(Exception):
    """In the place of a signal."""


@pytest.mark.parametrize("at", [1, 7, STEPS])
def test_an_interrupted_run_leaves_the_same_files(plain: Path, at: int) -> None:
    """It begins again; what it had written is gone or written anew."""

    def stop(stage: str, done: int, total: int, **figures: float) -> None:
        if stage == "train" and done >= at:
            raise Stopped

    data, text = plain / "data.npz", plain / "tiny.toml"
    zktrain.commit(data, out=plain / "data.zkd")
    whole = zktrain.train(text, data=data, out=plain / "whole", dataset=plain / "data.zkd")
    other = recipe(plain, "plain", "[3, 13]")
    with pytest.raises(Stopped):
        zktrain.train(other, data=data, out=plain / "again", dataset=plain / "data.zkd",
                      progress=stop)  # fmt: skip
    recipe(plain, "plain")
    again = zktrain.train(text, data=data, out=plain / "again", dataset=plain / "data.zkd")
    assert again.checkpoints == whole.checkpoints
    assert again.statement_digest == whole.statement_digest
    found = sorted(path.name for path in again.path.glob("checkpoint-*"))
    assert found == FILES
    for name in (*FILES, "weights.safetensors"):
        assert (again.path / name).read_bytes() == (whole.path / name).read_bytes()


def test_the_same_command_keeps_a_run_and_other_checkpoints_do_not(plain: Path) -> None:
    data, text = plain / "data.npz", plain / "tiny.toml"
    first = zktrain.train(text, data=data, out=plain / "run")
    kept = zktrain.train(text, data=data, out=plain / "run")
    assert kept.kept and kept.checkpoints == first.checkpoints
    assert tuple(one.step for one in kept.checkpoints) == KEPT
    recipe(plain, "plain", "[6]")
    with pytest.raises(InputError, match="is not empty and not an interrupted run"):
        zktrain.train(text, data=data, out=plain / "run")


def test_a_checkpoint_that_has_changed_is_not_proved(plain: Path) -> None:
    run = zktrain.train(plain / "tiny.toml", data=plain / "data.npz", out=plain / "run").path
    shutil.copy(run / FILES[0], run / FILES[1])
    with pytest.raises(InputError, match="does not have the weights that training wrote"):
        zktrain.prove(run)
    (run / FILES[1]).unlink()
    with pytest.raises(InputError, match="is missing"):
        zktrain.prove(run)


@pytest.mark.parametrize(
    ("checkpoints", "said"),
    [
        ("[1]", "are 1 step apart"),
        ("[5, 8]", "are 3 steps apart"),
        ("[12]", "are 2 steps apart"),
    ],
)
def test_weights_close_together_are_warned_of(plain: Path, checkpoints: str, said: str) -> None:
    """The first and the last weights count as published."""
    text = recipe(plain, "plain", checkpoints)
    run = zktrain.train(text, data=plain / "data.npz", out=plain / "run")
    assert any(said in warning for warning in run.warnings)


def test_no_epoch_ends_before_the_last_step(plain: Path) -> None:
    text = write_recipe(plain, steps=6)
    text.write_text(text.read_text().replace("[init]", 'checkpoints = "epoch"\n[init]'))
    run = zktrain.train(text, data=plain / "data.npz", out=plain / "run")
    assert not run.checkpoints and any("no checkpoints" in said for said in run.warnings)


def test_inspection_and_estimate(run: Path) -> None:
    """Values of two checkpoints of every trained parameter; a statement that is longer."""
    found = zktrain.inspect(run / "proof.zkt")
    moving = found.statement.circuit.trained_shapes()
    assert found.parts["checkpoints"] == 16 * len(KEPT) * len(moving)
    with_them = estimate(run.parent / "tiny.toml", records=24)
    guessed = with_them.proof_parts["lookups and relations"]
    assert with_them.to_json()["checkpoints"] == len(KEPT)
    text = (run.parent / "tiny.toml").read_text().replace('checkpoints = "epoch"', "")
    (run.parent / "without.toml").write_text(text)
    without = estimate(run.parent / "without.toml", records=24)
    less = without.proof_parts["lookups and relations"]
    assert guessed - less == found.parts["checkpoints"]
    assert with_them.statement.layout == without.statement.layout  # nothing more is hidden
    assert with_them.statement.union_bits <= without.statement.union_bits


def test_on_the_command_line(run: Path) -> None:
    """Also in an order that only the whole parser reads."""
    common = ["verify", "weights.safetensors", "--proof", "proof.zkt", "--dataset", "dataset.zkd"]
    for more in (["--checkpoint", FILES[1], "--json"], ["--json", f"--checkpoint={FILES[1]}"]):
        done = subprocess.run(
            [sys.executable, "-m", "zktrain", *common, *more],
            cwd=run, capture_output=True, text=True, check=True,
        )  # fmt: skip
        found = json.loads(done.stdout)
        assert [(one["step"], one["checked"]) for one in found["checkpoints"]] == [
            (6, False),
            (12, True),
        ]
        assert found["checkpoints"][1]["file"] == FILES[1]
        said = "checkpoint of step 6: digest stated, not checked; give --checkpoint FILE"
        assert said in found["warnings"]
    done = subprocess.run(
        [sys.executable, "-m", "zktrain", *common, "--checkpoint", FILES[0]],
        cwd=run, capture_output=True, text=True, check=True,
    )  # fmt: skip
    lines = " ".join(done.stdout.split())
    assert f"after step 6, checked: the weights of {FILES[0]}" in lines
    assert "after step 12, digest stated, not checked; give --checkpoint FILE" in lines
    none = subprocess.run(
        [sys.executable, "-m", "zktrain", *common, "--checkpoint", "weights.safetensors"],
        cwd=run, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert none.returncode == 1
