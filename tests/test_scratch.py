"""Arrays in files without a name."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from zktrain.errors import InputError
from zktrain.scratch import IN_MEMORY, Scratch

SHAPE = (512, 1024)


@pytest.mark.parametrize("kind", ["uint8", "int16", "int64"])
def test_arrays_keep_what_is_written(tmp_path: Path, kind: str) -> None:
    scratch = Scratch(tmp_path)
    cells = np.random.default_rng(1).integers(0, 100, SHAPE)
    found = scratch.zeros((*SHAPE, 4), kind)
    assert not found.any() and found.dtype == kind
    found[..., 1] = cells
    scratch.settle()
    assert np.array_equal(found[..., 1], cells) and not found[..., 0].any()


def test_large_arrays_are_in_files_that_have_no_name(tmp_path: Path) -> None:
    large = Scratch(tmp_path).zeros((*SHAPE, 8), "uint8")
    small = Scratch(tmp_path).zeros((8,), "uint8")
    assert large.base is not None and small.base is None
    assert list(tmp_path.iterdir()) == []


def test_pages_leave_memory_when_settled(tmp_path: Path) -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    scratch = Scratch(tmp_path)
    found = scratch.zeros((1 << 26,), "uint8")
    found[...] = 1
    before = resident()
    scratch.settle()
    assert before - resident() > 1 << 25
    assert found[-1] == 1


def test_pages_leave_memory_while_others_work(tmp_path: Path) -> None:
    """Without being asked, and only as long as it is wanted."""

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    scratch, threads = Scratch(tmp_path), threading.active_count()
    found = scratch.zeros((1 << 26,), "uint8")
    before, until = resident(), time.monotonic() + 20
    with scratch.settling():
        found[...] = 1
        while resident() > before + (1 << 24) and time.monotonic() < until:
            time.sleep(0.01)
        assert resident() < before + (1 << 24)
    found[...] = 2
    time.sleep(0.1)
    assert resident() > before + (1 << 25) and threading.active_count() == threads
    with IN_MEMORY.settling():
        assert threading.active_count() == threads


def test_a_folder_that_takes_no_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="takes no temporary file"):
        Scratch(tmp_path / "missing").zeros((1 << 20,), "int64")
