"""What is in memory while a run is proved, and that its proof does not depend on it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest
from tiny_run import TinyBundle

import zktrain
from zktrain._compile import NO_DIGEST
from zktrain.circuit.circuit import Circuit
from zktrain.cost.estimate import estimate, header_to_be
from zktrain.errors import InputError
from zktrain.protocol.statement import Statement
from zktrain.protocol.tasks import Training
from zktrain.prover import memory_plan
from zktrain.prover.memory_plan import Plan, plan, witness_bytes

CIRCUITS = Path(__file__).resolve().parents[1] / "circuits"


def lenet(steps: int) -> Statement:
    circuit = Circuit.from_json((CIRCUITS / "fashion-lenet5.circuit.json").read_bytes())
    task = Training(replace(circuit, steps=steps), NO_DIGEST, NO_DIGEST)
    return Statement(task, header_to_be(60_000, 784, 10, hiding=True), 100, True)


def test_less_memory_puts_more_into_files() -> None:
    statement = lenet(256)
    whole = estimate(statement).peak_bytes
    assert plan(Path("run"), statement, whole, certified=False) == Plan()
    witness = witness_bytes(statement)
    some = plan(Path("run"), statement, whole - 1, certified=False)
    less = plan(Path("run"), statement, 6 * 10**9, certified=False)
    assert some.memory is not None and less.memory is not None
    assert less.memory < some.memory < whole - witness and less.files and not some.files
    assert less.memory < witness


def test_memory_hardly_grows_with_the_steps() -> None:
    def least(steps: int) -> int:
        with pytest.raises(InputError, match="needs at least") as found:
            plan(Path("run"), lenet(steps), 1 << 20, certified=False)
        number, unit = found.value.message.partition("at least ")[2].split()[:2]
        return int(float(number) * {"MB": 1e6, "GB": 1e9}[unit])

    assert least(4096) < 4 * least(64)
    assert witness_bytes(lenet(4096)) == 64 * witness_bytes(lenet(64))


def test_the_proof_is_the_same(tiny_bundle: TinyBundle, tmp_path: Path) -> None:
    proofs = []
    for chosen in (Plan(), Plan(1, True), Plan(1 << 16, False)):
        out = tmp_path / f"{len(proofs)}.zkt"
        with mock.patch.object(memory_plan, "plan", return_value=chosen):
            zktrain.prove(tiny_bundle.run, out=out, zero_knowledge=False)
        proofs.append(out.read_bytes())
    assert proofs == [proofs[0]] * 3
