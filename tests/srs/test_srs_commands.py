"""``zktrain ezkl srs generate`` and ``zktrain ezkl srs check``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from srs_oracle import Srs, secret_tau

from zktrain.cli.entry import run


@pytest.fixture
def zktrain(capsys: pytest.CaptureFixture[str]) -> Any:
    def call(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as exit_:
            run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return int(exit_.value.code or 0), captured.out, captured.err

    return call


def test_generate_says_that_it_is_insecure(zktrain: Any, tmp_path: Path) -> None:
    path = tmp_path / "test.srs"
    code, out, _ = zktrain("ezkl", "srs", "generate", "--logrows", 3, "--out", path)
    assert code == 0 and path.stat().st_size == 1284
    assert "INSECURE" in out and "for tests only" in out


def test_check_says_that_a_generated_string_is_insecure(zktrain: Any, tmp_path: Path) -> None:
    path = tmp_path / "test.srs"
    _, out, _ = zktrain("ezkl", "srs", "generate", "--logrows", 3, "--out", path, "--json")
    made = json.loads(out)
    code, out, _ = zktrain("ezkl", "srs", "check", path, "--json")
    found = json.loads(out)
    assert code == 0 and found["insecure"] is True and found["logrows"] == 3
    assert found["sha256"] == made["sha256"] and found["path"] == str(path)


def test_check_says_what_it_cannot_see(zktrain: Any, tmp_path: Path) -> None:
    code, out, _ = zktrain("ezkl", "srs", "check", Srs.of(secret_tau(), 2).write(tmp_path))
    assert code == 0 and "INSECURE" not in out and "cannot be seen from the file" in out


def test_a_refused_file_in_one_sentence(zktrain: Any, tmp_path: Path) -> None:
    path = tmp_path / "forged.srs"
    path.write_bytes(b"\x02\0\0\0" + bytes(768))
    code, out, err = zktrain("ezkl", "srs", "check", path, "--json")
    assert code == 1 and json.loads(out)["error"]["kind"] == "SrsRefused"
    assert err.count("\n") == 1 and "power 0 is the identity" in err
