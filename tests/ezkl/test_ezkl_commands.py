"""The group of commands ``zktrain ezkl``, and what the two backends say of each other's proofs."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tiny_run import TinyBundle

import zktrain
import zktrain.ezkl
from zktrain.cli.entry import run
from zktrain.errors import InputError, MalformedProof
from zktrain.ezkl import bundle as wire
from zktrain.protocol.bundle import EZKL_MAGIC, MAGIC

PACKAGE = Path(zktrain.__file__).parent
ROOM = ("ezkl", "cli/ezkl")
BY_EZKL = "this is a proof by ezkl: use zktrain ezkl verify or zktrain ezkl inspect"
NATIVE = "this is a proof by the native backend: use zktrain verify"


@dataclass
class Ended:
    code: int
    out: str
    err: str


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    def call(*arguments: object) -> Ended:
        with pytest.raises(SystemExit) as end:
            run([str(argument) for argument in arguments])
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return Ended(int(end.value.code or 0), said.out, " ".join(said.err.split()))

    return call


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    path = tmp_path / "proof.zkt"
    path.write_bytes(EZKL_MAGIC + bytes(100))
    return path


def test_a_proof_by_ezkl_is_not_judged_by_the_native_commands(
    command: Callable[..., Ended], tiny_bundle: TinyBundle, foreign: Path
) -> None:
    asked = (tiny_bundle.weights, "--proof", foreign, "--dataset", tiny_bundle.dataset)
    for verb in ("verify", "verify-eval"):
        ended = command(verb, *asked)
        assert ended.code == 2 and BY_EZKL in ended.err, ended
        found = json.loads(command(verb, *asked, "--json").out)
        assert found["accepted"] is False and found["error"]["kind"] == "InputError"
    ended = command("inspect", foreign)
    assert ended.code == 2 and BY_EZKL in ended.err


def test_a_proof_by_ezkl_is_not_judged_by_the_native_functions(
    tiny_bundle: TinyBundle, foreign: Path
) -> None:
    judged: dict[str, Any] = {"proof": foreign, "dataset": tiny_bundle.dataset}
    for function in (
        lambda: zktrain.verify(tiny_bundle.weights, **judged),
        lambda: zktrain.verify_eval(tiny_bundle.weights, **judged),
        lambda: zktrain.inspect(foreign),
    ):
        with pytest.raises(InputError, match=BY_EZKL):
            function()


def test_a_native_proof_is_not_judged_by_the_commands_of_ezkl(
    command: Callable[..., Ended], tmp_path: Path
) -> None:
    path = tmp_path / "proof.zkt"
    path.write_bytes(MAGIC + bytes(100))
    ended = command("ezkl", "inspect", path)
    assert ended.code == 2 and NATIVE in ended.err
    with pytest.raises(InputError, match=NATIVE):
        zktrain.ezkl.inspect(path)
    with pytest.raises(MalformedProof, match="not a bundle of proofs by ezkl"):
        wire.parse(b"OTHERS!" + MAGIC[7:] + bytes(100))


def test_options_of_ezkl_are_no_options_of_the_native_commands(
    command: Callable[..., Ended], tiny_bundle: TinyBundle
) -> None:
    asked = (tiny_bundle.weights, "--proof", tiny_bundle.proof, "--dataset", tiny_bundle.dataset)
    for words in (
        ("verify", *asked, "--srs", "x"),
        ("prove", tiny_bundle.run, "--backend", "ezkl"),
        ("bench", "--against", "ezkl"),
        ("srs", "check", "x"),
    ):
        ended = command(*words)
        assert ended.code == 2 and "No such" in ended.err, words


def test_wrong_usage_of_the_group(command: Callable[..., Ended]) -> None:
    ended = command("ezkl", "prove", "run")
    assert ended.code == 2 and "--srs" in ended.err
    ended = command("ezkl", "verify", "w", "--json")
    assert ended.code == 2 and json.loads(ended.out)["accepted"] is False
    assert command("ezkl", "nothing").code == 2


@pytest.mark.parametrize("words", [("-h",), ("--help",), ("srs", "--help"), ("evm", "-h")])
def test_the_group_explains_itself(command: Callable[..., Ended], words: tuple[str, ...]) -> None:
    ended = command("ezkl", *words)
    assert ended.code == 0 and f"zktrain ezkl {words[0]}".removesuffix(f" {words[0]}") in ended.out
    assert "Usage: zktrain ezkl" in " ".join(ended.out.split())


def test_other_commands_load_nothing_of_it() -> None:
    code = (
        "import sys\nfrom zktrain.cli.main import run\n"
        "try: run(['--help'])\nexcept SystemExit: pass\n"
        "print([name for name in sys.modules if 'ezkl' in name])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "ezkl" in done.stdout and done.stdout.splitlines()[-1] == "[]"


def test_nothing_outside_of_the_room_imports_from_it() -> None:
    """But the command that hands its words over to the group."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        name = path.relative_to(PACKAGE).as_posix()
        if name.startswith(tuple(f"{room}/" for room in ROOM)):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                parts = {*(node.module or "").split("."), *(alias.name for alias in node.names)}
            elif isinstance(node, ast.Import):
                parts = {part for alias in node.names for part in alias.name.split(".")}
            else:
                continue
            if "ezkl" in parts:
                found.add(name)
    assert found == {"cli/main.py"}
