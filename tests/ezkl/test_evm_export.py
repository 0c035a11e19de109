"""``zktrain ezkl evm export``: a step of training on a chain of contracts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import evm_machine
import pytest
from evm_machine import Deployed
from iris_run import IrisProof

from zktrain import InputError, Rejected, StatementMismatch
from zktrain.cli.entry import run
from zktrain.ezkl.evm import MAX_CODE_BYTES, export_step
from zktrain.ezkl.srs import generate

pytestmark = pytest.mark.slow("proofs by ezkl take half a minute")


def call_of(path: str | Path) -> bytes:
    return bytes.fromhex(Path(path).read_text().strip().removeprefix("0x"))


def forged(iris: IrisProof, folder: Path, proof: bytes) -> Path:
    """The bundle with another proof of step 1."""
    first, second = iris.bundle.steps
    path = folder / "forged.zkt"
    path.write_bytes(replace(iris.bundle, steps=(first, replace(second, proof=proof))).to_bytes())
    return path


def test_a_step_of_training_is_accepted_by_a_contract_that_fits_on_a_chain(
    iris: IrisProof, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And by its key alone: another instance, or another step's proof, is not accepted."""
    capsys.readouterr()
    arguments = [iris.proved.path, "--step", "1", "--srs", iris.srs, "--out", tmp_path, "--json"]
    with pytest.raises(SystemExit) as exit_:
        run(["ezkl", "evm", "export", *map(str, arguments)])
    assert not exit_.value.code
    found = json.loads(capsys.readouterr().out)
    assert found["insecure"] is True
    reason = evm_machine.missing_compiler()
    if reason is not None:
        pytest.skip(reason)
    code = evm_machine.compiled(Path(found["contract"]))["evm"]
    assert len(code["deployedBytecode"]["object"]) // 2 <= MAX_CODE_BYTES
    deployed = Deployed.of(bytes.fromhex(code["bytecode"]["object"]))
    verify = call_of(found["verify"])
    assert deployed.call(verify)[0] is None  # the key is not registered yet
    digest, _ = deployed.call(call_of(found["register"]))
    returned, gas = deployed.call(verify)
    assert returned is not None and digest is not None
    assert returned[:64] == (1).to_bytes(32, "big") + digest
    assert gas < 3_000_000
    before, after = (int.from_bytes(step.instances[0], "little") for step in iris.bundle.steps)
    words = [value.to_bytes(32, "big") for value in (before, after)]
    assert verify.count(words[1]) == 1
    assert deployed.call(verify.replace(words[1], words[0]))[0] is None


def test_a_contract_for_the_key_alone_is_too_large(iris: IrisProof, tmp_path: Path) -> None:
    """Which is why it is not what is written by default."""
    found = export_step(iris.proved.path, step=0, srs=iris.srs, out=tmp_path, shared=False)
    assert found.register is None
    reason = evm_machine.missing_compiler()
    if reason is not None:
        pytest.skip(reason)
    code = evm_machine.compiled(found.contract)["evm"]
    assert len(code["deployedBytecode"]["object"]) // 2 > MAX_CODE_BYTES


def test_a_proof_that_does_not_hold(iris: IrisProof, tmp_path: Path) -> None:
    proof = bytearray(iris.bundle.steps[1].proof)
    proof[50] ^= 1
    path = forged(iris, tmp_path, bytes(proof))
    with pytest.raises(Rejected, match="does not hold"):
        export_step(path, step=1, srs=iris.srs, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_another_set_up(iris: IrisProof, tmp_path: Path) -> None:
    ezkl = pytest.importorskip("ezkl")
    from zktrain.ezkl.srs import check

    srs = tmp_path / "other.srs"
    ezkl.gen_srs(str(srs), 3)
    check(srs)
    with pytest.raises(StatementMismatch, match="another set-up"):
        export_step(iris.proved.path, step=0, srs=srs, out=tmp_path / "out")


def test_an_srs_that_is_not_checked(
    iris: IrisProof, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(InputError, match="has not been checked"):
        export_step(iris.proved.path, step=0, srs=iris.srs, out=tmp_path / "out")


@pytest.mark.parametrize("step", [-1, 2])
def test_a_step_that_there_is_not(iris: IrisProof, tmp_path: Path, step: int) -> None:
    with pytest.raises(InputError, match="the bundle has steps 0 to 1"):
        export_step(iris.proved.path, step=step, srs=iris.srs, out=tmp_path)


def test_a_shorter_srs_does(iris: IrisProof, tmp_path: Path) -> None:
    """Of the same set-up: the contract takes its last point only, and the key is kept."""
    srs = tmp_path / "short.srs"
    generate(2, srs)
    short, full = (
        export_step(iris.proved.path, step=0, srs=given, out=tmp_path / given.stem / "out")
        for given in (srs, iris.srs)
    )
    for name in ("contract", "register", "verify"):
        assert getattr(short, name).read_bytes() == getattr(full, name).read_bytes()
