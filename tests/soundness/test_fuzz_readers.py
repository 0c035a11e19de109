"""A sample of ``scripts/fuzz_readers.py``, which tries 10,000 mutated inputs per reader."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "fuzz_readers.py"
INPUTS = 60
SECONDS, MEMORY = 10.0, 300 << 20


def _script() -> Any:
    spec = importlib.util.spec_from_file_location("fuzz_readers", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


fuzz = _script()


@pytest.mark.parametrize("name", sorted(fuzz.READERS))
def test_only_deliberate_errors(name: str, tmp_path: Path) -> None:
    reader = fuzz.READERS[name](tmp_path)
    found = fuzz.run(name, reader, INPUTS, seed=1)
    assert not found.failures, fuzz.line(name, INPUTS, found)
    assert sum(found.outcomes.values()) == INPUTS
    refused = INPUTS - found.outcomes["accepted"] - found.outcomes["honest"]
    assert refused > INPUTS // 4
    assert found.worst_seconds < SECONDS and found.worst_bytes < MEMORY


def test_circuits_have_every_kind_of_layer() -> None:
    from zktrain.circuit.canonical import _KINDS

    kinds = {type(layer).__name__ for circuit in fuzz.circuits() for layer in circuit.layers}
    assert kinds == set(_KINDS)
    texts = [json.loads(circuit.canonical_json()) for circuit in fuzz.circuits()]
    assert {text["optimizer"]["kind"] for text in texts} == {"sgd", "filtered_sgd", "layer_rates"}
    assert {text["initialisation"]["kind"] for text in texts} == {"seed", "file"}
    assert any("frozen" in text for text in texts) and any("last_batch" in text for text in texts)


def test_what_is_not_deliberate_is_a_failure(tmp_path: Path) -> None:
    """The harness itself: another exception, an accepted change, a message of half a character."""

    def read(data: bytes) -> None:
        if data == b"honest":
            return
        if len(data) % 3 == 0:
            raise TypeError(data)
        if len(data) % 3 == 1:
            raise fuzz.ZktrainError("\ud800")

    reader = fuzz.Reader([[fuzz.Part(b"honest")]], read, strict=True)
    found = fuzz.run("none", reader, 60, seed=0)
    kinds = {outcome.split(":")[0] for _, outcome, _ in found.failures}
    assert kinds == {"TypeError", "accepted", "a message that cannot be written"}
