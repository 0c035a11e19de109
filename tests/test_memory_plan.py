"""What is in memory while a run is proved, and that its proof does not depend on it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from tiny_run import TinyBundle
from typer.testing import CliRunner

import zktrain
from zktrain._compile import NO_DIGEST
from zktrain.circuit.circuit import Circuit
from zktrain.cli.main import app
from zktrain.cost.estimate import header_to_be
from zktrain.cost.memory import dataset_files, proof_files, stages, witness_parts
from zktrain.errors import InputError
from zktrain.machine import parse_size
from zktrain.protocol.statement import Statement
from zktrain.protocol.tasks import Evaluation, Training
from zktrain.prover import memory_plan
from zktrain.prover.commitment import code
from zktrain.prover.memory_plan import Plan, plan
from zktrain.scratch import Scratch

CIRCUITS = Path(__file__).resolve().parents[1] / "circuits"
HERE = Path()


@pytest.fixture(autouse=True)
def _small_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """What this process holds already does not count."""
    monkeypatch.setattr(memory_plan, "base", lambda: 500_000_000)


def lenet(steps: int) -> Statement:
    circuit = Circuit.from_json((CIRCUITS / "fashion-lenet5.circuit.json").read_bytes())
    task = Training(replace(circuit, steps=steps), NO_DIGEST, NO_DIGEST)
    return Statement(task, header_to_be(60_000, 784, 10, hiding=True), 100, True)


def chosen(statement: Statement, memory: int) -> Plan:
    return plan(Path("run"), HERE, statement, memory, certified=False)


def least(statement: Statement) -> int:
    """As the refusal names it."""
    with pytest.raises(InputError, match="needs at least") as found:
        chosen(statement, 1 << 20)
    return parse_size(found.value.message.partition("at least ")[2].partition(" of ")[0])


def test_less_memory_puts_more_into_files() -> None:
    statement = lenet(256)
    whole = chosen(statement, 1 << 40)
    assert whole.memory is None and not whole.files and whole.disk_bytes == 0
    kept = proof_files(statement)
    some = chosen(statement, whole.peak_bytes - (1 << 26))
    less = chosen(statement, 6 * 10**9)
    assert some.memory is not None and less.memory is not None
    assert less.memory < some.memory and less.files and not some.files
    assert less.disk_bytes == kept and some.disk_bytes == 0
    assert less.passes > whole.passes == whole.relations and less.seconds > whole.seconds
    assert chosen(statement, whole.peak_bytes + (1 << 26)).memory is None


@pytest.mark.parametrize("steps", [16, 256])
def test_plans_keep_to_the_limit(steps: int) -> None:
    statement = lenet(steps)
    for share in (1.0, 1.1, 1.5, 2.5, 5, 10):
        limit = int(share * least(statement))
        found = chosen(statement, limit)
        assert found.peak_bytes <= limit
        used = max(found.peak_bytes, found.memory or 0)
        assert found.memory is None or used > 0.8 * limit or found.passes == 61


def test_the_least_that_is_named_is_enough_and_hardly_more() -> None:
    for steps in (16, 256):
        statement, named = lenet(steps), least(lenet(steps))
        assert chosen(statement, named).peak_bytes <= named
        with pytest.raises(InputError, match=r"give more --memory"):
            chosen(statement, int(0.9 * named))


def test_what_is_not_told_takes_three_quarters_of_what_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All of it only where less does not do."""
    statement = lenet(16)

    def unasked(left: int | None) -> Plan:
        monkeypatch.setattr(memory_plan, "_available", lambda: left)
        return plan(Path("run"), HERE, statement, None, certified=False)

    whole, named = unasked(None), least(statement)
    assert whole.memory is None and whole.limit is None
    some = unasked(whole.peak_bytes)
    assert some.memory is not None and some.peak_bytes <= 0.75 * whole.peak_bytes
    assert unasked(2 * whole.peak_bytes).memory is None
    assert 0.75 * named < unasked(named).peak_bytes <= named
    with pytest.raises(InputError, match="needs at least"):
        unasked(int(0.9 * named))


def test_memory_hardly_grows_with_the_steps() -> None:
    assert least(lenet(4096)) < 4 * least(lenet(64))
    assert sum(witness_parts(lenet(4096))) > 63 * sum(witness_parts(lenet(64)))


def test_every_stage_counts_what_it_holds() -> None:
    """The proof's commitment and the dataset's are there to the end, and so is the witness."""
    statement = lenet(256)
    found = dict(stages(statement, memory=10**9))
    assert list(found) == [
        "commit dataset", "certify dataset", "witness", "commit", "lookups", "relations", "opening",
    ]  # fmt: skip
    packing = statement.packing
    lanes = len(packing.live_lanes)
    word = code.held(lanes, packing.code_log, packing.row_cells - lanes, 10**9)
    for stage in ("lookups", "relations", "opening"):
        assert found[stage]["commitment"] >= word.kept
        assert found[stage]["witness"] == sum(witness_parts(statement))
        assert found[stage]["dataset"] > 0 and found[stage]["records"] >= 60_000 * 784
    assert found["opening"]["computed"] >= word.working
    less = dict(stages(statement, memory=10**8))
    for stage in ("lookups", "relations"):
        assert less[stage]["computed"] < 0.3 * found[stage]["computed"]
    assert "certify dataset" not in dict(stages(statement, certified=True))


def test_a_full_disk_is_named_before_anything_is_done() -> None:
    usage = mock.Mock(free=10**9)
    with (
        mock.patch.object(memory_plan.shutil, "disk_usage", return_value=usage),
        pytest.raises(InputError, match=r"puts 4\.6 GB into files and .* has 1\.0 GB free"),
    ):
        chosen(lenet(256), 2 * 10**9)
    with mock.patch.object(memory_plan.shutil, "disk_usage", return_value=usage):
        assert chosen(lenet(256), 1 << 40).memory is None
        assert not chosen(lenet(256), 7 * 10**9).files  # in memory it takes longer
    assert chosen(lenet(256), 7 * 10**9).files


def test_evaluations_are_planned_too() -> None:
    circuit = lenet(1).circuit
    counts = tuple((1000,) + (0,) * 9 for _ in range(10))
    task = Evaluation(circuit, NO_DIGEST, counts)
    statement = Statement(task, header_to_be(10_000, 784, 10, hiding=True), 100, True)
    whole = chosen(statement, 1 << 40)
    less = chosen(statement, least(statement))
    assert less.files and less.memory is not None and less.peak_bytes < whole.peak_bytes


LEAST = (Plan(), Plan(1, True), Plan(1 << 16, False))


def prove_with(found: Plan, verb: Callable[[], Any]) -> Any:
    small = mock.patch("zktrain.scratch.SMALL", 1)  # every array is in a file
    with mock.patch.object(memory_plan, "plan", return_value=found), small:
        return verb()


def test_the_proof_is_the_same(tiny_bundle: TinyBundle, tmp_path: Path) -> None:
    proofs = []
    for found in LEAST:
        out = tmp_path / f"{len(proofs)}.zkt"
        prove_with(
            found,
            lambda: zktrain.prove(tiny_bundle.run, out=out, zero_knowledge=False),  # noqa: B023
        )
        proofs.append(out.read_bytes())
    assert proofs == [proofs[0]] * 3


def evaluate(tiny: TinyBundle, out: Path, **more: Any) -> Any:
    return zktrain.prove_eval(
        tiny.weights, circuit=tiny.circuit, data=tiny.data, split="train", out=out,
        zero_knowledge=False, **more,
    )  # fmt: skip


def test_the_proof_of_an_evaluation_is_the_same(tiny_bundle: TinyBundle, tmp_path: Path) -> None:
    proofs = []
    for found in LEAST:
        out = tmp_path / f"{len(proofs)}.zkt"
        prove_with(found, lambda: evaluate(tiny_bundle, out))  # noqa: B023
        proofs.append(out.read_bytes())
    assert proofs == [proofs[0]] * 3


def test_files_are_used_and_gone(tiny_bundle: TinyBundle, tmp_path: Path) -> None:
    made: list[np.ndarray] = []
    zeros = Scratch.zeros

    def counting(self: Scratch, *given: Any) -> np.ndarray:
        found = zeros(self, *given)
        if self.in_files:
            made.append(found)
        return found

    with mock.patch.object(Scratch, "zeros", counting):
        prove_with(Plan(1, True), lambda: evaluate(tiny_bundle, tmp_path / "eval.zkt"))
    assert len(made) > 3 and all(array.base is not None for array in made)
    assert [path.name for path in tmp_path.iterdir()] == ["eval.zkt"]


def commit(out: Path, **more: Any) -> Any:
    return zktrain.commit("digits", out=out, public=True, **more)


def test_the_commitment_is_the_same(tmp_path: Path) -> None:
    """Records, columns and tree in files, which are gone afterwards, or in memory."""
    files = [commit(tmp_path / "none.zkd").path.read_bytes()]
    small = mock.patch("zktrain.scratch.SMALL", 1)
    for number, found in enumerate((Plan(), Plan(1, True), Plan(1 << 16, True))):
        with mock.patch.object(memory_plan, "commit_plan", return_value=found), small:
            made = commit(tmp_path / f"{number}.zkd", memory=1)
        assert made.plan == found
        files.append(made.path.read_bytes())
    assert files == [files[0]] * 4
    assert len(list(tmp_path.iterdir())) == 4


def test_commitments_are_planned(tmp_path: Path) -> None:
    told: list[Any] = []
    progress = lambda stage, done, total, **figures: told.append(stage)  # noqa: E731
    out = tmp_path / "digits.zkd"
    with pytest.raises(
        InputError, match=r"committing to digits .* needs at least \d+ MB of memory"
    ):
        commit(out, memory=10**6, planned=told.append, progress=progress)
    assert told == [] and not list(tmp_path.iterdir())
    made = commit(out, memory=8 * 10**9, planned=told.append, progress=progress)
    assert (
        told[0]
        == made.plan
        == Plan(limit=8 * 10**9, seconds=made.plan.seconds, peak_bytes=made.plan.peak_bytes)
    )
    assert told[1] == "commit dataset" and 10**8 < made.plan.peak_bytes < 10**9
    header = header_to_be(60_000, 784, 10, hiding=True)
    found = memory_plan.commit_plan("data", HERE, header, 10**9)
    assert found.files and found.disk_bytes == dataset_files(header)
    usage = mock.Mock(free=10**8)
    with (
        mock.patch.object(memory_plan.shutil, "disk_usage", return_value=usage),
        pytest.raises(InputError, match=r"puts 582 MB into files and .* has 100 MB free"),
    ):
        memory_plan.commit_plan("data", HERE, header, 10**9)


def test_commit_shows_the_plan(tmp_path: Path) -> None:
    command = ["commit", "digits", "--out", str(tmp_path / "d.zkd")]
    done = CliRunner().invoke(app, [*command, "--memory", "1MB", "--json"])
    assert done.exit_code == 2 and "needs at least" in done.stdout
    done = CliRunner().invoke(app, [*command, "--memory", "8GB"])
    assert done.exit_code == 0 and "records" in done.output and "all in memory" in done.output
    assert "passes" not in done.output and "of 8 GB" in done.output


def test_the_plan_is_told_before_the_work(tiny_bundle: TinyBundle, tmp_path: Path) -> None:
    told: list[Any] = []
    progress = lambda stage, done, total, **figures: told.append(stage)  # noqa: E731
    run = tmp_path / "run"
    shutil.copytree(tiny_bundle.run, run, ignore=shutil.ignore_patterns("*.zkt"))
    proved = zktrain.prove(run, memory=8 * 10**9, planned=told.append, progress=progress)
    at = told.index(proved.plan)
    assert proved.plan.limit == 8 * 10**9 and "witness" in told[at:] and "commit" in told[at:]
    assert "witness" not in told[:at] and "commit dataset" not in told[:at]
    told.clear()
    found = evaluate(
        tiny_bundle, tmp_path / "e.zkt", memory=8 * 10**9, planned=told.append, progress=progress
    )
    assert "commit dataset" in told[told.index(found.plan) :]
    with pytest.raises(InputError, match="needs at least"):
        evaluate(tiny_bundle, tmp_path / "f.zkt", memory=1000)


def test_commands_show_the_plan(tiny_bundle: TinyBundle, tmp_path: Path) -> None:
    command = ["prove", str(tiny_bundle.run), "--out", str(tmp_path / "p.zkt")]
    done = CliRunner().invoke(app, [*command, "--memory", "8GB"])
    assert done.exit_code == 0 and "all in memory" in done.output
    shown = done.output.index("expected peak")
    assert "of 8 GB" in done.output and shown < done.output.index("peak memory")
    done = CliRunner().invoke(app, [*command, "--memory", "8GiB", "--json"])
    assert done.exit_code == 0 and '"limit": 8589934592' in done.stdout
    done = CliRunner().invoke(app, [*command, "--memory", "8 apples"])
    assert done.exit_code == 2
    command = ["prove-eval", str(tiny_bundle.weights), "--circuit", str(tiny_bundle.circuit)]
    command += ["--data", str(tiny_bundle.data), "--no-zk", "--out", str(tmp_path / "e.zkt")]
    done = CliRunner().invoke(app, [*command, "--memory", "1MB", "--json"])
    assert done.exit_code == 2 and "needs at least" in done.stdout
    done = CliRunner().invoke(app, [*command, "--memory", "8GB"])
    assert done.exit_code == 0 and "expected peak" in done.output
