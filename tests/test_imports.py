"""Verifying needs numpy alone, and the package's names are what they say."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_run import TinyBundle

import zktrain

pytestmark = pytest.mark.full_work

BLOCKED = (
    *("numba", "llvmlite", "torch", "onnx", "onnxscript", "sklearn", "scipy", "matplotlib", "ezkl"),
    *("safetensors", "dask", "distributed"),
    *("ezkl", "py_ecc", "eth_utils"),
)

PRELUDE = f"""
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {BLOCKED!r}:
            raise ImportError(name + " is blocked")
        return None

sys.meta_path.insert(0, Blocked())
"""


def run_blocked(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PRELUDE + code, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_verify_works_without_the_provers_dependencies(tiny_bundle: TinyBundle) -> None:
    code = """
import zktrain
weights, proof, dataset, forged = sys.argv[1:]
verdict = zktrain.verify(weights, proof=proof, dataset=dataset)
assert isinstance(verdict, zktrain.Verdict)
print(verdict.zero_knowledge, verdict.dataset_root)
try:
    zktrain.verify(weights, proof=proof, dataset="00" * 32)
except zktrain.StatementMismatch:
    print("refused")
"""
    done = run_blocked(
        code, *map(str, (tiny_bundle.weights, tiny_bundle.proof, tiny_bundle.dataset)), ""
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:2] == [f"True {tiny_bundle.root}", "refused"]


def test_the_command_verifies_without_the_provers_dependencies(tiny_bundle: TinyBundle) -> None:
    arguments = ["verify", str(tiny_bundle.weights), "--proof", str(tiny_bundle.proof)]
    arguments += ["--dataset", tiny_bundle.root, "--certificate", str(tiny_bundle.dataset)]
    arguments += ["--circuit", str(tiny_bundle.circuit)]
    code = "from zktrain.cli.entry import run\nrun(sys.argv[1:])"
    done = run_blocked(code, *arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("ACCEPTED")


@pytest.mark.parametrize(
    "arguments",
    [
        ("commit", "digits"),
        ("compile", "recipe.toml"),
        ("train", "recipe.toml", "--data", "digits", "--out", "run"),
        ("prove", "run"),
        ("prove-eval", "w.safetensors", "--circuit", "c.json", "--data", "digits"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_missing_extra_is_named_with_its_remedy(arguments: tuple[str, ...]) -> None:
    done = run_blocked("from zktrain.cli.entry import run\nrun(sys.argv[1:])", *arguments)
    assert done.returncode == 2
    assert "pip install 'zktrain[prove]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("ezkl", "srs", "check", "file.srs"),
        ("ezkl", "srs", "generate", "--logrows", "3", "--out", "file.srs"),
    ],
    ids=lambda arguments: arguments[1],
)
def test_the_missing_extra_of_a_second_backend_is_named(arguments: tuple[str, ...]) -> None:
    done = run_blocked("from zktrain.cli.entry import run\nrun(sys.argv[1:])", *arguments)
    assert done.returncode == 2
    assert "pip install 'zktrain[ezkl]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_workers_that_are_missing_are_named(tiny_bundle: TinyBundle, tmp_path: Path) -> None:
    """All else is there: without ``--workers`` a run can be proved."""
    run = tmp_path / "run"
    shutil.copytree(tiny_bundle.run, run)
    code = PRELUDE.replace(repr(BLOCKED), repr(("dask", "distributed")))
    code += "from zktrain.cli.entry import run\nrun(sys.argv[1:])"
    for asked, found in (("--workers=2", 2), ("--cluster=tls://localhost:1", 2), ("--json", 0)):
        arguments = [code, "prove", str(run), "--out", str(tmp_path / "new.zkt"), asked]
        command = [sys.executable, "-c", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == found, done.stderr
        assert (found == 0) != ("pip install 'zktrain[cluster]'" in done.stderr)
        assert "Traceback" not in done.stderr


def test_a_missing_ezkl_is_named_with_its_remedy() -> None:
    arguments = ("ezkl", "prove", "run", "--srs", "test.srs")
    done = run_blocked("from zktrain.cli.entry import run\nrun(sys.argv[1:])", *arguments)
    assert done.returncode == 2
    assert "pip install 'zktrain[ezkl]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_importing_the_package_loads_next_to_nothing() -> None:
    code = "import zktrain; print(sorted({m.partition('.')[0] for m in sys.modules}))"
    loaded = run_blocked(code).stdout
    assert "zktrain" in loaded
    for name in ("numpy", "rich", "typer", "safetensors"):
        assert repr(name) not in loaded


def test_the_plain_command_loads_no_parser(tiny_bundle: TinyBundle) -> None:
    code = """
import atexit
atexit.register(lambda: print("typer" in sys.modules, "rich" in sys.modules))
from zktrain.cli.entry import run
run(sys.argv[1:])
"""
    arguments = ["verify", str(tiny_bundle.weights), "--proof", str(tiny_bundle.proof), "--json"]
    done = run_blocked(code, *arguments, "--dataset", str(tiny_bundle.dataset))
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[1] == "False False"


def test_evaluations_are_verified_without_the_provers_dependencies(
    tiny_bundle: TinyBundle, tmp_path: Path
) -> None:
    """In Python and as a plain command, which loads no parser."""
    proof, weights = tmp_path / "eval.zkt", tiny_bundle.weights
    zktrain.prove_eval(
        weights,
        circuit=tiny_bundle.circuit,
        data=tiny_bundle.data,
        dataset=tiny_bundle.dataset,
        out=proof,
    )
    code = """
import atexit, zktrain
print(zktrain.verify_eval(sys.argv[1], proof=sys.argv[2], dataset=sys.argv[3]).records)
atexit.register(lambda: print("typer" in sys.modules, "rich" in sys.modules))
from zktrain.cli.entry import run
run(["verify-eval", sys.argv[1], "--proof", sys.argv[2], "--dataset", sys.argv[3], "--json"])
"""
    done = run_blocked(code, str(weights), str(proof), tiny_bundle.root)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.split("\n")
    assert lines[0] == "24" and '"accepted": true' in lines[1] and lines[2] == "False False"


def test_a_verb_stays_a_function_when_its_module_is_imported() -> None:
    code = """
import zktrain._verify, zktrain._commit, zktrain._train, zktrain._compile
import zktrain
from zktrain._verify import Verdict
assert callable(zktrain.verify) and callable(zktrain.train) and callable(zktrain.compile)
assert zktrain.Verdict is Verdict and zktrain.verify.__name__ == "verify"
"""
    done = run_blocked(code)
    assert done.returncode == 0, done.stderr


def test_every_public_name_exists() -> None:
    for name in zktrain.__all__:
        assert getattr(zktrain, name) is not None
        assert name in dir(zktrain)
    with pytest.raises(AttributeError, match="nothing_like_this"):
        _ = zktrain.nothing_like_this
