"""What cannot be proved or judged is said in one sentence, before anything is done."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from iris_run import LOGROWS, ROOT, IrisProof
from tiny_run import write_data, write_recipe

import zktrain
from zktrain import InputError, RangeOverflow, RecipeError, StatementMismatch
from zktrain.circuit.circuit import Circuit
from zktrain.ezkl import native
from zktrain.ezkl.memory import predicted
from zktrain.ezkl.native import EzklFailure, Native
from zktrain.ezkl.reference import open_srs
from zktrain.ezkl.srs import generate
from zktrain.ezkl.srs.format import file_bytes
from zktrain.ezkl.step import require_supported

pytestmark = pytest.mark.slow("proofs by ezkl take half a minute")


def test_ezkl_is_missing(iris: IrisProof, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zktrain.extras.is_there", lambda module: module != "ezkl")
    with pytest.raises(InputError, match=r"pip install 'zktrain\[ezkl\]'"):
        iris.prove()
    with pytest.raises(InputError, match=r"pip install 'zktrain\[ezkl\]'"):
        iris.verify()


def test_ezkl_has_another_version(iris: IrisProof, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "EZKL_VERSION", "1.2.3")
    with pytest.raises(InputError, match=r"needs ezkl 1\.2\.3"):
        iris.prove()


def test_memory_is_predicted_to_run_out(
    iris: IrisProof, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    iris.remember()
    with pytest.raises(InputError, match=r"2\^12 rows and about 1.1 GB .* 0.1 GB are available"):
        iris.prove(memory=10**8)
    with pytest.raises(InputError, match="deriving the verifying key"):
        iris.verify(memory=10**8)
    assert not list(tmp_path.rglob("*.key"))


def test_the_prediction_covers_what_was_measured(iris: IrisProof) -> None:
    """Peaks of the same proof differ by half with what else the machine does."""
    most, expected = iris.proved.peak_rss_bytes, predicted(iris.proved.logrows)
    assert 0.4 * expected < most < 1.2 * expected


def test_an_srs_is_too_small(
    iris: IrisProof, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Said before the run is done again."""
    generate(10, tmp_path / "small.srs")
    monkeypatch.setattr("zktrain.ezkl._prove.trajectory", lambda *_: pytest.fail("calibrated"))
    with pytest.raises(InputError, match=r"2\^10 powers and this circuit needs 2\^12"):
        iris.prove(srs=tmp_path / "small.srs")
    with pytest.raises(InputError, match=r"GB of memory, and 0.1 GB are available"):
        iris.prove(memory=10**8)


def test_an_unchecked_srs(iris: IrisProof, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It proves nothing: 0 bits, and none may be asked for."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(InputError, match="zktrain ezkl srs check"):
        iris.prove()
    with pytest.raises(InputError, match="zktrain ezkl srs check"):
        iris.verify()
    with pytest.raises(StatementMismatch, match="fewer bits") as caught:
        iris.verify(unchecked_srs=True, min_security_bits=1)
    assert (caught.value.expected, caught.value.got) == (1, 0)
    verdict = iris.verify(unchecked_srs=True, min_security_bits=0)
    assert verdict.security_bits == 0
    assert any("UNCHECKED SET-UP" in warning for warning in verdict.warnings)


def test_an_unchecked_srs_of_a_ceremony_has_no_bits_either(
    iris: IrisProof, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if nobody knew this tau: what was not checked counts as known."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("zktrain.ezkl.reference.S_H", (1, 2, 3, 4))
    reference = open_srs(iris.srs, unchecked=True)
    assert not reference.insecure and reference.proves_nothing
    with pytest.raises(StatementMismatch, match="fewer bits"):
        iris.verify(unchecked_srs=True, insecure_srs=False, min_security_bits=1)
    iris.remember()
    monkeypatch.setattr("zktrain.ezkl.srs.record.S_H", (1, 2, 3, 4))
    assert not open_srs(iris.srs, unchecked=True).is_checked  # the record says insecure


def test_an_insecure_srs_has_no_bits(iris: IrisProof) -> None:
    with pytest.raises(StatementMismatch, match="fewer bits"):
        iris.verify(min_security_bits=1)
    assert iris.verify(min_security_bits=0).security_bits == 0


def test_keys_of_an_unchecked_srs_are_not_those_of_a_checked_one(
    iris: IrisProof, tmp_path: Path
) -> None:
    """False points before the last one of a true string, tried once, must not stay in the cache."""
    data = bytearray(iris.srs.read_bytes())
    lagrange = 4 + (64 << LOGROWS)
    data[lagrange : lagrange + 64] = data[lagrange + 64 : lagrange + 128]
    false = tmp_path / "false.srs"
    false.write_bytes(data)
    true, other = open_srs(iris.srs, unchecked=True), open_srs(false, unchecked=True)
    assert true.setup == other.setup and true.is_checked and not other.is_checked
    assert true.identity != other.identity
    with pytest.raises(StatementMismatch, match="verifying key"):
        iris.verify(srs=false, unchecked_srs=True)
    iris.verify()


def test_an_srs_that_is_changed_while_it_is_used(
    iris: IrisProof, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What ezkl makes keys from are the bytes that were looked at."""
    copy = tmp_path / "copy.srs"
    shutil.copy(iris.srs, copy)
    reference = open_srs(copy, unchecked=False)
    assert reference.copied(tmp_path / "same").read_bytes() == iris.srs.read_bytes()
    data = bytearray(copy.read_bytes())
    data[4 + (64 << LOGROWS)] ^= 1
    copy.write_bytes(data)
    with pytest.raises(InputError, match="was changed while it was used"):
        reference.copied(tmp_path / "other")


def test_an_insecure_srs_is_no_ground_for_a_verdict(iris: IrisProof) -> None:
    with pytest.raises(InputError, match="everybody knows the secret"):
        iris.verify(insecure_srs=False)


def test_a_file_that_is_no_srs(iris: IrisProof, tmp_path: Path) -> None:
    path = tmp_path / "noise.srs"
    path.write_bytes(b"\x0e\0\0\0" + bytes(1000))
    with pytest.raises(InputError, match="is no SRS"):
        iris.prove(srs=path, unchecked_srs=True)


@pytest.mark.parametrize("scale", [9, 17])
def test_a_scale_out_of_range(iris: IrisProof, scale: int) -> None:
    with pytest.raises(InputError, match="must be from 10 to 16"):
        iris.prove(scale=scale)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("fashion-lenet5", "layers that are not dense"),
        ("fashion-mlp-128-momentum", "momentum or weight decay"),
        ("fashion-mlp-128", "weights and inputs per step, all to be hashed"),
        ("logistic-1024", "the loss binary_cross_entropy"),
    ],
)
def test_a_recipe_that_this_backend_cannot_do(name: str, reason: str) -> None:
    circuit = Circuit.from_json((ROOT / "circuits" / f"{name}.circuit.json").read_bytes())
    with pytest.raises(RecipeError, match=reason):
        require_supported(circuit)


def test_a_dataset_whose_commitment_hides(iris: IrisProof, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path)
    data = write_data(tmp_path / "data.npz")
    run = zktrain.train(recipe, data=data, out=tmp_path / "run").path
    with pytest.raises(InputError, match="commit with --public"):
        zktrain.ezkl.prove(run, srs=iris.srs)


def large_srs(folder: Path) -> Path:
    """A file of the size of 2^16 powers, all zero: enough for what comes before keys."""
    path = folder / "large.srs"
    with path.open("wb") as file:
        file.write((16).to_bytes(4, "little"))
        file.truncate(file_bytes(16))
    return path


def test_a_run_whose_values_leave_ezkls_range(iris: IrisProof, tmp_path: Path) -> None:
    """Logits that are fine for exact training are too far apart for a table of 16 bits."""
    onnx = pytest.importorskip("onnx")
    recipe = write_recipe(tmp_path, learning_rate="0.00390625", steps=2, init="onnx = true")
    recipe.write_text(recipe.read_text() + "zero_knowledge = false\n")
    model = onnx.load(tmp_path / "tiny.onnx")
    for tensor in model.graph.initializer:
        values = 0 * onnx.numpy_helper.to_array(tensor)
        if tensor.name == "fc1.weight":
            values = values + 6
        if tensor.name == "fc2.weight":
            values[0], values[1] = 0.5, -0.5
        tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    onnx.save(model, tmp_path / "tiny.onnx")
    run = zktrain.train(recipe, data=write_data(tmp_path / "data.npz"), out=tmp_path / "run").path
    with pytest.raises(RangeOverflow, match=r"cannot be calibrated at scale 16.*smaller --scale"):
        zktrain.ezkl.prove(run, srs=large_srs(tmp_path), scale=16, unchecked_srs=True)


def test_native_code_that_panics_is_an_error_with_a_sentence(iris: IrisProof) -> None:
    with Native() as ezkl, pytest.raises(EzklFailure, match="ezkl failed in keys"):
        ezkl.call("keys", circuit="missing", vk="vk", pk="pk", srs="srs")


def test_a_child_that_aborts_is_an_error_and_is_started_again(iris: IrisProof) -> None:
    import os
    import signal

    with Native() as ezkl:
        assert len(ezkl.call("hashes", tensors=[[1, -2]])) == 1
        assert ezkl.pid is not None
        os.kill(ezkl.pid, signal.SIGABRT)
        with pytest.raises(EzklFailure, match="crashed with signal 6"):
            ezkl.call("hashes", tensors=[[1]])
        assert ezkl.call("hashes", tensors=[[1, -2]]) != ezkl.call("hashes", tensors=[[1, 2]])
