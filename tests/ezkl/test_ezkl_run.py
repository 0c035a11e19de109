"""An honest run: proved, resumed, verified, and near to the exact one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from iris_run import SCALE, IrisProof

import zktrain
from zktrain import InputError
from zktrain.circuit.circuit import Circuit
from zktrain.circuit.weights import read_weights
from zktrain.ezkl import values
from zktrain.ezkl.native import EzklFailure, Native
from zktrain.ezkl.parameters import Parameters, logrows_for
from zktrain.locks import claimed, locked
from zktrain.optimizers.sgd import Sgd
from zktrain.training.run import Run

pytestmark = pytest.mark.slow("proofs by ezkl take half a minute")


def test_an_honest_run_is_accepted(iris: IrisProof) -> None:
    verdict = iris.verify(circuit=iris.circuit)
    assert verdict.steps == 2 and not verdict.zero_knowledge
    assert verdict.dataset_root == iris.root
    assert verdict.security_bits == 0.0  # everybody knows the secret of this SRS
    said = " ".join(verdict.warnings)
    for word in (
        *("INSECURE", f"2^-{SCALE}", "trusted set-up", "conjectured", "order of batches"),
        "no bound on the weights follows",
    ):
        assert word in said
    assert "no circuit was pinned" not in said
    assert "no circuit was pinned" in " ".join(iris.verify().warnings)


def test_the_weights_are_near_those_of_the_exact_run(iris: IrisProof) -> None:
    run = Run.open(iris.run)
    shapes = run.circuit.parameter_shapes()
    mine = read_weights(iris.proved.weights, shapes, iris.proved.parameters.scale)
    exact = run.boundary(run.circuit.steps)
    first = run.boundary(0)
    for name in shapes:
        apart = np.abs(mine[name] * 2.0**-SCALE - exact[name] * 2.0**-32)
        assert apart.max() <= iris.proved.largest_difference + 1e-12
        assert apart.max() < 0.002
    moved = max(np.abs((exact[n] - first[n]) * 2.0**-32).max() for n in shapes)
    assert moved > 10 * iris.proved.largest_difference


def test_the_first_weights_are_rounded_to_the_nearest(iris: IrisProof) -> None:
    run = Run.open(iris.run)
    exact = run.boundary(0)
    for name, found in values.rounded(run.circuit, exact, SCALE).items():
        assert np.abs(found * 2 ** (32 - SCALE) - exact[name]).max() <= 2 ** (31 - SCALE)


def test_a_verifier_derives_the_same_key_by_itself(
    iris: IrisProof, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    iris.remember()
    assert iris.verify().statement.verifying_key == iris.proved.verifying_key
    assert not list(tmp_path.rglob("proving.key"))
    (key,) = tmp_path.rglob("verifying.key")
    data = bytearray(key.read_bytes())
    data[1000] ^= 1
    key.write_bytes(data)
    iris.verify()  # a damaged cache is made anew
    assert key.read_bytes() != bytes(data)


def test_a_child_killed_in_the_middle_loses_no_step(
    iris: IrisProof, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGKILL, as from a system without memory, with the second proof asked for."""
    steps = next((iris.run / "ezkl").iterdir())
    kept = sorted(steps.iterdir())
    assert [path.name for path in kept] == ["step-00000.bin", "step-00001.bin"]
    first, second = (path.read_bytes() for path in kept)
    kept[1].unlink()
    calls: list[str] = []
    honest = Native.call

    def call(self: Native, name: str, **arguments: Any) -> Any:
        calls.append(name)
        if name == "prove" and calls.count("prove") == 1 and self.pid is not None:
            os.kill(self.pid, signal.SIGSTOP)  # a fast machine cannot end the proof before
            threading.Timer(0.05, os.kill, (self.pid, signal.SIGKILL)).start()
        return honest(self, name, **arguments)

    monkeypatch.setattr(Native, "call", call)
    out = tmp_path / "again.zkt"
    with pytest.raises(EzklFailure, match="was killed, most likely because memory ran out"):
        iris.prove(out=out)
    assert not out.exists() and kept[0].read_bytes() == first and not kept[1].exists()
    iris.prove(out=out)
    assert calls.count("prove") == 2 and kept[0].read_bytes() == first
    assert kept[1].read_bytes() != second  # proofs are blinded
    assert iris.verify(out.read_bytes()).steps == 2


def test_the_step_is_that_of_torch(iris: IrisProof) -> None:
    """Against autograd and torch.optim.SGD on the float network."""
    torch = pytest.importorskip("torch")
    from zktrain.ezkl.step_module import Step
    from zktrain.training.float_network import float_network

    circuit = Run.open(iris.run).circuit
    generator = np.random.default_rng(7)
    weights = {
        name: generator.integers(-(2**32), 2**32, shape)
        for name, shape in circuit.parameter_shapes().items()
    }
    x = torch.rand(8, 4)
    labels = torch.randint(0, 3, (8,))
    y = torch.nn.functional.one_hot(labels, 3).float()
    for loss in ("cross_entropy", "mse"):
        network = float_network(circuit.layers, weights, 32)
        optimizer = torch.optim.SGD(network.parameters(), lr=0.5)
        logits = network(x)
        if loss == "mse":
            ((logits - y).square().sum() / 16).backward()
        else:
            torch.nn.functional.cross_entropy(logits, labels).backward()
        optimizer.step()
        given = [torch.tensor(w * 2.0**-32, dtype=torch.float32) for w in weights.values()]
        found = Step(circuit.dense_layers, loss)(*given, x, y, torch.tensor([0.5 / 8]))
        wanted = [p.detach() for p in network.parameters()]
        for mine, right in zip(found, wanted, strict=True):
            right = right.t() if right.ndim == 2 else right
            assert torch.allclose(mine, right, atol=1e-6)


def test_the_rate_of_a_step_follows_the_schedule() -> None:
    circuit = Circuit.from_json(
        (Path(__file__).parents[2] / "circuits" / "iris-mlp-8.circuit.json").read_bytes()
    )
    two = replace(circuit, optimizer=Sgd(((0, 32), (1, 16))))
    records = zktrain.dataset.readers.Records(
        np.zeros((9, 4), np.uint8), np.zeros(9, np.uint8), 3, ""
    )
    assert [values.batch(two, records, t, 12)[2] for t in (0, 1)] == [[128], [64]]


def test_rows_leave_room_for_what_blinds() -> None:
    assert logrows_for(2**14 - 128, Parameters(12, 12)) == 14
    assert logrows_for(2**14 - 127, Parameters(12, 12)) == 15
    assert logrows_for(1, Parameters(12, 1)) == 10
    assert logrows_for(1, Parameters(12, 21)) == 20


def run_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "zktrain", "ezkl", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def test_the_commands_prove_inspect_and_verify(iris: IrisProof, tmp_path: Path) -> None:
    out = tmp_path / "command.zkt"
    given = ("prove", str(iris.run), "--srs", str(iris.srs))
    given += ("--scale", str(SCALE))
    done = run_command(*given, "--out", str(out), "--json")
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert made["backend"] == "ezkl" and made["verifying_key"] == iris.proved.verifying_key
    asked = ("verify", made["weights"], "--proof", str(out), "--dataset", iris.root)
    more = ("--data", str(iris.data), "--srs", str(iris.srs), "--insecure-srs")
    judged = run_command(*asked, *more, "--circuit", str(iris.circuit), "--json")
    assert judged.returncode == 0, judged.stderr
    verdict = json.loads(judged.stdout)
    assert verdict["accepted"] is True and verdict["backend"] == "ezkl"
    assert verdict["security_bits"] == 0 and len(verdict["warnings"]) >= 6
    shown = run_command(*asked, *more)
    assert shown.returncode == 0 and shown.stdout.startswith("ACCEPTED")
    assert f"{SCALE} fractional bits" in shown.stdout
    forged = run_command("verify", str(iris.run / "weights.safetensors"), *asked[2:], *more)
    assert forged.returncode == 1 and forged.stdout.startswith("REJECTED")
    bare = run_command(*asked)
    assert bare.returncode == 2 and "--data" in bare.stderr
    inspected = json.loads(run_command("inspect", str(out), "--json").stdout)
    assert inspected["verified"] is False and len(inspected["step_proof_bytes"]) == 2


def test_two_proofs_of_one_run_at_once(iris: IrisProof, tmp_path: Path) -> None:
    """The second says so at once, also where the first is one of the native backend."""
    with (
        locked(iris.run, busy="busy"),
        pytest.raises(InputError, match="another process trains or proves it"),
    ):
        iris.prove(out=tmp_path / "second.zkt")
    out = tmp_path / "same.zkt"
    with (
        claimed(out, busy="busy"),
        pytest.raises(InputError, match=r"another process is writing .*same\.zkt"),
    ):
        iris.prove(out=out)
    assert not list(tmp_path.iterdir())


def test_a_proof_is_not_written_over_another_file(iris: IrisProof, tmp_path: Path) -> None:
    out = tmp_path / "notes.txt"
    out.write_text("mine")
    with pytest.raises(InputError, match="exists and is no proof"):
        iris.prove(out=out)
    assert out.read_text() == "mine"
