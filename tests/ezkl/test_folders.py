"""Temporary folders, which hold proving keys, are gone however their process ends."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from zktrain import InputError, disk
from zktrain.ezkl.folders import private_folder

HOLD = """
import signal, sys, time
from pathlib import Path
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # what ignores them hands that on
signal.signal(signal.SIGINT, signal.default_int_handler)
from zktrain.ezkl.folders import private_folder
with private_folder(Path(sys.argv[1])) as folder:
    (folder / "proving.key").write_bytes(bytes(1000))
    print("ready", flush=True)
    time.sleep(60)
"""


def holder(parent: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLD, str(parent)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


def test_a_folder_is_private_and_goes(tmp_path: Path) -> None:
    with private_folder(tmp_path) as folder:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700 and folder.parent == tmp_path
        (folder / "file").write_text("")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow("waits for processes")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_process_that_is_asked_to_end(tmp_path: Path, number: signal.Signals) -> None:
    process = holder(tmp_path)
    assert list(tmp_path.iterdir())
    process.send_signal(number)
    assert process.wait(20) in (128 + number, -number, 1)
    assert not list(tmp_path.iterdir())


def test_a_process_that_is_killed(tmp_path: Path) -> None:
    """The next one removes what it left, and nothing of those that live."""
    dead, living = holder(tmp_path), holder(tmp_path)
    dead.kill()
    dead.wait()
    assert len(list(tmp_path.iterdir())) == 2
    with private_folder(tmp_path) as folder:
        left = [path for path in tmp_path.iterdir() if path != folder]
        assert len(left) == 1 and (left[0] / "proving.key").exists()
    living.terminate()
    living.wait()
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_folder_of_another_user_is_left_alone(tmp_path: Path) -> None:
    other = tmp_path / f"{disk.PREFIX}other{disk.SUFFIX}"
    other.mkdir()
    os.chown(other, 12345, 0)
    with private_folder(tmp_path):
        pass
    assert other.exists()


def test_a_place_where_others_could_replace_it(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(InputError, match=r"no safe place.*TMPDIR"), private_folder(tmp_path):
        pytest.fail("used")


def test_a_place_that_there_is_not(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="another place"), private_folder(tmp_path / "missing"):
        pytest.fail("used")


def test_signals_are_as_before_afterwards(tmp_path: Path) -> None:
    mine = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with private_folder(tmp_path):
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        with private_folder(tmp_path):
            assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, mine)
