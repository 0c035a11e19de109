"""Counts against what the prover really does, sizes against real bundles, and what follows."""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from patched import everywhere
from tiny_run import TinyBundle
from typer.testing import CliRunner

import zktrain
from zktrain import compile as verb
from zktrain import machine
from zktrain._compile import estimate as estimate_recipe
from zktrain.benchmarking import calibrate
from zktrain.benchmarking.settings import Setting
from zktrain.cli.main import app
from zktrain.cost import calibration, sizes
from zktrain.cost.calibration import Calibration, fit
from zktrain.cost.counts import prover_work
from zktrain.cost.estimate import estimate, header_to_be
from zktrain.errors import InputError
from zktrain.profile import Recorder
from zktrain.protocol.bundle import parse, parse_statement, statement_of
from zktrain.protocol.statement import Statement
from zktrain.protocol.tasks import Training
from zktrain.prover.arguments import fraction_tree
from zktrain.prover.commitment import merkle

PROOFS = Path(__file__).resolve().parents[1] / "proofs"
GOLDEN = sorted(
    str(path.parent.relative_to(PROOFS)) for path in PROOFS.glob("accepted/*/proof.zkt")
)


@pytest.mark.parametrize("name", GOLDEN)
def test_predicted_bytes_are_the_real_ones(name: str) -> None:
    """Within one and a half per cent: Merkle paths depend on the positions opened."""
    data = (PROOFS / name / "proof.zkt").read_bytes()
    parts = sizes.proof_parts(parse_statement(parse(data)))
    assert sum(parts.values()) == pytest.approx(len(data), rel=0.015)


def test_mean_siblings_is_the_mean() -> None:
    drawn = random.Random(1)
    counts = []
    for _ in range(400):
        opened = sorted(drawn.sample(range(1 << 9), 40))
        counts.append(sum(map(len, merkle._sibling_plan(opened, 9))))
    assert sizes.mean_siblings(9, 40) == pytest.approx(np.mean(counts), rel=0.02)
    assert sizes.mean_siblings(4, 16) == 0 and sizes.mean_siblings(5, 1) == pytest.approx(5)


@pytest.fixture(scope="module")
def counted(
    tiny_bundle: TinyBundle, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Statement, dict[str, list[int]]]:
    """A proof in clear, with the sizes that its kernels were called with."""
    from zktrain.prover.kernels import ntt, sha256

    run = tmp_path_factory.mktemp("counted") / "run"
    shutil.copytree(tiny_bundle.run, run, ignore=shutil.ignore_patterns("*.zkt"))
    seen: dict[str, list[int]] = {"butterflies": [], "powers": [], "blocks": [], "leaves": []}
    transform, hash_rows, prove = ntt.transform, sha256.hash_rows, fraction_tree.prove

    def counting_transform(matrix: Any, filled: int | None = None) -> None:
        length, lanes = matrix.shape
        kind = "powers" if filled is None else "butterflies"
        seen[kind].append(length // 2 * (length.bit_length() - 1) * lanes)
        transform(matrix, filled)

    def counting_hash(rows: Any, prefix: bytes, salts: Any = None) -> Any:
        cells = rows.shape[1] + (0 if salts is None else salts.shape[1])
        seen["blocks"].append(rows.shape[0] * -(-(8 * cells + 9) // 64))
        return hash_rows(rows, prefix, salts)

    def counting_tree(channel: Any, label: str, leaves: list[fraction_tree.Run], *more: Any) -> Any:
        seen["leaves"].append(sum(2 * (run.stop - run.first) for run in leaves))
        return prove(channel, label, leaves, *more)

    with (
        everywhere(ntt, "transform", counting_transform),
        everywhere(sha256, "hash_rows", counting_hash),
        everywhere(fraction_tree, "prove", counting_tree),
    ):
        proved = zktrain.prove(run, zero_knowledge=False)
    return statement_of(proved.path), seen


@pytest.mark.parametrize(
    ("what", "kind", "amount"),
    [
        ("butterflies", "encode", "butterflies"),
        ("powers", "powers", "butterflies"),
        ("leaves", "tree", "leaves"),
    ],
)
def test_counts_are_sizes_of_real_arrays(
    counted: tuple[Statement, dict[str, list[int]]], what: str, kind: str, amount: str
) -> None:
    statement, seen = counted
    work = [part for part in prover_work(statement, certified=True) if part.kind == kind]
    predicted = [part.amounts[amount] for part in work]
    if what == "powers":  # those of a folded tail go with those above them
        predicted, sizes = [sum(predicted)], [sum(seen[what])]
    else:
        sizes = seen[what]
    assert sorted(predicted) == pytest.approx(sorted(sizes), abs=1.1)


@pytest.mark.parametrize("kept", [0, 1 << 27])
def test_rows_of_code_words_that_are_not_kept_are_counted(
    tiny_bundle: TinyBundle, tmp_path: Path, kept: int
) -> None:
    """Under the spans in which they are made again, level by level."""
    from zktrain.prover.commitment import code
    from zktrain.prover.kernels import ntt

    seen: list[int] = []
    values_at = ntt.values_at

    def counting(cells: Any, filled: int, indices: Any) -> Any:
        length, lanes = cells.shape
        layers = ntt.rounds_at(length.bit_length() - 1, lanes)
        seen.append(length // 2 * layers * lanes)
        return values_at(cells, filled, indices)

    with (
        pytest.MonkeyPatch.context() as patch,
        everywhere(ntt, "values_at", counting),
        Recorder() as recorder,
    ):
        patch.setattr(code, "KEPT_BYTES", kept)
        out = tmp_path / "proof.zkt"
        zktrain.prove(tiny_bundle.run, out=out, zero_knowledge=False)
        work = prover_work(statement_of(out), certified=True)
    again = [w for w in work if w.kind == "encode" and "rows" in w.place]
    assert (kept > 0) is (not seen)
    assert sum(w.amounts["butterflies"] for w in again) == sum(seen)
    spans = dict(recorder.root.walk())
    assert {w.place for w in work if w.kind in ("open rows", "powers")} <= set(spans)
    assert {w.place for w in again} <= set(spans)


def test_hashed_blocks_are_counted(counted: tuple[Statement, dict[str, list[int]]]) -> None:
    statement, seen = counted
    hashed = [w for w in prover_work(statement, certified=True) if w.kind == "hash"]
    predicted = sum(work.amounts["blocks"] for work in hashed)
    assert predicted == pytest.approx(sum(seen["blocks"]), rel=0.001)


def test_cells_and_lookups_are_those_of_the_circuit(tiny_bundle: TinyBundle) -> None:
    statement = statement_of(tiny_bundle.proof)
    work = prover_work(statement)
    looked_up = sum(w.amounts["cells"] for w in work if w.place == ("commit", "lookup counts"))
    steps = 1 << statement.shape.log_steps  # of small tensors, which have no whole lane, all
    assert looked_up == statement.circuit.lookups_per_step * steps


def test_more_steps_cost_more() -> None:
    circuit = zktrain.compile("circuits/fashion-mlp-128.toml").circuit
    header = header_to_be(60000, 784, 10, hiding=True)
    costs = []
    for steps in (64, 256, 1024):
        task = Training(replace(circuit, steps=steps), "00" * 32, "00" * 32)
        statement = Statement(task, header, 100, True)
        costs.append(estimate(statement, calibration=calibration.shipped()))
    for less, more in pairwise(costs):
        assert more.seconds > less.seconds and more.peak_bytes >= less.peak_bytes
        assert less.proof_bytes < more.proof_bytes < 1.2 * less.proof_bytes
    assert costs[-1].peak_bytes > costs[0].peak_bytes
    assert 1e9 < costs[-1].peak_bytes < 1e10 and costs[-1].seconds > 1
    assert json.loads(json.dumps(costs[0].to_json()))["proof_bytes"] == costs[0].proof_bytes


# calibration


def test_fit_finds_rates_and_none_is_negative() -> None:
    generator = np.random.default_rng(0)
    true = {"cells": 3e-9, "calls": 2e-4, "rows": 0.0}
    observations = []
    for _ in range(12):
        amounts = {"cells": generator.uniform(1e5, 1e8), "calls": 3.0, "rows": generator.uniform()}
        seconds = sum(true[name] * amount for name, amount in amounts.items())
        observations.append((amounts, seconds))
    found = fit(observations, 1e-6)
    assert found["cells"] == pytest.approx(3e-9, rel=1e-6)
    assert found["calls"] == pytest.approx(2e-4, rel=1e-6)
    alike = [({"a": 10.0, "b": 10.0}, 18.0)] * 3  # only their sum is known
    even = fit(alike, 0.0, near_one=("a", "b"))
    assert even["a"] == pytest.approx(even["b"]) and sum(even.values()) == pytest.approx(1.8, 0.01)
    falling = [({"a": x, "one": 1.0}, 2.0 - x) for x in (0.1, 0.5, 1.0)]
    assert all(rate >= 0 for rate in fit(falling, 0.0).values())


def test_the_shipped_calibration_says_so() -> None:
    shipped = calibration.shipped()
    assert "another machine" in shipped.remark() and "--calibrate" in shipped.remark()
    proof = PROOFS / "accepted" / "hiding-cross-entropy" / "proof.zkt"
    kinds = {work.kind for work in prover_work(statement_of(proof))}
    assert kinds <= set(shipped.seconds) and "verify" in shipped.seconds


@pytest.mark.parametrize("certified", [True, False])
def test_a_calibration_run_measures_what_a_proof_is_made_of(
    tmp_path: Path, certified: bool
) -> None:
    setting = Setting("synthetic", width=8, batch=4, steps=4, features=8, records=64)
    measured = calibrate.run(setting, tmp_path, certified=certified)
    assert measured.verify_seconds > 0 and len(measured.roots) == calibrate.PROOFS
    kinds = {kind for kind, _ in calibrate.observations(measured)}
    assert {"encode", "hash", "tree", "work"} <= kinds
    assert certified is ("verify certificate" in kinds)


def test_a_kept_calibration_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(calibration.OVERRIDE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert calibration.load().shipped
    mine = Calibration({"tree": {"leaves": 1e-8}}, {"base": 1e8}, machine.describe())
    path = calibration.save(mine)
    assert path == tmp_path / "zktrain" / "calibration.json"
    kept = calibration.load()
    assert kept.seconds == mine.seconds and kept.remark() == "calibrated on this machine"
    monkeypatch.setenv(calibration.OVERRIDE, str(tmp_path / "other.json"))
    assert calibration.load().shipped


@pytest.mark.parametrize("text", ["", "[]", '{"format": "other"}', '{"format": null}'])
def test_a_damaged_calibration_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    path = tmp_path / "calibration.json"
    path.write_text(text)
    monkeypatch.setenv(calibration.OVERRIDE, str(path))
    with pytest.raises(InputError, match="is no calibration of this version"):
        calibration.load()


# the estimate


def test_compile_estimates(tmp_path: Path, tiny_bundle: TinyBundle) -> None:
    recipe = str(tiny_bundle.recipe)
    done = CliRunner().invoke(app, ["compile", recipe, "--estimate", "--records", "24", "--json"])
    found = json.loads(done.output)["estimate"]
    real = tiny_bundle.proof.stat().st_size
    assert found["proof_bytes"] == pytest.approx(real, rel=0.01)
    assert set(found["stages"]) >= {"commit", "lookups", "relations", "opening"}
    known = estimate_recipe(recipe, dataset=tiny_bundle.dataset)
    assert known.proof_bytes == found["proof_bytes"] and known.certified
    done = CliRunner().invoke(app, ["compile", recipe, "--estimate", "--records", "24"])
    assert done.exit_code == 0 and "peak memory" in done.output
    done = CliRunner().invoke(app, ["compile", recipe, "--estimate"])
    assert done.exit_code == 2 and "--records N" in done.output
    assert callable(verb)


# memory


def test_a_run_that_does_not_fit_is_refused(tiny_bundle: TinyBundle, tmp_path: Path) -> None:
    """Before anything is computed, with what it needs and what there is."""
    run = tmp_path / "run"
    shutil.copytree(tiny_bundle.run, run, ignore=shutil.ignore_patterns("*.zkt"))
    done = CliRunner().invoke(app, ["prove", str(run), "--memory", "1MB", "--json"])
    assert done.exit_code == 2 and not (run / "proof.zkt").exists()
    error = json.loads(done.stdout.splitlines()[-1])["error"]
    assert error["kind"] == "InputError" and "1 MB are available" in error["message"]
    assert zktrain.prove(run, memory=1 << 40).path == run / "proof.zkt"


@pytest.mark.parametrize(
    ("text", "count"),
    [("8GB", 8 * 10**9), ("1.5 g", 1_500_000_000), ("4GiB", 4 << 30), ("100", 100), ("2M", 2e6)],
)
def test_sizes_of_memory(text: str, count: int) -> None:
    assert machine.parse_size(text) == count


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "8 apples", "0"])
def test_no_size_of_memory(text: str) -> None:
    with pytest.raises(InputError, match="amount of memory"):
        machine.parse_size(text)


def test_the_limit_of_a_control_group_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {
        "/proc/meminfo": "MemTotal: 99 kB\nMemAvailable:    8000000 kB\n",
        "/proc/self/cgroup": "0::/a/b\n",
        "/sys/fs/cgroup/a/b/memory.max": "max\n",
        "/sys/fs/cgroup/a/memory.max": "3000000000\n",
        "/sys/fs/cgroup/a/memory.current": "1000000000\n",
        "/sys/fs/cgroup/a/memory.stat": "anon 5\ninactive_file 400000000\n",
    }
    monkeypatch.setattr(machine, "text_of", lambda path: files.get(path, ""))
    assert machine.available_memory() == 2_400_000_000
    del files["/proc/self/cgroup"]
    assert machine.available_memory() == 8_192_000_000
    files.clear()
    monkeypatch.setattr(machine, "bytes_of_pages", lambda name: None)
    assert machine.available_memory() is None
