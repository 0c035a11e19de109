"""Times of the verifier, part by part: ``pytest benchmarks/test_verifier.py``.

The checked-in proofs are small. Figures of a real run need its files ``weights.safetensors``,
``proof.zkt`` and ``dataset.zkd`` in one folder: ``ZKTRAIN_VERIFIED=FOLDER pytest
benchmarks/test_verifier.py``. Sizes that are derived once in a process, such as those of the proof
about pads, are known after the first round of each benchmark; the last one starts a process.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from zktrain._verify import verify
from zktrain.circuit.initial import seeded_weights
from zktrain.circuit.weights import read_weights
from zktrain.dataset.public_file import read_public
from zktrain.protocol import proof as proofs
from zktrain.protocol.bundle import parse, parse_statement
from zktrain.protocol.certificate import verify_certificate

PROOFS = Path(__file__).resolve().parent.parent / "proofs" / "accepted"
GIVEN = os.environ.get("ZKTRAIN_VERIFIED")
NAMES = ("hiding-cross-entropy", "mse-batch-of-five")
FOLDERS = [Path(GIVEN)] if GIVEN else [PROOFS / name for name in NAMES]


@pytest.fixture(params=FOLDERS, ids=lambda folder: folder.name)
def folder(request: pytest.FixtureRequest) -> Path:
    """Weights, proof and dataset file of one run that starts from a seed."""
    assert isinstance(request.param, Path)
    return request.param


def files(folder: Path) -> dict[str, Path]:
    return {
        "weights": folder / "weights.safetensors",
        "proof": folder / "proof.zkt",
        "dataset": folder / "dataset.zkd",
    }


def test_parse(benchmark: Any, folder: Path) -> None:
    """Bundle, circuit and statement, with its soundness."""
    data = (folder / "proof.zkt").read_bytes()
    statement = benchmark(lambda: parse_statement(parse(data)))
    assert statement.union_bits >= statement.security_bits


def test_certificate(benchmark: Any, folder: Path) -> None:
    header, certificate = read_public(folder / "dataset.zkd")
    benchmark(verify_certificate, header, certificate)


def test_proof(benchmark: Any, folder: Path) -> None:
    bundle = parse((folder / "proof.zkt").read_bytes())
    statement = parse_statement(bundle)
    circuit = statement.circuit
    shapes, bits = circuit.parameter_shapes(), circuit.fixed_point.weight_bits
    last = read_weights(folder / "weights.safetensors", shapes, bits)
    public = proofs.trained_weights(circuit, seeded_weights(circuit), last)
    benchmark(proofs.verify, statement, bundle.proof, public)


def test_whole(benchmark: Any, folder: Path) -> None:
    assert benchmark(verify, **files(folder)).proof_bytes


def test_process(benchmark: Any, folder: Path) -> None:
    """The command, imports included."""
    given = files(folder)
    command = [sys.executable, "-m", "zktrain", "verify", str(given["weights"])]
    command += ["--proof", str(given["proof"]), "--dataset", str(given["dataset"]), "--json"]

    def run() -> None:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    benchmark.pedantic(run, rounds=5, warmup_rounds=1)
