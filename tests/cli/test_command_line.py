"""The contract of the command line: JSON objects, exit codes, and errors in one sentence."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tiny_run import TinyBundle, make_bundle, write_data, write_recipe

from zktrain.cli import judge, main
from zktrain.cli.entry import run


class Ended:
    """Exit code, standard output and standard error of a command."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def json(self) -> dict[str, Any]:
        """The one object that standard output holds."""
        value = json.loads(self.out)
        assert isinstance(value, dict)
        return value


@pytest.fixture
def zktrain(capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs the command line in this process."""

    def call(*arguments: object) -> Ended:
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit_:
            run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return Ended(int(exit_.value.code or 0), captured.out, captured.err)

    return call


def verify_arguments(bundle: TinyBundle, **changes: object) -> list[object]:
    names = ("weights", "proof", "dataset")
    values = {**{name: getattr(bundle, name) for name in names}, **changes}
    return [
        "verify",
        values["weights"],
        *("--proof", values["proof"]),
        *("--dataset", values["dataset"]),
    ]


def test_commit_prints_root_records_and_seconds(
    zktrain: Any, tiny_bundle: TinyBundle, tmp_path: Path
) -> None:
    """The same records have another root each time, and the secret is readable by its owner."""
    out = tmp_path / "again.zkd"
    ended = zktrain("commit", tiny_bundle.data, "--out", out, "--json")
    assert ended.code == 0 and ended.json["root"] != tiny_bundle.root
    assert ended.json["records"] == 24 and ended.json["seconds"] > 0
    assert ended.json["openings"] == 64 and ended.json["path"] == str(out)
    secret = Path(ended.json["secret"])
    assert secret == tmp_path / "again.zkd.secret" and secret.stat().st_mode & 0o777 == 0o600
    text = zktrain("commit", tiny_bundle.data, "--out", tmp_path / "third.zkd").out
    assert "third.zkd.secret" in text and "64 times" in text.replace("\n", " ")


def test_a_public_commitment_has_the_root_that_everybody_recomputes(
    zktrain: Any, tiny_bundle: TinyBundle, tmp_path: Path
) -> None:
    first = zktrain("commit", tiny_bundle.data, "--public", "--json")
    out = tmp_path / "public.zkd"
    again = zktrain("commit", tiny_bundle.data, "--public", "--out", out, "--json")
    assert first.json["root"] == again.json["root"]
    assert again.json["secret"] is None and again.json["openings"] == 0
    for root in (again.json["root"].upper(), out):
        assert zktrain("commit", tiny_bundle.data, "--check", root).code == 0
    ended = zktrain(
        *("train", tiny_bundle.recipe, "--data", tiny_bundle.data, "--out", tmp_path / "run"),
        *("--dataset", out),
    )
    assert ended.code == 2 and "zero_knowledge = false" in ended.err


def test_commit_needs_a_place_for_what_hides(zktrain: Any, tiny_bundle: TinyBundle) -> None:
    ended = zktrain("commit", tiny_bundle.data)
    assert ended.code == 2 and "--public" in ended.err
    ended = zktrain("commit", tiny_bundle.data, "--public", "--openings", "3")
    assert ended.code == 2 and "--openings" in ended.err


def test_commit_never_overwrites_a_secret(
    zktrain: Any, tiny_bundle: TinyBundle, tmp_path: Path
) -> None:
    secret = tmp_path / "x.zkd.secret"
    assert zktrain("commit", tiny_bundle.data, "--out", tmp_path / "x.zkd").code == 0
    before = secret.read_bytes()
    ended = zktrain("commit", tiny_bundle.data, "--out", tmp_path / "x.zkd", "--openings", 3)
    assert ended.code == 2 and "earlier commitment" in ended.err
    ended = zktrain("commit", tiny_bundle.data, "--out", tmp_path / "x.zkd")
    assert ended.code == 0 and "was there already" in ended.out
    assert secret.read_bytes() == before


def test_commit_check_compares_the_root(
    zktrain: Any, tiny_bundle: TinyBundle, tmp_path: Path
) -> None:
    assert zktrain("commit", tiny_bundle.data, "--check", tiny_bundle.dataset).code == 0
    other = write_data(tmp_path / "other.npz", seed=1)
    ended = zktrain("commit", other, "--check", tiny_bundle.root, "--json")
    assert ended.code == 1 and ended.json["error"]["kind"] == "StatementMismatch"
    ended = zktrain("commit", other, "--check", "abc")
    assert ended.code == 2 and "neither a dataset root" in ended.err


def test_compile_prints_the_circuit(zktrain: Any, tiny_bundle: TinyBundle, tmp_path: Path) -> None:
    out = tmp_path / "x.circuit.json"
    ended = zktrain("compile", tiny_bundle.recipe, "--out", out, "--json")
    assert ended.code == 0
    assert set(ended.json) >= {
        "circuit_id",
        "parameters",
        "cells_per_step",
        "lookups_per_step",
        "effective_learning_rate",
        "no_wrap_bound_bits",
    }
    assert ended.json["parameters"] == 51
    assert ended.json["effective_learning_rate"] == [[0, 0.125]]
    assert out.read_bytes() == tiny_bundle.circuit.read_bytes()
    assert ended.json["circuit_id"] in zktrain("compile", tiny_bundle.recipe).out


def test_an_error_in_a_recipe_is_one_sentence(zktrain: Any, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, loss="hinge")
    ended = zktrain("compile", recipe, "--json")
    assert ended.code == 2 and ended.json["error"]["kind"] == "RecipeError"
    assert "training.loss" in ended.json["error"]["message"]
    assert ended.err.count("\n") == 1


def test_train_prints_accuracy_and_digests(zktrain: Any, tmp_path: Path) -> None:
    recipe, data = write_recipe(tmp_path), write_data(tmp_path / "data.npz")
    out = tmp_path / "run"
    ended = zktrain(
        *("train", recipe, "--data", data, "--out", out, "--test", data),
        *("--compare-float", "--json"),
    )
    assert ended.code == 0 and ended.err == ""
    assert ended.json["steps"] == 6 and ended.json["weights"] == str(out / "weights.safetensors")
    assert len(bytes.fromhex(ended.json["weights_digest"])) == 32
    for key in ("seconds", "float_seconds", "test_accuracy", "float_test_accuracy"):
        assert ended.json[key] >= 0
    again = zktrain("train", recipe, "--data", data, "--out", out, "--json")
    assert again.code == 2 and "not empty" in again.json["error"]["message"]
    text = zktrain("train", recipe, "--data", data, "--out", tmp_path / "other").out
    assert ended.json["weights_digest"] in text and "accuracy  " not in text


def test_train_refuses_what_proving_would_refuse_before_training(
    zktrain: Any, tmp_path: Path
) -> None:
    recipe = write_recipe(tmp_path)
    data = tmp_path / "wide.npz"
    np.savez(data, inputs=np.zeros((5, 9), np.uint8), labels=np.array([0, 1, 2, 0, 1]))
    ended = zktrain("train", recipe, "--data", data, "--out", tmp_path / "run", "--json")
    assert ended.code == 2 and "9 inputs per record" in ended.json["error"]["message"]
    assert not (tmp_path / "run").exists()


def test_train_refuses_another_dataset_than_the_committed_one(
    zktrain: Any, tiny_bundle: TinyBundle, tmp_path: Path
) -> None:
    other = write_data(tmp_path / "other.npz", seed=1)
    ended = zktrain(
        *("train", tiny_bundle.recipe, "--data", other, "--out", tmp_path / "run"),
        *("--dataset", tiny_bundle.dataset, "--json"),
    )
    assert ended.code == 2 and ended.json["error"]["kind"] == "StatementMismatch"


def test_train_names_a_device_that_is_not_there(
    zktrain: Any, tiny_bundle: TinyBundle, tmp_path: Path
) -> None:
    ended = zktrain(
        *("train", tiny_bundle.recipe, "--data", tiny_bundle.data, "--out", tmp_path / "run"),
        *("--device", "abacus"),
    )
    assert ended.code == 2 and "'abacus' cannot be used" in ended.err


def test_prove_prints_stages_and_sizes(
    zktrain: Any, tiny_bundle: TinyBundle, tmp_path: Path
) -> None:
    run_copy = tmp_path / "run"
    shutil.copytree(tiny_bundle.run, run_copy)
    out = tmp_path / "again.zkt"
    ended = zktrain("prove", run_copy, "--out", out, "--json")
    assert ended.code == 0 and ended.json["zero_knowledge"] is True
    assert ended.json["proof_bytes"] == out.stat().st_size
    assert ended.json["seconds"] > 0 and ended.json["peak_rss_bytes"] > 0
    assert all(seconds >= 0 for seconds in ended.json["stages"].values())
    text = zktrain("prove", run_copy).out
    assert f"--dataset {run_copy / 'dataset.zkd'}" in text.replace("\n", "")


def test_prove_names_a_run_that_is_none(zktrain: Any, tmp_path: Path) -> None:
    ended = zktrain("prove", tmp_path, "--json")
    assert ended.code == 2 and ended.json["error"]["kind"] == "InputError"


VERIFY_KEYS = {
    "accepted",
    "error",
    "statement",
    "security_bits",
    "zero_knowledge",
    "seconds",
    "proof_bytes",
}


def test_an_accepted_proof_says_what_is_proven_and_what_not(
    zktrain: Any, tiny_bundle: TinyBundle
) -> None:
    ended = zktrain(*verify_arguments(tiny_bundle))
    assert ended.code == 0 and ended.out.startswith("ACCEPTED")
    for fact in (
        "8-4-3 perceptron",
        "24 records of 8 inputs, 3 classes",
        tiny_bundle.root,
        "6 steps of SGD, batches of 4",
        "learning rate  0.125",
        '"tiny order"',
        '"tiny weights"',
        "Not proven",
        "hides data     yes",
        "no circuit was pinned",
    ):
        assert fact in ended.out
    assert max(len(line) for line in ended.out.splitlines() if "ACCEPTED" not in line) <= 80
    pinned = zktrain(*verify_arguments(tiny_bundle), "--circuit", tiny_bundle.circuit)
    assert pinned.code == 0 and "no circuit was pinned" not in pinned.out


def test_an_accepted_proof_as_json(zktrain: Any, tiny_bundle: TinyBundle) -> None:
    ended = zktrain(*verify_arguments(tiny_bundle), "--json")
    assert ended.code == 0 and ended.err == "" and set(ended.json) >= VERIFY_KEYS
    assert ended.json["accepted"] is True and ended.json["error"] is None
    assert ended.json["security_bits"] >= 100 and ended.json["zero_knowledge"] is True
    assert ended.json["proof_bytes"] == tiny_bundle.proof.stat().st_size
    statement = ended.json["statement"]
    assert statement["dataset"]["root"] == tiny_bundle.root
    assert statement["order_seed"] == "tiny order" and statement["steps"] == 6


def forged_weights(bundle: TinyBundle, path: Path) -> Path:
    weights = load_file(bundle.weights)
    weights["fc1.weight"][0, 0] += 2.0**-32
    save_file(weights, path)
    return path


def test_a_weight_off_by_one_unit_is_rejected(
    zktrain: Any, tiny_bundle: TinyBundle, tmp_path: Path
) -> None:
    forged = forged_weights(tiny_bundle, tmp_path / "forged.safetensors")
    ended = zktrain(*verify_arguments(tiny_bundle, weights=forged), "--json")
    assert ended.code == 1 and set(ended.json) >= VERIFY_KEYS
    assert ended.json["accepted"] is False and ended.json["statement"] is None
    assert ended.json["error"]["kind"] == "StatementMismatch"
    text = zktrain(*verify_arguments(tiny_bundle, weights=forged))
    assert text.code == 1 and text.out.startswith("REJECTED") and text.err == ""


def test_bytes_that_are_no_proof_are_rejected(
    zktrain: Any, tiny_bundle: TinyBundle, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.zkt"
    broken.write_bytes(tiny_bundle.proof.read_bytes()[:-1])
    ended = zktrain(*verify_arguments(tiny_bundle, proof=broken), "--json")
    assert ended.code == 1 and ended.json["error"]["kind"] == "MalformedProof"


def test_a_root_needs_the_certificate_beside_it(zktrain: Any, tiny_bundle: TinyBundle) -> None:
    """Without it nothing is judged, and the message says what to give."""
    arguments = verify_arguments(tiny_bundle, dataset=tiny_bundle.root)
    ended = zktrain(*arguments, "--json")
    assert ended.code == 2 and ended.json["error"]["kind"] == "InputError"
    assert ".zkd" in ended.json["error"]["message"]
    assert zktrain(*arguments, "--certificate", tiny_bundle.dataset).code == 0
    missing = zktrain(*arguments, "--certificate", tiny_bundle.folder / "nothing")
    assert missing.code == 2 and missing.err.startswith("NOT JUDGED")


@pytest.mark.parametrize("missing", ["weights", "proof", "dataset"])
def test_what_is_missing_cannot_be_judged(
    zktrain: Any, tiny_bundle: TinyBundle, tmp_path: Path, missing: str
) -> None:
    arguments = verify_arguments(tiny_bundle, **{missing: tmp_path / "nothing"})
    ended = zktrain(*arguments, "--json")
    assert ended.code == 2 and set(ended.json) >= VERIFY_KEYS
    assert ended.json["accepted"] is False and ended.json["error"]["kind"] == "InputError"
    text = zktrain(*arguments)
    assert text.code == 2 and text.out == "" and text.err.startswith("NOT JUDGED")


def test_an_unexpected_error_is_one_sentence_and_no_verdict(
    zktrain: Any, tiny_bundle: TinyBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("surprise")

    monkeypatch.setattr(sys.modules["zktrain._verify"], "verify", broken)
    ended = zktrain(*verify_arguments(tiny_bundle), "--json")
    assert ended.code == 2 and ended.json["error"]["kind"] == "ZeroDivisionError"
    assert "surprise" in ended.json["error"]["message"]


def test_a_run_from_a_weight_file_is_verified_with_that_file(
    zktrain: Any, tiny_bundle: TinyBundle, tmp_path: Path
) -> None:
    shutil.copy(tiny_bundle.weights, tmp_path / "base.safetensors")
    bundle = make_bundle(tmp_path, init='weights = "base.safetensors"')
    initial = bundle.run / "initial.safetensors"
    assert zktrain(*verify_arguments(bundle), "--initial", initial).code == 0
    without = zktrain(*verify_arguments(bundle), "--json")
    assert without.code == 2 and "--initial" in without.json["error"]["message"]
    other = zktrain(*verify_arguments(bundle), "--initial", bundle.weights, "--json")
    assert other.code == 1 and other.json["error"]["kind"] == "StatementMismatch"


def test_a_run_from_the_networks_own_weights(zktrain: Any, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path, init="onnx = true")
    initial = bundle.run / "initial.safetensors"
    assert zktrain(*verify_arguments(bundle), "--initial", initial).code == 0


def test_inspect_shows_statement_sizes_and_soundness(zktrain: Any, tiny_bundle: TinyBundle) -> None:
    ended = zktrain("inspect", tiny_bundle.proof)
    assert ended.code == 0 and "nothing has been verified" in ended.out
    for part in ("Statement", "Sizes", "opened rows", "Soundness", "lookup keys"):
        assert part in ended.out
    assert max(map(len, ended.out.splitlines())) <= 80
    value = zktrain("inspect", tiny_bundle.proof, "--json").json
    assert value["verified"] is False
    assert sum(value["sections"].values()) <= value["proof_bytes"]
    assert sum(value["parts"].values()) == value["sections"]["proof"]
    assert {"part", "name", "bits", "basis"} == set(value["soundness"][0])
    assert value["union_bits"] >= 100


def test_inspect_refuses_what_is_no_bundle(zktrain: Any, tiny_bundle: TinyBundle) -> None:
    ended = zktrain("inspect", tiny_bundle.weights, "--json")
    assert ended.code == 2 and ended.json["error"]["kind"] == "MalformedProof"


PLAIN = [
    ["w", "--proof", "p", "--dataset", "d"],
    ["--dataset", "d", "--json", "--proof", "p", "w w"],
    ["--proof", "p", "w", "--min-security-bits", "080", "--circuit", "c", "--dataset", "d"],
    ["w", "--initial", "i", "--proof", "a/../p", "--dataset", "d", "--min-security-bits", "0"],
    ["--certificate", "f.zkd", "w", "--proof", "p", "--dataset", "00"],
]
NOT_PLAIN = [
    [],
    ["--help"],
    ["w", "--proof", "p"],
    ["w", "--proof=p", "--dataset", "d"],
    ["w", "--proof", "p", "--dataset", "d", "--proof", "q"],
    ["w", "x", "--proof", "p", "--dataset", "d"],
    ["--", "w", "--proof", "p", "--dataset", "d"],
    ["w", "--proof", "p", "--dataset", "--json"],
    ["w", "--proof", "p", "--dataset", ""],
    ["w", "--proof", "p", "--dataset", "d", "-h"],
    ["w", "--proof", "p", "--dataset", "d", "--min-security-bits", "many"],
    ["w", "--proof", "p", "--dataset", "d", "--min-security-bits", "-1"],
    ["w", "--proof", "p", "--dataset", "d", "--unknown"],
    ["w", "--proof", "p", "--dataset", "d", "--data", "x", "--srs", "s"],
    ["w", "--proof", "p", "--dataset"],
]


@pytest.mark.parametrize("words", PLAIN, ids=" ".join)
def test_the_plain_form_of_verify_means_what_the_parser_makes_of_it(
    words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []

    def note(verb: str, **others: Any) -> None:
        asked.append({"verb": verb, **others})

    monkeypatch.setattr(main, "judge", note)
    with pytest.raises(SystemExit) as exit_:
        main.run(["verify", *words])
    assert not exit_.value.code
    plain = judge.plain(["verify", *words])
    assert plain is not None
    unsaid = {"circuit": None, "initial": None, "certificate": None, "checkpoints": []}
    assert asked == [{**unsaid, **plain}]


@pytest.mark.parametrize("words", NOT_PLAIN, ids=" ".join)
def test_any_other_form_of_verify_is_left_to_the_parser(words: list[str]) -> None:
    assert judge.plain(["verify", *words]) is None
    assert judge.plain(words) is None


def test_wrong_usage_is_exit_code_2(zktrain: Any) -> None:
    assert zktrain("prove").code == 2
    assert "--data" in zktrain("train", "x.toml", "--dat", "digits").err
    ended = zktrain("verify", "--json")
    assert ended.code == 2 and ended.json["error"]["kind"] == "UsageError"
    assert set(ended.json) >= VERIFY_KEYS
    assert zktrain("compile", "--json").json["error"]["kind"] == "UsageError"
    assert zktrain("--version").out.strip() and zktrain("--help").code == 0


def test_names_from_outside_are_printed_as_they_are(zktrain: Any, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path, order_seed="[bold]x[/] [/y]")
    ended = zktrain(*verify_arguments(bundle))
    assert ended.code == 0 and "[bold]x[/] [/y]" in ended.out
    assert "[/y]" in zktrain("inspect", bundle.proof).out


@pytest.mark.slow("a long run in a process of its own")
def test_an_interrupted_training_is_one_line_and_can_begin_again(
    zktrain: Any, tmp_path: Path
) -> None:
    recipe = write_recipe(tmp_path, steps=200_000, learning_rate="0.00390625")
    data, out = write_data(tmp_path / "data.npz"), tmp_path / "run"
    arguments = ["train", str(recipe), "--data", str(data), "--out", str(out)]
    # A shell's background jobs start with SIGINT ignored, and would pass that on.
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from zktrain.cli.entry import run; run()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "ZKTRAIN_DEBUG": ""},
    )
    deadline = time.monotonic() + 60
    while not (out / "boundary-00000000.npz").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "begins it again" in err and "Traceback" not in err and err.count("\n") == 1
    write_recipe(tmp_path)
    assert zktrain(*arguments, "--json").code == 0


def test_a_reader_that_leaves_ends_the_command_quietly() -> None:
    proof = Path(__file__).resolve().parents[2] / "proofs/accepted/mse-batch-of-five/proof.zkt"
    for options in ("", "--json"):
        command = f"'{sys.executable}' -m zktrain inspect '{proof}' {options} | true"
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
        assert done.stdout == "" and done.stderr.count("\n") <= 1
