"""Good files are accepted, and records are about the bytes that were checked."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from srs_oracle import Srs, secret_tau, times2

from zktrain import InputError
from zktrain.ezkl.srs import CheckedSrs, check, checked, generate
from zktrain.ezkl.srs.format import BLOCK
from zktrain.ezkl.srs.insecure import S_H, TAU
from zktrain.notices import Notice


@pytest.fixture
def srs(tmp_path: Path) -> Path:
    return Srs.of(secret_tau(), 2).write(tmp_path)


@pytest.mark.parametrize("logrows", [1, 2, 5])
def test_a_string_is_accepted(logrows: int, tmp_path: Path) -> None:
    path = Srs.of(secret_tau(), logrows).write(tmp_path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert checked(path) is None
    assert check(path) == checked(path) == CheckedSrs(path, logrows, digest, insecure=False)


def test_a_string_of_ezkl_is_accepted(tmp_path: Path) -> None:
    """Another implementation's file."""
    ezkl = pytest.importorskip("ezkl")
    path = tmp_path / "ezkl.srs"
    ezkl.gen_srs(str(path), 8)
    found = check(path)
    assert found.logrows == 8 and not found.insecure


@pytest.mark.parametrize("logrows", [1, 4, 6])
def test_a_generated_string_is_that_of_the_definitions(logrows: int, tmp_path: Path) -> None:
    path = tmp_path / "test.srs"
    found = generate(logrows, path)
    assert path.read_bytes() == Srs.of(TAU, logrows).to_bytes()
    assert found.insecure and checked(path) == found
    assert [p.name for p in tmp_path.iterdir()] == ["test.srs"]


def test_the_insecure_string_is_known_by_its_last_point() -> None:
    assert times2(TAU) == list(S_H)


def test_blocks_of_a_string_add_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading in small blocks changes nothing, and progress goes from 0 to all points."""
    path = tmp_path / "test.srs"
    generate(8, path)
    monkeypatch.setattr("zktrain.ezkl.srs.format.BLOCK", 32)
    seen: list[tuple[str, int, int]] = []
    check(path, progress=lambda stage, done, total, **figures: seen.append((stage, done, total)))
    assert BLOCK > 32 and {(stage, total) for stage, _, total in seen} == {("check SRS", 512)}
    counts = [done for _, done, _ in seen]
    assert counts == sorted(counts) and counts[-1] == 512 and len(counts) > 16


def test_a_string_that_was_checked_and_then_changed(srs: Path) -> None:
    check(srs)
    data = bytearray(srs.read_bytes())
    data[100] ^= 1
    srs.write_bytes(data)
    assert checked(srs) is None


def test_a_checked_string_is_known_under_another_name(tmp_path: Path) -> None:
    path, renamed = tmp_path / "test.srs", tmp_path / "ceremony.srs"
    generate(2, path)
    path.rename(renamed)
    found = checked(renamed)
    assert found is not None and found.insecure


def record_of(path: Path, records: Path) -> Path:
    return records / f"{hashlib.sha256(path.read_bytes()).hexdigest()}.json"


def test_a_record_that_says_secure_of_an_insecure_string(tmp_path: Path, records: Path) -> None:
    path = tmp_path / "test.srs"
    generate(2, path)
    record = record_of(path, records)
    record.write_text(record.read_text().replace("true", "false"))
    assert checked(path) is None


def test_a_record_that_came_with_a_string(srs: Path, records: Path) -> None:
    """Whoever made up the string made up the record: it is not looked at."""
    check(srs)
    record = record_of(srs, records)
    for name in (f"{srs}.checked", srs.with_name(record.name)):
        Path(name).write_bytes(record.read_bytes())
    record.unlink()
    assert checked(srs) is None


def test_a_record_of_another_string(srs: Path, tmp_path: Path, records: Path) -> None:
    check(srs)
    false = tmp_path / "false.srs"
    false.write_bytes(srs.read_bytes()[:-1] + b"\0")
    record_of(false, records).write_bytes(record_of(srs, records).read_bytes())
    assert checked(false) is None


@pytest.mark.parametrize("weak", ["record", "folder", "parent"])
def test_a_record_that_others_could_have_written(srs: Path, records: Path, weak: str) -> None:
    check(srs)
    assert checked(srs) is not None
    record = record_of(srs, records)
    {"record": record, "folder": records, "parent": records.parent}[weak].chmod(0o777)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Notice)
        assert checked(srs) is None


def test_a_check_that_cannot_be_remembered_says_why(srs: Path, records: Path) -> None:
    records.mkdir(parents=True)
    records.chmod(0o777)
    with pytest.warns(Notice, match=r"cache of srs is not used.*mode 777.*XDG_CACHE_HOME"):
        assert not check(srs).insecure
    assert not list(records.iterdir())


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("check", "zktrain-srs-check-0"),
        ("sha256", "00" * 32),
        ("logrows", 3),
        ("logrows", True),
        ("logrows", 10**12),
        ("logrows", "2"),
        ("insecure", None),
        ("more", 1),
    ],
)
def test_a_record_with_another_value(srs: Path, records: Path, key: str, value: object) -> None:
    check(srs)
    record = record_of(srs, records)
    fields = json.loads(record.read_bytes())
    record.write_text(json.dumps({**fields, key: value}))
    assert checked(srs) is None


@pytest.mark.parametrize("text", [b"", b"\xff", b"[]", b"1", b"[" * 4096, b"{}" + b" " * 5000])
def test_a_record_that_is_none(srs: Path, records: Path, text: bytes) -> None:
    records.mkdir(parents=True, mode=0o700)
    record_of(srs, records).write_bytes(text)
    assert checked(srs) is None


def test_an_existing_file_is_not_replaced(srs: Path) -> None:
    data = srs.read_bytes()
    with pytest.raises(InputError, match="exists"):
        generate(2, srs)
    assert srs.read_bytes() == data


@pytest.mark.parametrize("logrows", [-1, 0, 29])
def test_sizes_that_no_domain_has(logrows: int, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="from 1 to 28"):
        generate(logrows, tmp_path / "test.srs")


@pytest.mark.parametrize("name", ["missing/test.srs", "nul\0"])
def test_a_place_that_cannot_be_written(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        generate(2, tmp_path / name)


def test_an_interrupted_generation_leaves_nothing(tmp_path: Path) -> None:
    def stop(stage: str, done: int, total: int, **figures: float) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(2, tmp_path / "test.srs", progress=stop)
    assert not list(tmp_path.iterdir())


def test_checking_leaves_the_recursion_limit_alone(srs: Path) -> None:
    """Otherwise a nested JSON text would end every process that has checked before."""
    code = """
import json, sys
from zktrain.ezkl.srs import check
limit = sys.getrecursionlimit()
check(sys.argv[1])
assert sys.getrecursionlimit() == limit
try:
    json.loads("[" * 100_000)
except RecursionError:
    print("refused")
"""
    done = subprocess.run([sys.executable, "-c", code, str(srs)], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "refused\n"), done.stderr


@pytest.mark.parametrize("name", ["missing.srs", ".", "nul\0"])
def test_a_path_that_is_no_file(name: str, tmp_path: Path) -> None:
    for function in (check, checked):
        with pytest.raises(InputError, match=r"is no file|cannot be read"):
            function(tmp_path / name)
