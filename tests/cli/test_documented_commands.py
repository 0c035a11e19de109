"""The commands of the README run, and those of all pages have the options that they are given."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from zktrain.cli.ezkl.commands import ezkl
from zktrain.cli.main import app

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SHELL = 'set -e\nzktrain() { "$PYTHON" -m zktrain "$@"; }\n'


def _blocks(page: Path, language: str = "") -> list[str]:
    """The blocks of code of a page that are in a language, or in none."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.S | re.M)


def _commands(page: Path) -> list[str]:
    """Every line that calls ``zktrain``, continued lines joined, synopses left out."""
    lines = "".join(_blocks(page)).replace("\\\n", " ").splitlines()
    called = (line.split(" # ")[0].strip() for line in lines if line.startswith("zktrain "))
    return [
        line
        for line in called
        if not re.search(r"\.\.\.|[\[|]|\b[A-Z]{2,}\b(?!=)(?<!\$DATA)", line)
    ]


def _command(words: list[str]) -> tuple[Any, list[str]]:
    """The command that the words call, and the words after it."""
    found: Any = typer.main.get_command(app)
    if words[0] == "ezkl":  # a group that is loaded when it is called
        found, words = typer.main.get_command(ezkl), words[1:]
    while hasattr(found, "commands"):
        assert words and words[0] in found.commands, words
        found, words = found.commands[words[0]], words[1:]
    return found, words


def test_pages_have_commands() -> None:
    assert len(_commands(ROOT / "README.md")) >= 5
    assert sum(len(_commands(page)) for page in PAGES) >= 25


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_have_the_options_that_pages_give_them(page: Path) -> None:
    for line in _commands(page):
        command, words = _command(shlex.split(line)[1:])
        names = {name for option in command.params for name in option.opts}
        given = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert given <= names, (line, given - names)


def test_the_commands_of_the_readme_run(tmp_path: Path) -> None:
    """All of *A first proof*, in the order in which they stand, but for the installation."""
    pytest.importorskip("sklearn")
    for folder in ("circuits", "models"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    (block,) = [b for b in _blocks(ROOT / "README.md") if b.startswith("zktrain commit")]
    environment = {**os.environ, "PYTHON": sys.executable, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "-c", SHELL + block],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "accepted" in done.stdout.lower()
    (code,) = _blocks(ROOT / "README.md", "python")
    printed = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert float(printed[0]) >= 100 and printed[1] == "256"
