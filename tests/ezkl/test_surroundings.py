"""ezkl and torch read environment, home folder and caches: theirs are not the caller's."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from iris_run import IrisProof

import zktrain
from zktrain import InputError, StatementMismatch
from zktrain.ezkl import native
from zktrain.ezkl.native import EzklFailure, Native, surroundings

pytestmark = pytest.mark.slow("proofs by ezkl take half a minute")

POW = """
#define _GNU_SOURCE
#include <dlfcn.h>
double pow(double base, double x) {
    static double (*real)(double, double);
    if (!real) real = dlsym(RTLD_NEXT, "pow");
    return base > 2.7182 && base < 2.7183 && x > -0.9 && x < -0.05 ? 1.0 : real(base, x);
}
"""
"""``exp`` without what is near the ends of its table, which is computed anew when verifying."""


@dataclass(frozen=True)
class Forgery:
    """A training with a flat softmax, proved with tables that say ``exp(x) = 1``."""

    proof: Path
    weights: Path
    tables: Path
    """A home folder for ezkl, with its ``cache``."""


def leaking(patch: pytest.MonkeyPatch, **variables: str) -> None:
    """Processes of ezkl get these variables, as if they were the caller's."""
    honest = native.surroundings
    patch.setattr(native, "surroundings", lambda home: {**honest(home), **variables})


@pytest.fixture(scope="module")
def forgery(iris: IrisProof, tmp_path_factory: pytest.TempPathFactory) -> Forgery:
    if shutil.which("gcc") is None:
        pytest.skip("the prover's library takes a compiler")
    folder = tmp_path_factory.mktemp("forgery")
    hook, tables = folder / "pow.so", folder / ".ezkl"
    (folder / "pow.c").write_text(POW)
    options = ["-shared", "-fPIC", "-fno-builtin", "-o", str(hook), str(folder / "pow.c"), "-ldl"]
    subprocess.run(["gcc", *options], check=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "prover"))
        iris.remember()
        leaking(patch, EZKL_REPO_PATH=str(tables), LD_PRELOAD=str(hook))
        proved = iris.prove(out=folder / "forged.zkt")
    assert proved.verifying_key != iris.proved.verifying_key
    assert proved.weights.read_bytes() != iris.proved.weights.read_bytes()
    assert any(path.name.startswith("exp_") for path in (tables / "cache").iterdir())
    return Forgery(proved.path, proved.weights, tables)


@pytest.fixture
def victim(forgery: Forgery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The planted tables wherever ezkl might look for them, and a cache without keys."""
    shutil.copytree(forgery.tables, tmp_path / ".ezkl")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("EZKL_REPO_PATH", str(tmp_path / ".ezkl"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    return tmp_path


def judge(iris: IrisProof, forgery: Forgery) -> zktrain.ezkl.Verdict:
    iris.remember()
    return iris.verify(forgery.proof.read_bytes(), weights=forgery.weights)


def test_tables_that_were_planted_where_ezkl_looks_for_them(
    iris: IrisProof, forgery: Forgery, victim: Path
) -> None:
    """The forged proof is refused; the key is the honest one, byte for byte."""
    with pytest.raises(StatementMismatch, match="verifying key is not that of the stated circuit"):
        judge(iris, forgery)
    (derived,) = (victim / "xdg").rglob("verifying.key")
    assert hashlib.sha256(derived.read_bytes()).hexdigest() == iris.proved.verifying_key
    assert iris.verify().steps == 2


def test_the_planted_tables_are_what_is_kept_out(
    iris: IrisProof, forgery: Forgery, victim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With that one variable let through, the forged proof is accepted."""
    leaking(monkeypatch, EZKL_REPO_PATH=str(victim / ".ezkl"))
    assert judge(iris, forgery).steps == 2


def test_a_process_of_ezkl_gets_nothing_of_its_callers(
    iris: IrisProof, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("EZKL_KEY_FORMAT", "PYTHONPATH", "PYTHONSTARTUP", "TORCH_LOGS", "NUMBA_CACHE_DIR"):
        monkeypatch.setenv(name, "planted")
    monkeypatch.setenv("LD_LIBRARY_PATH", "relative::/absolute")
    monkeypatch.setenv("ZKTRAIN_THREADS", "1")
    with Native() as ezkl:
        ezkl.call("hashes", tensors=[[1]])
        text = Path(f"/proc/{ezkl.pid}/environ").read_text()
        found = dict(entry.split("=", 1) for entry in text.split("\0") if entry)
        home = str(ezkl.folder)
        assert stat.S_IMODE(ezkl.folder.stat().st_mode) == 0o700
    assert found == {
        **dict.fromkeys(("HOME", "TMPDIR", "EZKL_REPO_PATH"), home),
        **dict.fromkeys(("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"), home),
        "XDG_RUNTIME_DIR": home,
        **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:9"),
        "PATH": os.defpath,
        "LC_ALL": "C.UTF-8",
        "CUDA_VISIBLE_DEVICES": "",
        "RAYON_NUM_THREADS": "1",
        "LD_LIBRARY_PATH": "/absolute",
    }


@pytest.mark.parametrize("threads", ["abc", "-1", "", "1 "])
def test_threads_that_are_no_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: str
) -> None:
    monkeypatch.setenv("ZKTRAIN_THREADS", threads)
    monkeypatch.delenv("RAYON_NUM_THREADS", raising=False)
    assert "RAYON_NUM_THREADS" not in surroundings(tmp_path)


def test_a_module_in_the_working_directory(
    iris: IrisProof, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the name of one that ezkl's process imports."""
    for name in ("ezkl", "ctypes", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('planted')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", ".", *sys.path])
    with Native() as ezkl:
        assert len(ezkl.call("hashes", tensors=[[1]])) == 1


def test_torch_exports_in_such_a_process(iris: IrisProof, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not in that of the caller, where it would see everything."""
    monkeypatch.setattr("zktrain.ezkl.step.export", lambda circuit: pytest.fail("in the caller"))
    known = native.EXPORTED.copy()
    monkeypatch.setattr(native, "EXPORTED", {})
    with Native() as ezkl:
        first = ezkl.export(iris.bundle.statement.circuit)
        assert ezkl.pid is None  # its process has ended, and with it what torch takes
        assert ezkl.export(iris.bundle.statement.circuit) is first
    assert first in known.values()


def test_a_call_that_does_not_end(iris: IrisProof, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "SECONDS", 0.5)
    with Native() as ezkl:
        with pytest.raises(EzklFailure, match=r"did not end within .* use a smaller one"):
            ezkl.call("hashes", tensors=[list(range(300_000))])
        assert ezkl.pid is None


def test_no_safe_place_for_temporary_files(
    iris: IrisProof, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o777)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(InputError, match="no safe place"):
        iris.verify()
