"""An implementation that shares no code with zktrain finds the same soundness terms."""

from __future__ import annotations

import copy
import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tiny_run import TinyBundle

from zktrain.circuit.circuit import Circuit
from zktrain.circuit.initialisation import Initialisation
from zktrain.dataset.commitment import DatasetHeader
from zktrain.layers import Layer
from zktrain.operations.fixed_point import FixedPoint
from zktrain.optimizers.sgd import Sgd
from zktrain.protocol.certificate import certificate_layout
from zktrain.protocol.statement import Statement
from zktrain.protocol.tasks import Checkpoint, Training

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "scripts" / "second_opinion.py"
DENSE = ("Layer",)
GOLDEN = [
    path
    for path in sorted(ROOT.glob("proofs/accepted/*/proof.zkt"))
    if (known := json.loads((path.parent / "circuit.json").read_bytes()))
    and all(layer["kind"] in DENSE for layer in known["layers"])
    and known["optimizer"]["kind"] == "sgd"
    and "frozen" not in known
]
"""Of circuits that the second opinion knows."""
Json = dict[str, Any]


@cache
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("second_opinion", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@cache
def inspected(proof: Path) -> Json:
    found: Json = script().inspect(proof)
    return found


def problems(proof: Path, inspection: Json) -> list[str]:
    found: list[str] = script().compare(script().read_bundle(proof.read_bytes()), inspection)
    return found


@pytest.mark.parametrize("proof", GOLDEN, ids=lambda proof: "/".join(proof.parts[-3:-1]))
def test_golden_bundles(proof: Path) -> None:
    assert problems(proof, inspected(proof)) == []


def test_bundle_of_a_tiny_run(tiny_bundle: TinyBundle) -> None:
    inspection = inspected(tiny_bundle.proof)
    assert inspection["zero_knowledge"] is True
    assert any(term["name"].startswith("hidden scalars") for term in inspection["soundness"])
    assert problems(tiny_bundle.proof, inspection) == []


def one_bit_more(inspection: Json, i: int) -> None:
    inspection["soundness"][i]["bits"] += 1


def one_bit_less(inspection: Json, i: int) -> None:
    inspection["soundness"][i]["bits"] -= 1


def a_little_more(inspection: Json, i: int) -> None:
    inspection["soundness"][i]["bits"] += 1e-5


def removed(inspection: Json, i: int) -> None:
    del inspection["soundness"][i]


def twice(inspection: Json, i: int) -> None:
    inspection["soundness"].append(inspection["soundness"][i])


def renamed(inspection: Json, i: int) -> None:
    inspection["soundness"][i]["name"] += "?"


def assumed(inspection: Json, i: int) -> None:
    inspection["soundness"][i]["basis"] = "assumed" if i + 1 < len(inspection["soundness"]) else ""


def not_a_number(inspection: Json, i: int) -> None:
    inspection["soundness"][i]["bits"] = float("nan")


DOCTORED = [one_bit_more, one_bit_less, a_little_more, removed, twice, renamed, assumed]


@pytest.mark.parametrize("doctor", [*DOCTORED, not_a_number])
def test_every_doctored_term_is_found(
    doctor: Callable[[Json, int], None],
    tiny_bundle: TinyBundle,
    capsys: pytest.CaptureFixture[str],
) -> None:
    honest = inspected(tiny_bundle.proof)
    bundle = script().read_bundle(tiny_bundle.proof.read_bytes())
    before = script().compare(bundle, honest)
    for i in range(len(honest["soundness"])):
        changed = copy.deepcopy(honest)
        doctor(changed, i)
        found = script().compare(bundle, changed)
        assert set(found) - set(before), honest["soundness"][i]
    capsys.readouterr()


@pytest.mark.parametrize(
    ("key", "value"), [("union_bits", 200.0), ("security_bits", 120), ("zero_knowledge", None)]
)
def test_a_doctored_summary_is_found(tiny_bundle: TinyBundle, key: str, value: object) -> None:
    honest = inspected(tiny_bundle.proof)
    found = problems(tiny_bundle.proof, {**honest, key: value})
    assert set(found) - set(problems(tiny_bundle.proof, honest))


def test_a_union_below_the_target_is_found() -> None:
    bundle = script().read_bundle(GOLDEN[0].read_bytes())
    bundle.security += 10
    found = script().compare(bundle, {**inspected(GOLDEN[0]), "security_bits": bundle.security})
    assert found == [f"the union misses the {bundle.security} bits of the statement"]


@pytest.mark.parametrize(("surplus", "code"), [(0, 0), (1, 1)])
def test_exit_code_with_nothing_but_the_standard_library(
    tmp_path: Path, surplus: int, code: int
) -> None:
    inspection = copy.deepcopy(inspected(GOLDEN[0]))
    inspection["soundness"][3]["bits"] += surplus
    stored = tmp_path / "inspection.json"
    stored.write_text(json.dumps(inspection))
    command = [sys.executable, "-I", "-S", *map(str, (SCRIPT, GOLDEN[0], "--inspection", stored))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert len(done.stdout.splitlines()) > len(inspection["soundness"])


def statement(
    widths: tuple[int, ...],
    *,
    loss: str = "cross_entropy",
    bias: bool = True,
    batch: int = 3,
    steps: int = 5,
    records: int = 11,
    openings: int = 0,
    security: int = 100,
    zero_knowledge: bool = False,
    checkpoints: int = 0,
) -> Statement:
    layers = tuple(
        Layer(f"fc{i}", a, b, f"fc{i}.weight", f"fc{i}.bias" if bias else None, i < len(widths) - 1)
        for i, (a, b) in enumerate(pairwise(widths), 1)
    )
    circuit = Circuit(
        layers, loss, FixedPoint(), batch, steps, Sgd(((0, 2),)), "order",
        Initialisation("seed", "weights"),
    )  # fmt: skip
    header = DatasetHeader(records, widths[0], widths[-1], bytes(32), openings)
    ends = "00" * 32, "00" * 32
    kept = tuple(Checkpoint(step, "00" * 32) for step in range(1, checkpoints + 1))
    return Statement(Training(circuit, *ends, kept), header, security, zero_knowledge)


STATEMENTS = {
    "five steps": statement((5, 6, 3)),
    "checkpoints": statement((5, 6, 3), checkpoints=4),
    "hiding, checkpoints, no bias": statement(
        (5, 6, 3), bias=False, steps=999, openings=64, zero_knowledge=True, checkpoints=900
    ),
    "one of everything": statement((1, 1, 1), batch=1, steps=1, records=1),
    "hiding": statement((5, 6, 3), openings=64, zero_knowledge=True),
    "hiding, no bias": statement((5, 6, 3), bias=False, openings=64, zero_knowledge=True),
    "hiding, mse": statement((5, 6, 3), loss="mse", openings=3, zero_knowledge=True),
    "hiding, binary": statement(
        (5, 6, 3), loss="binary_cross_entropy", openings=3, zero_knowledge=True
    ),
    "logistic regression": statement(
        (1024, 2),
        loss="binary_cross_entropy",
        batch=4096,
        steps=64,
        records=1 << 18,
        openings=64,
        zero_knowledge=True,
    ),
    "hiding, one layer": statement((5, 3), openings=1, zero_knowledge=True),
    "hiding, four layers": statement((5, 6, 4, 9, 3), openings=64, zero_knowledge=True),
    "hiding, width of one": statement((4, 1, 1), batch=1, openings=64, zero_knowledge=True),
    "hiding, many records": statement(
        (784, 128, 10),
        batch=64,
        steps=2048,
        records=60000,
        openings=64,
        zero_knowledge=True,
    ),
    "in clear on a hiding dataset": statement((5, 6, 3), openings=64),
    "many steps": statement((5, 6, 3), steps=64, openings=64, security=95),
    "hiding, many steps": statement(
        (5, 6, 3), steps=40, openings=64, security=90, zero_knowledge=True
    ),
}


@pytest.mark.parametrize("name", STATEMENTS)
def test_other_sizes(name: str) -> None:
    case = STATEMENTS[name]
    texts = case.to_json(), case.circuit.canonical_json(), case.dataset.to_json()
    bundle = script().Bundle(*map(json.loads, texts))
    inspection = {
        "soundness": [asdict(term) for term in case.soundness_terms],
        "union_bits": case.union_bits,
        "security_bits": case.security_bits,
        "zero_knowledge": case.zero_knowledge,
    }
    assert script().compare(bundle, inspection) == []


@pytest.mark.parametrize("name", [name for name, s in STATEMENTS.items() if s.zero_knowledge])
def test_hidden_scalars_are_counted_alike(name: str) -> None:
    """Counted from the circuit's operations, not by a dry run of the verifier."""
    case = STATEMENTS[name]
    texts = case.to_json(), case.circuit.canonical_json(), case.dataset.to_json()
    bundle = script().Bundle(*map(json.loads, texts))
    layout, certificate = case.layout, certificate_layout(case.dataset)
    assert layout is not None and certificate is not None
    assert len(bundle.terms)
    found = bundle.relations.scalars
    assert (found.sent, found.products) == (layout.scalars, len(layout.products))
    found = bundle.dataset.hidden()
    assert (found.sent, found.products) == (certificate.scalars, len(certificate.products))
