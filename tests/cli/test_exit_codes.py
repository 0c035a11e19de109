"""Exit codes: 0 accepted, 1 rejected, 2 everything else, wherever output goes or does not go."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pytest
from tiny_run import TinyBundle

import zktrain
from zktrain.cli.entry import run
from zktrain.cli.streams import OutputLost
from zktrain.errors import StatementMismatch

pytestmark = pytest.mark.full_work

Arguments = list[str]


@pytest.fixture(scope="module")
def commands(tiny_bundle: TinyBundle, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Arguments by name, for a shell. The files have names and a seed that ASCII cannot write."""
    folder = tmp_path_factory.mktemp("é")
    proof = folder / "ö.zkt"
    os.symlink(tiny_bundle.proof, proof)
    other = "00" * 32
    evaluation = folder / "eval.zkt"
    zktrain.prove_eval(
        tiny_bundle.weights,
        circuit=tiny_bundle.circuit,
        data=tiny_bundle.data,
        dataset=tiny_bundle.dataset,
        out=evaluation,
    )
    judged = f"verify {tiny_bundle.weights} --proof {proof}"
    evaluated = f"verify-eval {tiny_bundle.weights} --proof {evaluation}"
    return {
        "accepted": f"{judged} --dataset {tiny_bundle.dataset}",
        "accepted, parsed": f"{judged} --dataset={tiny_bundle.dataset}",
        "rejected": f"{judged} --dataset {other}",
        "unjudged": f"{judged}.none --dataset {other}",
        "evaluation": f"{evaluated} --dataset {tiny_bundle.root}",
        "evaluation rejected": f"{evaluated} --dataset {other}",
        "inspect": f"inspect {proof}",
        "inspect evaluation": f"inspect {evaluation}",
        "inspect nothing": f"inspect {tiny_bundle.weights}",
        "commit": f"commit {tiny_bundle.data} --public",
        "check": f"commit {tiny_bundle.data} --check {other}",
        "usage": "verify --nothing-like-this",
        "help": "--help",
        "version": "--version",
    }


CODES = {
    "rejected": 1,
    "evaluation rejected": 1,
    "check": 1,
    "unjudged": 2,
    "inspect nothing": 2,
    "usage": 2,
}
"""Of commands whose output arrives; the others end with 0."""


def _shell(command: str, streams: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """The command with its output sent elsewhere; the code is that of the command itself."""
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; '{sys.executable}' -m zktrain {command} {streams}"],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, **env},
        timeout=120,
        check=False,
    )


EVERYWHERE = {
    "plain": ("", {}),
    "no error output": ("2>&-", {}),
    "full error output": ("2>/dev/full", {}),
    "no locale": ("", {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}),
    "ascii": ("", {"PYTHONIOENCODING": "ascii:strict", "LC_ALL": "C"}),
    "no input": ("<&-", {}),
    "no input, no error output": ("<&- 2>&-", {}),
}
"""Where the result arrives."""


@pytest.mark.parametrize(
    ("name", "where"),
    [
        *(("accepted", where) for where in EVERYWHERE),
        *((name, "ascii") for name in ("rejected", "evaluation", "inspect")),
        *((name, "no error output") for name in ("rejected", "unjudged", "evaluation")),
    ],
)
def test_the_result_arrives(commands: dict[str, str], name: str, where: str) -> None:
    """The code is that of the verdict: it is on standard output, whatever standard error is."""
    streams, env = EVERYWHERE[where]
    done = _shell(commands[name], streams, env)
    assert done.returncode == CODES.get(name, 0), done.stderr
    if name != "unjudged":
        assert done.stdout.startswith(
            {"rejected": "REJECTED", "inspect": "Statement"}.get(name, "ACCEPTED")
        )
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr


LOST = {
    "full": ("> /dev/full", True),
    "closed": (">&-", True),
    "closed pipe": ("| head -c0", False),
    "full, no error output": ("> /dev/full 2>&-", False),
    "both closed": (">&- 2>&-", False),
    "both full": ("> /dev/full 2>&1", False),
    "nothing at all": ("<&- >&- 2>&-", False),
}
"""Where the result does not arrive, and whether somebody reads the sentence that says so."""


@pytest.mark.parametrize(
    ("name", "where"),
    [
        *(("accepted", where) for where in LOST),
        *(("rejected", where) for where in ("full", "both closed")),
        *((f"{name} --json", "full") for name in ("accepted", "evaluation", "commit")),
        *((f"{name} --json", "closed") for name in ("accepted", "rejected")),
    ],
)
def test_a_result_that_is_lost_is_no_success(
    commands: dict[str, str], name: str, where: str
) -> None:
    """And no rejection: only what was rejected keeps its code."""
    first, *more = name.split()
    streams, said = LOST[where]
    for _ in range(1 if "|" not in streams else 20):  # the reader may be there a little longer
        done = _shell(f"{commands[first]} {' '.join(more)}", streams, {})
        code = done.returncode
        if code or "|" not in streams:
            break
    assert code == (1 if first == "rejected" else 2)
    if said:
        assert "cannot be written to standard output" in done.stderr
        assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr


@pytest.mark.parametrize("name", [
    "accepted, parsed", "evaluation", "evaluation rejected", "inspect", "inspect evaluation",
    "inspect nothing", "check", "usage", "help", "version",
])  # fmt: skip
def test_every_command_on_a_full_disk(commands: dict[str, str], name: str) -> None:
    done = _shell(commands[name], "> /dev/full", {})
    assert done.returncode == {**dict.fromkeys(CODES, 2), **CODES}.get(name, 2), done.stderr
    assert done.stderr and "Traceback" not in done.stderr and "ignored" not in done.stderr


def test_a_pipe_without_a_reader(commands: dict[str, str]) -> None:
    """Surely closed, as a shell's may not be yet."""
    for options in ([], ["--json"]):
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run(
            [sys.executable, "-m", "zktrain", *commands["accepted"].split(), *options],
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        os.close(writer)
        assert done.returncode == 2 and done.stderr.count("\n") == 1
        assert "cannot be written to standard output: Broken pipe" in done.stderr


def test_a_closed_descriptor_is_never_that_of_a_file(
    tiny_bundle: TinyBundle, tmp_path: Path
) -> None:
    """What is written into nothing does not end up in the file that is opened next."""
    out = tmp_path / "data.zkd"
    done = _shell(f"commit {tiny_bundle.data} --public --out {out}", ">&- 2>&-", {})
    assert done.returncode == 2
    text = out.read_bytes()
    assert text.startswith(b"ZKTDATA") and b"error" not in text


FAILURES: dict[str, Callable[[], BaseException]] = {
    "memory": MemoryError,
    "interrupted": KeyboardInterrupt,
    "recursion": RecursionError,
    "bug": lambda: KeyError("nothing"),
    "assertion": AssertionError,
    "disk": lambda: OSError(28, "No space left on device"),
    "text": lambda: UnicodeDecodeError("ascii", b"", 0, 0, "no"),
    "system": SystemError,
    "other": lambda: BaseException("none of the usual"),
}


@pytest.mark.parametrize("cause", FAILURES)
@pytest.mark.parametrize("verb", ["verify", "verify-eval", "inspect", "commit"])
def test_a_failure_is_no_verdict(
    tiny_bundle: TinyBundle, capsys: pytest.CaptureFixture[str], verb: str, cause: str
) -> None:
    """Whatever goes wrong inside, wherever: in a verb, or while its result is shown."""
    names = {
        "verify": "zktrain._verify.verify",
        "verify-eval": "zktrain._verify.verify_eval",
        "inspect": "zktrain._inspect.inspect",
        "commit": "zktrain._commit.commit",
    }
    paths = ["--proof", str(tiny_bundle.proof), "--dataset", str(tiny_bundle.dataset)]
    arguments = {
        "verify": [verb, str(tiny_bundle.weights), *paths],
        "verify-eval": [verb, str(tiny_bundle.weights), *paths],
        "inspect": [verb, str(tiny_bundle.proof)],
        "commit": [verb, str(tiny_bundle.data), "--check", tiny_bundle.root],
    }[verb]
    with mock.patch(names[verb], side_effect=FAILURES[cause]()), pytest.raises(SystemExit) as end:
        run(arguments)
    assert end.value.code == 2
    said = capsys.readouterr()
    assert said.err and "Traceback" not in said.err and "REJECTED" not in said.out


def test_a_verdict_that_cannot_be_shown_is_none(
    tiny_bundle: TinyBundle, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = ["--proof", str(tiny_bundle.proof), "--dataset", str(tiny_bundle.dataset)]
    for error in (OutputLost(28, "No space left on device"), KeyError("row"), MemoryError()):
        with (
            mock.patch("zktrain.cli.screens.accepted", side_effect=error),
            pytest.raises(SystemExit) as end,
        ):
            run(["verify", str(tiny_bundle.weights), *paths])
        assert end.value.code == 2
        said = capsys.readouterr()
        assert said.err and "REJECTED" not in said.out + said.err


def test_json_of_a_failure_says_that_nothing_was_judged(
    tiny_bundle: TinyBundle, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = ["--proof", str(tiny_bundle.proof), "--dataset", str(tiny_bundle.dataset), "--json"]
    for error, code in ((MemoryError(), 2), (StatementMismatch("no"), 1)):
        with (
            mock.patch("zktrain._verify.verify", side_effect=error),
            pytest.raises(SystemExit) as end,
        ):
            run(["verify", str(tiny_bundle.weights), *paths])
        found = json.loads(capsys.readouterr().out)
        assert end.value.code == code and found["accepted"] is False
        assert "need less" not in found["error"]["message"]
