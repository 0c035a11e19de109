"""The checked-in proofs, judged with numpy alone: each meets the recorded verdict."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROOFS = Path(__file__).resolve().parents[1] / "proofs"
ACCEPTED = sorted(
    str(path.parent.relative_to(PROOFS)) for path in PROOFS.glob("accepted/*/expected.json")
)
REJECTED: dict[str, dict[str, str]] = json.loads((PROOFS / "rejected/expected.json").read_text())

JUDGE = """
import json, sys
for name in ("torch", "numba", "onnx", "onnxscript", "sklearn", "matplotlib"):
    sys.modules[name] = None
from zktrain.errors import ZktrainError
from zktrain._verify import verify
out = []
for case in json.load(sys.stdin):
    try:
        v = verify(
            case["weights"], proof=case["proof"], dataset=case["dataset"], circuit=case["circuit"]
        )
        out.append({
            "circuit_id": v.statement.circuit.id,
            "dataset_root": v.dataset_root,
            "proof_bytes": v.proof_bytes,
            "security_bits": round(v.security_bits, 3),
            "statement_digest": v.statement_digest,
            "weights_digest": v.statement.task.final,
            "zero_knowledge": v.zero_knowledge,
        })
    except ZktrainError as e:
        out.append({"error": type(e).__name__, "message": e.message, "stage": e.stage or ""})
print(json.dumps(out))
"""


def _files(case: dict[str, str]) -> dict[str, str]:
    names = ("weights", "proof", "dataset", "circuit")
    return {n: str(PROOFS / case[n]) if "/" in case[n] else case[n] for n in names}


@pytest.fixture(scope="module")
def verdicts() -> dict[str, Any]:
    """All proofs, judged in one process in which nothing but numpy can be imported."""
    cases = {}
    for name in ACCEPTED:
        files = {"weights": "weights.safetensors", "proof": "proof.zkt",
                 "dataset": "dataset.zkd", "circuit": "circuit.json"}  # fmt: skip
        cases[name] = _files({kind: f"{name}/{file}" for kind, file in files.items()})
    cases |= {name: _files(case) for name, case in REJECTED.items()}
    done = subprocess.run(
        [sys.executable, "-c", JUDGE],
        input=json.dumps(list(cases.values())),
        capture_output=True,
        text=True,
        check=True,
        cwd=PROOFS.parent,
    )
    return dict(zip(cases, json.loads(done.stdout), strict=True))


@pytest.mark.parametrize("name", ACCEPTED)
def test_example_is_accepted(verdicts: dict[str, Any], name: str) -> None:
    """The verdict is the recorded one in every field."""
    assert verdicts[name] == json.loads((PROOFS / name / "expected.json").read_text())


@pytest.mark.parametrize("name", REJECTED)
def test_forged_example_is_rejected(verdicts: dict[str, Any], name: str) -> None:
    """Error class, message and stage are the recorded ones."""
    case = REJECTED[name]
    assert verdicts[name] == {key: case[key] for key in ("error", "message", "stage")}


def test_the_folder_is_small_and_complete() -> None:
    """Each file is below 1 MB, all together below 16 MB, and every forged proof is judged."""
    sizes = [path.stat().st_size for path in PROOFS.rglob("*") if path.is_file()]
    assert max(sizes) < 1_000_000 and sum(sizes) < 16_000_000
    assert len(ACCEPTED) >= 8 and len(REJECTED) >= 17
    forged = {path.name for path in (PROOFS / "rejected").glob("*.zkt")}
    assert forged == {Path(c["proof"]).name for c in REJECTED.values()} - {"proof.zkt"}
