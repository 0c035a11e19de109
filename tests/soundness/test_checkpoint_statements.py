"""What is compared of checkpoints before any proof is read, each comparison alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import harness as h
import pytest
from check_sites import refused_by
from test_lying_checkpoints import STEPS, one_unit, past, publish
from test_single_checks import judged, text
from test_single_verdicts import VERBS, proofs_hold

from zktrain.circuit.bounds import MAX_CHECKPOINTS
from zktrain.errors import MalformedProof, StatementMismatch
from zktrain.protocol.statement import Statement
from zktrain.protocol.tasks import Checkpoint
from zktrain.training.weight_file import write_weights

PROBLEM = "protocol.tasks.Training._checkpoint_problem"


def stating(*checkpoints: Checkpoint) -> Callable[[], None]:
    statement = h.honest("mse").statement
    task = replace(statement.task, checkpoints=checkpoints)
    return lambda: judged(replace(statement, task=task).misfit())


@pytest.mark.parametrize(
    "steps", [(0,), (h.STEPS,), (h.STEPS + 1,), (-1,), (4, 4), (4, 1), (1, 4, 10, 11)]
)
def test_steps_that_no_checkpoint_has(steps: tuple[int, ...]) -> None:
    """Neither end is one, and they increase."""
    attack = stating(*(Checkpoint(step, "ab" * 32) for step in steps))
    refused_by(f"{PROBLEM}: not all(", attack, MalformedProof)


def test_more_checkpoints_than_a_run_has() -> None:
    """In their order, after the first step and before the last of a run that is long enough."""
    statement = h.honest("mse").statement
    circuit = replace(statement.circuit, steps=2 * MAX_CHECKPOINTS)
    many = tuple(Checkpoint(step, "ab" * 32) for step in range(1, MAX_CHECKPOINTS + 2))
    for checkpoints, refused in ((many[:-1], False), (many, True)):
        task = replace(statement.task, circuit=circuit, checkpoints=checkpoints)
        found = replace(statement, task=task)
        if refused:
            site = f"{PROBLEM}: len(steps) > MAX_CHECKPOINTS"
            refused_by(site, lambda: judged(found.misfit()), MalformedProof)  # noqa: B023
        else:
            assert found.misfit() is None


def stated(value: Any) -> Callable[[], object]:
    statement = publish("mse").statement
    fields = {**json.loads(statement.to_json()), "checkpoints": value}
    known = statement.circuit, statement.dataset
    return lambda: Statement.from_json(text(fields), *known)


def test_step_that_is_no_integer() -> None:
    site = "protocol.tasks.Checkpoint.read: type(step) is not int"
    for step in (True, 4.0):
        refused_by(site, stated([[step, "ab" * 32]]), MalformedProof)
    # without the comparison, true is a step like 1
    assert Checkpoint.read([1, "ab" * 32]) == Checkpoint(1, "ab" * 32)


@pytest.mark.parametrize(
    "value",
    [
        [],
        {},
        None,
        4,
        "ab",
        [4],
        [[4]],
        [[4, "ab" * 32, 1]],
        [["4", "ab" * 32]],
        [[4, "AB" * 32]],
        [[4, "ab" * 31]],
        [[4, None]],
        [{"step": 4, "weights": "ab" * 32}],
        [[1 << 70, "ab" * 32]],
    ],
    ids=repr,
)
def test_checkpoints_of_another_form(value: Any) -> None:
    """An empty list is stated by no key at all."""
    with pytest.raises(MalformedProof):
        stated(value)()


def test_statement_is_read_back() -> None:
    statement = publish("mse").statement
    known = statement.circuit, statement.dataset
    assert Statement.from_json(statement.to_json(), *known) == statement
    assert statement.task.checkpoint_steps == STEPS


# the verbs, with proofs that hold


def kept_in(folder: Path, weights: h.Weights) -> Path:
    path = folder / "any name.safetensors"
    write_weights(path, weights, 32, {"step": "7"})
    return path


def verifying(*files: Path, frozen: tuple[str, ...] = ()) -> Any:
    run = publish("mse")
    task = run.statement.task
    task = replace(task, circuit=replace(task.circuit, frozen=frozen))
    run = replace(run, statement=replace(run.statement, task=task))
    stand_ins: dict[str, Any] = {
        "weights_of": lambda *_: run.weights[0],
        "_initial_weights": lambda *_: run.weights[0],
    }
    with proofs_hold(run, **stand_ins):
        root = run.statement.dataset.root.hex()
        return VERBS.verify("w", proof="p", dataset=root, checkpoints=list(files))


def test_file_of_no_checkpoint(tmp_path: Path) -> None:
    """One unit away from the one of step 4; neither names nor metadata count."""
    true, other = tmp_path / "a", tmp_path / "b"
    true.mkdir()
    other.mkdir()
    verifying(kept_in(true, past("mse")[4]))
    attack = kept_in(other, one_unit(past("mse")[4]))
    site = "_verify._checkpoints: not steps"
    refused_by(site, lambda: verifying(attack), StatementMismatch)


@pytest.mark.parametrize("step", [0, 5, h.STEPS])
def test_file_of_another_step(tmp_path: Path, step: int) -> None:
    with pytest.raises(StatementMismatch, match="not hold the weights of any checkpoint"):
        verifying(kept_in(tmp_path, past("mse")[step]))


def test_verdict_names_the_step_and_what_was_not_checked(tmp_path: Path) -> None:
    path = kept_in(tmp_path, past("mse")[4])
    found = verifying(path)
    assert [(one.step, one.checked, one.file) for one in found.checkpoints] == [
        (1, False, None),
        (4, True, path),
        (10, False, None),
    ]
    said = "checkpoint of step {}: digest stated, not checked; give --checkpoint FILE"
    assert [w for w in found.warnings if "checkpoint" in w] == [said.format(1), said.format(10)]


def test_frozen_layer_that_a_checkpoint_has_elsewhere(tmp_path: Path) -> None:
    """No claim is about it, so its file is compared with the first weights."""
    site = "_verify._trained: name not in moving and (not np.array_equal(values, found[name]))"
    path = kept_in(tmp_path, past("mse")[4])
    refused_by(site, lambda: verifying(path, frozen=("fc1",)), StatementMismatch)
