"""Recipes: what is read, and that every mistake is named with its remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from zktrain.circuit.recipe import ProofOptions, load_recipe
from zktrain.errors import InputError, RecipeError
from zktrain.optimizers.sgd import AskedSgd

GOOD = """\
[model]
onnx = "../models/net.onnx"
[training]
loss = "cross_entropy"
optimizer = "sgd"
learning_rate = 0.125
batch_size = 64
steps = 1024
order_seed = "any public text"
[init]
seed = "another text"
[proof]
security_bits = 96
zero_knowledge = false
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_every_key(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, GOOD))
    assert recipe.model == tmp_path / "../models/net.onnx"
    assert (recipe.loss, recipe.optimizer) == ("cross_entropy", AskedSgd())
    assert recipe.learning_rate == ((0, 0.125),)
    assert (recipe.batch_size, recipe.steps) == (64, 1024)
    assert (recipe.order_seed, recipe.init_seed) == ("any public text", "another text")
    assert (recipe.init_weights, recipe.init_onnx) == (None, False)
    assert recipe.proof == ProofOptions(96, False)


def test_defaults_of_the_proof_section(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, GOOD.partition("[proof]")[0]))
    assert recipe.proof == ProofOptions(100, True)


def test_schedule_and_other_starts(tmp_path: Path) -> None:
    text = GOOD.replace("= 0.125", "= [[0, 0.25], [512, 1]]")
    text = text.replace('seed = "another', 'weights = "w/base.safetensors" # "')
    recipe = load_recipe(write(tmp_path, text))
    assert recipe.learning_rate == ((0, 0.25), (512, 1.0))
    assert recipe.init_weights == tmp_path / "w/base.safetensors"
    text = GOOD.replace('seed = "another text"', "onnx = true")
    assert load_recipe(write(tmp_path, text)).init_onnx


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "batch_size = 64",
            "batchsize = 64",
            r'key in section \[training\]: "batchsize".*mean bat',
        ),
        ("[training]", "[trainning]", 'unknown section "trainning".*mean training'),
        (
            "[model]",
            "steps = 3\n[model]",
            r'unknown section "steps".*belongs in section \[training',
        ),
        ("[proof]", "[proof]\nseed = 1", r'"seed"; it belongs in section \[init\]'),
        ("[proof]", "[proof]\nwibble = 1", "known are security_bits, zero_knowledge"),
        ("[model]\nonnx = ", "model = ", r"model = .* must be a section: write \[model\]"),
        ('[init]\nseed = "another text"\n', "", r"section \[init\] is missing"),
        ("steps = 1024\n", "", "training.steps is missing"),
        ("steps = 1024", "steps = 0", "training.steps = 0 must be a whole number from 1"),
        ("steps = 1024", "steps = 1e3", "training.steps = 1000.0 must be a whole number"),
        ("steps = 1024", "steps = true", "training.steps = true must be a whole number"),
        ("batch_size = 64", "batch_size = 20000", "training.batch_size = 20000 must .* to 16384"),
        ('"cross_entropy"', '"crossentropy"', r"training.loss .*\(did you mean cross_entropy"),
        ('"sgd"', '"adam"', 'training.optimizer = "adam" must be "sgd"'),
        ("0.125", "0", "training.learning_rate = 0 must be a positive number"),
        ("0.125", "-0.5", "must be a positive number"),
        ("0.125", "nan", "must be a positive number"),
        ("0.125", "inf", "must be a positive number"),
        ("0.125", "1" + "0" * 400, "must be a positive number"),
        ("0.125", '"fast"', "must be a positive number"),
        ("0.125", "[]", "must have 1 to 4096 entries"),
        ("0.125", "[[5, 0.5]]", "must begin at step 0"),
        ("0.125", "[[0, 0.5], [0, 0.25]]", "increasing first steps"),
        ("0.125", "[[0, 0.5], [1024, 0.25]]", "never reached in 1024 steps"),
        ("0.125", "[[0, 0.5, 1]]", "a list of .first_step, rate"),
        ("0.125", "[[0.0, 0.5]]", "a list of .first_step, rate"),
        ("0.125", "[0.5]", "a list of .first_step, rate"),
        ('"any public text"', '""', "training.order_seed .* 1 to 1024 characters"),
        ('"any public text"', '"a\\u0007b"', "printable"),
        ('"any public text"', "17", "training.order_seed = 17 must be a text in quotes"),
        ('seed = "another text"', "", "exactly one of seed, weights and onnx = true, not none"),
        ('"another text"', '"a"\nonnx = true', "not seed and onnx"),
        ('seed = "another text"', "onnx = false", "not none of them"),
        ('seed = "another text"', "onnx = 1", "init.onnx = 1 must be true or false"),
        ("= 96", "= 79", "proof.security_bits = 79 must be a whole number from 80 to 120"),
        ("= 96", "= 121", "from 80 to 120"),
        ("zero_knowledge = false", 'zero_knowledge = "no"', "proof.zero_knowledge .* true or fal"),
        (
            "zero_knowledge = false",
            "segment_steps = 64",
            "unknown key in section .proof.:",
        ),
        ("[model]", "[model", "not a TOML file"),
        ("[model]", "x = " + "[" * 5000 + "\n[model]", "not a TOML file"),
    ],
)
def test_mistakes(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(RecipeError, match=message):
        load_recipe(write(tmp_path, GOOD.replace(old, new, 1)))


def test_missing_and_foreign_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        load_recipe(tmp_path / "none.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\x00")
    with pytest.raises(RecipeError, match="not a TOML file"):
        load_recipe(tmp_path / "binary.toml")
    (tmp_path / "large.toml").write_bytes(b"#" * ((1 << 20) + 1))
    with pytest.raises(InputError, match="larger than any recipe"):
        load_recipe(tmp_path / "large.toml")
