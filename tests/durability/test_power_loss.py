"""A power loss between any two calls that change a disk: the same command ends well afterwards,
and no counter is behind what could be seen."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from commands import COMMANDS, prepare, require_counted, require_no_less
from disk import Disk, Loss, State, state_of

SAMPLE = 5
"""States after a power loss from which a command is run again; all with ZKTRAIN_ALL_STATES=1."""
LONGER = [
    pytest.param(name, marks=pytest.mark.slow("trains or proves for every sample"))
    for name in COMMANDS
    if name != "commit"
]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, State]:
    """A folder, and what every command starts from in it."""
    root = tmp_path_factory.mktemp("durable")
    prepare(root)
    return root, state_of(root)


@pytest.mark.parametrize("name", ["commit", *LONGER])
def test_a_power_loss_costs_nothing_but_time(name: str, prepared: tuple[Path, State]) -> None:
    root, start = prepared
    command = COMMANDS[name]
    start.write(root)
    disk = Disk(root)
    with disk.recording():
        command.run(root)
    command.check(root)
    assert len(disk.losses) > 10 and sum(loss.call.startswith("fsync") for loss in disk.losses) > 4

    states: dict[object, tuple[Loss, str, State]] = {}
    for loss in disk.losses:
        for kind, left in loss.left.items():
            require_counted(loss.visible, left)
            require_no_less(start, left)
            states.setdefault(left.key(), (loss, kind, left))
    chosen = list(states.values())
    if os.environ.get("ZKTRAIN_ALL_STATES") != "1":
        chosen = random.sample(chosen, min(SAMPLE, len(chosen)))
    for loss, kind, left in chosen:
        where = f"{name}: power loss after {loss.call}, {kind}"
        left.write(root)
        try:
            command.run(root)
            command.check(root)
        except Exception as error:
            raise AssertionError(where) from error
        after = state_of(root)
        require_counted(loss.visible, after)
        require_counted(after, after)
        require_no_less(left, after)
        litter = [file for file in after.files if ".zktrain-" in file or file.endswith(".waiting")]
        assert not litter, f"{where}: left {litter}"
