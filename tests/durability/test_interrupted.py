"""A full disk, or Ctrl-C, at any call that changes a disk: the command says so, and the same one
ends well afterwards."""

from __future__ import annotations

import errno
import os
import random
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import COMMANDS, prepare, require_counted, require_no_less
from disk import State, state_of, watched

from zktrain.errors import InputError

SAMPLE = 3
"""Calls at which a command is stopped; all with ZKTRAIN_ALL_STATES=1."""
LONGER = [
    pytest.param(name, marks=pytest.mark.slow("trains or proves for every sample"))
    for name in COMMANDS
    if name != "commit"
]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, State]:
    """A folder, and what every command starts from in it."""
    root = tmp_path_factory.mktemp("interrupted")
    prepare(root)
    return root, state_of(root)


class Stop:
    """Raises at the call with a number, and with ``ever`` at all that take room after it."""

    def __init__(self, number: int, error: Callable[[], BaseException], *, ever: bool) -> None:
        self.calls, self.number, self.error, self.ever = 0, number, error, ever

    def __call__(self, name: str, path: str) -> None:
        self.calls += 1
        takes_room = name in ("open", "write", "mkdir")
        if self.calls == self.number or (
            self.ever and self.calls > self.number >= 0 and takes_room
        ):
            raise self.error()


KINDS: dict[str, tuple[Callable[[], BaseException], bool, type[BaseException]]] = {
    "full disk": (lambda: OSError(errno.ENOSPC, "No space left on device"), True, InputError),
    "Ctrl-C": (KeyboardInterrupt, False, KeyboardInterrupt),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["commit", *LONGER])
def test_a_command_that_was_stopped_can_be_run_again(
    name: str, kind: str, prepared: tuple[Path, State]
) -> None:
    root, start = prepared
    command, (error, ever, seen) = COMMANDS[name], KINDS[kind]
    start.write(root)
    counting = Stop(-1, error, ever=False)
    with watched(root, counting):
        command.run(root)
    numbers = list(range(1, counting.calls + 1))
    if os.environ.get("ZKTRAIN_ALL_STATES") != "1":
        numbers = random.sample(numbers, SAMPLE)
    for number in numbers:
        where = f"{name}: {kind} at call {number} of {counting.calls}"
        start.write(root)
        with pytest.raises(seen), watched(root, Stop(number, error, ever=ever)):
            command.run(root)
            raise seen  # a call that changes nothing any more, such as removing what is not there
        stopped = state_of(root)
        require_counted(stopped, stopped)
        try:
            command.run(root)
            command.check(root)
        except Exception as problem:
            raise AssertionError(where) from problem
        after = state_of(root)
        require_counted(after, after)
        require_no_less(stopped, after)


def test_a_file_that_is_too_large_is_an_error(tmp_path: Path) -> None:
    """The system's own refusal, of a process that may write no more than a few bytes."""
    code = (
        "import sys\nfrom zktrain import disk\nfrom zktrain.errors import InputError\n"
        "try:\n    disk.write(sys.argv[1], bytes(1 << 20))\n"
        "except InputError as error:\n    print(error)\n"
    )

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "x")],
        preexec_fn=limited,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "cannot be written: File too large" in done.stdout
    assert list(tmp_path.iterdir()) == []
